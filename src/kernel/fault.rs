//! What is wrong with something that a person wrote.

/// One fault of an input, told so that its writer can mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to what is wrong, such as `/emergencyContact/phone`; for a missing property
    /// the pointer that it would have.
    pub pointer: String,
    /// A stable word for programs, such as `missing`, `too-long`, `not-a-phone-number`.
    pub code: &'static str,
    /// A sentence for people that does not repeat what they wrote.
    pub detail: String,
}

impl FieldError {
    /// A fault at `pointer`.
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, detail: detail.into() }
    }
}
