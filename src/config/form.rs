//! `[form]`: the options of the registration form, the built-in fields that the event leaves out, and its own questions.

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::Spanned;

use super::check::{Check, WrittenList};
use super::event::OTHER_PRONOUNS;
use super::question::{Question, WrittenQuestion};
use crate::kernel::StudentField;

/// The built-in fields that an event can leave out, each with the one that it depends on, if any: without that one it is
/// left out too.
const CAN_BE_LEFT_OUT: &[(StudentField, Option<StudentField>)] = &[
    (StudentField::ShirtSize, None),
    (StudentField::MedicalInformation, None),
    (StudentField::Medication, None),
    (StudentField::Dietary, None),
    (StudentField::DietaryOther, Some(StudentField::Dietary)),
    (StudentField::Accessibility, None),
    (StudentField::AccessibilityContact, Some(StudentField::Accessibility)),
    (StudentField::JoinsHunt, None),
    (StudentField::HuntTeammates, Some(StudentField::JoinsHunt)),
    (StudentField::SummerCity, None),
    (StudentField::SummerCountry, None),
    (StudentField::MovingMonth, None),
    (StudentField::PhotoConsent, None),
    (StudentField::BursaryRequested, None),
];

/// Whether an event can leave this built-in field out of the form.
pub fn can_be_left_out(field: &StudentField) -> bool {
    CAN_BE_LEFT_OUT.iter().any(|(known, _)| known == field)
}

/// What the event changes about the registration form.
#[derive(Clone, Debug, Default)]
pub struct FormConfig {
    /// The built-in fields that the form does not have.
    pub without: BTreeSet<StudentField>,
    /// The event's own questions, in the order in which they are asked. Retired ones are among them.
    pub questions: Vec<Question>,
}

impl FormConfig {
    /// Whether students are asked for this field. Answers to retired questions are not asked for.
    pub fn asks(&self, field: &StudentField) -> bool {
        match field {
            StudentField::Answer(id) => self.asked().any(|question| question.id == *id),
            built_in => !self.without.contains(built_in),
        }
    }

    /// The question with this id, even if it is retired.
    pub fn question(&self, id: &str) -> Option<&Question> {
        self.questions.iter().find(|question| question.id == id)
    }

