//! The ticket of a registered student.
//!
//! Nothing is stored: a ticket is made from registration and order each time it is asked for, and is the same until it is
//! issued anew, because the group or a name on it changed. Its QR code is a signed [`token`], which anybody with the public
//! keys can check offline. It exists as a picture, as a drawing, and as a page to print, which is also attached to the email
//! *registration complete*. The page shows the legal name, because the registration desk compares it with identity papers;
//! below it, in brackets, the preferred name of students who have one; the group, the receipt and directions. It never shows
//! the form's answers.
//!
//! - [`token`]: content of the QR code;
//! - [`drawing`]: pictures and pages, in every script that the fonts of `fonts/` have;
//! - [`mails`]: the emails with a ticket.

mod controller;
mod drawing;
mod mails;
mod model;
mod service;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

pub use controller::TicketsController;
pub use drawing::{BadFonts, Fonts, NOTO_SANS};
pub use mails::{ChangeEmail, TicketEmail};
pub use model::{Line, Ticket};
pub use service::{PrintError, TicketError, Tickets};
pub use token::{TOKEN_MAX, TicketClaims, TokenError};

use super::Feature;
use crate::base::Base;

/// What tickets add to the service.
pub fn feature(base: &Base, tickets: &Arc<Tickets>) -> Feature<TicketsController> {
    Feature::new()
        .serves(TicketsController::new(tickets.clone()))
        .writes(vec![Arc::new(TicketEmail::new(base, tickets)), Arc::new(ChangeEmail::new(base, tickets))])
}
