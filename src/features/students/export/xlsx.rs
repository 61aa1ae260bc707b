//! XLSX: dates are dates, ids are texts, and the first row stays in view.
//!
//! The format needs the whole file before its first byte can be sent. Rows are therefore written to a temporary file, which
//! has no name and is deleted with its last use.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::sync::Arc;

use chrono_tz::Tz;
use futures_util::TryStreamExt;
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook, Worksheet};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{Export, csv};
use crate::features::students::{Column, ColumnKind, Row};
use crate::kernel::Timestamp;
use crate::platform::store::StoreError;

/// The longest text of a cell, in UTF-16 code units.
const CELL_MAX: usize = 32_767;

/// Why there is no workbook.
#[derive(Debug, thiserror::Error)]
pub enum XlsxError {
    #[error("a workbook can't be written: {0}")]
    Workbook(#[from] rust_xlsxwriter::XlsxError),
    #[error("a temporary file can't be written: {0}")]
    File(#[from] std::io::Error),
    #[error("the task that writes a workbook ended early")]
    Ended,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The file, from its beginning. Times are written in this zone.
///
/// # Errors
/// [`XlsxError`].
pub async fn xlsx(export: Export, zone: Tz) -> Result<File, XlsxError> {
    let columns = export.view.columns().to_vec();
    // A few pages wait for the disk at most.
    let (pages, written) = mpsc::channel(2);
    let writing = tokio::task::spawn_blocking(move || write(&columns, written, zone));
    let mut read = std::pin::pin!(export.pages());
    while let Some(page) = read.try_next().await? {
        if pages.send(page).await.is_err() {
            break;
        }
    }
    drop(pages);
    writing.await.map_err(|_| XlsxError::Ended)?
}

fn write(columns: &[Arc<Column>], mut pages: mpsc::Receiver<Vec<Row>>, zone: Tz) -> Result<File, XlsxError> {
    let mut workbook = Workbook::new();
    let formats = Formats::new();
    let sheet = workbook.add_worksheet_with_constant_memory()?;
    sheet.set_name("Students")?.set_freeze_panes(1, 0)?;
    for (place, column) in (0..).zip(columns) {
        sheet.set_column_width(place, width(column.kind))?;
    }
    for (place, column) in (0..).zip(columns) {
        sheet.write_string_with_format(0, place, &column.label, &formats.heading)?;
    }
    let mut line = 0;
    while let Some(page) = pages.blocking_recv() {
        for row in page {
            line += 1;
            for ((place, column), cell) in (0..).zip(columns).zip(row.cells()) {
                write_cell(sheet, (line, place), column.kind, cell, &formats, zone)?;
            }
        }
    }
    let mut file = tempfile::tempfile()?;
    workbook.save_to_writer(&mut file)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

struct Formats {
    heading: Format,
    date: Format,
    time: Format,
}

impl Formats {
    fn new() -> Self {
        Self {
            heading: Format::new().set_bold(),
            date: Format::new().set_num_format("yyyy-mm-dd"),
            time: Format::new().set_num_format("yyyy-mm-dd hh:mm"),
        }
    }
}

fn width(kind: ColumnKind) -> f64 {
    match kind {
        ColumnKind::Flag | ColumnKind::Number => 10.0,
        ColumnKind::Date | ColumnKind::StudentId => 12.0,
        ColumnKind::Time => 17.0,
        ColumnKind::Text | ColumnKind::Email | ColumnKind::Texts => 24.0,
    }
}

fn write_cell(
    sheet: &mut Worksheet,
    (line, place): (u32, u16),
    kind: ColumnKind,
    cell: &Value,
    formats: &Formats,
    zone: Tz,
) -> Result<(), XlsxError> {
    let as_text =
        |sheet: &mut Worksheet, text: &str| sheet.write_string(line, place, fitting(text)).map(|_| ());
    match (kind, cell) {
        (_, Value::Null) => {}
        (_, Value::Bool(yes)) => {
            sheet.write_boolean(line, place, *yes)?;
        }
        (ColumnKind::Number, Value::Number(number)) => {
            sheet.write_number(line, place, number.as_f64().unwrap_or_default())?;
        }
        (ColumnKind::Date, Value::String(date)) => match excel_date(date) {
            Some(date) => {
                sheet.write_datetime_with_format(line, place, &date, &formats.date)?;
            }
            None => as_text(sheet, date)?,
        },
        (ColumnKind::Time, Value::String(time)) => match excel_time(time, zone) {
            Some(time) => {
                sheet.write_datetime_with_format(line, place, &time, &formats.time)?;
            }
            None => as_text(sheet, time)?,
        },
        (_, cell) => as_text(sheet, &csv::written(cell))?,
    }
    Ok(())
}

/// A date, if Excel knows it: its calendar begins in 1900.
fn excel_date(date: &str) -> Option<ExcelDateTime> {
    ExcelDateTime::parse_from_str(date).ok()
}

/// A time in the event's zone, because Excel has none.
fn excel_time(time: &str, zone: Tz) -> Option<ExcelDateTime> {
    let local = Timestamp::parse(time)?.to_utc().with_timezone(&zone).format("%Y-%m-%dT%H:%M:%S");
    ExcelDateTime::parse_from_str(&local.to_string()).ok()
}

/// The beginning of the text that fits a cell.
fn fitting(text: &str) -> &str {
    let mut units = 0;
    let end = text.char_indices().find(|(_, c)| {
        units += c.len_utf16();
        units > CELL_MAX
    });
    end.map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_event_and_dates_before_1900_are_texts() {
        let serial = |time: ExcelDateTime| time.to_excel();
        let toronto = excel_time("2027-09-01T02:30:00.000Z", Tz::America__Toronto).map(serial);
        assert_eq!(toronto, ExcelDateTime::parse_from_str("2027-08-31T22:30:00").ok().map(serial));
        assert!(excel_date("2008-02-29").is_some() && excel_date("1850-01-01").is_none());
    }

    #[test]
    fn a_text_is_cut_where_a_cell_ends() {
        let long = "😀".repeat(20_000);
        assert_eq!(fitting(&long).chars().count(), CELL_MAX / 2);
        assert_eq!(fitting("Ana"), "Ana");
    }
}
