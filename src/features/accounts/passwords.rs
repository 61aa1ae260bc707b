//! Passwords: how they are read, judged and hashed.

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

/// The shortest password, in code points (NIST SP 800-63B).
pub const PASSWORD_MIN: usize = 8;

/// The longest password, in code points: room for any phrase, and an end to what has to be judged.
pub const PASSWORD_MAX: usize = 128;

/// How much of a password its strength is judged by, in code points: judging takes time that grows with the
/// square of the length, and who has 64 unguessable ones needs no more.
const JUDGED: usize = 64;

/// How many letters and digits a password has at least beside its owner's names and address.
const OWN: usize = 4;

/// OWASP's first choice for Argon2id: 19 MiB of memory, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Bytes of a salt (RFC 9106).
const SALT_BYTES: usize = 16;

/// What a password is compared with when there is no account: random bytes in the shape of a hash, so that the
/// work is the same and nothing fits.
const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$6vWNdVJsbbfEz9Ee90yJfw$zNwRjsmJ5/cTwm3O+T08RjtahubGdRwzm4QtU83gZ0o";

/// A thread that has had no work for so long gives its memory back. In a rush the next task is there at once.
const REST: Duration = Duration::from_secs(1);

/// What glibc gives back to the system in any case when it is freed: less than 32 MiB it keeps from the second time on
/// (mallopt(3), `M_MMAP_THRESHOLD`). Of what is reserved only what is written takes memory.
const RESERVED: usize = 33 * 1024 * 1024;

/// How many may wait for each thread. At some 20 ms a hash the last of them waits 3 seconds: whoever would wait
/// longer is better told to come back.
const QUEUE_PER_THREAD: usize = 150;

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
    pub fn fault(&self, pointer: &str, about: &[&str]) -> Option<FieldError> {
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

/// Unicode's spaces (category Zs) but the plain one.
fn is_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// Advice for a password that would be guessed within a million tries or so; `None` if it would not.
fn too_weak(password: &str, about: &[&str]) -> Option<String> {
    let words: Vec<String> = about.iter().flat_map(|text| words(text)).collect();
    if left_without(password, &words) < OWN {
        return Some("This password is little more than your own name or address.".to_owned());
    }
    let judged: String = password.chars().take(JUDGED).collect();
    let known: Vec<&str> = words.iter().map(String::as_str).chain(about.iter().copied()).collect();
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

/// The words of a name or an address, in lower case; the longest first.
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

/// How many letters and digits are left of a password when these words are taken out of it.
fn left_without(password: &str, words: &[String]) -> usize {
    let lower = password.to_lowercase();
    let rest = words.iter().fold(lower, |rest, word| rest.replace(word.as_str(), " "));
    if words.is_empty() { usize::MAX } else { rest.chars().filter(|c| c.is_alphanumeric()).count() }
}

/// More people are being hashed for than can be served soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct HashingOverloaded {
    /// When it is worth while to try again.
    pub retry_after: Duration,
}

/// Hashes and compares passwords (Argon2id) on threads of their own, so that a rush of sign-ins slows sign-ins and
/// nothing else.
///
/// A thread that is done takes the next from the queue by itself. Handed out one by one from the async threads,
/// each core would stand still between two hashes for as long as the hand-over takes.
pub struct Passwords {
    ids: Arc<dyn Ids>,
    queue: Sender<Task>,
    hashes: Arc<AtomicU64>,
}

type Task = Box<dyn FnOnce(&mut Memory) + Send>;

impl Passwords {
    /// Hashes on `threads` threads (each takes 19 MiB while it has work). They end with this value.
    pub fn new(ids: Arc<dyn Ids>, threads: usize) -> Self {
        let threads = threads.max(1);
        let (queue, tasks) = crossbeam_channel::bounded(threads * QUEUE_PER_THREAD);
        for _ in 0..threads {
            let tasks = tasks.clone();
            thread::spawn(move || work_off(&tasks));
        }
        Self { ids, queue, hashes: Arc::default() }
    }

    /// The same with a thread for each core of the machine.
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
    /// [`HashingOverloaded`] if too many wait already.
    pub async fn hash(&self, password: Password) -> Result<String, HashingOverloaded> {
        let salt = self.ids.secret();
        self.off_thread(move |memory| {
            let hash = hash(&password, &salt[..SALT_BYTES], memory);
            hash.expect("parameters, salt and lengths are within Argon2's bounds").to_string()
        })
        .await
    }

    /// Whether the password is the one that `hash` was made from. With `None` (there is no such account) it does
    /// the same work and says no.
    ///
    /// # Errors
    /// [`HashingOverloaded`] if too many wait already.
    pub async fn verify(&self, password: Password, hash: Option<&str>) -> Result<bool, HashingOverloaded> {
        let (known, hash) = (hash.is_some(), hash.unwrap_or(DECOY).to_owned());
        self.off_thread(move |memory| fits(&password, &hash, memory) && known).await
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, HashingOverloaded> {
        let rush = HashingOverloaded { retry_after: Duration::from_secs(3) };
        let (tell, told) = oneshot::channel();
        let hashes = self.hashes.clone();
        let task = move |memory: &mut Memory| {
            // Nobody hashes for a caller who has hung up.
            if !tell.is_closed() {
                hashes.fetch_add(1, Ordering::Relaxed);
                let _ = tell.send(work(memory));
            }
        };
        self.queue.try_send(Box::new(task)).map_err(|_| rush)?;
        told.await.map_err(|_| rush)
    }
}

/// Takes tasks until nobody can send one any more.
fn work_off(tasks: &Receiver<Task>) {
    let mut memory = Memory::new();
    while let Some(task) = next(tasks, &mut memory) {
        // One that panics takes its caller with it, not the thread.
        let _ = catch_unwind(AssertUnwindSafe(|| task(&mut memory)));
    }
}

/// The next task. If none comes soon, the memory is given back until one does.
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

/// What Argon2 works in.
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
        tracing::error!(%error, "a password's hash in the store can't be read");
        false
    })
}

/// In constant time, as the library compares `Output`s.
fn compare(password: &Password, hash: &str, memory: &mut Memory) -> Result<bool, password_hash::Error> {
    let kept = PasswordHash::new(hash)?;
    let params = Params::try_from(&kept)?;
    let (Some(salt), Some(expected)) = (kept.salt, kept.hash) else {
        return Err(phc::Error::MissingField.into());
    };
    Ok(output(params, password, &salt, expected.len(), memory)? == expected)
}

/// Argon2id in memory that is used again: a block of this size that is freed stays behind in every thread that
/// ever had one, and a rush passes through hundreds of threads.
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
        Password::read(password).fault("/password", &ABOUT).map(|fault| fault.code)
    }

    #[test]
    fn a_phrase_is_a_good_password_whatever_it_is_made_of() {
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
    fn what_is_short_long_guessable_or_about_its_owner_is_refused() {
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
            let _ = Password::read(&password).fault("/password", &[&name]);
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
        let (tell, told) = oneshot::channel();
        passwords.queue.send(Box::new(|_| tell.send(()).unwrap())).unwrap();
        told.await.unwrap();
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
