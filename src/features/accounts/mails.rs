//! The emails of accounts.

use std::sync::Arc;

use async_trait::async_trait;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use url::Url;

use super::model::{Account, EmailToken, Purpose, SignUp};
use crate::base::Base;
use crate::kernel::{Clock, EmailAddress, Timestamp};
use crate::platform::keys::Sealer;
use crate::platform::mail::{Email, EmailKind, EmailLayout, Mail, RenderError, Sample, Template};
use crate::platform::store::Store;

/// What an email with a link is about.
#[derive(Serialize, Deserialize)]
struct AboutToken {
    /// Id of the account, or of the sign-up that becomes an account with this id. Earlier emails don't have it.
    #[serde(default)]
    account: String,
    token: String,
}

/// What an email about an account is about.
#[derive(Serialize, Deserialize)]
struct AboutAccount {
    account: String,
}

/// What the notice of a change of address is about.
#[derive(Serialize, Deserialize)]
struct AboutChange {
    account: String,
    token: String,
}

// ---- posting ----

/// To the address of a sign-up: a link that confirms it.
pub(super) fn confirm_address(token: &EmailToken) -> Mail {
    with_link::<ConfirmAddress>(token)
}

/// To the owner of an address: a link to choose a new password.
pub(super) fn password_reset(token: &EmailToken) -> Mail {
    with_link::<PasswordReset>(token)
}

/// To the new address of an account: a link that confirms it.
pub(super) fn confirm_email(token: &EmailToken) -> Mail {
    with_link::<ConfirmEmail>(token)
}

/// To the old address of an account, when a change is requested.
pub(super) fn email_changing(account: &Account, token: &EmailToken) -> Mail {
    let about = AboutChange { account: account.id.clone(), token: token.id.clone() };
    Mail::of::<EmailChanged>(&token.id, &account.email, &about, token.created_at)
}

/// Once, to a new account.
pub(super) fn welcome(account: &Account, now: Timestamp) -> Mail {
    about_account::<Welcome>(&account.id, account, now)
}

/// After each change of the password.
pub(super) fn password_changed(account: &Account, now: Timestamp) -> Mail {
    about_account::<PasswordChanged>(&format!("{}:{}", account.id, account.password_version), account, now)
}

/// To the owner of an account whose address is used to sign up again; at most once per hour, so that nobody can flood a
/// mailbox.
pub(super) fn somebody_signed_up(owner: &Account, now: Timestamp) -> Mail {
    let hour = now.as_secs().div_euclid(3600);
    about_account::<SomebodySignedUp>(&format!("{}:{hour}", owner.id), owner, now)
}

fn with_link<K: EmailKind<About = AboutToken>>(token: &EmailToken) -> Mail {
    let about = AboutToken { account: token.subject.clone(), token: token.id.clone() };
    Mail::of::<K>(&token.id, &token.email, &about, token.created_at)
}

fn about_account<K: EmailKind<About = AboutAccount>>(once: &str, account: &Account, now: Timestamp) -> Mail {
    let about = AboutAccount { account: account.id.clone() };
    Mail::of::<K>(once, &account.email, &about, now)
}

/// Id of the token of the link in an email, if it has one.
pub fn link_in(mail: &Mail) -> Option<&str> {
    let with_link = [ConfirmAddress::NAME, PasswordReset::NAME, ConfirmEmail::NAME];
    let token = mail.about.get("token").filter(|_| with_link.contains(&mail.template.as_str()));
    token.map(String::as_str)
}

// ---- rendering ----

/// What the emails of accounts are rendered from.
struct EmailParts {
    store: Store,
    clock: Arc<dyn Clock>,
    sealer: Arc<dyn Sealer>,
    layout: EmailLayout,
    pages: Url,
    time_zone: Tz,
}

impl EmailParts {
    fn new(base: &Base) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            sealer: base.keys.clone(),
            layout: base.email_layout.clone(),
            pages: base.pages_url.clone(),
            time_zone: base.event.time_zone,
        }
    }
}

