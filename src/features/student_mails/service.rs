//! Use cases: list the emails to a student, and send one again.

use std::sync::Arc;
use std::time::Duration;

use super::model::{EMAIL_RESENT, NotResendable, Resending, resending};
use crate::base::Base;
use crate::features::accounts::{self, Account, EmailToken};
use crate::features::registration::Registration;
use crate::features::students::StudentAccess;
use crate::kernel::{Clock, EmailAddress, Ids, Principal, Rights, Role, Timestamp};
use crate::platform::audit::Subject;
use crate::platform::mail::{EMAIL_RETRIED, Mail, Suppression};
use crate::platform::signals::{Limit, Signals, TooMany};
use crate::platform::store::{Cursor, Dir, Filter, Page, PageError, Query, Store, StoreError, Tx};

/// Emails that are sent again to one student: enough for support, too few to fill a mailbox.
const RESEND: Limit = Limit { name: "resend-mail", quota: 10, window: Duration::from_hours(1) };

/// Why the emails to a student are not listed.
#[derive(Debug, thiserror::Error)]
pub enum ListStudentMailsError {
    /// There is no such student within the caller's reach.
    #[error("there is no such student")]
    NotFound,
    #[error(transparent)]
    Page(#[from] PageError),
}

impl From<StoreError> for ListStudentMailsError {
    fn from(error: StoreError) -> Self {
        Self::Page(error.into())
    }
}

/// Why an email is not sent again.
#[derive(Debug, thiserror::Error)]
pub enum ResendStudentMailError {
    /// There is no such student within the caller's reach.
    #[error("there is no such student")]
    NotFound,
    /// There is no such email to the student.
    #[error("there is no such email")]
    NoSuchMail,
    #[error(transparent)]
    NotResendable(#[from] NotResendable),
    /// The link in the email has been used or has expired.
    #[error("the link can't be used any more")]
    LinkOver,
    /// The address gets no emails.
    #[error("the address is on the suppression list")]
    Suppressed,
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The emails to students.
pub struct StudentMails {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    signals: Arc<dyn Signals>,
}

impl StudentMails {
    /// The use cases on `base`.
    pub fn new(base: &Base) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            ids: base.ids.clone(),
            signals: base.signals.clone(),
        }
    }

    /// The page of the emails about the account of a student within reach of `rights`, newest first, that begins at
    /// `after`; at most `limit`.
    ///
    /// # Errors
    /// [`ListStudentMailsError`]
    pub async fn list(
        &self,
        rights: &Rights,
        student: &str,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Mail>, ListStudentMailsError> {
        let newest_first = Query::new(Filter::eq("about.account", student)).sort("createdAt", Dir::Desc);
        let page = self.store.page(newest_first.limit(limit), after).await?;
        let account = self.store.get::<Account>(student).await?;
        let registration = self.store.get::<Registration>(student).await?;
        match account {
            Some(account) if is_within_reach(rights, &account, registration.as_ref()) => Ok(page),
            _ => Err(ListStudentMailsError::NotFound),
        }
    }

    /// Sends an email about the account of a student again: to the present address of the account, or, if it has a link
    /// that proves an address, to that address.
    ///
    /// # Errors
    /// [`ResendStudentMailError`]; then nothing is sent.
    pub async fn resend(
        &self,
        by: &Principal,
        student: &str,
        mail: &str,
    ) -> Result<Mail, ResendStudentMailError> {
        self.signals.take(RESEND, student).await?;
        let (id, now) = (self.ids.next(), self.clock.now());
        self.store
            .transact(async |tx| {
                let account = tx.get::<Account>(student).await?;
                let registration = tx.get::<Registration>(student).await?;
                let account = account
                    .filter(|account| is_within_reach(&by.rights, account, registration.as_ref()))
                    .ok_or(ResendStudentMailError::NotFound)?;
                let mail = tx.get::<Mail>(mail).await?;
                let about = |mail: &Mail| mail.about.get("account").is_some_and(|about| about == student);
                let mail = mail.filter(about).ok_or(ResendStudentMailError::NoSuchMail)?;
                let to = recipient(&tx, &mail, account, now).await?;
                if !tx.find::<Suppression>(Suppression::of(&to)).await?.is_empty() {
                    return Err(ResendStudentMailError::Suppressed);
                }
                let resending = resending(&mail, &to, &id, now)?;
                Ok(send(&tx, by, mail, resending, now).await?)
            })
            .await
    }
}

/// Support also helps students who have not registered. Those without a form are within the reach of all groups.
fn is_within_reach(rights: &Rights, account: &Account, registration: Option<&Registration>) -> bool {
    let access = StudentAccess::new(rights).with_unregistered();
    let reached = registration.map_or_else(|| rights.reaches(None, None), |student| access.reaches(student));
    account.role == Role::Student && reached
}

/// Where the email is sent. Using a link proves access to the mailbox that it was sent to, so no other address gets it.
async fn recipient(
    tx: &Tx,
    mail: &Mail,
    account: Account,
    now: Timestamp,
) -> Result<EmailAddress, ResendStudentMailError> {
    let Some(token) = accounts::link_in(mail) else { return Ok(account.email) };
    let token = tx.get::<EmailToken>(token).await?;
    let token = token.filter(|token| token.check(now).is_ok());
    Ok(token.ok_or(ResendStudentMailError::LinkOver)?.email)
}

/// Puts the email into the queue, and audits it. Returns the email that is sent.
async fn send(
    tx: &Tx,
    by: &Principal,
    mail: Mail,
    resending: Resending,
    now: Timestamp,
) -> Result<Mail, StoreError> {
    let subject = Subject::of::<Mail>(&mail.id);
    match resending {
        Resending::Retry => {
            tx.audit(&by.actor, EMAIL_RETRIED, subject, &[], now).await?;
            tx.retry_mail(&mail, now).await.map(|retried| retried.unwrap_or(mail))
        }
        Resending::Anew(again) => {
            tx.audit(&by.actor, EMAIL_RESENT, subject, &[("again", &again.id)], now).await?;
            tx.post(&again).await?;
            Ok(*again)
        }
    }
}
