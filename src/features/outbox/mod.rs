//! Emails that go no further: without a mail provider they are kept in the store and can be read in the browser.
//!
//! The [`Outbox`] is the mailer's transport: it writes each rendered email down under the id of its mail, once,
//! however often it is sent. `/outbox` lists them with the newest first, `/outbox/{id}` shows one as HTML (in a
//! frame in which nothing runs), as text and with its files, and `/outbox.json` tells the same to scripts, by
//! recipient if asked. A person who can open these pages can read everybody's emails and follow their links: they are
//! there only on a machine that nobody else reaches, or, in a rehearsal, for administrators.

mod model;
mod pages;
mod service;

pub use model::{KeptFile, StoredEmail};
pub use service::Outbox;

use std::sync::Arc;

use super::Feature;
use crate::base::Base;
use crate::http::pages::Access;
use crate::platform::store::{Schema, schema};

/// What the outbox adds to a service that has one. In a rehearsal its readers are administrators.
pub fn feature(base: &Base, outbox: Option<&Arc<Outbox>>) -> Feature {
    let access = if base.rehearsal { Access::Administrators } else { Access::Anybody };
    match outbox {
        Some(outbox) => Feature::new().shows(pages::pages(&base.page_layout, outbox, access)),
        None => Feature::new(),
    }
}

/// The documents of this feature.
pub fn schemas() -> Vec<Schema> {
    vec![schema::<StoredEmail>(), schema::<KeptFile>()]
}
