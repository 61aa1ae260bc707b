//! Keys that sign tickets and seal letters' links.

/// Seals ids into the tokens of letters' links.
pub trait Sealer: Send + Sync + 'static {
    /// The token for the record `id`, good for `purpose` only: nothing usable is stored.
    fn seal(&self, purpose: &str, id: &str) -> String;
    /// The id in a token that was sealed for `purpose`; `None` if it was not.
    fn open(&self, purpose: &str, token: &str) -> Option<String>;
}
