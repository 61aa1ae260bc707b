//! Which faults befall the fleet, and when.

use std::fmt;
use std::time::Duration;

use super::PROCESSES;
use crate::doubles::proxy::Weather;

/// Later than a statement needs, sooner than anybody gives up.
const SLOW: Weather = Weather::Slow(Duration::from_millis(150));

/// How often each process is killed.
const KILLS: usize = 3;

/// Something that befalls the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process of this number is killed and started again.
    Kill(usize),
    /// Redis is killed and started again, empty.
    KillRedis,
    /// The network before MongoDB turns so, for one process or all of them.
    Network(Option<usize>, Weather),
    /// All connections to MongoDB are reset, once.
    Reset(Option<usize>),
}

/// All faults, in an order that is chance's.
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
    /// How many letters it can cut short, if a process has so many in flight.
    pub fn is_kill_of_worker(self) -> bool {
        matches!(self, Self::Kill(process) if process >= PROCESSES / 2)
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
