//! Metrics and traces of a transport.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use tracing::Instrument;

use super::{Email, Mail, SendError, Transport};
use crate::kernel::EmailAddress;
use crate::platform::metrics::MailSends;
use crate::platform::traces;

/// A [`Transport`] that counts, times and traces each email.
pub struct MeteredTransport {
    transport: Arc<dyn Transport>,
    sends: MailSends,
}

impl MeteredTransport {
    /// Measures `transport`.
    pub fn over(transport: Arc<dyn Transport>, sends: MailSends) -> Arc<dyn Transport> {
        Arc::new(Self { transport, sends })
    }
}

#[async_trait]
impl Transport for MeteredTransport {
    async fn send(&self, mail: &Mail, email: &Email) -> Result<(), SendError> {
        let begun = Instant::now();
        let span = traces::call("mail.transport");
        let answer = self.transport.send(mail, email).instrument(span.clone()).await;
        self.sends.note(word(&answer), begun.elapsed());
        traces::ended(&span, word(&answer), answer.is_ok());
        answer
    }

    fn is_idempotent(&self) -> bool {
        self.transport.is_idempotent()
    }

    async fn accepts(&self, to: &EmailAddress) -> bool {
        self.transport.accepts(to).await
    }
}

/// The outcome in metrics and traces.
fn word(answer: &Result<(), SendError>) -> &'static str {
    match answer {
        Ok(()) => "sent",
        Err(SendError::Temporary(_)) => "temporary",
        Err(SendError::Account(_)) => "account",
        Err(SendError::Throttled(_)) => "throttled",
        Err(SendError::Uncertain(_)) => "uncertain",
        Err(SendError::Permanent(_)) => "permanent",
    }
}
