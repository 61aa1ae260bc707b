//! What the checks of every section of `event.toml` share.

use std::collections::HashSet;
use std::ops::Range;

use toml::Spanned;

use super::event::{EventError, LIST_LENGTH, NAME_LENGTH};
use crate::kernel::text;

/// The longest text of several lines, in code points, so that it fits on a ticket.
const LINES_LENGTH: usize = 500;

/// A list of texts in the file.
pub(super) type WrittenList = Spanned<Vec<Spanned<String>>>;

/// Checks the content of the file and collects errors. Each section has its checks in its own file.
pub(super) struct Check<'a> {
    pub text: &'a str,
    pub errors: Vec<EventError>,
}

impl Check<'_> {
    /// Reports an error at this place of the file.
    pub(super) fn error(&mut self, key: &str, at: Range<usize>, detail: impl Into<String>) {
        let line = line_of(self.text, at.start);
        self.errors.push(EventError { line, key: key.into(), detail: detail.into() });
    }

    /// One line of text.
    pub(super) fn line(&mut self, key: &str, written: &Spanned<String>, longest: usize) -> String {
        let clean = text::clean(written.get_ref());
        if clean.is_empty() {
            self.error(key, written.span(), "it is empty");
        } else if text::length(&clean) > longest {
            self.error(key, written.span(), format!("it is longer than {longest} characters"));
        } else if text::has_control(&clean) {
            self.error(key, written.span(), "it contains a line break or another control character");
        }
        clean
    }

    /// A few lines of text.
    pub(super) fn lines(&mut self, key: &str, written: &Spanned<String>) -> String {
        let clean = text::clean(written.get_ref());
        if clean.is_empty() {
            self.error(key, written.span(), "it is empty");
        } else if text::length(&clean) > LINES_LENGTH {
            self.error(key, written.span(), format!("it is longer than {LINES_LENGTH} characters"));
        } else if text::has_control_but_breaks(&clean) {
            self.error(key, written.span(), "it contains a control character");
        }
        clean
    }

    /// Names that students choose from: at least one.
    pub(super) fn choices(&mut self, key: &str, written: &WrittenList) -> Vec<String> {
        self.bounded(key, written, 1);
        let all = written.get_ref();
        let choices = all.iter().map(|one| self.line(key, one, NAME_LENGTH)).collect();
        self.unique(key, all);
        choices
    }

    /// Checks the number of entries.
    pub(super) fn bounded<T>(&mut self, key: &str, written: &Spanned<Vec<T>>, fewest: usize) {
        if written.get_ref().len() < fewest {
            self.error(key, written.span(), "it is empty");
        } else if written.get_ref().len() > LIST_LENGTH {
            self.error(key, written.span(), format!("it has more than {LIST_LENGTH} entries"));
        }
    }

    /// Entries that differ in letter case only would be confused.
    pub(super) fn unique<'s>(&mut self, key: &str, all: impl IntoIterator<Item = &'s Spanned<String>>) {
        let mut seen = HashSet::new();
        for one in all {
            if !seen.insert(text::clean(one.get_ref()).to_lowercase()) {
                self.error(key, one.span(), "it is a duplicate");
            }
        }
    }
}

/// Number of the line at this place of the text, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|b| *b == b'\n').count()
}
