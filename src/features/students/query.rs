//! Which students: filters, search and order, as they are written in requests.

use chrono::NaiveDate;

use super::access::{NotGranted, StudentAccess, View};
use super::columns::{Column, ColumnKind, Columns};
use crate::features::registration::{SEARCHED, tag};
use crate::kernel::{EmailAddress, Timestamp, text};
use crate::platform::store::{Dir, Filter, Query, Value};

/// The most filters of one request.
const FILTERS_MAX: usize = 20;
/// The most values of one filter.
const VALUES_MAX: usize = 50;
/// The most words of one search. Further ones are ignored.
const WORDS_MAX: usize = 10;

/// Which students, in which order, and what of them, as requests say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StudentQuery {
    /// Words, each of which must begin a word of a field that is searched.
    pub search: Option<String>,
    /// Filters: `<column>:<operator>:<value>`. A student must match all of them.
    pub filters: Vec<String>,
    /// The column to sort by, with `-` before it for descending order.
    pub sort: Option<String>,
    /// The columns to show. All that are granted, if there is none.
    pub fields: Vec<String>,
}

/// Why a query can't be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    NotGranted(#[from] NotGranted),
    /// A parameter of this name is not understood, for this reason.
    #[error("the parameter {0} is not understood")]
    Invalid(&'static str, String),
}

impl StudentQuery {
    /// The students that match, among those within reach.
    ///
    /// # Errors
    /// [`QueryError`] if a filter is not understood or names a column that is not granted.
    pub fn filter(&self, access: &StudentAccess, columns: &Columns) -> Result<Filter, QueryError> {
        if self.filters.len() > FILTERS_MAX {
            return Err(QueryError::Invalid("filter", format!("There are at most {FILTERS_MAX} filters.")));
        }
        let mut all = access.filter();
        for written in &self.filters {
            all = all.and(one_filter(written, access, columns)?);
        }
        match &self.search {
            Some(search) => Ok(all.and(search_filter(search, access, columns)?)),
            None => Ok(all),
        }
    }

    /// The query of the students that match, in their order: by default by id, which is the order of the sign-ups.
    ///
    /// # Errors
    /// Those of [`StudentQuery::filter`], also for the order.
    pub fn query(&self, access: &StudentAccess, columns: &Columns) -> Result<Query, QueryError> {
        let query = Query::new(self.filter(access, columns)?);
        let Some(sort) = &self.sort else { return Ok(query) };
        let (name, dir) = sort.strip_prefix('-').map_or((sort.as_str(), Dir::Asc), |name| (name, Dir::Desc));
        let column = granted_column("sort", name, access, columns)?;
        Ok(match column.is_always_there() {
            true => query.sort(column.sort.clone(), dir),
            false => query.sort_optional(column.sort.clone(), dir),
        })
    }

    /// The view of the columns that are asked for.
    ///
    /// # Errors
    /// [`QueryError`] if one does not exist or is not granted.
    pub fn view(&self, access: &StudentAccess, columns: &Columns) -> Result<View, QueryError> {
        if self.fields.is_empty() {
            return Ok(access.everything(columns));
        }
        let mut selected = Vec::new();
        for name in &self.fields {
            let named = columns.named(name);
            if named.is_empty() {
                return Err(unknown("fields", name));
            }
            selected
                .extend(named.into_iter().filter(|column| !selected.contains(column)).collect::<Vec<_>>());
        }
        Ok(access.view(selected)?)
    }
}

/// The column of this name, which the caller may read.
///
/// # Errors
/// [`QueryError`] if it does not exist or is not granted.
pub fn granted_column<'c>(
    parameter: &'static str,
    name: &str,
    access: &StudentAccess,
    columns: &'c Columns,
) -> Result<&'c Column, QueryError> {
    let column = columns.column(name).ok_or_else(|| unknown(parameter, name))?;
    Ok(access.granted(column)?)
}

