//! Reading, checking and hashing of passwords.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use argon2::password_hash::phc::{self, Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version, password_hash};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tokio::sync::oneshot;
use unicode_normalization::UnicodeNormalization;
use zxcvbn::{Score, zxcvbn};

use crate::kernel::{FieldError, Ids, Secret, text};

/// Minimum length of a password, in code points (NIST SP 800-63B).
pub const PASSWORD_MIN: usize = 8;

/// Maximum length of a password, in code points: enough for any phrase, and a bound on the work of checking it.
pub const PASSWORD_MAX: usize = 128;

/// Length of the prefix whose strength is estimated, in code points. The time grows with the square of the length, and 64
/// unguessable characters are enough.
const ESTIMATED: usize = 64;

/// Minimum number of letters and digits in a password beside its owner's names and address.
const OWN: usize = 4;

/// OWASP's recommendation for Argon2id: 19 MiB of memory, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Bytes of a salt (RFC 9106).
const SALT_BYTES: usize = 16;

/// Hash that passwords are compared with when there is no account, so that the work is the same. It is random, so no password
/// matches.
const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$6vWNdVJsbbfEz9Ee90yJfw$zNwRjsmJ5/cTwm3O+T08RjtahubGdRwzm4QtU83gZ0o";

/// Idle time after which a thread frees its memory.
const REST: Duration = Duration::from_secs(1);

/// Size of a thread's allocation. glibc returns freed blocks of 32 MiB and more to the system; smaller ones it may keep
/// (mallopt(3), `M_MMAP_THRESHOLD`). Reserved memory counts only once it is written.
const RESERVED: usize = 33 * 1024 * 1024;

/// Maximum number of queued tasks per thread. At about 20 ms per hash, the last one waits 3 seconds; beyond that, clients
/// should retry later.
const QUEUE_PER_THREAD: usize = 150;

/// A password, prepared by the rules of RFC 8265 (OpaqueString): spaces of every kind become U+0020, and the text is
/// normalised to NFC. Nothing is trimmed, and upper and lower case differ. So one phrase is one password on every keyboard.
#[derive(Clone, Debug)]
pub struct Password(Secret<String>);

impl Password {
    /// Prepares a password that somebody typed.
    pub fn read(typed: &str) -> Self {
        let spaced = typed.chars().map(|c| if is_space(c) { ' ' } else { c });
        Self(Secret::new(spaced.nfc().collect()))
    }

    /// The validation error, if it can't be the new password of somebody with the names and address in `about`. `pointer` is
    /// where it is in the body.
    pub fn error(&self, pointer: &str, about: &[&str]) -> Option<FieldError> {
        let password = self.0.expose();
        let length = text::length(password);
        if length < PASSWORD_MIN {
            return Some(FieldError::new(
                pointer,
                "too-short",
                format!("At least {PASSWORD_MIN} characters."),
            ));
        }
        if length > PASSWORD_MAX {
            return Some(FieldError::new(pointer, "too-long", format!("At most {PASSWORD_MAX} characters.")));
        }
        if text::has_control(password) {
            let detail = "No line breaks or other control characters.";
            return Some(FieldError::new(pointer, "control-character", detail));
        }
        too_weak(password, about).map(|advice| FieldError::new(pointer, "too-weak", advice))
    }
}

/// Whether it is a space (Unicode category Zs) other than U+0020.
fn is_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// Advice for a password that takes about a million guesses or fewer; `None` for a stronger one.
fn too_weak(password: &str, about: &[&str]) -> Option<String> {
    let words: Vec<String> = about.iter().flat_map(|text| words(text)).collect();
    if left_without(password, &words) < OWN {
        return Some("This password is little more than your own name or address.".to_owned());
    }
    let prefix: String = password.chars().take(ESTIMATED).collect();
    let known: Vec<&str> = words.iter().map(String::as_str).chain(about.iter().copied()).collect();
    let estimate = zxcvbn(&prefix, &known);
    if estimate.score() >= Score::Two {
        return None;
    }
    let mut advice = vec!["This password is easy to guess.".to_owned()];
    if let Some(feedback) = estimate.feedback() {
        advice.extend(feedback.warning().map(|warning| warning.to_string()));
        advice.extend(feedback.suggestions().iter().map(|suggestion| suggestion.to_string()));
    }
    Some(advice.join(" "))
}

