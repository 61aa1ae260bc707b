//! Ids and secrets.

use uuid::Uuid;

/// Makes ids and secrets. Injected, so that tests are deterministic.
pub trait Ids: Send + Sync + 'static {
    /// A new id: a UUIDv7 as text of 36 characters. Ids sort by the time they were made.
    fn next(&self) -> String;

    /// 256 unpredictable bits, for sessions, keys and links in emails.
    fn secret(&self) -> [u8; 32];
}

/// Ids and secrets from the operating system's generator.
pub struct RandomIds;

impl Ids for RandomIds {
    #[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
    fn next(&self) -> String {
        Uuid::now_v7().to_string()
    }

    fn secret(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the operating system has randomness once it has booted");
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time() {
        let ids: Vec<_> = (0..1000).map(|_| RandomIds.next()).collect();
        assert!(ids.is_sorted());
        assert_ne!(RandomIds.secret(), RandomIds.secret());
    }
}
