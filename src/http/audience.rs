//! The audience of a text, in bodies.

use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};

use crate::config::Event;
use crate::kernel::{Audience, FieldError};

/// The people that a text is for.
#[derive(Clone, Debug, Object)]
#[oai(
    rename = "Audience",
    rename_all = "camelCase",
    deny_unknown_fields,
    skip_serializing_if_is_none,
    example
)]
pub struct AudienceBody {
    /// The kind of audience.
    #[oai(rename = "for")]
    pub kind: AudienceKind,
    /// Names of groups, as `getEvent` lists them. With `for: groups` only.
    #[oai(validator(min_items = 1, max_items = 100))]
    pub groups: Option<Vec<String>>,
}

/// A kind of audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "AudienceKind", rename_all = "camelCase")]
pub enum AudienceKind {
    /// Everybody.
    Everyone,
    /// The students of some groups, and leaders.
    Groups,
    /// Approved leaders.
    Leaders,
}

impl AudienceBody {
    /// The audience in the terms of the model. Errors are at `pointer`, where the body is.
    ///
    /// # Errors
    /// A validation error if groups are missing, superfluous or not those of the event.
    pub fn read(&self, pointer: &str, event: &Event) -> Result<Audience, FieldError> {
        let at = format!("{pointer}/groups");
        match (self.kind, &self.groups) {
            (AudienceKind::Everyone, None) => Ok(Audience::Everyone),
            (AudienceKind::Leaders, None) => Ok(Audience::Leaders),
            (AudienceKind::Groups, None) => {
                Err(FieldError::new(at, "missing", "Name the groups that the text is for."))
            }
            (AudienceKind::Groups, Some(groups)) => groups_of(groups, at, event),
            (AudienceKind::Everyone | AudienceKind::Leaders, Some(_)) => Err(FieldError::new(
                at,
                "not-applicable",
                "Groups are named only with `\"for\": \"groups\"`.",
            )),
        }
    }
}

fn groups_of(groups: &[String], at: String, event: &Event) -> Result<Audience, FieldError> {
    let mut known: Vec<String> = Vec::with_capacity(groups.len());
    for (number, name) in groups.iter().enumerate() {
        if event.group(name).is_none() {
            let detail = "There is no such group. `getEvent` lists the groups.";
            return Err(FieldError::new(format!("{at}/{number}"), "not-an-option", detail));
        }
        if !known.contains(name) {
            known.push(name.clone());
        }
    }
    Ok(Audience::Groups { groups: known })
}

impl From<&Audience> for AudienceBody {
    fn from(audience: &Audience) -> Self {
        match audience {
            Audience::Everyone => Self { kind: AudienceKind::Everyone, groups: None },
            Audience::Groups { groups } => Self { kind: AudienceKind::Groups, groups: Some(groups.clone()) },
            Audience::Leaders => Self { kind: AudienceKind::Leaders, groups: None },
        }
    }
}

impl Example for AudienceBody {
    fn example() -> Self {
        Self { kind: AudienceKind::Groups, groups: Some(vec!["Alpha".into(), "Beta".into()]) }
    }
}
