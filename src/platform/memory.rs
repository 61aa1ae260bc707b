//! The memory of the process.

/// From now on gives back to the system what is free, every few seconds.
///
/// glibc, the C library of most Linux systems, keeps what is freed for whoever asks next, and by itself gives back only
/// what lies at an end of its heap. After a rush that is little: one string that stays keeps all that lies before it.
/// With another C library nothing is done.
pub fn give_back() {
    // Where no thread can be had the process is larger, and nothing else.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    let _ = std::thread::Builder::new().name("memory".into()).spawn(glibc::give_back);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::time::Duration;

    const EVERY: Duration = Duration::from_secs(5);

    pub fn give_back() -> ! {
        loop {
            std::thread::sleep(EVERY);
            trim();
        }
    }

    #[expect(unsafe_code, reason = "a function of the C library")]
    fn trim() {
        // SAFETY: it may be called at any time from any thread, and leaves alone what is in use. malloc_trim(3)
        unsafe { libc::malloc_trim(0) };
    }
}
