//! Previews: every kind of email with sample data, in the browser.
//!
//! `/mails` lists the kinds, and `/mails/{kind}` shows one at the width of a desktop and of a phone, in frames in which
//! nothing runs. Samples need no store and contain nobody's data. On a newcomer's machine they are open like the outbox;
//! elsewhere they are for administrators.

mod pages;

use crate::base::Base;
use crate::http::pages::{Access, Pages};
use crate::platform::mail::Templates;

/// The pages with the emails of all features: for everybody who reaches the service, or for administrators.
pub fn pages(base: &Base, templates: &Templates, for_all: bool) -> Pages {
    let access = if for_all { Access::Anybody } else { Access::Administrators };
    pages::pages(&base.page_layout, templates, access)
}
