//! Validation errors.

/// One validation error, worded for the person who has to fix it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the invalid value, such as `/emergencyContact/phone`; for a missing property the
    /// pointer that it would have.
    pub pointer: String,
    /// A stable code for programs, such as `missing`, `too-long`, `not-a-phone-number`.
    pub code: &'static str,
    /// A sentence for people that does not repeat the value.
    pub detail: String,
}

impl FieldError {
    /// An error at `pointer`.
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, detail: detail.into() }
    }
}

/// The input has these validation errors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct Invalid(pub Vec<FieldError>);

impl From<FieldError> for Invalid {
    fn from(error: FieldError) -> Self {
        Self(vec![error])
    }
}

/// One line for each error, as the command line prints them.
fn lines(errors: &[FieldError]) -> String {
    let line = |error: &FieldError| format!("{}: {}", error.pointer.trim_start_matches('/'), error.detail);
    errors.iter().map(line).collect::<Vec<_>>().join("\n")
}
