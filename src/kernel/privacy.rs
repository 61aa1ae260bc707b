//! Kinds of personal data, and what remains of each.

use serde::Serialize;

/// What the disposal at the end of the school year does with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Retention {
    /// Erases it.
    Erased,
    /// Keeps it for statistics, in a document that no longer says whose it was.
    Counted,
    /// Leaves it as it is: the document is needed longer.
    Lasting,
}

/// The kind of personal data in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Class {
    /// Who somebody is: names, birth date, student id, pronouns.
    Identity,
    /// How to reach somebody, or the people close to them.
    Contact,
    /// Health, diet and accessibility: readable only where the field is granted, never in an email.
    Health,
    /// What the week needs to know: group, shirt size, summer address.
    Logistics,
    /// Orders, payments and refunds.
    Payment,
    /// The content of emails, and reasons that people give.
    Content,
    /// When somebody did something.
    Activity,
    /// Secrets and their hashes: deleted with the rest, never exported.
    Secret,
}

impl Class {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Contact => "contact",
            Self::Health => "health",
            Self::Logistics => "logistics",
            Self::Payment => "payment",
            Self::Content => "content",
            Self::Activity => "activity",
            Self::Secret => "secret",
        }
    }
}
