//! Fields of the registration form.

use std::fmt;

use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use serde::{Deserialize, Serialize};

use super::UnknownRight;

/// One thing about a student that leaders may read if an administrator grants it to them.
///
/// The built-in fields are a closed list. Most are properties of the registration form and have their names, such as
/// `legalName`; [`FIELDS`](crate::features::registration::FIELDS) describes each one. The others are of the account and the
/// registration. The questions of a faculty are described by
/// [`FormConfig::questions`](crate::config::FormConfig::questions).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// The address of the student's account.
    Email,
    /// The preferred name of the student's account.
    PreferredName,
    /// When the form was submitted.
    SubmittedAt,
    /// When the student was registered.
    RegisteredAt,
    /// The answer to the question with this id in `event.toml`, written `answers.<id>`.
    #[serde(untagged, with = "answer_name")]
    Answer(String),
}

/// What the name of an answer begins with.
const ANSWERS: &str = "answers.";
/// The longest id of a question, in characters.
pub const QUESTION_ID_MAX: usize = 40;

/// Whether a question can have this id: a lowercase letter a to z, then up to 39 letters a to z and digits.
pub fn is_question_id(id: &str) -> bool {
    id.len() <= QUESTION_ID_MAX
        && id.starts_with(|first: char| first.is_ascii_lowercase())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl StudentField {
    /// The field with this name. Whether the event asks the question of an answer is not checked.
    ///
    /// # Errors
    /// [`UnknownRight`] if no field can have it.
    pub fn parse(name: &str) -> Result<Self, UnknownRight> {
        let name: StrDeserializer<'_, Error> = name.into_deserializer();
        Self::deserialize(name).map_err(|_| UnknownRight)
    }
}

impl fmt::Display for StudentField {
    /// Name of the form's property, or `answers.<id>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// How [`StudentField::Answer`] is written.
mod answer_name {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{ANSWERS, is_question_id};

    pub fn serialize<S: Serializer>(id: &String, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{ANSWERS}{id}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        let name = String::deserialize(deserializer)?;
        let id = name.strip_prefix(ANSWERS).filter(|id| is_question_id(id));
        id.map(str::to_owned).ok_or_else(|| D::Error::custom("there is no such field"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_written_like_the_property_of_the_form() {
        assert_eq!(StudentField::ShirtSize.to_string(), "shirtSize");
        assert_eq!(StudentField::parse("shirtSize"), Ok(StudentField::ShirtSize));
        assert_eq!(StudentField::parse("shirt_size"), Err(UnknownRight));
    }

    #[test]
    fn an_answer_is_written_with_the_id_of_its_question() {
        let bus = StudentField::Answer("needsBus2".into());
        assert_eq!(bus.to_string(), "answers.needsBus2");
        assert_eq!(StudentField::parse("answers.needsBus2"), Ok(bus.clone()));
        assert_eq!(json!(bus), "answers.needsBus2");
        assert_eq!(serde_json::from_value::<StudentField>(json!("answers.needsBus2")).unwrap(), bus);
        let long = format!("answers.a{}", "b".repeat(QUESTION_ID_MAX));
        for name in
            ["answers", "answers.", "answers.Bus", "answers.1bus", "answers.a-b", "answers.a.b", "bus", &long]
        {
            assert_eq!(StudentField::parse(name), Err(UnknownRight), "{name}");
        }
        assert!(StudentField::parse(&long[..long.len() - 1]).is_ok());
    }
}