fn unknown(parameter: &'static str, name: &str) -> QueryError {
    // What was sent is repeated only if it can be a name, so that no text of a request is echoed.
    let is_name = name.len() <= 60 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
    let named = if is_name { format!("`{name}`") } else { "that name".to_owned() };
    QueryError::Invalid(
        parameter,
        format!(
            "There is no field {named}. `getEvent` lists the fields of the form; `id`, `group` and `state` exist, too."
        ),
    )
}

/// A filter such as `shirtSize:eq:M`.
fn one_filter(written: &str, access: &StudentAccess, columns: &Columns) -> Result<Filter, QueryError> {
    let mut parts = written.splitn(3, ':');
    let (Some(name), Some(operator), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(invalid("Write a filter as field:operator:value, such as shirtSize:eq:M."));
    };
    let column = granted_column("filter", name, access, columns)?;
    if text::is_blank(value) {
        return Err(invalid(format!(
            "Write a value after {name}:{operator}:. To find empty fields, use exists:false."
        )));
    }
    match operator {
        "eq" => one_of(column, &[value.to_owned()]),
        "in" => one_of(column, &separate(value)),
        "contains" => containing(column, value),
        "exists" => existing(column, value),
        "from" => Ok(Filter::Range(bounded(column)?.path.clone(), Some(typed(column, value)?), None)),
        "to" => Ok(Filter::Le(bounded(column)?.path.clone(), typed(column, value)?)),
        _ => Err(invalid("The operators are eq, in, contains, exists, from and to.")),
    }
}

/// Whether one of these filters, all of which a student must match, admits students of these groups only.
pub fn are_within_groups(filters: &[String], groups: &[String]) -> bool {
    filters.iter().any(|filter| {
        let values = match filter.splitn(3, ':').collect::<Vec<_>>()[..] {
            ["group", "eq", value] => vec![value.to_owned()],
            ["group", "in", values] => separate(values),
            _ => return false,
        };
        values.iter().all(|value| groups.contains(&text::nfc(value)))
    })
}

fn invalid(detail: impl Into<String>) -> QueryError {
    QueryError::Invalid("filter", detail.into())
}

/// Values between bars. A bar inside a value has a backslash before it.
fn separate(values: &str) -> Vec<String> {
    let mut separated = vec![String::new()];
    let mut chars = values.chars().peekable();
    while let Some(c) = chars.next() {
        let last = separated.last_mut().expect("it begins with one");
        match c {
            '\\' if chars.next_if_eq(&'|').is_some() => last.push('|'),
            '|' => separated.push(String::new()),
            c => last.push(c),
        }
    }
    separated
}

/// The column has one of these values; a list has one of them as an element.
fn one_of(column: &Column, values: &[String]) -> Result<Filter, QueryError> {
    if values.len() > VALUES_MAX {
        return Err(invalid(format!("A filter has at most {VALUES_MAX} values.")));
    }
    let values = values.iter().map(|value| typed(column, value)).collect::<Result<Vec<_>, _>>()?;
    Ok(match column.kind {
        ColumnKind::Texts => {
            Filter::Or(values.into_iter().map(|value| Filter::Has(column.path.clone(), value)).collect())
        }
        ColumnKind::Email | ColumnKind::StudentId => Filter::In(column.sort.clone(), values),
        _ => Filter::In(column.path.clone(), values),
    })
}

/// The text contains this one in any letter case; a list has this element.
fn containing(column: &Column, value: &str) -> Result<Filter, QueryError> {
    match column.kind {
        ColumnKind::Text | ColumnKind::Email | ColumnKind::StudentId => {
            Ok(Filter::Contains(column.path.clone(), text::nfc(value)))
        }
        ColumnKind::Texts => Ok(Filter::has(column.path.clone(), text::nfc(value))),
        _ => Err(invalid(format!("`{}` is not a text: use eq, or from and to.", column.name))),
    }
}

