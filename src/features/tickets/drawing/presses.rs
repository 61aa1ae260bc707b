//! A few presses for many tickets: made when they are first needed, used off the async threads.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::pdf::{self, DrawError};
use super::{Sheet, text::Press};

/// Tickets that are drawn at once, at most: each takes a core, and a press a few megabytes.
const MOST_AT_ONCE: usize = 4;

/// Prints tickets.
pub struct Presses {
    idle: Arc<Mutex<Vec<Press>>>,
    free: Arc<Semaphore>,
}

impl Default for Presses {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let free = Arc::new(Semaphore::new(cores.min(MOST_AT_ONCE)));
        Self { idle: Arc::default(), free }
    }
}

impl Presses {
    /// The ticket as a PDF, once it is its turn. A few milliseconds; the first of each press some more.
    ///
    /// # Errors
    /// [`DrawError`] if it can't be drawn at all.
    pub async fn print(&self, sheet: Sheet) -> Result<Vec<u8>, DrawError> {
        let turn = Arc::clone(&self.free).acquire_owned().await.map_err(|_| DrawError::Stopped)?;
        let idle = Arc::clone(&self.idle);
        let printed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let mut press = take(&idle).unwrap_or_else(Press::new);
            let printed = pdf::draw(&mut press, &sheet);
            give_back(&idle, press);
            printed
        });
        printed.await.map_err(|_| DrawError::Stopped)?
    }

    /// How many presses there are, when all are idle.
    #[cfg(test)]
    pub fn made(&self) -> usize {
        self.idle.lock().unwrap().len()
    }
}

fn take(idle: &Mutex<Vec<Press>>) -> Option<Press> {
    idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn give_back(idle: &Mutex<Vec<Press>>, press: Press) {
    idle.lock().unwrap_or_else(PoisonError::into_inner).push(press);
}