/// Words of a name or an address in lower case, the longest first.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let mut words: Vec<String> = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| text::length(word) > 2)
        .map(str::to_owned)
        .collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words
}

/// Number of letters and digits in a password after these words are removed from it.
fn left_without(password: &str, words: &[String]) -> usize {
    let lower = password.to_lowercase();
    let rest = words.iter().fold(lower, |rest, word| rest.replace(word.as_str(), " "));
    if words.is_empty() { usize::MAX } else { rest.chars().filter(|c| c.is_alphanumeric()).count() }
}

/// The password-hashing queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the password-hashing queue is full")]
pub struct HashingOverloaded {
    /// Time to wait before retrying.
    pub retry_after: Duration,
}

/// Hashes and verifies passwords with Argon2id on dedicated threads, so that a rush of sign-ins delays nothing else.
///
/// The threads take tasks from a queue. If async tasks handed them out one by one, each core would be idle during the
/// hand-over.
pub struct Passwords {
    ids: Arc<dyn Ids>,
    queue: Sender<Task>,
    hashes: Arc<AtomicU64>,
}

type Task = Box<dyn FnOnce(&mut Memory) + Send>;

impl Passwords {
    /// Starts `threads` threads, which end when this value is dropped. Each uses 19 MiB while it works.
    pub fn new(ids: Arc<dyn Ids>, threads: usize) -> Self {
        let threads = threads.max(1);
        let (queue, tasks) = crossbeam_channel::bounded(threads * QUEUE_PER_THREAD);
        for _ in 0..threads {
            let tasks = tasks.clone();
            thread::spawn(move || work_off(&tasks));
        }
        Self { ids, queue, hashes: Arc::default() }
    }

