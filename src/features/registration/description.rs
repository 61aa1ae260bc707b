//! The registration form of an event, as `getEvent` describes it.

use super::fields::{FIELDS, Field, Kind};
use super::form::BIRTH_DATES;
use crate::config::{self, Event, OTHER_PRONOUNS, Question, QuestionKind, Required};
use crate::features::event::{ExpectedAnswer, FormField, FormFieldCondition, FormFieldKind};
use crate::kernel::{Class, Retention, StudentField};

/// The built-in fields that the event asks for, then its questions that are not retired.
pub fn form_fields(event: &Event) -> Vec<FormField> {
    let built_in = FIELDS.iter().filter(|field| event.form.asks(&field.field));
    built_in.map(|field| of_field(field, event)).chain(event.form.asked().map(of_question)).collect()
}

/// A required field of this kind without limits.
fn plain(name: &str, label: &str, kind: FormFieldKind, class: Class, retention: Retention) -> FormField {
    FormField {
        name: name.to_owned(),
        label: label.to_owned(),
        help: None,
        kind,
        required: true,
        required_if: None,
        options: None,
        fields: None,
        max_length: None,
        max_items: None,
        pattern: None,
        min: None,
        max: None,
        from: None,
        until: None,
        editable: true,
        class: class.into(),
        retention: retention.into(),
    }
}

fn of_field(field: &Field, event: &Event) -> FormField {
    let plain = |kind| plain(field.name(), field.label, kind, field.class, field.retention);
    let described =
        FormField { editable: field.editable, required: field.required, ..of_kind(field.kind, &plain) };
    match field.field {
        StudentField::BirthDate => {
            let (from, until) = BIRTH_DATES;
            FormField { from: Some(from.into()), until: Some(until.into()), ..described }
        }
        StudentField::PronounsOther => FormField { required_if: Some(with_other_pronouns()), ..described },
        _ => FormField { options: options(&field.field, event), ..described },
    }
}

/// A field of this kind, made from a plain one.
fn of_kind(kind: Kind, plain: &dyn Fn(FormFieldKind) -> FormField) -> FormField {
    match kind {
        Kind::Line(max) => FormField { max_length: length(max), ..plain(FormFieldKind::ShortText) },
        Kind::Remark(max) => FormField { max_length: length(max), ..plain(FormFieldKind::LongText) },
        Kind::Code(pattern) => {
            FormField { pattern: Some(pattern.to_owned()), ..plain(FormFieldKind::ShortText) }
        }
        Kind::Choice(_) => plain(FormFieldKind::OneOf),
        Kind::Choices(_) => plain(FormFieldKind::SeveralOf),
        Kind::Date => plain(FormFieldKind::Date),
        Kind::Phone(max) => FormField { max_length: length(max), ..plain(FormFieldKind::Phone) },
        Kind::Addresses(max) => FormField { max_items: length(max), ..plain(FormFieldKind::EmailAddresses) },
        Kind::Flag => plain(FormFieldKind::YesNo),
        Kind::Object(properties) => {
            let property = |(name, label, kind): &(&str, &str, Kind)| {
                let named = |kind| FormField { name: (*name).into(), label: (*label).into(), ..plain(kind) };
                of_kind(*kind, &named)
            };
            let fields = properties.iter().map(property).collect();
            FormField { fields: Some(fields), ..plain(FormFieldKind::Object) }
        }
    }
}

/// The event's options for a built-in field.
fn options(field: &StudentField, event: &Event) -> Option<Vec<String>> {
    match field {
        StudentField::Pronouns => {
            Some(event.pronouns.iter().cloned().chain([OTHER_PRONOUNS.to_owned()]).collect())
        }
        StudentField::Discipline => Some(event.disciplines.clone()),
        StudentField::ShirtSize => Some(event.shirt_sizes.clone()),
        StudentField::Dietary => Some(event.dietary.clone()),
        StudentField::MovingMonth => Some(event.moving_months.clone()),
        _ => None,
    }
}

fn with_other_pronouns() -> FormFieldCondition {
    let answer = ExpectedAnswer::Option(OTHER_PRONOUNS.to_owned());
    FormFieldCondition { field: StudentField::Pronouns.to_string(), answer }
}

