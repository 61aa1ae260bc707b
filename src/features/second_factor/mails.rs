//! The emails of the second factor. Each of them reports something that somebody else could have done.

use std::sync::Arc;

use async_trait::async_trait;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::base::Base;
use crate::features::accounts::Account;
use crate::kernel::{Clock, Timestamp};
use crate::platform::mail::{Email, EmailKind, EmailLayout, Mail, RenderError, Sample, Template};
use crate::platform::store::Store;

/// What an email about a change is about.
#[derive(Serialize, Deserialize)]
struct AboutChange {
    account: String,
}

/// What an email about the use of a recovery code is about.
#[derive(Serialize, Deserialize)]
struct AboutCode {
    account: String,
    /// Number of codes that are left, in digits.
    left: String,
}

// ---- posting ----

/// After the owner has turned the second factor on.
pub(super) fn turned_on(account: &Account, now: Timestamp) -> Mail {
    about_change::<SecondFactorOn>(account, now)
}

/// After the owner has turned the second factor off.
pub(super) fn turned_off(account: &Account, now: Timestamp) -> Mail {
    about_change::<SecondFactorOff>(account, now)
}

/// After an administrator has reset the second factor.
pub(super) fn reset(account: &Account, now: Timestamp) -> Mail {
    about_change::<SecondFactorReset>(account, now)
}

/// After each use of a recovery code.
pub(super) fn recovery_code_used(account: &Account, left: usize, now: Timestamp) -> Mail {
    let about = AboutCode { account: account.id.clone(), left: left.to_string() };
    Mail::of::<RecoveryCodeUsed>(&once(account, now), &account.email, &about, now)
}

/// After a sign-in with the right password and a wrong code; at most once per hour.
pub(super) fn wrong_code(account: &Account, now: Timestamp) -> Mail {
    let about = AboutChange { account: account.id.clone() };
    let hour = now.as_secs().div_euclid(3600);
    Mail::of::<WrongCode>(&format!("{}:{hour}", account.id), &account.email, &about, now)
}

fn about_change<K: EmailKind<About = AboutChange>>(account: &Account, now: Timestamp) -> Mail {
    let about = AboutChange { account: account.id.clone() };
    Mail::of::<K>(&once(account, now), &account.email, &about, now)
}

/// A change of one kind can't happen twice within a millisecond.
fn once(account: &Account, now: Timestamp) -> String {
    format!("{}:{}", account.id, now.as_millis())
}

// ---- rendering ----

/// All emails of the second factor.
pub fn templates(base: &Base) -> Vec<Arc<dyn Template>> {
    let parts = Arc::new(EmailParts {
        store: base.store.clone(),
        clock: base.clock.clone(),
        layout: base.email_layout.clone(),
        time_zone: base.event.time_zone,
    });
    vec![
        Arc::new(SecondFactorOn(parts.clone())),
        Arc::new(SecondFactorOff(parts.clone())),
        Arc::new(SecondFactorReset(parts.clone())),
        Arc::new(WrongCode(parts.clone())),
        Arc::new(RecoveryCodeUsed(parts)),
    ]
}

/// What the emails are rendered from.
struct EmailParts {
    store: Store,
    clock: Arc<dyn Clock>,
    layout: EmailLayout,
    time_zone: Tz,
}

/// Values that the templates show.
struct About {
    /// The recipient's preferred name.
    name: String,
    /// When it happened, in the event's time zone, in words.
    when: String,
    /// Number of recovery codes that are left, where the email shows it.
    left: usize,
}

impl EmailParts {
    async fn about(&self, account: &str, left: usize, mail: &Mail) -> Result<About, RenderError> {
        let account: Option<Account> = self.store.get(account).await?;
        let account = account.ok_or(RenderError::Obsolete("the account is gone"))?;
        let when = self.in_words(mail.first_posted_at());
        Ok(About { name: account.greeting().to_owned(), when, left })
    }

    fn sample(&self, left: usize) -> About {
        About { name: Sample::FIRST_NAME.into(), when: self.in_words(self.clock.now()), left }
    }

    /// A time in the event's time zone, in words.
    fn in_words(&self, time: Timestamp) -> String {
        time.to_utc().with_timezone(&self.time_zone).format("%A %-d %B %Y at %H:%M (%Z)").to_string()
    }
}

struct SecondFactorOn(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/second_factor/templates/second-factor-on.body.txt", blocks = ["subject"])]
struct SecondFactorOnText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/second_factor/templates/second-factor-on.body.html")]
struct SecondFactorOnHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl SecondFactorOn {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = SecondFactorOnText { layout, about };
        layout.render(&text.as_subject(), &text, &SecondFactorOnHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for SecondFactorOn {
    const NAME: &'static str = "second-factor-on";
    type About = AboutChange;

    async fn render(&self, about: AboutChange, mail: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about(&about.account, 0, mail).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&self.0.sample(0))?))
    }
}

struct SecondFactorOff(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/second_factor/templates/second-factor-off.body.txt", blocks = ["subject"])]
struct SecondFactorOffText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/second_factor/templates/second-factor-off.body.html")]
struct SecondFactorOffHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl SecondFactorOff {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = SecondFactorOffText { layout, about };
        layout.render(&text.as_subject(), &text, &SecondFactorOffHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for SecondFactorOff {
    const NAME: &'static str = "second-factor-off";
    type About = AboutChange;

    async fn render(&self, about: AboutChange, mail: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about(&about.account, 0, mail).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&self.0.sample(0))?))
    }
}

struct SecondFactorReset(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/second_factor/templates/second-factor-reset.body.txt", blocks = ["subject"])]
struct SecondFactorResetText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/second_factor/templates/second-factor-reset.body.html")]
struct SecondFactorResetHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl SecondFactorReset {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = SecondFactorResetText { layout, about };
        layout.render(&text.as_subject(), &text, &SecondFactorResetHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for SecondFactorReset {
    const NAME: &'static str = "second-factor-reset";
    type About = AboutChange;

    async fn render(&self, about: AboutChange, mail: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about(&about.account, 0, mail).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&self.0.sample(0))?))
    }
}

struct WrongCode(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/second_factor/templates/wrong-code.body.txt", blocks = ["subject"])]
struct WrongCodeText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/second_factor/templates/wrong-code.body.html")]
struct WrongCodeHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl WrongCode {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = WrongCodeText { layout, about };
        layout.render(&text.as_subject(), &text, &WrongCodeHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for WrongCode {
    const NAME: &'static str = "wrong-code";
    type About = AboutChange;

    async fn render(&self, about: AboutChange, mail: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about(&about.account, 0, mail).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&self.0.sample(0))?))
    }
}

struct RecoveryCodeUsed(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/second_factor/templates/recovery-code-used.body.txt", blocks = ["subject"])]
struct RecoveryCodeUsedText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/second_factor/templates/recovery-code-used.body.html")]
struct RecoveryCodeUsedHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl RecoveryCodeUsed {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = RecoveryCodeUsedText { layout, about };
        layout.render(&text.as_subject(), &text, &RecoveryCodeUsedHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for RecoveryCodeUsed {
    const NAME: &'static str = "recovery-code-used";
    type About = AboutCode;

    async fn render(&self, about: AboutCode, mail: &Mail) -> Result<Email, RenderError> {
        let left = about.left.parse().map_err(|_| RenderError::Failed("no number of codes".into()))?;
        self.write(&self.0.about(&about.account, left, mail).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        let (some, last) = (self.write(&self.0.sample(7))?, self.write(&self.0.sample(0))?);
        Ok(vec![Sample::new("codes are left", some), Sample::new("the last code", last)])
    }
}
