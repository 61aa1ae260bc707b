//! What can be read of a student, each described once: the columns of lists, counts and exports.

use std::sync::Arc;

use serde_json::Value;

use crate::config::{Event, Question, QuestionKind};
use crate::features::registration::{self, BESIDE_THE_FORM, FIELDS, key_name};
use crate::kernel::StudentField;
use crate::platform::store::Field;

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in requests and responses. Parts of an object and answers have dots: `emergencyContact.phone`,
    /// `answers.bus`.
    pub name: String,
    /// Its heading.
    pub label: String,
    /// The field that must be granted to read it. `None`: every caller who reaches the student sees it.
    pub grant: Option<StudentField>,
    /// What it holds.
    pub kind: ColumnKind,
    /// Where a registration stores it.
    pub path: Field,
    /// What it is sorted by.
    pub sort: Field,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text.
    Text,
    /// An email address.
    Email,
    /// A student id, in any letter case.
    StudentId,
    /// Several texts.
    Texts,
    /// Yes or no.
    Flag,
    /// A whole number.
    Number,
    /// A date, `YYYY-MM-DD`.
    Date,
    /// A point in time.
    Time,
}

/// All columns of an event, in the order of exports.
#[derive(Clone, Debug)]
pub struct Columns(Vec<Arc<Column>>);

impl Columns {
    /// The columns of this event: those that are switched off are left out, and those of retired questions are kept.
    pub fn of(event: &Event) -> Self {
        let built_in = FIELDS.iter().filter(|field| event.form.asks(&field.field)).flat_map(of_field);
        let beside = BESIDE_THE_FORM.iter().map(|(field, label)| beside_the_form(field, label));
        let answers = event.form.questions.iter().map(of_question);
        let open = [
            Column::open("id", "Id", "id"),
            Column::open("group", "Group", "group"),
            Column::open("state", "State", "state"),
        ];
        Self(open.into_iter().chain(beside).chain(built_in).chain(answers).map(Arc::new).collect())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Column>> {
        self.0.iter()
    }

    /// The columns that this name selects: the column of this name, or those of all parts of an object.
    pub fn named(&self, name: &str) -> Vec<&Arc<Column>> {
        let is_part = |column: &Arc<Column>| {
            column.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.0.iter().filter(|column| is_part(column)).collect()
    }

    /// The column of exactly this name.
    pub fn column(&self, name: &str) -> Option<&Arc<Column>> {
        self.0.iter().find(|column| column.name == name)
    }
}

impl Column {
    /// A column that needs no grant.
    fn open(name: &str, label: &str, path: &'static str) -> Self {
        Self {
            name: name.into(),
            label: label.into(),
            grant: None,
            kind: ColumnKind::Text,
            path: path.into(),
            sort: path.into(),
        }
    }

    /// Whether every registration has a value to sort by.
    pub fn is_always_there(&self) -> bool {
        self.grant.is_none() || self.grant == Some(StudentField::SubmittedAt)
    }

    /// Its value in a registration, as JSON; null if there is none.
    pub fn read<'v>(&self, registration: &'v Value) -> &'v Value {
        self.path.split('.').fold(registration, |value, name| value.get(name).unwrap_or(&Value::Null))
    }
}

/// The columns of a field of the form: one, or one for each part of an object.
fn of_field(field: &registration::Field) -> Vec<Column> {
    use registration::Kind;
    let column = |name: String, label: String, path: String, kind: Kind| {
        let folded = || Field::from(format!("search.keys.{}", key_name(&name)));
        let stored = || Field::from(path.clone());
        let (kind, sort) = match kind {
            Kind::Code(_) if field.field == StudentField::StudentId => {
                (ColumnKind::StudentId, "studentKey".into())
            }
            Kind::Line(_) | Kind::Remark(_) => (ColumnKind::Text, folded()),
            Kind::Choices(_) | Kind::Addresses(_) => (ColumnKind::Texts, folded()),
            Kind::Code(_) | Kind::Choice(_) | Kind::Phone(_) | Kind::Object(_) => {
                (ColumnKind::Text, stored())
            }
            Kind::Date => (ColumnKind::Date, stored()),
            Kind::Flag => (ColumnKind::Flag, stored()),
        };
        Column { grant: Some(field.field.clone()), label, kind, path: path.into(), sort, name }
    };
    let (name, label) = (field.name(), field.label);
    match field.kind {
        Kind::Object(parts) => {
            let part = |(part, of_part, kind): &(&str, &str, Kind)| {
                let path = format!("{}.{part}", field.path);
                column(format!("{name}.{part}"), format!("{label}: {}", of_part.to_lowercase()), path, *kind)
            };
            parts.iter().map(part).collect()
        }
        kind => vec![column(name.into(), label.into(), field.path.into(), kind)],
    }
}

/// The column of a field of the account or the registration.
fn beside_the_form(field: &StudentField, label: &str) -> Column {
    let name = field.to_string();
    let (kind, sort) = match field {
        StudentField::Email => (ColumnKind::Email, "search.keys.email".into()),
        StudentField::PreferredName => (ColumnKind::Text, "search.keys.preferredName".into()),
        _ => (ColumnKind::Time, Field::from(name.clone())),
    };
    Column { label: label.into(), grant: Some(field.clone()), kind, path: name.clone().into(), sort, name }
}

/// The column of the answers to a question.
fn of_question(question: &Question) -> Column {
    let field = StudentField::Answer(question.id.clone());
    let name = field.to_string();
    let path = format!("form.{name}");
    let kind = match question.kind {
        QuestionKind::ShortText { .. } | QuestionKind::LongText { .. } | QuestionKind::OneOf { .. } => {
            ColumnKind::Text
        }
        QuestionKind::SeveralOf { .. } => ColumnKind::Texts,
        QuestionKind::YesNo => ColumnKind::Flag,
        QuestionKind::Number { .. } => ColumnKind::Number,
        QuestionKind::Date { .. } => ColumnKind::Date,
    };
    let sort = match kind {
        ColumnKind::Text | ColumnKind::Texts => format!("search.keys.{}", key_name(&name)),
        _ => path.clone(),
    };
    Column {
        label: question.label.clone(),
        grant: Some(field),
        kind,
        path: path.into(),
        sort: sort.into(),
        name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_name_of_its_own_and_parts_of_objects_are_columns() {
        let columns = Columns::of(&Event::shipped());
        let names: std::collections::BTreeSet<_> = columns.iter().map(|column| &column.name).collect();
        assert_eq!(names.len(), columns.iter().count());
        let parts: Vec<_> =
            columns.named("emergencyContact").iter().map(|column| column.name.as_str()).collect();
        assert_eq!(
            parts,
            ["emergencyContact.name", "emergencyContact.relationship", "emergencyContact.phone"]
        );
        assert!(columns.named("dietary").len() == 1 && columns.named("emergency").is_empty());
        assert!(columns.column("emergencyContact").is_none());
    }
}
