//! Passwords: how they are read, judged and hashed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use unicode_normalization::UnicodeNormalization;
use zxcvbn::{Score, zxcvbn};

use crate::kernel::{Fault, Ids, Secret, text};

/// The shortest password, in code points (NIST SP 800-63B).
pub const PASSWORD_MIN: usize = 8;

/// The longest password, in code points: room for any phrase, and an end to what has to be judged.
pub const PASSWORD_MAX: usize = 128;

/// How much of a password its strength is judged by, in code points: judging takes time that grows with the
/// square of the length, and who has 64 unguessable ones needs no more.
const JUDGED: usize = 64;

/// OWASP's first choice for Argon2id: 19 MiB of memory, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// What a password is compared with when there is no account: random bytes in the shape of a hash, so that the
/// work is the same and nothing fits.
const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$6vWNdVJsbbfEz9Ee90yJfw$zNwRjsmJ5/cTwm3O+T08RjtahubGdRwzm4QtU83gZ0o";

/// How many may wait for each permit. At some 20 ms a hash the last of them waits 3 seconds: whoever would wait
/// longer is better told to come back.
const QUEUE_PER_PERMIT: usize = 150;

/// A password as somebody typed it.
///
/// Read as RFC 8265 (OpaqueString) has it: spaces of every kind become plain ones, Unicode is brought into NFC,
/// and nothing is trimmed or folded, so that one phrase is one password on every keyboard and case counts.
#[derive(Clone, Debug)]
pub struct Password(Secret<String>);

impl Password {
    /// Reads what was typed.
    pub fn read(typed: &str) -> Self {
        let spaced = typed.chars().map(|c| if is_space(c) { ' ' } else { c });
        Self(Secret::new(spaced.nfc().collect()))
    }

    /// What is wrong with it as a new password of somebody whom `about` describes (names, address). `pointer`
    /// says where it was written.
    pub fn fault(&self, pointer: &str, about: &[&str]) -> Option<Fault> {
        let password = self.0.expose();
        let length = text::length(password);
        if length < PASSWORD_MIN {
            return Some(Fault::new(pointer, "too-short", format!("At least {PASSWORD_MIN} characters.")));
        }
        if length > PASSWORD_MAX {
            return Some(Fault::new(pointer, "too-long", format!("At most {PASSWORD_MAX} characters.")));
        }
        if text::has_control(password) {
            let detail = "No line breaks or other control characters.";
            return Some(Fault::new(pointer, "control-character", detail));
        }
        too_weak(password, about).map(|advice| Fault::new(pointer, "too-weak", advice))
    }
}

/// Unicode's spaces (category Zs) but the plain one.
fn is_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// Advice for a password that would be guessed within a million tries or so; `None` if it would not.
fn too_weak(password: &str, about: &[&str]) -> Option<String> {
    let judged: String = password.chars().take(JUDGED).collect();
    let words: Vec<&str> = about.iter().flat_map(|text| text.split([' ', '@', '.', '-', '+', '_'])).collect();
    let known: Vec<&str> = about.iter().copied().chain(words).filter(|word| !word.is_empty()).collect();
    let verdict = zxcvbn(&judged, &known);
    if verdict.score() >= Score::Two {
        return None;
    }
    let mut advice = vec!["This password is easy to guess.".to_owned()];
    if let Some(feedback) = verdict.feedback() {
        advice.extend(feedback.warning().map(|warning| warning.to_string()));
        advice.extend(feedback.suggestions().iter().map(|suggestion| suggestion.to_string()));
    }
    Some(advice.join(" "))
}

/// More people are being hashed for than can be served soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct Rush {
    /// When it is worth while to try again.
    pub retry_after: Duration,
}

/// Hashes and compares passwords (Argon2id) off the async threads, as many at once as there are permits, so that
/// a rush of sign-ins slows sign-ins and nothing else.
pub struct Passwords {
    ids: Arc<dyn Ids>,
    /// One permit for each that hashes or waits to.
    queue: Arc<Semaphore>,
    /// One permit for each that hashes.
    permits: Arc<Semaphore>,
    hashes: Arc<AtomicU64>,
}

impl Passwords {
    /// Hashes on at most `permits` threads at once: as many as there are cores (each takes 19 MiB).
    pub fn new(ids: Arc<dyn Ids>, permits: usize) -> Self {
        let permits = permits.max(1);
        Self {
            ids,
            queue: Arc::new(Semaphore::new(permits * (QUEUE_PER_PERMIT + 1))),
            permits: Arc::new(Semaphore::new(permits)),
            hashes: Arc::default(),
        }
    }

    /// The same with a permit for each core of the machine.
    pub fn on_all_cores(ids: Arc<dyn Ids>) -> Self {
        Self::new(ids, std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// How many hashes have been computed, comparisons among them.
    pub fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }

    /// The password's hash with a salt of its own, as a PHC string.
    ///
    /// # Errors
    /// [`Rush`] if too many wait already.
    pub async fn hash(&self, password: Password) -> Result<String, Rush> {
        let salt = self.ids.secret();
        self.off_thread(move || {
            let hash: PasswordHash = argon2id()
                .hash_password_with_salt(password.0.expose().as_bytes(), &salt[..16])
                .expect("parameters, salt and lengths are within Argon2's bounds");
            hash.to_string()
        })
        .await
    }

    /// Whether the password is the one that `hash` was made from. With `None` (there is no such account) it does
    /// the same work and says no.
    ///
    /// # Errors
    /// [`Rush`] if too many wait already.
    pub async fn verify(&self, password: Password, hash: Option<&str>) -> Result<bool, Rush> {
        let (known, hash) = (hash.is_some(), hash.unwrap_or(DECOY).to_owned());
        self.off_thread(move || {
            let fits = argon2id().verify_password(password.0.expose().as_bytes(), hash.as_str()).is_ok();
            fits && known
        })
        .await
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Rush> {
        let rush = Rush { retry_after: Duration::from_secs(3) };
        let place = self.queue.clone().try_acquire_owned().map_err(|_| rush)?;
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| rush)?;
        let (hashes, held) = (self.hashes.clone(), (place, permit));
        // The work keeps both permits: a caller who hangs up doesn't make room before it is done.
        let run = move || {
            let _held: (OwnedSemaphorePermit, OwnedSemaphorePermit) = held;
            hashes.fetch_add(1, Ordering::Relaxed);
            work()
        };
        // It fails only while the process shuts down.
        tokio::task::spawn_blocking(run).await.map_err(|_| rush)
    }
}

fn argon2id() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("OWASP's parameters are valid");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}
