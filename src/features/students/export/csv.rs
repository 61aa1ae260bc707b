//! CSV (RFC 4180): every value in quotation marks, lines end with CR LF.

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::Export;
use crate::platform::store::StoreError;

/// The mark by which Excel recognises UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The file, in pieces; with a byte order mark if Excel shall open it.
pub fn csv(
    export: Export,
    for_excel: bool,
) -> impl Stream<Item = Result<Vec<u8>, std::io::Error>> + Send + 'static {
    let mark = if for_excel { BYTE_ORDER_MARK } else { "" };
    let headings = export.view.columns().iter().map(|column| column.label.clone()).collect::<Vec<_>>();
    let first = lines([headings]).map(|line| [mark.as_bytes().to_vec(), line].concat());
    let rest = export.pages().map(|page| {
        let page = page.map_err(|error: StoreError| std::io::Error::other(error.to_string()))?;
        lines(page.iter().map(|row| row.cells().iter().map(written).collect()))
    });
    stream::iter([first]).chain(rest).try_filter(|piece| std::future::ready(!piece.is_empty()))
}

fn lines(rows: impl IntoIterator<Item = Vec<String>>) -> Result<Vec<u8>, std::io::Error> {
    let mut writer = ::csv::WriterBuilder::new()
        .quote_style(::csv::QuoteStyle::Always)
        .terminator(::csv::Terminator::CRLF)
        .from_writer(Vec::new());
    for row in rows {
        writer.write_record(row.iter().map(|value| defused(value)))?;
    }
    writer.into_inner().map_err(|error| std::io::Error::other(error.to_string()))
}

/// A value as text: lists with semicolons, booleans as `yes` and `no`.
pub(super) fn written(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let texts: Vec<_> = list.iter().map(written).collect();
            texts.join("; ")
        }
        other => other.to_string(),
    }
}

/// The value, so that no spreadsheet takes it for a formula: with an apostrophe before it, as OWASP recommends. A phone
/// number in E.164 begins with a plus sign and computes nothing, so it stays as it is.
fn defused(value: &str) -> String {
    const STARTS: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];
    let is_phone = value
        .strip_prefix('+')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()));
    let is_number = value.parse::<i64>().is_ok();
    if value.starts_with(STARTS) && !is_phone && !is_number { format!("'{value}") } else { value.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn formulas_are_defused_and_phone_numbers_are_not() {
        for formula in ["=1+1", "@SUM(A1)", "-2+3", "+1+1", "\t=1", "\r=1", "＝1", "+", "-a"] {
            assert_eq!(defused(formula), format!("'{formula}"));
        }
        for plain in ["", "Ana", "+14169782011", "-5", "a=1", "O'Brien"] {
            assert_eq!(defused(plain), plain);
        }
    }

    #[test]
    fn values_are_quoted_as_rfc_4180_demands() {
        let written = lines([vec!["a\"b,c\r\nd".into(), "José".into(), String::new()]]).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "\"a\"\"b,c\r\nd\",\"José\",\"\"\r\n");
    }

    #[test]
    fn values_read_as_people_write_them() {
        let text = |cell| written(&cell);
        assert_eq!(text(json!(["Vegan", "Halal"])), "Vegan; Halal");
        assert_eq!(
            (text(json!(true)), text(json!(false)), text(json!(null))),
            ("yes".into(), "no".into(), "".into())
        );
        assert_eq!((text(json!(7)), text(json!("007"))), ("7".into(), "007".into()));
    }
}
