//! Fields of the registration form.

use serde::{Deserialize, Serialize};

/// One field of the registration form. An administrator grants a leader the fields that the leader may read.
///
/// This is the closed list. Its names are those of the form's properties, such as `legalName`;
/// [`FIELDS`](crate::features::registration::FIELDS) describes each one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StudentField {
    LegalName,
    Pronouns,
    PronounsOther,
    BirthDate,
    StudentId,
    Discipline,
    ShirtSize,
    Phone,
    EmergencyContact,
    MedicalInformation,
    Medication,
    Dietary,
    DietaryOther,
    Accessibility,
    AccessibilityContact,
    JoinsHunt,
    HuntTeammates,
    SummerCity,
    SummerCountry,
    MovingMonth,
    PhotoConsent,
    BursaryRequested,
}