fn of_question(question: &Question) -> FormField {
    let name = StudentField::Answer(question.id.clone()).to_string();
    let plain = |kind| plain(&name, &question.label, kind, question.class, question.retention);
    let described = match &question.kind {
        QuestionKind::ShortText { max_length } => {
            FormField { max_length: length(*max_length), ..plain(FormFieldKind::ShortText) }
        }
        QuestionKind::LongText { max_length } => {
            FormField { max_length: length(*max_length), ..plain(FormFieldKind::LongText) }
        }
        QuestionKind::YesNo => plain(FormFieldKind::YesNo),
        QuestionKind::OneOf { options } => {
            FormField { options: Some(options.clone()), ..plain(FormFieldKind::OneOf) }
        }
        QuestionKind::SeveralOf { options, max_choices } => FormField {
            options: Some(options.clone()),
            max_items: length(*max_choices),
            ..plain(FormFieldKind::SeveralOf)
        },
        QuestionKind::Date { from, until } => FormField {
            from: from.map(|day| day.to_string()),
            until: until.map(|day| day.to_string()),
            ..plain(FormFieldKind::Date)
        },
        QuestionKind::Number { min, max } => {
            FormField { min: Some(*min), max: Some(*max), ..plain(FormFieldKind::Number) }
        }
    };
    let (required, required_if) = match &question.required {
        Required::No => (false, None),
        Required::Yes => (true, None),
        Required::If(condition) => (false, Some(of_condition(condition))),
    };
    FormField { help: question.help.clone(), required, required_if, editable: question.editable, ..described }
}

fn of_condition(condition: &config::Condition) -> FormFieldCondition {
    let answer = match &condition.answer {
        config::ExpectedAnswer::Flag(flag) => ExpectedAnswer::Flag(*flag),
        config::ExpectedAnswer::Option(option) => ExpectedAnswer::Option(option.clone()),
    };
    FormFieldCondition { field: StudentField::Answer(condition.question.clone()).to_string(), answer }
}

fn length(max: usize) -> Option<u32> {
    u32::try_from(max).ok()
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ToJSON;
    use serde_json::{Value, json};

    use super::*;

    /// The descriptions by name.
    fn described(event: &Event) -> serde_json::Map<String, Value> {
        let fields = form_fields(event).to_json().unwrap();
        let named = |field: &Value| (field["name"].as_str().unwrap().to_owned(), field.clone());
        fields.as_array().unwrap().iter().map(named).collect()
    }

    #[test]
    fn built_in_fields_are_described_in_their_order() {
        let event = Event::shipped();
        let names: Vec<_> = form_fields(&event).into_iter().map(|field| field.name).collect();
        assert!(names.iter().eq(FIELDS.iter().map(Field::name)));
        let described = described(&event);
        let size = json!({
            "name": "shirtSize", "label": "Shirt size", "kind": "oneOf", "required": true,
            "options": event.shirt_sizes, "editable": false, "class": "logistics", "retention": "counted",
        });
        assert_eq!(described["shirtSize"], size);
        assert_eq!(
            described["pronounsOther"]["requiredIf"],
            json!({ "field": "pronouns", "answer": "Other" })
        );
        assert_eq!(described["pronouns"]["options"][4], "Other");
        assert_eq!(
            (&described["birthDate"]["from"], &described["birthDate"]["until"]),
            (&json!("1920-01-01"), &json!("2020-12-31"))
        );
        let contact = described["emergencyContact"]["fields"].as_array().unwrap();
        let names: Vec<_> =
            contact.iter().map(|field| (field["name"].as_str(), field["kind"].as_str())).collect();
        let expected = [("name", "shortText"), ("relationship", "shortText"), ("phone", "phone")];
        assert_eq!(names, expected.map(|(name, kind)| (Some(name), Some(kind))));
    }

    #[test]
    fn fields_that_the_event_leaves_out_and_retired_questions_are_not_described() {
        let mut event = Event::shipped();
        event.form.without = [StudentField::SummerCity].into();
        let retired = Question { retired: true, ..Question::for_tests("fax", QuestionKind::YesNo) };
        event.form.questions = vec![retired, Question::for_tests("bus", QuestionKind::YesNo)];
        let described = described(&event);
        assert_eq!(described.len(), FIELDS.len());
        assert!(!described.contains_key("summerCity") && described.contains_key("answers.bus"));
    }
}
