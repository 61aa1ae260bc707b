//! What a caller may read of which students.
//!
//! Registrations become answers here and nowhere else: a [`Row`] is made by a [`View`], and a view by a [`StudentAccess`],
//! which is made of the caller's rights.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::columns::{Column, Columns};
use crate::features::registration::{Registration, RegistrationState};
use crate::kernel::{Reach, Rights, Scope};
use crate::platform::store::{Filter, StoreError};

/// A column that the caller may not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the field is not granted")]
pub struct NotGranted(pub String);

/// What a caller may read: of which students, and which columns.
#[derive(Clone, Debug)]
pub struct StudentAccess {
    rights: Rights,
    unregistered: bool,
}

impl StudentAccess {
    /// What these rights allow.
    pub fn new(rights: &Rights) -> Self {
        Self { rights: rights.clone(), unregistered: rights.may(Scope::StudentsUnregistered) }
    }

    /// The same, with students who are not registered: for decisions about them.
    pub fn with_unregistered(self) -> Self {
        Self { unregistered: true, ..self }
    }

    /// The students within reach.
    pub fn filter(&self) -> Filter {
        let reached = self.reached();
        if self.unregistered { reached } else { reached.and(Filter::eq("state", "registered")) }
    }

    /// The students of the groups and hunt teams that may be read about: what [`Rights::reaches`] says, as a filter.
    fn reached(&self) -> Filter {
        if self.rights.reaches(None, None) {
            return Filter::All;
        }
        if !self.rights.is_approved_leader() {
            return Filter::Or(vec![]);
        }
        let reached = |reach: &Reach| match reach {
            Reach::AllGroups => Filter::All,
            Reach::Group(name) => Filter::eq("group", name.as_str()),
            Reach::HuntTeam(number) => Filter::eq("huntTeam", i64::from(*number)),
        };
        Filter::Or(self.rights.reach.iter().map(reached).collect())
    }

    /// Whether the student is within reach.
    pub fn reaches(&self, student: &Registration) -> bool {
        let visible = self.unregistered || student.state == RegistrationState::Registered;
        visible && self.rights.reaches(Some(&student.group), None)
    }

    /// Whether the caller may read this column of students within reach.
    pub fn may_read(&self, column: &Column) -> bool {
        column.grant.as_ref().is_none_or(|field| self.rights.may_read(field))
    }

    /// A column that is read, or by which students are filtered, sorted or counted.
    ///
    /// # Errors
    /// [`NotGranted`], with the name of the column.
    pub fn granted<'c>(&self, column: &'c Column) -> Result<&'c Column, NotGranted> {
        if self.may_read(column) { Ok(column) } else { Err(NotGranted(column.name.clone())) }
    }

    /// A view of all columns that the caller may read.
    pub fn everything(&self, columns: &Columns) -> View {
        let columns = columns.iter().filter(|column| self.may_read(column)).cloned().collect();
        View { access: self.clone(), columns }
    }

    /// A view of the id and these columns.
    ///
    /// # Errors
    /// [`NotGranted`] for the first one that the caller may not read.
    pub fn view<'c>(&self, columns: impl IntoIterator<Item = &'c Arc<Column>>) -> Result<View, NotGranted> {
        let granted = |column: &Arc<Column>| self.granted(column).map(|_| column.clone());
        let columns = columns.into_iter().map(granted).collect::<Result<_, _>>()?;
        Ok(View { access: self.clone(), columns })
    }
}

/// Columns that a caller may read.
#[derive(Clone, Debug)]
pub struct View {
    access: StudentAccess,
    columns: Vec<Arc<Column>>,
}

impl View {
    /// The columns, in their order.
    pub fn columns(&self) -> &[Arc<Column>] {
        &self.columns
    }

    /// What the caller may read of a student. `None` if the student is out of reach.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the registration can't be written as JSON.
    pub fn row(&self, student: &Registration) -> Result<Option<Row>, StoreError> {
        if !self.access.reaches(student) {
            return Ok(None);
        }
        let stored = serde_json::to_value(student)
            .map_err(|_| StoreError::Failed("a registration can't be written as JSON".into()))?;
        let cells = self.columns.iter().map(|column| column.read(&stored).clone()).collect();
        Ok(Some(Row { id: student.id.clone(), cells }))
    }
}

/// What a caller may read of a student: one value for each column of the view.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    id: String,
    cells: Vec<Value>,
}

impl Row {
    /// The account's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The values, in the order of the view's columns. Null where there is none.
    pub fn cells(&self) -> &[Value] {
        &self.cells
    }

    /// The values as an object, with the names of the view's columns. Parts of a field are nested, and columns without
    /// a value are left out.
    pub fn object(&self, view: &View) -> Value {
        let mut object = Map::from_iter([("id".to_owned(), self.id.as_str().into())]);
        for (column, cell) in view.columns.iter().zip(&self.cells).filter(|(_, cell)| !cell.is_null()) {
            insert(&mut object, &column.name, cell);
        }
        object.into()
    }
}

fn insert(object: &mut Map<String, Value>, name: &str, value: &Value) {
    match name.split_once('.') {
        None => drop(object.insert(name.to_owned(), value.clone())),
        Some((name, part)) => {
            let inner = object.entry(name).or_insert_with(|| Map::new().into());
            if let Value::Object(inner) = inner {
                insert(inner, part, value);
            }
        }
    }
}