/// All emails of accounts.
pub fn templates(base: &Base) -> Vec<Arc<dyn Template>> {
    let parts = Arc::new(EmailParts::new(base));
    vec![
        Arc::new(ConfirmAddress(parts.clone())),
        Arc::new(Welcome(parts.clone())),
        Arc::new(PasswordReset(parts.clone())),
        Arc::new(PasswordChanged(parts.clone())),
        Arc::new(EmailChanged(parts.clone())),
        Arc::new(ConfirmEmail(parts.clone())),
        Arc::new(SomebodySignedUp(parts)),
    ]
}

/// Values that the templates show. An email without a specific link has the page on which people sign in.
struct About {
    /// The recipient's preferred name.
    name: String,
    full_name: String,
    /// The address that it is about.
    address: EmailAddress,
    /// When the subject of the email happened.
    when: String,
    link: Url,
    /// When the link expires.
    ends: String,
}

impl EmailParts {
    /// For an email with a link that can still be used.
    async fn about_link(&self, about: &AboutToken) -> Result<About, RenderError> {
        let token = self.token(&about.token).await?;
        token
            .check(self.clock.now())
            .map_err(|_| RenderError::Obsolete("the link can't be used any more"))?;
        let (account, began) = self.subject(&token).await?;
        let when = if token.purpose == Purpose::ConfirmAccount { began } else { token.created_at };
        let link = token.purpose.link(&self.pages, &self.sealer.seal(token.purpose.seal(), &token.id));
        let ends = self.in_words(token.expires_at);
        Ok(About { link, ends, ..self.about(&account, token.email, when) })
    }

    /// The account of a link, or the account that its sign-up would become, and when that was created.
    async fn subject(&self, token: &EmailToken) -> Result<(Account, Timestamp), RenderError> {
        if let Some(account) = self.store.get::<Account>(&token.subject).await? {
            let made = account.created_at;
            return Ok((account, made));
        }
        let sign_up: Option<SignUp> = self.store.get(&token.subject).await?;
        let sign_up = sign_up.ok_or(RenderError::Obsolete("the sign-up is gone"))?;
        Ok((Account::confirmed(&sign_up, sign_up.created_at), sign_up.created_at))
    }

    /// For the notice of a change of address, whatever its outcome.
    async fn about_change(&self, about: &AboutChange) -> Result<About, RenderError> {
        let token = self.token(&about.token).await?;
        Ok(self.about(&self.account(&about.account).await?, token.email, token.created_at))
    }

    async fn about_account(&self, about: &AboutAccount, mail: &Mail) -> Result<About, RenderError> {
        let account = self.account(&about.account).await?;
        Ok(self.about(&account, account.email.clone(), mail.first_posted_at()))
    }

    async fn token(&self, id: &str) -> Result<EmailToken, RenderError> {
        self.store.get(id).await?.ok_or(RenderError::Obsolete("the link has expired"))
    }

    async fn account(&self, id: &str) -> Result<Account, RenderError> {
        self.store.get(id).await?.ok_or(RenderError::Obsolete("the account is gone"))
    }

    fn about(&self, account: &Account, address: EmailAddress, when: Timestamp) -> About {
        About {
            name: account.greeting().to_owned(),
            full_name: account.full_name(),
            address,
            when: self.in_words(when),
            link: self.pages.clone(),
            ends: String::new(),
        }
    }

    fn sample(&self) -> About {
        About {
            name: Sample::FIRST_NAME.into(),
            full_name: Sample::FULL_NAME.into(),
            address: EmailAddress::parse(Sample::ADDRESS).expect("an address"),
            when: self.in_words(self.clock.now()),
            link: self.pages.clone(),
            ends: String::new(),
        }
    }

    /// With a link that opens nothing.
    fn sample_link(&self, purpose: Purpose) -> About {
        let ends = self.in_words(self.clock.now().plus(purpose.lasts()));
        About { link: purpose.link(&self.pages, "sample"), ends, ..self.sample() }
    }

