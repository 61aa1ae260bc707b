//! Draws the page of a ticket (PDF).
//!
//! - [`fonts`]: the fonts in the binary, and the operator's;
//! - [`text`]: layout and shaping of text in any script;
//! - [`page`]: the layout of the page;
//! - [`pdf`]: the document around the page, tagged for screen readers and suitable for archives;
//! - [`presses`]: a pool of presses.

mod fonts;
mod page;
mod pdf;
mod presses;
#[cfg(test)]
mod tests;
mod text;

pub use fonts::{BadFonts, Fonts, NOTO_SANS};
pub use pdf::DrawError;
pub use presses::Presses;

use crate::kernel::Timestamp;

/// What is printed on a ticket. Never the form's answers.
#[derive(Clone, Debug)]
pub struct Sheet {
    pub event: String,
    pub faculty: String,
    /// As on the student's identity papers, which the registration desk compares.
    pub legal_name: String,
    /// Name that the student goes by, if it differs.
    pub preferred_name: Option<String>,
    pub group: String,
    pub group_symbol: String,
    /// Products and their prices.
    pub items: Vec<Item>,
    /// Amount paid in total.
    pub total: String,
    /// The receipt's number.
    pub receipt: String,
    /// Time of payment in the event's time zone, for people.
    pub paid_on: String,
    /// Time of issue: the date of the document.
    pub issued_at: Timestamp,
    pub how_to_find_us: String,
    pub contact: String,
    /// On one line.
    pub postal_address: String,
    /// Content of the QR code.
    pub token: String,
    /// Whether the ticket is marked as one of a rehearsal.
    pub rehearsal: bool,
}

/// A line of the receipt.
#[derive(Clone, Debug)]
pub struct Item {
    pub name: String,
    pub amount: String,
}
