//! A pool of presses, which are created on first use and run outside the async threads.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::pdf::{self, DrawError};
use super::{Fonts, Sheet, text::Press};

/// Maximum number of tickets drawn at once. Each occupies a core, and its press a few megabytes.
const MOST_AT_ONCE: usize = 4;

/// Prints tickets.
pub struct Presses {
    fonts: Fonts,
    idle: Arc<Mutex<Vec<Press>>>,
    free: Arc<Semaphore>,
}

impl Presses {
    /// Presses with these fonts.
    pub fn new(fonts: Fonts) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let free = Arc::new(Semaphore::new(cores.min(MOST_AT_ONCE)));
        Self { fonts, idle: Arc::default(), free }
    }

    /// The ticket as a PDF, when a press is free. Takes a few milliseconds, and longer for the first ticket of a press.
    ///
    /// # Errors
    /// [`DrawError`] if it can't be drawn at all.
    pub async fn print(&self, sheet: Sheet) -> Result<Vec<u8>, DrawError> {
        let turn = Arc::clone(&self.free).acquire_owned().await.map_err(|_| DrawError::Stopped)?;
        let (idle, fonts) = (Arc::clone(&self.idle), self.fonts.clone());
        let printed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let mut press = take(&idle).unwrap_or_else(|| Press::new(&fonts));
            let printed = pdf::draw(&mut press, &sheet);
            give_back(&idle, press);
            printed
        });
        printed.await.map_err(|_| DrawError::Stopped)?
    }

    /// Number of presses, when all are idle.
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