    /// A time in the event's time zone, in words.
    fn in_words(&self, time: Timestamp) -> String {
        time.to_utc().with_timezone(&self.time_zone).format("%A %-d %B %Y at %H:%M (%Z)").to_string()
    }
}

struct ConfirmAddress(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/confirm-address.body.txt", blocks = ["subject"])]
struct ConfirmAddressText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/confirm-address.body.html")]
struct ConfirmAddressHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl ConfirmAddress {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = ConfirmAddressText { layout, about };
        layout.render(&text.as_subject(), &text, &ConfirmAddressHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for ConfirmAddress {
    const NAME: &'static str = "confirm-address";
    type About = AboutToken;

    async fn render(&self, about: AboutToken, _: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about_link(&about).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&self.0.sample_link(Purpose::ConfirmAccount))?))
    }
}

struct PasswordReset(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/password-reset.body.txt", blocks = ["subject"])]
struct PasswordResetText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/password-reset.body.html")]
struct PasswordResetHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl PasswordReset {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = PasswordResetText { layout, about };
        layout.render(&text.as_subject(), &text, &PasswordResetHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for PasswordReset {
    const NAME: &'static str = "password-reset";
    type About = AboutToken;

    async fn render(&self, about: AboutToken, _: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about_link(&about).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&self.0.sample_link(Purpose::ResetPassword))?))
    }
}

struct ConfirmEmail(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/confirm-email.body.txt", blocks = ["subject"])]
struct ConfirmEmailText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/confirm-email.body.html")]
struct ConfirmEmailHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl ConfirmEmail {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = ConfirmEmailText { layout, about };
        layout.render(&text.as_subject(), &text, &ConfirmEmailHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for ConfirmEmail {
    const NAME: &'static str = "confirm-email";
    type About = AboutToken;

    async fn render(&self, about: AboutToken, _: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about_link(&about).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&self.0.sample_link(Purpose::ConfirmEmail))?))
    }
}

struct EmailChanged(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/email-changed.body.txt", blocks = ["subject"])]
struct EmailChangedText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/email-changed.body.html")]
struct EmailChangedHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl EmailChanged {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = EmailChangedText { layout, about };
        layout.render(&text.as_subject(), &text, &EmailChangedHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for EmailChanged {
    const NAME: &'static str = "email-changed";
    type About = AboutChange;

    async fn render(&self, about: AboutChange, _: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about_change(&about).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&self.0.sample())?))
    }
}

struct Welcome(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/welcome.body.txt", blocks = ["subject"])]
struct WelcomeText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/welcome.body.html")]
struct WelcomeHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl Welcome {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = WelcomeText { layout, about };
        layout.render(&text.as_subject(), &text, &WelcomeHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for Welcome {
    const NAME: &'static str = "welcome";
    type About = AboutAccount;

    async fn render(&self, about: AboutAccount, mail: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about_account(&about, mail).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&self.0.sample())?))
    }
}

struct PasswordChanged(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/password-changed.body.txt", blocks = ["subject"])]
struct PasswordChangedText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/password-changed.body.html")]
struct PasswordChangedHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl PasswordChanged {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = PasswordChangedText { layout, about };
        layout.render(&text.as_subject(), &text, &PasswordChangedHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for PasswordChanged {
    const NAME: &'static str = "password-changed";
    type About = AboutAccount;

    async fn render(&self, about: AboutAccount, mail: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about_account(&about, mail).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&self.0.sample())?))
    }
}

struct SomebodySignedUp(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/somebody-signed-up.body.txt", blocks = ["subject"])]
struct SomebodySignedUpText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/somebody-signed-up.body.html")]
struct SomebodySignedUpHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl SomebodySignedUp {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = SomebodySignedUpText { layout, about };
        layout.render(&text.as_subject(), &text, &SomebodySignedUpHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for SomebodySignedUp {
    const NAME: &'static str = "somebody-signed-up";
    type About = AboutAccount;

    async fn render(&self, about: AboutAccount, mail: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about_account(&about, mail).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&self.0.sample())?))
    }
}
