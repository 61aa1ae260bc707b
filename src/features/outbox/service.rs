//! Keeps emails and finds them again.

use std::sync::Arc;

use async_trait::async_trait;

use super::model::{KeptFile, StoredEmail};
use crate::base::Base;
use crate::kernel::{Clock, EmailAddress, text};
use crate::platform::mail::{Email, Mail, SendError, Transport};
use crate::platform::store::{Cursor, Dir, Filter, Page, PageError, Query, Store, StoreError};

/// The emails that were sent here.
pub struct Outbox {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl Outbox {
    /// The outbox in the store of `base`.
    pub fn new(base: &Base) -> Self {
        Self { store: base.store.clone(), clock: base.clock.clone() }
    }

    /// The page of the emails, newest first, that begins at `after`; at most `limit`, and only those to the address `to` if
    /// it is given.
    ///
    /// # Errors
    /// [`PageError`].
    pub async fn emails(
        &self,
        to: Option<&str>,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<StoredEmail>, PageError> {
        let filter = to.map_or(Filter::All, |to| Filter::eq("toKey", key(to)));
        let newest_first = Query::new(filter).sort("writtenAt", Dir::Desc);
        self.store.page(newest_first.limit(limit), after).await
    }

    /// One email.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn email(&self, id: &str) -> Result<Option<StoredEmail>, StoreError> {
        self.store.get(id).await
    }

    /// The file with the number `n` (from 0) of an email.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn file(&self, email: &str, n: usize) -> Result<Option<KeptFile>, StoreError> {
        self.store.get(&KeptFile::id_of(email, n)).await
    }
}

/// What the recipient `to` is compared by; of what is no address, nobody's.
fn key(to: &str) -> String {
    EmailAddress::parse(to).map_or_else(|_| text::clean(to).to_lowercase(), |address| address.key())
}

#[async_trait]
impl Transport for Outbox {
    /// Writes the email down; one that is there already stays as it is.
    async fn send(&self, mail: &Mail, email: &Email) -> Result<(), SendError> {
        let (kept, files) = StoredEmail::of(mail, email, self.clock.now());
        let written: Result<(), StoreError> = self
            .store
            .transact(async |tx| {
                if tx.get::<StoredEmail>(&kept.id).await?.is_some() {
                    return Ok(());
                }
                for file in &files {
                    tx.insert(file).await?;
                }
                tx.insert(&kept).await
            })
            .await;
        written.map_err(|error| SendError::Temporary(error.to_string()))
    }

    fn is_idempotent(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::jobs::{Run, Subscriber};
    use crate::platform::mail::{MailState, Mailer, RenderError, Sample, SendMail, Template, Templates};

    struct Hello;

    #[async_trait]
    impl Template for Hello {
        fn name(&self) -> &'static str {
            "hello"
        }

        async fn render(&self, _: &Mail) -> Result<Email, RenderError> {
            let (subject, text, html) = ("Hello".into(), "Hello".into(), "Hello".into());
            Ok(Email { subject, text, html, attachments: vec![], unsubscribe: None })
        }

        fn samples(&self) -> Result<Vec<Sample>, RenderError> {
            Ok(vec![])
        }
    }

    #[tokio::test]
    async fn a_process_that_dies_before_it_settles_leaves_one_email_sent_once() {
        let base = Base::for_tests().await;
        let outbox = Arc::new(Outbox::new(&base));
        let to = EmailAddress::parse("ana@example.org").unwrap();
        let mut mail = Mail::new("hello:1".into(), "hello", &to, [], base.clock.now());

        mail.start_sending();
        base.store.insert(&mail).await.unwrap();
        let email = Hello.render(&mail).await.unwrap();
        outbox.send(&mail, &email).await.unwrap();

        let templates = Templates::new(vec![Arc::new(Hello)]).unwrap();
        let mailer = Mailer::new(base.store.clone(), base.clock.clone(), templates, outbox.clone());
        let run = Run { job_id: "mail:hello:1".into(), attempt: 1, crashes: 1 };
        mailer.handle(SendMail { mail: "hello:1".into() }, run).await.unwrap();

        let mail: Mail = base.store.get("hello:1").await.unwrap().unwrap();
        assert_eq!(mail.state, MailState::Sent);
        assert_eq!(outbox.emails(None, None, 10).await.unwrap().items.len(), 1);
    }
}
