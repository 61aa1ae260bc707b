//! The memory of the process.

/// Starts a thread that returns free heap memory to the operating system every few seconds.
///
/// glibc, the C library of most Linux systems, keeps freed memory for later allocations and returns only the free end
/// of a heap. After a load peak that is little: one surviving string pins everything before it. With other C libraries
/// this does nothing.
pub fn give_back() {
    // If the thread can't be started, the process only uses more memory.
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
        // SAFETY: may be called at any time from any thread, and doesn't touch memory in use. malloc_trim(3)
        unsafe { libc::malloc_trim(0) };
    }
}
