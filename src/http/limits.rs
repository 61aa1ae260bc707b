//! Limits on what an anonymous client can consume.

use std::time::Duration;

/// Bytes of a body, except for messages of other services ([`MessageKind::MAX_BYTES`](super::MessageKind::MAX_BYTES)).
/// The longest form fits: three texts of 4,000 characters, each written as an escaped surrogate pair (12 bytes), and
/// everything else beside them.
pub(super) const BODY: usize = 192 * 1024;

/// Time for a whole body to arrive. Unit tests wait for it.
pub(super) const BODY_TIME: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 15 });

/// Time for the response, counted from the end of the body.
pub(super) const REQUEST_TIME: Duration = Duration::from_secs(30);

/// Bytes of a body over the limit that are still read and dropped, so that its sender gets to see the response.
pub(super) const DROPPED: usize = 16 * 1024 * 1024;

/// Limits on connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Open connections. For one more, the connection that has been idle longest is closed.
    pub connections: usize,
    /// Open connections from one address, handled the same way: more than a campus behind one address needs, fewer than
    /// all.
    pub connections_of_a_peer: usize,
    /// Time from the connection to its first byte.
    pub first_byte: Duration,
    /// Time for a whole request head, counted from the connection or from the previous response; an idle connection is
    /// closed after it, too. The client must accept some of a response within the same time.
    pub head: Duration,
    /// Bytes of a request head; above it the response is 431. At least 8 KiB.
    pub head_bytes: usize,
    /// Bytes of all unfinished bodies together; above it the connection that holds the most is closed. At least the
    /// longest body that is accepted.
    pub body_bytes: usize,
    /// Time for running requests to finish after the signal to shut down.
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

/// The number of files that this process can open, connections included; 1024 if it is unknown.
fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|soft| soft.parse().ok()).unwrap_or(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_other_files() {
        let limits = ConnectionLimits::default();
        assert!(limits.connections >= 64 && limits.connections < open_files().max(289));
        assert!(limits.connections_of_a_peer < limits.connections);
    }
}
