//! What registrations are searched and sorted by: values that follow from the others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answers::Answer;
use super::fields::{FIELDS, Kind};
use super::form::Form;
use crate::kernel::{EmailAddress, StudentField, text};

/// Length of a sort key, in code points: a longer text is sorted by its beginning.
const KEY_LENGTH: usize = 64;

/// The search words and sort keys of a registration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchIndex {
    /// Sort keys of texts and lists, by [`key_name`]: folded, so that letter case and accents don't matter. Empty values
    /// have none.
    pub keys: BTreeMap<String, String>,
    /// The words of [`SEARCHED`] fields, each after the [`tag`] of its field.
    pub words: Vec<String>,
}

/// The fields that a search looks into.
pub const SEARCHED: [StudentField; 4] =
    [StudentField::LegalName, StudentField::PreferredName, StudentField::Email, StudentField::StudentId];

/// What the words of a searched field begin with. No tag is the beginning of another.
pub fn tag(field: &StudentField) -> String {
    format!("{field}:")
}

/// The name of a column's sort key. A column of an answer or of a part of a field has a dot in its name.
pub fn key_name(column: &str) -> String {
    column.replace('.', "_")
}

impl SearchIndex {
    /// The index of a registration with this form, whose account has these.
    pub fn new(form: &Form, email: Option<&EmailAddress>, preferred_name: Option<&str>) -> Self {
        let mut index = Self::default();
        for field in FIELDS {
            index.add_keys(field.name(), field.kind, &(field.value)(form));
        }
        for (id, answer) in &form.answers {
            let name = StudentField::Answer(id.clone()).to_string();
            match answer {
                Answer::Text(text) => index.add_text(&name, text),
                Answer::Choices(choices) => index.add_text(&name, &choices.join(", ")),
                Answer::Flag(_) | Answer::Number(_) => {}
            }
        }
        let email = email.map(EmailAddress::key).unwrap_or_default();
        index.keys.insert("email".into(), email.clone());
        let preferred_name = preferred_name.unwrap_or_default();
        index.add_text("preferredName", preferred_name);
        for (field, text) in SEARCHED.iter().zip([&form.legal_name, preferred_name, &email, &form.student_id])
        {
            let words = text::search_words(text).into_iter().map(|word| tag(field) + &word);
            index.words.extend(words);
        }
        index
    }

    /// Keys of the values that can't be sorted as they are stored.
    fn add_keys(&mut self, name: &str, kind: Kind, value: &Value) {
        match (kind, value) {
            (Kind::Line(_) | Kind::Remark(_), Value::String(text)) => self.add_text(name, text),
            (Kind::Choices(_) | Kind::Addresses(_), Value::Array(list)) => {
                let texts: Vec<_> = list.iter().filter_map(Value::as_str).collect();
                self.add_text(name, &texts.join(", "));
            }
            (Kind::Object(parts), Value::Object(values)) => {
                for (part, _, kind) in parts {
                    let value = values.get(*part).unwrap_or(&Value::Null);
                    self.add_keys(&format!("{name}.{part}"), *kind, value);
                }
            }
            _ => {}
        }
    }

    fn add_text(&mut self, name: &str, text: &str) {
        let key: String = text::fold(text).chars().take(KEY_LENGTH).collect();
        if !key.is_empty() {
            self.keys.insert(key_name(name), key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::form::EmergencyContact;
    use super::*;

    #[test]
    fn words_carry_the_field_that_they_are_from() {
        let form =
            Form { legal_name: "José García".into(), student_id: "AB12345".into(), ..Form::default() };
        let email = EmailAddress::parse("Jo@example.org").unwrap();
        let index = SearchIndex::new(&form, Some(&email), Some("Pepe"));
        let expected = [
            "legalName:garcia",
            "legalName:jose",
            "preferredName:pepe",
            "email:example",
            "email:jo",
            "email:org",
            "studentId:ab12345",
        ];
        assert_eq!(index.words, expected);
    }

    #[test]
    fn texts_lists_and_parts_have_folded_keys_and_empty_values_none() {
        let form = Form {
            legal_name: "Émile".repeat(100),
            dietary: vec!["Vegan".into(), "Nut allergy".into()],
            emergency_contact: EmergencyContact { name: "Zoë".into(), ..EmergencyContact::default() },
            ..Form::default()
        };
        let index = SearchIndex::new(&form, None, None);
        assert_eq!(index.keys["legalName"], "emile".repeat(13)[..64]);
        assert_eq!(index.keys["dietary"], "vegan, nut allergy");
        assert_eq!(index.keys["emergencyContact_name"], "zoe");
        assert_eq!(index.keys["email"], "", "found by the job that copies the address");
        assert_eq!(index.keys.len(), 4, "{:?}", index.keys);
    }
}
