//! Formats of texts in request bodies, by the `format` of their schema.
//!
//! A text is cleaned before it is checked, so limits apply to the text that is stored.

use chrono::NaiveDate;
use serde_json::{Map, Value};

use crate::kernel::{EmailAddress, Markdown, Timestamp, text};

/// A phone number; see [`super::PhoneText`].
pub(super) const PHONE: &str = "phone";

/// A date, `YYYY-MM-DD`; see [`super::DateText`].
pub(super) const DATE: &str = "date";

/// A time with its offset (RFC 3339); see [`super::TimeText`].
pub(super) const TIME: &str = "date-time";

/// Text in which line breaks and tabs are allowed; see [`super::Remark`].
pub(super) const MULTILINE: &str = "multiline";

/// Markdown that shows something when it is rendered; see [`super::MarkdownText`].
pub(super) const MARKDOWN: &str = "markdown";

/// Words to search for; see [`super::SearchText`].
pub(super) const WORDS: &str = "words";

/// An email address, internationalised or not (RFC 6531); see [`super::EmailText`].
pub(super) const EMAIL: &str = "idn-email";

/// Maximum length from which a text without a format is multi-line.
const REMARK_LENGTH: u64 = 1000;

/// One format: how such a text is cleaned, and what it must be afterwards.
pub(super) struct Format {
    /// As in the schema. The first format is for texts without one.
    name: &'static str,
    /// The name under which the schema validator knows it. It must differ from those that the validator has.
    pub check: &'static str,
    pub clean: fn(&str) -> String,
    pub allows: fn(&str) -> bool,
    /// Code and detail of the validation error.
    pub code: &'static str,
    pub detail: &'static str,
}

const ONE_LINE: Format = Format {
    name: "",
    check: "text",
    clean: text::clean,
    allows: |text| !text::has_control(text),
    code: "control-character",
    detail: "Remove line breaks and other control characters.",
};

pub(super) const LINES: Format = Format {
    name: MULTILINE,
    check: "text-multiline",
    allows: |text| !text::has_control_but_breaks(text),
    detail: "Remove control characters other than line breaks and tabs.",
    ..ONE_LINE
};

/// The formats that texts of bodies can have.
pub(super) const FORMATS: [Format; 10] = [
    ONE_LINE,
    LINES,
    // It must be text of several lines, too.
    Format {
        name: MARKDOWN,
        check: "text-markdown",
        // The minimum length refuses a text without characters.
        allows: |text| text.is_empty() || Markdown::shows_something(text),
        code: "empty",
        detail: "This shows nothing when it is rendered. Write some words.",
        ..LINES
    },
    // An empty search would match everybody, so it is refused rather than counted as absent.
    Format {
        name: WORDS,
        check: "text-words",
        allows: |text| !text::words(text).is_empty(),
        code: "empty",
        detail: "Write words to search for, or leave the search out.",
        ..ONE_LINE
    },
    // Spaces at the ends are part of a password.
    Format { name: "password", check: "text-password", clean: text::nfc, ..ONE_LINE },
    Format { name: "identifier", check: "text-identifier", clean: text::identifier, ..ONE_LINE },
    Format { name: PHONE, check: "text-phone", clean: text::identifier, ..ONE_LINE },
    Format { name: EMAIL, check: "text-email", clean: EmailAddress::clean, ..ONE_LINE },
    Format {
        name: DATE,
        check: "text-date",
        clean: text::identifier,
        allows: is_date,
        code: "not-a-date",
        detail: "Write a date that exists, such as 2008-02-29.",
    },
    Format {
        name: TIME,
        check: "text-time",
        clean: text::identifier,
        allows: |text| Timestamp::parse(text).is_some(),
        code: "not-a-time",
        detail: "Write a time with its offset, such as 2027-09-01T07:00:00Z.",
    },
];

/// The format of texts of this schema.
pub(super) fn of(schema: &Map<String, Value>) -> &'static Format {
    let long = schema.get("maxLength").and_then(Value::as_u64).is_some_and(|length| length >= REMARK_LENGTH);
    let name = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    let name = if long && name != MARKDOWN { MULTILINE } else { name };
    FORMATS.iter().find(|format| format.name == name).unwrap_or(&FORMATS[0])
}

/// `YYYY-MM-DD`, as RFC 3339 writes it.
fn is_date(text: &str) -> bool {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok_and(|date| date.to_string() == text)
}
