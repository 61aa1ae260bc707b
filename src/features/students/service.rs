//! Use cases: finding, counting and reading students, and notes on them.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono_tz::Tz;

use super::access::{NotGranted, Row, StudentAccess, View};
use super::columns::{Column, ColumnKind, Columns};
use super::model::{NOTE_ADDED, REGISTRATION_CORRECTED, StudentNote};
use super::query::{QueryError, StudentQuery, granted_column};
use crate::base::Base;
use crate::config::Event;
use crate::features::groups::Groups;
use crate::features::registration::{AboutChange, CorrectError, Corrections, Registration, Registrations};
use crate::kernel::{Clock, Ids, Principal, StudentField};
use crate::platform::audit::Subject;
use crate::platform::signals::Signals;
use crate::platform::store::{
    Crossed, Cursor, Dimension, Dir, Filter, Holds, Page, PageError, Query, Store, StoreError, Tx, Value,
};

/// The most rows of a table of counts.
const COUNTS_MAX: usize = 2_000;

/// Why students are not listed.
#[derive(Debug, thiserror::Error)]
pub enum ListStudentsError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Page(#[from] PageError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why students are not counted.
#[derive(Debug, thiserror::Error)]
pub enum CountStudentsError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a student can't be read.
#[derive(Debug, thiserror::Error)]
pub enum GetStudentError {
    /// There is no such student within reach.
    #[error("there is no such student")]
    NotFound,
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A page of students, as the caller may read them.
pub struct StudentPage {
    /// Its columns.
    pub view: View,
    /// Its students.
    pub rows: Vec<Row>,
    /// Where the next page begins.
    pub next: Option<Cursor>,
    /// The number of all students that match, with the first page.
    pub total: Option<u64>,
}

/// Students by the values of one or two columns.
pub struct Counts {
    /// The number of students that match.
    pub total: u64,
    /// The number for each combination of values.
    pub rows: Vec<Crossed>,
}

/// Students as leaders and the committee read them.
pub struct Students {
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) signals: Arc<dyn Signals>,
    pub(super) event: Arc<Event>,
    registrations: Arc<Registrations>,
    ids: Arc<dyn Ids>,
    pub(super) columns: Columns,
}

impl Students {
    /// The students in the store of `base`, whose registrations are corrected through `registrations`.
    pub fn new(base: &Base, registrations: &Arc<Registrations>) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            signals: base.signals.clone(),
            event: base.event.clone(),
            registrations: registrations.clone(),
            ids: base.ids.clone(),
            columns: Columns::of(&base.event),
        }
    }

    /// What can be read of a student.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The event's time zone.
    pub fn time_zone(&self) -> Tz {
        self.event.time_zone
    }

    /// A page of the students that match.
    ///
    /// # Errors
    /// [`ListStudentsError`].
    pub async fn list(
        &self,
        access: &StudentAccess,
        which: &StudentQuery,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<StudentPage, ListStudentsError> {
        let view = which.view(access, &self.columns)?;
        let query = which.query(access, &self.columns)?;
        let filter = query.filter.clone();
        let page: Page<Registration> = self.store.page(query.limit(limit), after).await?;
        let total = match after {
            None if page.next.is_none() => Some(page.items.len() as u64),
            None => Some(self.store.count::<Registration>(filter).await?),
            Some(_) => None,
        };
        let rows = rows(&view, &page.items)?;
        Ok(StudentPage { view, rows, next: page.next, total })
    }

    /// A student within reach, with the columns that are asked for.
    ///
    /// # Errors
    /// [`GetStudentError`].
    pub async fn student(
        &self,
        access: &StudentAccess,
        id: &str,
        fields: &[String],
    ) -> Result<(View, Row), GetStudentError> {
        let which = StudentQuery { fields: fields.to_vec(), ..StudentQuery::default() };
        let view = which.view(access, &self.columns)?;
        let student: Option<Registration> = self.store.get(id).await?;
        let row = student.map(|student| view.row(&student)).transpose()?.flatten();
        Ok((view, row.ok_or(GetStudentError::NotFound)?))
    }

    /// The number of students that match, by the values of one or two columns.
    ///
    /// # Errors
    /// [`CountStudentsError`].
    pub async fn count(
        &self,
        access: &StudentAccess,
        which: &StudentQuery,
        by: &[String],
    ) -> Result<Counts, CountStudentsError> {
        let filter = which.filter(access, &self.columns)?;
        if by.iter().collect::<BTreeSet<_>>().len() < by.len() {
            return Err(QueryError::Invalid("by", "Name two different fields.".into()).into());
        }
        let dimensions = by.iter().map(|name| dimension(granted_column("by", name, access, &self.columns)?));
        let dimensions = dimensions.collect::<Result<Vec<_>, _>>()?;
        let (total, rows) = tokio::try_join!(
            self.store.count::<Registration>(filter.clone()),
            self.store.cross::<Registration>(dimensions, filter)
        )?;
        if rows.len() > COUNTS_MAX {
            let detail = format!("These fields have more than {COUNTS_MAX} different values.");
            return Err(QueryError::Invalid("by", detail).into());
        }
        Ok(Counts { total, rows })
    }

    /// Corrects what is fixed for a student within reach. Only granted fields can be corrected. The student gets an email,
    /// with a new ticket if the name on it changes.
    ///
    /// # Errors
    /// [`CorrectStudentError`]; then nothing has changed.
    pub async fn correct(
        &self,
        by: &Principal,
        id: &str,
        corrections: &Corrections,
        reason: &str,
    ) -> Result<(View, Row), CorrectStudentError> {
        let access = StudentAccess::new(&by.rights);
        refuse_ungranted(by, &corrections.fields())?;
        let (now, change) = (self.clock.now(), self.ids.next());
        let corrected = self.store.transact_at(&[Groups::GUARD], async |tx| {
            let student = student_within_reach(&tx, &access, id).await?;
            let mut student = student.ok_or(CorrectStudentError::NotFound)?;
            let fields = self.registrations.correct(&tx, &mut student, corrections.clone(), now).await?;
            // A correction can remove an answer whose question no longer applies.
            refuse_ungranted(by, &fields)?;
            if !fields.is_empty() {
                let names: Vec<_> = fields.iter().map(ToString::to_string).collect();
                let (names, subject) = (names.join(","), Subject::of::<Registration>(id));
                let detail = [("fields", names.as_str())];
                tx.audit_with_reason(&by.actor, REGISTRATION_CORRECTED, subject, &detail, reason, now)
                    .await?;
                AboutChange::of_fields(id, fields).post(&tx, &change, now).await?;
            }
            Ok::<_, CorrectStudentError>(student)
        });
        let view = access.everything(&self.columns);
        let row = view.row(&corrected.await?)?.ok_or(CorrectStudentError::NotFound)?;
        Ok((view, row))
    }

    /// A page of the notes on a student within reach, newest first.
    ///
    /// # Errors
    /// [`ListNotesError`].
    pub async fn notes(
        &self,
        access: &StudentAccess,
        student: &str,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<StudentNote>, ListNotesError> {
        let newest_first = Query::new(Filter::eq("student", student)).sort("writtenAt", Dir::Desc);
        let page = self.store.page(newest_first.limit(limit), after).await?;
        let found: Option<Registration> = self.store.get(student).await?;
        found.filter(|found| access.reaches(found)).ok_or(ListNotesError::NotFound)?;
        Ok(page)
    }

    /// Adds a note on a student within reach.
    ///
    /// # Errors
    /// [`AddNoteError`]; then nothing is added.
    pub async fn add_note(
        &self,
        by: &Principal,
        student: &str,
        text: &str,
    ) -> Result<StudentNote, AddNoteError> {
        let access = StudentAccess::new(&by.rights);
        let note = StudentNote {
            id: self.ids.next(),
            student: student.to_owned(),
            author: by.actor.id().unwrap_or_default().to_owned(),
            text: text.to_owned(),
            written_at: self.clock.now(),
        };
        self.store
            .transact(async |tx| {
                student_within_reach(&tx, &access, student).await?.ok_or(AddNoteError::NotFound)?;
                tx.insert(&note).await?;
                let subject = Subject::of::<Registration>(student);
                let detail = [("note", note.id.as_str())];
                tx.audit(&by.actor, NOTE_ADDED, subject, &detail, note.written_at).await?;
                Ok(note.clone())
            })
            .await
    }
}

/// Why a note is not added.
#[derive(Debug, thiserror::Error)]
pub enum AddNoteError {
    /// There is no such student within reach.
    #[error("there is no such student")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a student is not corrected.
#[derive(Debug, thiserror::Error)]
pub enum CorrectStudentError {
    /// There is no such student within reach.
    #[error("there is no such student")]
    NotFound,
    #[error(transparent)]
    NotGranted(#[from] NotGranted),
    #[error(transparent)]
    Correct(#[from] CorrectError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why notes are not listed.
#[derive(Debug, thiserror::Error)]
pub enum ListNotesError {
    /// There is no such student within reach.
    #[error("there is no such student")]
    NotFound,
    #[error(transparent)]
    Page(#[from] PageError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The registration of a student whom the caller reaches, to be changed in this transaction.
///
/// # Errors
/// [`StoreError`].
pub async fn student_within_reach(
    tx: &Tx,
    access: &StudentAccess,
    id: &str,
) -> Result<Option<Registration>, StoreError> {
    Ok(tx.get::<Registration>(id).await?.filter(|student| access.reaches(student)))
}

fn refuse_ungranted(by: &Principal, fields: &[StudentField]) -> Result<(), NotGranted> {
    let ungranted = fields.iter().find(|field| !by.rights.may_read(field));
    ungranted.map_or(Ok(()), |field| Err(NotGranted(field.to_string())))
}

/// What the caller may read of these students.
///
/// # Errors
/// [`StoreError`].
pub fn rows(view: &View, students: &[Registration]) -> Result<Vec<Row>, StoreError> {
    students.iter().filter_map(|student| view.row(student).transpose()).collect()
}

fn dimension(column: &Column) -> Result<Dimension, QueryError> {
    let holds = match column.kind {
        ColumnKind::Text | ColumnKind::Email | ColumnKind::StudentId | ColumnKind::Date => Holds::Text,
        ColumnKind::Texts => Holds::Texts,
        ColumnKind::Flag => Holds::Bool,
        ColumnKind::Number => Holds::Int,
        ColumnKind::Time => {
            let detail = format!("Students can't be counted by `{}`.", column.name);
            return Err(QueryError::Invalid("by", detail));
        }
    };
    Ok(Dimension { field: column.path.clone(), holds })
}

/// A value that students are counted by, as text. Empty if there is none.
pub fn shown(value: &Option<Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Int(number)) => number.to_string(),
        Some(Value::Bool(yes)) => yes.to_string(),
        Some(Value::Time(time)) => time.rfc3339(),
    }
}
