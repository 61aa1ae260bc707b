//! What a stranger can make grow, and where it ends.

use std::time::Duration;

/// Bodies that people write. The longest form fits: three remarks of 4,000 characters, each character written as an
/// escaped pair (12 bytes), and everything else beside them.
const BODY: usize = 192 * 1024;

/// Bodies that other machines write, by the path that they are sent to. Stripe's events stay below 256 KiB.
const LARGER_BODIES: &[(&str, usize)] = &[("/v1/webhooks/", 256 * 1024)];

/// A body must have come whole within this time. Unit tests wait for it.
pub(super) const BODY_TIME: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 15 });

/// A request must have been answered within this time after its body came.
pub(super) const REQUEST_TIME: Duration = Duration::from_secs(30);

/// So much of a body that is too long is still read and dropped, so that its sender comes to see the answer.
pub(super) const DROPPED: usize = 16 * 1024 * 1024;

/// Operations whose use case takes from a limit of tries and so can answer 429.
pub(super) const LIMITED_OPERATIONS: &[&str] = &[
    "signUp",
    "resendConfirmation",
    "signIn",
    "requestPasswordReset",
    "changePassword",
    "changeEmail",
    "register",
    "openCheckout",
];

/// How many bytes the body of a request to `path` may have.
pub(super) fn body(path: &str) -> usize {
    LARGER_BODIES.iter().find(|(prefix, _)| path.starts_with(prefix)).map_or(BODY, |(_, bytes)| *bytes)
}

/// Limits on connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// At most so many at once. When one more comes, the one that has waited longest without a request is closed.
    pub connections: usize,
    /// At most so many at once from one address, counted the same way: more than a campus behind one address needs,
    /// less than all.
    pub connections_of_a_peer: usize,
    /// A connection must begin to speak within this time.
    pub first_byte: Duration,
    /// The head of a request must have come whole within this time of the connection or of the answer before it; so
    /// a connection without a request is closed as well. Some of an answer must be taken up within the same time.
    pub head: Duration,
    /// Bytes of a request's head; beyond it the answer is 431. Not below 8 KiB.
    pub head_bytes: usize,
    /// Bytes of all bodies together that have begun to come and are not there whole; beyond it the connection with the
    /// most of one is closed. Not below the longest that is taken.
    pub body_bytes: usize,
    /// After the signal to shut down, requests that run may go on for this long.
    pub grace: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        let connections = open_files().saturating_sub(224).clamp(64, 8192);
        Self {
            connections,
            connections_of_a_peer: connections * 3 / 4,
            first_byte: Duration::from_secs(5),
            head: Duration::from_secs(10),
            head_bytes: 16 * 1024,
            body_bytes: 32 * 1024 * 1024,
            grace: Duration::from_secs(10),
        }
    }
}

/// How many files this process may open, connections among them. 1024 where nobody says.
fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|soft| soft.parse().ok()).unwrap_or(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_machines_may_send_long_bodies() {
        assert_eq!(body("/v1/registration"), 192 * 1024);
        assert_eq!(body("/v1/webhooks/stripe"), 256 * 1024);
    }

    #[test]
    fn connections_leave_room_for_other_files() {
        let limits = ConnectionLimits::default();
        assert!(limits.connections >= 64 && limits.connections < open_files().max(289));
        assert!(limits.connections_of_a_peer < limits.connections);
    }
}
