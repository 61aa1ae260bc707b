//! The faults of the fleet, and their times.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::PROCESSES;
use crate::doubles::proxy::Weather;

/// Longer than a statement needs, shorter than any deadline.
const SLOW: Weather = Weather::Slow(Duration::from_millis(150));

/// How often each process is killed.
const KILLS: usize = 3;
/// How long a process or Redis is down, and how long a network fault lasts, in milliseconds.
const DEAD: Range<u64> = 0..1500;
const TURNED: Range<u64> = 1000..3000;

/// A fault of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process of this number is killed and started again.
    Kill(usize),
    /// Redis is killed and started again, empty.
    KillRedis,
    /// The network in front of MongoDB changes, for one process or for all.
    Network(Option<usize>, Weather),
    /// All connections to MongoDB are reset, once.
    Reset(Option<usize>),
}

/// All faults, in random order.
pub fn shuffled(chance: &mut fastrand::Rng) -> Vec<Fault> {
    let mut deck = vec![Fault::KillRedis; 3];
    for process in 0..PROCESSES {
        deck.extend([Fault::Kill(process); KILLS]);
    }
    for whose in [None, None, Some(chance.usize(..PROCESSES)), Some(chance.usize(..PROCESSES))] {
        deck.extend([Weather::Silent, Weather::Cut].map(|weather| Fault::Network(whose, weather)));
        deck.push(Fault::Reset(whose));
    }
    deck.extend([Fault::Network(None, SLOW); 2]);
    chance.shuffle(&mut deck);
    deck
}

impl Fault {
    /// Duration of the fault.
    pub fn lasts(self, chance: &mut fastrand::Rng) -> Duration {
        Duration::from_millis(match self {
            Self::Kill(_) | Self::KillRedis => chance.u64(DEAD),
            Self::Network(..) => chance.u64(TURNED),
            Self::Reset(_) => 0,
        })
    }

    /// Whether a process may not learn, or not record, the outcome of the emails that it is sending.
    pub fn cuts_emails_short(self) -> bool {
        let works = |process| process >= PROCESSES / 2;
        match self {
            Self::Kill(process) => works(process),
            Self::KillRedis => false,
            Self::Network(whose, _) | Self::Reset(whose) => whose.is_none_or(works),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = |whose: &Option<usize>| if whose.is_some() { "of one process" } else { "of all" };
        match self {
            Self::Kill(process) if *process < PROCESSES / 2 => write!(f, "`serve` killed"),
            Self::Kill(_) => write!(f, "`work` killed"),
            Self::KillRedis => write!(f, "Redis killed"),
            Self::Network(of, Weather::Slow(by)) => {
                write!(f, "MongoDB's network {}, {} ms later", whose(of), by.as_millis())
            }
            Self::Network(of, Weather::Silent) => write!(f, "MongoDB's network {} silent", whose(of)),
            Self::Network(of, _) => write!(f, "MongoDB's network {} cut", whose(of)),
            Self::Reset(of) => write!(f, "MongoDB's connections {} reset", whose(of)),
        }
    }
}
