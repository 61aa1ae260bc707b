//! Crash points and guard switches of the test build (cargo feature `faults`).
//!
//! A crash point ends the process like `kill -9` at a named step. A guard switch turns off one protection, so that a race
//! test can show that it fails without the protection. Without the feature both compile to nothing, so the shipped binary
//! has neither.
//!
//! | set by | effect |
//! | --- | --- |
//! | `ORIENTATION_FAULTS=crash:<point>:<n>` | ends the process when it reaches the point for the n-th time |
//! | `ORIENTATION_FAULTS=slow:<point>:<milliseconds>` | delays the thread each time it reaches the point |
//! | `ORIENTATION_FAULTS=off:<guard>` | turns the guard off in the whole process |
//! | [`without`] (in the test's own process) | turns it off in one future |
//! | [`poison`] (in the test's own process) | makes a job fail, until it is cured |
//!
//! Several are separated by commas.

#[cfg(not(feature = "faults"))]
mod switches {
    /// A step at which the test build can end the process.
    #[inline(always)]
    pub fn point(_name: &'static str) {}

    /// Whether the job fails before it is run: never.
    #[inline(always)]
    pub fn is_poisoned(_job: &str, _kind: &str, _key: Option<&str>) -> bool {
        false
    }

    /// Whether the guard is on: always.
    #[inline(always)]
    pub fn guarded(_guard: &'static str) -> bool {
        true
    }
}

#[cfg(feature = "faults")]
mod switches {
    use std::collections::{HashMap, HashSet};
    use std::sync::{LazyLock, Mutex};
    use std::time::Duration;

    tokio::task_local! { static OFF: &'static str; }

    struct Thrown {
        off: Vec<String>,
        /// For each point, how often it must still be reached until the process ends.
        crash: Mutex<HashMap<String, u32>>,
        slow: HashMap<String, Duration>,
    }

    #[expect(clippy::disallowed_methods, reason = "belongs to the test build alone, so not to `config.rs`")]
    static THROWN: LazyLock<Thrown> = LazyLock::new(|| {
        let thrown = std::env::var("ORIENTATION_FAULTS").unwrap_or_default();
        let (mut off, mut crash, mut slow) = (vec![], HashMap::new(), HashMap::new());
        for switch in thrown.split(',').filter(|switch| !switch.is_empty()) {
            match switch.split(':').collect::<Vec<_>>()[..] {
                ["off", guard] => off.push(guard.to_owned()),
                ["crash", point, n] if n.parse::<u32>().is_ok_and(|n| n > 0) => {
                    crash.insert(point.to_owned(), n.parse().expect("just checked"));
                }
                ["slow", point, millis] if millis.parse::<u32>().is_ok() => {
                    let millis = millis.parse().expect("just checked");
                    slow.insert(point.to_owned(), Duration::from_millis(millis));
                }
                _ => panic!(
                    "ORIENTATION_FAULTS: `{switch}` is none of off:<guard>, crash:<point>:<n>, slow:<point>:<ms>"
                ),
            }
        }
        Thrown { off, crash: Mutex::new(crash), slow }
    });

    /// A step at which the test build can end the process.
    pub fn point(name: &'static str) {
        if let Some(pause) = THROWN.slow.get(name) {
            std::thread::sleep(*pause);
        }
        let mut crash = THROWN.crash.lock().expect("nobody panics inside");
        if let Some(left) = crash.get_mut(name) {
            *left -= 1;
            if *left == 0 {
                eprintln!("faults: the process ends at {name}");
                std::process::abort();
            }
        }
    }

    static POISONED: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

    /// Makes all runs of the job with this id fail before they begin, until it is [cured](cure). `<kind>:<key>` means
    /// each job of this kind and key: the id of a job that a use case makes is not known before.
    pub fn poison(job: &str) {
        POISONED.lock().expect("nobody panics inside").insert(job.to_owned());
    }

    /// Lets the job with this id run.
    pub fn cure(job: &str) {
        POISONED.lock().expect("nobody panics inside").remove(job);
    }

    /// Whether the job with this id, kind and key fails before it is run.
    pub fn is_poisoned(job: &str, kind: &str, key: Option<&str>) -> bool {
        let poisoned = POISONED.lock().expect("nobody panics inside");
        poisoned.contains(job) || key.is_some_and(|key| poisoned.contains(&format!("{kind}:{key}")))
    }

    /// Whether the guard is on.
    pub fn guarded(guard: &'static str) -> bool {
        let off_here = OFF.try_with(|off| *off == guard).unwrap_or(false);
        !off_here && !THROWN.off.iter().any(|off| off == guard)
    }

    /// Runs `work` with the guard turned off. Tasks that it spawns are guarded again.
    pub async fn without<F: Future>(guard: &'static str, work: F) -> F::Output {
        OFF.scope(guard, work).await
    }
}

pub use switches::*;
