//! The memory of the process.

use std::time::Duration;

/// How often memory is given back.
const EVERY: Duration = Duration::from_secs(5);

/// Gives back to the system what a rush has left, now and then, for as long as it is polled.
///
/// The C library of most Linux systems (glibc) keeps what is freed, for whoever asks next in the same thread, and by
/// itself gives back only what lies at an end of its heap. After a rush that is little: one string that stays keeps all
/// that lies before it. Other systems' libraries give memory back by themselves.
pub async fn give_back() {
    loop {
        tokio::time::sleep(EVERY).await;
        let _ = tokio::task::spawn_blocking(trim).await;
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no library wraps it: docs/decisions/0008-small-at-rest.md")]
fn trim() {
    // SAFETY: it may be called at any time from any thread, and leaves alone what is in use. malloc_trim(3)
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}