    /// Starts one thread per core.
    pub fn on_all_cores(ids: Arc<dyn Ids>) -> Self {
        Self::new(ids, std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// Number of hashes computed, including those for verification.
    pub fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }

    /// Hashes the password with a new salt. Returns a PHC string.
    ///
    /// # Errors
    /// [`HashingOverloaded`] if the queue is full.
    pub async fn hash(&self, password: Password) -> Result<String, HashingOverloaded> {
        let salt = self.ids.secret();
        self.off_thread(move |memory| {
            let hash = hash(&password, &salt[..SALT_BYTES], memory);
            hash.expect("parameters, salt and lengths are within Argon2's bounds").to_string()
        })
        .await
    }

    /// Whether the password matches `hash`. Without a hash, because there is no such account, the result is `false` after the
    /// same work.
    ///
    /// # Errors
    /// [`HashingOverloaded`] if the queue is full.
    pub async fn verify(&self, password: Password, hash: Option<&str>) -> Result<bool, HashingOverloaded> {
        let (known, hash) = (hash.is_some(), hash.unwrap_or(DECOY).to_owned());
        self.off_thread(move |memory| fits(&password, &hash, memory) && known).await
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, HashingOverloaded> {
        let overloaded = HashingOverloaded { retry_after: Duration::from_secs(3) };
        let (sender, receiver) = oneshot::channel();
        let hashes = self.hashes.clone();
        let task = move |memory: &mut Memory| {
            // The client may have disconnected.
            if !sender.is_closed() {
                hashes.fetch_add(1, Ordering::Relaxed);
                let _ = sender.send(work(memory));
            }
        };
        self.queue.try_send(Box::new(task)).map_err(|_| overloaded)?;
        receiver.await.map_err(|_| overloaded)
    }
}

/// Works until the queue is closed.
fn work_off(tasks: &Receiver<Task>) {
    let mut memory = Memory::new();
    while let Some(task) = next(tasks, &mut memory) {
        // A task that panics fails its caller, not the thread.
        let _ = catch_unwind(AssertUnwindSafe(|| task(&mut memory)));
    }
}

/// The next task. Frees the memory if there is none for a while.
fn next(tasks: &Receiver<Task>, memory: &mut Memory) -> Option<Task> {
    if memory.capacity() > 0 {
        match tasks.recv_timeout(REST) {
            Ok(task) => return Some(task),
            Err(RecvTimeoutError::Timeout) => *memory = Memory::new(),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    tasks.recv().ok()
}

/// Argon2's working memory.
type Memory = Vec<Block>;

fn hash(password: &Password, salt: &[u8], memory: &mut Memory) -> Result<PasswordHash, password_hash::Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    let salt = Salt::new(salt)?;
    Ok(PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params)?,
        hash: Some(output(params, password, &salt, Params::DEFAULT_OUTPUT_LEN, memory)?),
        salt: Some(salt),
    })
}

fn fits(password: &Password, hash: &str, memory: &mut Memory) -> bool {
    compare(password, hash, memory).unwrap_or_else(|error| {
        tracing::error!(%error, "a stored password hash can't be read");
        false
    })
}

/// Compares in constant time: the library's `Output` does.
fn compare(password: &Password, hash: &str, memory: &mut Memory) -> Result<bool, password_hash::Error> {
    let stored = PasswordHash::new(hash)?;
    let params = Params::try_from(&stored)?;
    let (Some(salt), Some(expected)) = (stored.salt, stored.hash) else {
        return Err(phc::Error::MissingField.into());
    };
    Ok(output(params, password, &salt, expected.len(), memory)? == expected)
}

/// Runs Argon2id in memory that is reused: allocating such a block for each hash would leave one behind in every thread's
/// allocator.
fn output(
    params: Params,
    password: &Password,
    salt: &[u8],
    length: usize,
    memory: &mut Memory,
) -> Result<Output, password_hash::Error> {
    memory.reserve_exact((RESERVED / Block::SIZE).saturating_sub(memory.len()));
    memory.resize(params.block_count(), Block::new());
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut bytes = [0; Output::MAX_LENGTH];
    let output = bytes.get_mut(..length).ok_or(password_hash::Error::OutputSize)?;
    argon2.hash_password_into_with_memory(password.0.expose().as_bytes(), salt, output, memory)?;
    Ok(Output::new(output)?)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use proptest::prelude::*;

    use super::*;
    use crate::kernel::RandomIds;

    const ABOUT: [&str; 3] = ["ana.gray@example.org", "Ana", "Gray"];

    fn code(password: &str) -> Option<&'static str> {
        Password::read(password).error("/password", &ABOUT).map(|error| error.code)
    }

    #[test]
    fn phrases_in_any_script_are_accepted() {
        for good in [
            "seven maple canoes drift",
            "eight copper kites rise",
            "tr\u{1F980}cky crab 42",
            "早起きは三文の徳なり",
            "kX9#mQ2$vL7!pR4z",
        ] {
            assert_eq!(code(good), None, "{good}");
        }
    }

    #[test]
    fn short_long_guessable_and_personal_passwords_are_refused() {
        let long = "seven maple canoes drift ".repeat(6);
        let cases = [
            ("short", "too-short"),
            (&long, "too-long"),
            ("password1", "too-weak"),
            ("aaaaaaaaaaaa", "too-weak"),
            ("12345678", "too-weak"),
            ("Ana Gray 27", "too-weak"),
            ("ana.gray@example.org", "too-weak"),
            ("seven maple\u{7}canoes", "control-character"),
        ];
        for (password, expected) in cases {
            assert_eq!(code(password), Some(expected), "{password}");
        }
    }

    #[test]
    fn one_phrase_is_one_password_on_every_keyboard_but_case_and_ends_count() {
        let read = |text: &str| Password::read(text).0.expose().clone();
        assert_eq!(read("Zoe\u{308} \u{3000}x\u{a0}y"), read("Zoë  x y"));
        assert_ne!(read("maple"), read("Maple"));
        assert_ne!(read("maple "), read("maple"));
    }