    /// The questions that students are asked, in their order.
    pub fn asked(&self) -> impl Iterator<Item = &Question> {
        self.questions.iter().filter(|question| !question.retired)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenForm {
    disciplines: WrittenList,
    pronouns: WrittenList,
    shirt_sizes: Option<WrittenList>,
    dietary: Option<WrittenList>,
    moving_months: Option<WrittenList>,
    without: Option<WrittenList>,
    questions: Option<Spanned<Vec<WrittenQuestion>>>,
}

/// The content of `[form]`.
pub(super) struct CheckedForm {
    pub disciplines: Vec<String>,
    pub pronouns: Vec<String>,
    pub shirt_sizes: Vec<String>,
    pub dietary: Vec<String>,
    pub moving_months: Vec<String>,
    pub config: FormConfig,
}

impl Check<'_> {
    pub(super) fn form(&mut self, written: &Spanned<WrittenForm>) -> CheckedForm {
        let form = written.get_ref();
        let without = form.without.as_ref().map(|list| self.without(list)).unwrap_or_default();
        let mut options = |key: &str, list: &Option<WrittenList>, field: StudentField| match list {
            Some(list) => {
                let options = self.choices(key, list);
                if without.contains(&field) { vec![] } else { options }
            }
            None if without.contains(&field) => vec![],
            None => {
                let detail = format!("it is missing: add it, or add \"{field}\" to `without`");
                self.error(key, written.span(), detail);
                vec![]
            }
        };
        let shirt_sizes = options("form.shirt_sizes", &form.shirt_sizes, StudentField::ShirtSize);
        let dietary = options("form.dietary", &form.dietary, StudentField::Dietary);
        let moving_months = options("form.moving_months", &form.moving_months, StudentField::MovingMonth);
        CheckedForm {
            disciplines: self.choices("form.disciplines", &form.disciplines),
            pronouns: self.pronouns(&form.pronouns),
            shirt_sizes,
            dietary,
            moving_months,
            config: FormConfig {
                without,
                questions: form.questions.as_ref().map(|list| self.questions(list)).unwrap_or_default(),
            },
        }
    }

    fn pronouns(&mut self, written: &WrittenList) -> Vec<String> {
        for one in written.get_ref() {
            if one.get_ref().trim().eq_ignore_ascii_case(OTHER_PRONOUNS) {
                self.error("form.pronouns", one.span(), "it is always offered: remove it");
            }
        }
        self.choices("form.pronouns", written)
    }

    /// The fields that are left out, with those that depend on them.
    fn without(&mut self, written: &WrittenList) -> BTreeSet<StudentField> {
        const KEY: &str = "form.without";
        self.unique(KEY, written.get_ref());
        let mut without = BTreeSet::new();
        for one in written.get_ref() {
            match StudentField::parse(one.get_ref()) {
                Ok(field) if can_be_left_out(&field) => drop(without.insert(field)),
                _ => self.error(KEY, one.span(), format!("it can't be left out; these can: {}", all_names())),
            }
        }
        let dependent = CAN_BE_LEFT_OUT.iter().filter_map(|(field, on)| Some((field, on.as_ref()?)));
        let dependent: Vec<_> =
            dependent.filter(|(_, on)| without.contains(on)).map(|(field, _)| field.clone()).collect();
        without.extend(dependent);
        without
    }
}

/// Names of the fields that can be left out.
fn all_names() -> String {
    CAN_BE_LEFT_OUT.iter().map(|(field, _)| field.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::event::Event;
    use super::*;

    const SHIPPED: &str = include_str!("../../event.toml");

    /// The shipped event without these fields.
    fn without(fields: &str) -> String {
        SHIPPED.replacen("without = []", &format!("without = [{fields}]"), 1)
    }

    /// The file without the list that begins with this key.
    fn without_list(file: &str, key: &str) -> String {
        let (before, list) = file.split_once(&format!("\n{key} = [")).unwrap();
        format!("{before}{}", list.split_once("]").unwrap().1)
    }

    #[test]
    fn fields_are_left_out_with_those_that_depend_on_them() {
        let event = Event::parse(&without("\"dietary\", \"joinsHunt\", \"shirtSize\"")).unwrap();
        use StudentField::{Dietary, DietaryOther, HuntTeammates, JoinsHunt, Phone, ShirtSize};
        assert_eq!(event.form.without, [Dietary, DietaryOther, HuntTeammates, JoinsHunt, ShirtSize].into());
        assert!(event.form.asks(&Phone) && !event.form.asks(&HuntTeammates));
        assert!(event.dietary.is_empty() && event.shirt_sizes.is_empty() && !event.moving_months.is_empty());
        assert!(!event.form.asks(&StudentField::Answer("bus".into())));
    }

    #[test]
    fn a_field_that_is_required_or_unknown_can_not_be_left_out() {
        for field in ["\"legalName\"", "\"city\"", "\"answers.bus\"", "\"dietary\", \"dietary\""] {
            let errors = Event::parse(&without(field)).unwrap_err().0;
            assert_eq!((errors.len(), errors[0].key.as_str()), (1, "form.without"), "{field}");
        }
    }

    #[test]
    fn the_options_of_a_field_that_is_left_out_can_be_missing() {
        for (key, field) in
            [("shirt_sizes", "shirtSize"), ("dietary", "dietary"), ("moving_months", "movingMonth")]
        {
            let errors = Event::parse(&without_list(SHIPPED, key)).unwrap_err().0;
            assert_eq!((errors.len(), errors[0].key.clone()), (1, format!("form.{key}")));
            assert!(errors[0].detail.contains(field), "{errors:?}");
            assert!(Event::parse(&without_list(&without(&format!("\"{field}\"")), key)).is_ok());
        }
    }
}