/// There is a value; a list is not empty.
fn existing(column: &Column, value: &str) -> Result<Filter, QueryError> {
    let path = match column.kind {
        ColumnKind::Texts => &column.sort,
        _ => &column.path,
    };
    let exists = Filter::Exists(path.clone());
    match value {
        "true" => Ok(exists),
        "false" => Ok(!exists),
        _ => Err(invalid("Write exists:true or exists:false.")),
    }
}

/// The column, if its values have an order that people filter by.
fn bounded(column: &Column) -> Result<&Column, QueryError> {
    match column.kind {
        ColumnKind::Date | ColumnKind::Time | ColumnKind::Number => Ok(column),
        _ => {
            Err(invalid(format!("`{}` is not a date, time or number: from and to don't apply.", column.name)))
        }
    }
}

/// A value of the column's type.
fn typed(column: &Column, value: &str) -> Result<Value, QueryError> {
    let parsed = match column.kind {
        ColumnKind::Text | ColumnKind::Texts => Ok(text::nfc(value).into()),
        ColumnKind::StudentId => Ok(value.to_ascii_lowercase().into()),
        ColumnKind::Email => {
            EmailAddress::parse(value).map(|email| email.key().into()).map_err(|_| "an email address")
        }
        ColumnKind::Flag => value.parse().map(Value::Bool).map_err(|_| "true or false"),
        ColumnKind::Number => value.parse().map(Value::Int).map_err(|_| "a whole number"),
        ColumnKind::Date => match NaiveDate::parse_from_str(value, "%Y-%m-%d") {
            Ok(date) => Ok(date.format("%Y-%m-%d").to_string().into()),
            Err(_) => Err("a date such as 2008-02-29"),
        },
        ColumnKind::Time => {
            Timestamp::parse(value).map(Value::Time).ok_or("a time such as 2027-09-01T07:00:00Z")
        }
    };
    parsed.map_err(|expected| invalid(format!("A value of `{}` is {expected}.", column.name)))
}

/// Each word of the search begins a word of a field that the caller may read.
fn search_filter(search: &str, access: &StudentAccess, columns: &Columns) -> Result<Filter, QueryError> {
    let granted: Vec<_> = SEARCHED
        .iter()
        .filter(|field| columns.column(&field.to_string()).is_some_and(|column| access.may_read(column)))
        .collect();
    if granted.is_empty() {
        let searched: Vec<_> = SEARCHED.iter().map(ToString::to_string).collect();
        return Err(NotGranted(searched.join(", ")).into());
    }
    let words = text::words(search);
    if words.is_empty() && !text::is_blank(search) {
        return Ok(Filter::Or(vec![]));
    }
    let begins = |word: &String| {
        let in_field = |field: &&_| Filter::HasPrefix("search.words".into(), tag(field) + word);
        Filter::Or(granted.iter().map(in_field).collect())
    };
    Ok(Filter::And(words.iter().take(WORDS_MAX).map(begins).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_by_group_say_whose_students_they_admit() {
        let groups = ["Alpha".to_owned(), "Beta".to_owned()];
        let within = |filters: &[&str]| {
            are_within_groups(&filters.iter().map(|filter| (*filter).to_owned()).collect::<Vec<_>>(), &groups)
        };
        assert!(within(&["group:eq:Alpha"]) && within(&["group:in:Alpha|Beta", "shirtSize:eq:M"]));
        for filters in [
            &[][..],
            &["group:eq:Gamma"],
            &["group:in:Alpha|Gamma"],
            &["group:contains:Alpha"],
            &["group:exists:true"],
            &["discipline:eq:Alpha"],
            &["group:in:"],
        ] {
            assert!(!within(filters), "{filters:?}");
        }
    }

    #[test]
    fn values_are_separated_by_bars() {
        assert_eq!(separate("M|L"), ["M", "L"]);
        assert_eq!(separate(r"a\|b|\c|"), ["a|b", r"\c", ""]);
    }
}
