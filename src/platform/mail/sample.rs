//! Emails with sample data, for previews.

use super::Email;

/// A rendered email with sample data: it needs no store.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What tells it from the other samples of its kind, such as `without a group`.
    pub name: &'static str,
    pub email: Email,
}

impl Sample {
    /// The first name of the person to whom samples are addressed.
    pub const FIRST_NAME: &'static str = "Ana";
    /// The full name of the same person.
    pub const FULL_NAME: &'static str = "Ana García";
    /// Their address.
    pub const ADDRESS: &'static str = "ana.garcia@example.org";
    /// Their group.
    pub const GROUP: &'static str = "Alpha";

    /// One of several samples of a kind.
    pub fn new(name: &'static str, email: Email) -> Self {
        Self { name, email }
    }

    /// The only sample of a kind.
    pub fn only(email: Email) -> Vec<Self> {
        vec![Self::new("the email", email)]
    }
}
