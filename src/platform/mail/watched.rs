//! A carrier whose work is measured.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use tracing::Instrument;

use super::{Carrier, CarryError, Email, Mail};
use crate::platform::metrics::Carries;
use crate::platform::traces;

/// A [`Carrier`] of which each letter is counted and timed, and stands in its trace.
pub struct Watched {
    carrier: Arc<dyn Carrier>,
    carries: Carries,
}

impl Watched {
    /// The same carrier, watched.
    pub fn over(carrier: Arc<dyn Carrier>, carries: Carries) -> Arc<dyn Carrier> {
        Arc::new(Self { carrier, carries })
    }
}

#[async_trait]
impl Carrier for Watched {
    async fn carry(&self, mail: &Mail, letter: &Email) -> Result<(), CarryError> {
        let begun = Instant::now();
        let span = traces::call("mail.carry");
        let answer = self.carrier.carry(mail, letter).instrument(span.clone()).await;
        self.carries.note(word(&answer), begun.elapsed());
        traces::ended(&span, word(&answer), answer.is_ok());
        answer
    }

    fn repeats_safely(&self) -> bool {
        self.carrier.repeats_safely()
    }
}

/// What metrics and traces call it.
fn word(answer: &Result<(), CarryError>) -> &'static str {
    match answer {
        Ok(()) => "taken",
        Err(CarryError::Temporary(_)) => "temporary",
        Err(CarryError::Throttled(_)) => "throttled",
        Err(CarryError::Uncertain(_)) => "uncertain",
        Err(CarryError::Permanent(_)) => "permanent",
    }
}
