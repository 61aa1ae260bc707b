//! The ticket of somebody who is registered.
//!
//! Nothing is kept: a ticket is made from registration and order each time it is asked for, and comes out the same. Its
//! QR code is a signed [`token`], which whoever has the public keys can check offline. It can be had as a picture, as a
//! drawing, and on a page to print, which is also attached to the email *registration complete*. The page shows the legal
//! name, because the desk compares it with papers, and below it in brackets the preferred name of those who have one,
//! because that is what they are called; group, what was bought and how to find us; never the form's answers.
//!
//! - [`token`]: what the QR code says;
//! - [`drawing`]: pictures and pages, in every script that the fonts of `fonts/` have;
//! - [`mails`]: the email.

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
pub use drawing::{BadFonts, Fonts};
pub use mails::TicketEmail;
pub use model::{Line, Ticket};
pub use service::{PrintError, TicketError, Tickets};
pub use token::{TOKEN_MAX, TicketClaims, TokenError};

use super::Feature;
use crate::base::Base;

/// What tickets add to the service.
pub fn feature(base: &Base, tickets: &Arc<Tickets>) -> Feature<TicketsController> {
    Feature::new()
        .serves(TicketsController::new(tickets.clone()))
        .writes(vec![Arc::new(TicketEmail::new(base, tickets))])
}
