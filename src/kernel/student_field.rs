//! Fields of the registration form.

use std::fmt;

use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use serde::{Deserialize, Serialize};

use super::UnknownRight;

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

impl StudentField {
    /// The field with this name.
    ///
    /// # Errors
    /// [`UnknownRight`] if the form has none.
    pub fn parse(name: &str) -> Result<Self, UnknownRight> {
        let name: StrDeserializer<'_, Error> = name.into_deserializer();
        Self::deserialize(name).map_err(|_| UnknownRight)
    }
}

impl fmt::Display for StudentField {
    /// Name of the form's property.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_written_like_the_property_of_the_form() {
        assert_eq!(StudentField::ShirtSize.to_string(), "shirtSize");
        assert_eq!(StudentField::parse("shirtSize"), Ok(StudentField::ShirtSize));
        assert_eq!(StudentField::parse("shirt_size"), Err(UnknownRight));
    }
}