    #[test]
    fn a_thread_without_work_gives_its_memory_back() {
        let (queue, tasks) = crossbeam_channel::bounded::<Task>(1);
        let later = thread::spawn(move || {
            thread::sleep(REST * 3);
            queue.send(Box::new(|_| {})).unwrap();
        });
        let mut memory = Memory::new();
        fits(&Password::read("seven maple canoes drift"), DECOY, &mut memory);
        assert!(memory.capacity() * Block::SIZE >= RESERVED, "so that it goes back to the system");
        assert!(next(&tasks, &mut memory).is_some());
        assert_eq!(memory.capacity(), 0);
        later.join().unwrap();
    }

    proptest! {
        #[test]
        fn judging_takes_any_text(password in "\\PC{0,140}", name in "\\PC{0,100}") {
            let _ = Password::read(&password).error("/password", &[&name]);
        }
    }

    #[tokio::test]
    async fn a_hash_fits_its_password_alone_and_nobody_has_the_decoys() {
        let passwords = Passwords::new(Arc::new(RandomIds), 1);
        let hash = passwords.hash(Password::read("seven maple canoes drift")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let fits = async |text: &str, hash| passwords.verify(Password::read(text), hash).await.unwrap();
        assert!(fits("seven maple canoes drift", Some(hash.as_str())).await);
        assert!(!fits("seven maple canoes drifts", Some(hash.as_str())).await);
        assert!(!fits("seven maple canoes drift", None).await);
        assert!(PasswordHash::new(DECOY).is_ok());
        assert_eq!(passwords.hashes(), 4);
        assert!(!fits("seven maple canoes drift", Some("not a hash")).await);
    }

    /// Keeps the one thread busy until the sender is dropped.
    fn hold(passwords: &Passwords) -> mpsc::Sender<()> {
        let (release, released) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        let task = move |_: &mut Memory| {
            begin.send(()).unwrap();
            let _ = released.recv();
        };
        passwords.queue.try_send(Box::new(task)).unwrap();
        begun.recv().unwrap();
        release
    }

    #[tokio::test]
    async fn a_rush_beyond_the_queue_is_told_to_come_back_and_hashes_nothing() {
        let passwords = Passwords::new(Arc::new(RandomIds), 1);
        let busy = hold(&passwords);
        (0..QUEUE_PER_THREAD).for_each(|_| passwords.queue.try_send(Box::new(|_| ())).unwrap());
        let refused = passwords.hash(Password::read("seven maple canoes drift")).await;
        assert_eq!(refused, Err(HashingOverloaded { retry_after: Duration::from_secs(3) }));
        drop(busy);
        // The thread works the queue off in its order: once this is through there is room.
        let (sender, receiver) = oneshot::channel();
        passwords.queue.send(Box::new(|_| sender.send(()).unwrap())).unwrap();
        receiver.await.unwrap();
        assert!(passwords.hash(Password::read("seven maple canoes drift")).await.is_ok());
        assert_eq!(passwords.hashes(), 1);
    }

    #[tokio::test]
    async fn nobody_hashes_for_a_caller_who_has_hung_up_and_a_panic_costs_no_thread() {
        let passwords = Passwords::new(Arc::new(RandomIds), 1);
        let busy = hold(&passwords);
        let mut hung_up = Box::pin(passwords.hash(Password::read("seven maple canoes drift")));
        assert!(futures_util::poll!(hung_up.as_mut()).is_pending());
        drop(hung_up);
        let lost = passwords.off_thread(|_| panic!("as no hash does"));
        drop(busy);
        assert_eq!(lost.await, Err::<(), _>(HashingOverloaded { retry_after: Duration::from_secs(3) }));
        assert!(passwords.hash(Password::read("seven maple canoes drift")).await.is_ok());
        assert_eq!(passwords.hashes(), 2, "the one that panics and the last");
    }
}
