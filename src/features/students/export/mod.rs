//! Exports of students as CSV and XLSX: the rows of a list, all of them, read a page at a time.

mod csv;
mod xlsx;

use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::try_unfold;

use super::access::{Row, StudentAccess, View};
use super::model::STUDENTS_EXPORTED;
use super::query::{QueryError, StudentQuery};
use super::service::{Students, rows};
use crate::features::registration::Registration;
use crate::kernel::{Principal, Timestamp};
use crate::platform::audit::Subject;
use crate::platform::signals::{Limit, TooMany};
use crate::platform::store::{Cursor, PageError, Query, Store, StoreError};

pub use self::csv::csv;
pub use self::xlsx::{XlsxError, xlsx};

/// Exports of one account or machine.
const EXPORTS: Limit = Limit { name: "export-students", quota: 60, window: Duration::from_secs(3600) };
/// Students that are read at a time.
const PAGE: u32 = 500;
/// Length of the part of a file's name that tells the filter.
const FILTER_IN_NAME: usize = 60;

/// The kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Csv,
    Xlsx,
}

impl FileKind {
    /// The ending of its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
        }
    }
}

/// Why students are not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Xlsx(#[from] XlsxError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An export that has been recorded and can be read.
pub struct Export {
    /// The columns.
    pub view: View,
    /// Name of the file: event, date and filter.
    pub file: String,
    query: Query,
    store: Store,
}

impl Students {
    /// An export of the students that match, recorded in the audit log with its columns and the number of students.
    ///
    /// # Errors
    /// [`ExportError`].
    pub async fn export(
        &self,
        by: &Principal,
        which: &StudentQuery,
        kind: FileKind,
    ) -> Result<Export, ExportError> {
        let access = StudentAccess::new(&by.rights);
        let view = which.view(&access, &self.columns)?;
        let query = which.query(&access, &self.columns)?.limit(PAGE);
        self.signals.take(EXPORTS, by.actor.id().unwrap_or_default()).await?;
        let now = self.clock.now();
        let count = self.store.count::<Registration>(query.filter.clone()).await?.to_string();
        let columns: Vec<_> = view.columns().iter().map(|column| column.name.as_str()).collect();
        let columns = columns.join(",");
        let detail = [("columns", columns.as_str()), ("students", &count), ("file", kind.as_str())];
        self.store
            .transact(async |tx| {
                let all = Subject::all::<Registration>();
                tx.audit(&by.actor, STUDENTS_EXPORTED, all, &detail, now).await
            })
            .await?;
        let file = self.file_name(which, kind, now);
        Ok(Export { view, file, query, store: self.store.clone() })
    }

    /// Such as `orientation-week-2027-08-15-shirtsize-eq-m.csv`. Only values that say little about a person are named; of other
    /// filters the column and the operator are, and a search is named without its words.
    fn file_name(&self, which: &StudentQuery, kind: FileKind, now: Timestamp) -> String {
        let day = now.to_utc().with_timezone(&self.event.time_zone).format("%Y-%m-%d").to_string();
        let search = which.search.as_ref().map(|_| "search".to_owned());
        let filter: Vec<_> =
            which.filters.iter().map(|filter| filter_in_words(filter)).chain(search).collect();
        let mut filter = slug(&filter.join("-"));
        filter.truncate(FILTER_IN_NAME);
        let parts = [slug(&self.event.name), day, filter.trim_end_matches('-').to_owned()];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        format!("{}.{}", parts.join("-"), kind.as_str())
    }
}

/// The columns whose values say little about a person.
const NAMED: [&str; 5] = ["group", "state", "discipline", "shirtSize", "joinsHunt"];

/// A filter in a few words, without a value that is about a person.
pub fn filter_in_words(filter: &str) -> String {
    let (column, rest) = filter.split_once(':').unwrap_or((filter, ""));
    let operator = rest.split(':').next().unwrap_or_default();
    if NAMED.contains(&column) { filter.to_owned() } else { format!("{column}:{operator}") }
}

/// The text in lowercase ASCII letters and digits, with single hyphens between words.
fn slug(text: &str) -> String {
    let ascii = any_ascii::any_ascii(text).to_ascii_lowercase();
    let words = ascii.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

impl Export {
    /// The rows, a page at a time. Each page is as of the moment in which it is read.
    fn pages(self) -> impl Stream<Item = Result<Vec<Row>, StoreError>> + Send + 'static {
        let Self { view, query, store, .. } = self;
        try_unfold(Some(None::<Cursor>), move |after| {
            let (view, query, store) = (view.clone(), query.clone(), store.clone());
            async move {
                let Some(after) = after else { return Ok(None) };
                let page = store.page::<Registration>(query, after.as_ref()).await;
                let page = page.map_err(|error| match error {
                    PageError::Store(error) => error,
                    PageError::BadCursor => StoreError::Failed("a cursor of an export is refused".into()),
                })?;
                Ok(Some((rows(&view, &page.items)?, page.next.map(Some))))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_hold_no_value_that_is_about_a_person() {
        assert_eq!(filter_in_words("shirtSize:eq:M"), "shirtSize:eq:M");
        assert_eq!(filter_in_words("dietary:contains:Nut allergy"), "dietary:contains");
        assert_eq!(filter_in_words("email:eq:ana@example.org"), "email:eq");
    }

    #[test]
    fn names_of_files_have_letters_digits_and_hyphens() {
        assert_eq!(slug("Orientation Week 2027"), "orientation-week-2027");
        assert_eq!(slug("Semaine d’accueil: Génie"), "semaine-d-accueil-genie");
        assert_eq!(slug("discipline:in:Civil|\"x\"/.."), "discipline-in-civil-x");
    }
}
