//! The bytes that digests and hashes of the audit log cover (`docs/decisions/0024-the-audit-logs-chain.md`).
//!
//! They are a sequence of fields. A field is its name and its value; each of the two is the number of its bytes (64 bits,
//! the most significant byte first) and the bytes themselves, UTF-8. An absent field is left out. Different fields
//! therefore never have the same bytes.

use sha2::{Digest, Sha256};

/// SHA-256 over fields.
pub(super) struct Fields(Sha256);

impl Fields {
    pub fn new() -> Self {
        Self(Sha256::new())
    }

    /// Adds a field.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        for text in [name, value] {
            self.0.update((text.len() as u64).to_be_bytes());
            self.0.update(text);
        }
        self
    }

    /// Adds the field if it has a value.
    pub fn with_optional(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The digest, in lower-case hexadecimal digits.
    pub fn digest(self) -> String {
        hex(&self.0.finalize())
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
