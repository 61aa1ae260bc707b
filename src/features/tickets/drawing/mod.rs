//! Draws tickets: the QR code by itself (PNG, SVG), and the page (PDF).
//!
//! - [`fonts`]: the fonts in the binary;
//! - [`text`]: sets and shapes text of any script;
//! - [`page`]: what stands where;
//! - [`pdf`]: the document around the page, tagged for screen readers and fit for archives;
//! - [`presses`]: a few presses for many tickets;
//! - [`qr`]: the code.

mod fonts;
mod page;
mod pdf;
mod presses;
mod qr;
#[cfg(test)]
mod tests;
mod text;

pub use pdf::DrawError;
pub use presses::Presses;
pub use qr::Qr;

use crate::kernel::Timestamp;

/// What is printed on a ticket. Never the form's answers.
#[derive(Clone, Debug)]
pub struct Sheet {
    pub event: String,
    pub faculty: String,
    /// As on the student's papers: what the desk compares.
    pub legal_name: String,
    /// What the student is called, if that is another name.
    pub preferred_name: Option<String>,
    pub group: String,
    pub group_symbol: String,
    /// What was bought, and for how much.
    pub items: Vec<Item>,
    /// What was paid in all.
    pub total: String,
    /// The receipt's number.
    pub receipt: String,
    /// When it was paid, as people at the event write it.
    pub paid_on: String,
    /// The same as a point in time: the document's date.
    pub paid_at: Timestamp,
    pub how_to_find_us: String,
    pub contact: String,
    /// In one line.
    pub postal_address: String,
    /// What the QR code says.
    pub token: String,
    /// Nothing on it is real, and it says so.
    pub rehearsal: bool,
}

/// A line of the receipt.
#[derive(Clone, Debug)]
pub struct Item {
    pub name: String,
    pub amount: String,
}
