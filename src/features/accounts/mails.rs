//! The emails of accounts.

use std::sync::Arc;

use async_trait::async_trait;
use chrono_tz::Tz;
use url::Url;

use super::model::{Account, EmailToken, Purpose, SignUp};
use crate::base::Base;
use crate::kernel::{Clock, EmailAddress, Timestamp};
use crate::platform::keys::Sealer;
use crate::platform::mail::{Email, EmailLayout, Mail, RenderError, Template};
use crate::platform::store::Store;

const CONFIRM_ADDRESS: &str = "confirm-address";
const WELCOME: &str = "welcome";
const PASSWORD_RESET: &str = "password-reset";
const PASSWORD_CHANGED: &str = "password-changed";
const EMAIL_CHANGED: &str = "email-changed";
const CONFIRM_EMAIL: &str = "confirm-email";
const SOMEBODY_SIGNED_UP: &str = "somebody-signed-up";

// ---- posting ----

/// To whoever signed up: is this your address?
pub(super) fn confirm_address(token: &EmailToken) -> Mail {
    with_link(CONFIRM_ADDRESS, token)
}

/// To the owner of an address: choose a new password.
pub(super) fn password_reset(token: &EmailToken) -> Mail {
    with_link(PASSWORD_RESET, token)
}

/// To the new address of an account: is it yours?
pub(super) fn confirm_email(token: &EmailToken) -> Mail {
    with_link(CONFIRM_EMAIL, token)
}

/// To the old address of an account, when another is asked for.
pub(super) fn email_changing(account: &Account, token: &EmailToken) -> Mail {
    let about = [("account", account.id.clone()), ("token", token.id.clone())];
    let id = format!("{EMAIL_CHANGED}:{}", token.id);
    Mail::new(id, EMAIL_CHANGED, &account.email, about, token.created_at)
}

/// Once, to a new account.
pub(super) fn welcome(account: &Account, now: Timestamp) -> Mail {
    about_account(WELCOME, account.id.clone(), account, now)
}

/// After each change of the password.
pub(super) fn password_changed(account: &Account, now: Timestamp) -> Mail {
    let once = format!("{}:{}", account.id, account.password_version);
    about_account(PASSWORD_CHANGED, once, account, now)
}

/// To the owner of an account whose address somebody wants to sign up with; once in each hour at most, so that
/// nobody can flood a mailbox.
pub(super) fn somebody_signed_up(owner: &Account, now: Timestamp) -> Mail {
    let hour = now.as_secs().div_euclid(3600);
    about_account(SOMEBODY_SIGNED_UP, format!("{}:{hour}", owner.id), owner, now)
}

fn with_link(template: &'static str, token: &EmailToken) -> Mail {
    let about = [("token", token.id.clone())];
    Mail::new(format!("{template}:{}", token.id), template, &token.email, about, token.created_at)
}

fn about_account(template: &'static str, once: String, account: &Account, now: Timestamp) -> Mail {
    let about = [("account", account.id.clone())];
    Mail::new(format!("{template}:{once}"), template, &account.email, about, now)
}

// ---- rendering ----

/// What the templates of accounts are filled in from.
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
    let template = |name| Arc::new(AccountEmail { name, parts: parts.clone() }) as Arc<dyn Template>;
    let names = [
        CONFIRM_ADDRESS,
        WELCOME,
        PASSWORD_RESET,
        PASSWORD_CHANGED,
        EMAIL_CHANGED,
        CONFIRM_EMAIL,
        SOMEBODY_SIGNED_UP,
    ];
    names.map(template).to_vec()
}

/// One of the emails of accounts.
struct AccountEmail {
    name: &'static str,
    parts: Arc<EmailParts>,
}

/// What an email tells; one that has no link of its own leads to where people sign in.
struct About {
    /// What its reader is called.
    name: String,
    full_name: String,
    /// The address that it is about.
    address: EmailAddress,
    /// When what it is about happened.
    when: String,
    link: Url,
    /// Until when the link is good.
    ends: String,
}

#[async_trait]
impl Template for AccountEmail {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn render(&self, mail: &Mail) -> Result<Email, RenderError> {
        let about = match self.name {
            CONFIRM_ADDRESS | PASSWORD_RESET | CONFIRM_EMAIL => self.parts.about_link(mail).await?,
            EMAIL_CHANGED => self.parts.about_change(mail).await?,
            _ => self.parts.about_account(mail).await?,
        };
        self.fill(&about)
    }
}

impl AccountEmail {
    fn fill(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.parts.layout;
        match self.name {
            CONFIRM_ADDRESS => layout.render(
                &ConfirmAddressSubject { layout },
                &ConfirmAddressText { layout, about },
                &ConfirmAddressHtml { layout, about },
            ),
            WELCOME => layout.render(
                &WelcomeSubject { layout, about },
                &WelcomeText { layout, about },
                &WelcomeHtml { layout, about },
            ),
            PASSWORD_RESET => layout.render(
                &PasswordResetSubject { layout },
                &PasswordResetText { layout, about },
                &PasswordResetHtml { layout, about },
            ),
            PASSWORD_CHANGED => layout.render(
                &PasswordChangedSubject { layout },
                &PasswordChangedText { layout, about },
                &PasswordChangedHtml { layout, about },
            ),
            EMAIL_CHANGED => layout.render(
                &EmailChangedSubject { layout },
                &EmailChangedText { layout, about },
                &EmailChangedHtml { layout, about },
            ),
            CONFIRM_EMAIL => layout.render(
                &ConfirmEmailSubject { layout },
                &ConfirmEmailText { layout, about },
                &ConfirmEmailHtml { layout, about },
            ),
            SOMEBODY_SIGNED_UP => layout.render(
                &SomebodySignedUpSubject { layout },
                &SomebodySignedUpText { layout, about },
                &SomebodySignedUpHtml { layout, about },
            ),
            other => Err(RenderError::Failed(format!("no email `{other}`"))),
        }
    }
}

impl EmailParts {
    /// About a link that can still be used.
    async fn about_link(&self, mail: &Mail) -> Result<About, RenderError> {
        let token = self.token(mail).await?;
        token
            .check(self.clock.now())
            .map_err(|_| RenderError::Obsolete("the link can't be used any more"))?;
        let (account, began) = self.subject(&token).await?;
        let when = if token.purpose == Purpose::ConfirmAccount { began } else { token.created_at };
        let link = token.purpose.link(&self.pages, &self.sealer.seal(token.purpose.seal(), &token.id));
        let ends = self.told(token.expires_at);
        Ok(About { link, ends, ..self.about(&account, token.email, when) })
    }

    /// The account that a link is about, or that its sign-up would become; and when it, or the sign-up, was made.
    async fn subject(&self, token: &EmailToken) -> Result<(Account, Timestamp), RenderError> {
        if let Some(account) = self.store.get::<Account>(&token.subject).await? {
            let made = account.created_at;
            return Ok((account, made));
        }
        let sign_up: Option<SignUp> = self.store.get(&token.subject).await?;
        let sign_up = sign_up.ok_or(RenderError::Obsolete("the sign-up is gone"))?;
        Ok((Account::confirmed(&sign_up, sign_up.created_at), sign_up.created_at))
    }

    /// About a change of address, whatever has become of it.
    async fn about_change(&self, mail: &Mail) -> Result<About, RenderError> {
        let token = self.token(mail).await?;
        Ok(self.about(&self.account(mail).await?, token.email, token.created_at))
    }

    async fn about_account(&self, mail: &Mail) -> Result<About, RenderError> {
        let account = self.account(mail).await?;
        Ok(self.about(&account, account.email.clone(), mail.created_at))
    }

    async fn token(&self, mail: &Mail) -> Result<EmailToken, RenderError> {
        self.store.get(mail.about("token")?).await?.ok_or(RenderError::Obsolete("the link has expired"))
    }

    async fn account(&self, mail: &Mail) -> Result<Account, RenderError> {
        self.store.get(mail.about("account")?).await?.ok_or(RenderError::Obsolete("the account is gone"))
    }

    fn about(&self, account: &Account, address: EmailAddress, when: Timestamp) -> About {
        About {
            name: account.greeting().to_owned(),
            full_name: account.full_name(),
            address,
            when: self.told(when),
            link: self.pages.clone(),
            ends: String::new(),
        }
    }

    /// A time as people at the faculty tell it.
    fn told(&self, time: Timestamp) -> String {
        time.to_utc().with_timezone(&self.time_zone).format("%A %-d %B %Y at %H:%M (%Z)").to_string()
    }
}

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/confirm-address.subject.txt")]
struct ConfirmAddressSubject<'a> {
    layout: &'a EmailLayout,
}

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/confirm-address.body.txt")]
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

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/welcome.subject.txt")]
struct WelcomeSubject<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/welcome.body.txt")]
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

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/password-reset.subject.txt")]
struct PasswordResetSubject<'a> {
    layout: &'a EmailLayout,
}

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/password-reset.body.txt")]
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

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/password-changed.subject.txt")]
struct PasswordChangedSubject<'a> {
    layout: &'a EmailLayout,
}

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/password-changed.body.txt")]
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

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/email-changed.subject.txt")]
struct EmailChangedSubject<'a> {
    layout: &'a EmailLayout,
}

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/email-changed.body.txt")]
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

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/confirm-email.subject.txt")]
struct ConfirmEmailSubject<'a> {
    layout: &'a EmailLayout,
}

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/confirm-email.body.txt")]
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

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/somebody-signed-up.subject.txt")]
struct SomebodySignedUpSubject<'a> {
    layout: &'a EmailLayout,
}

#[derive(askama::Template)]
#[template(path = "features/accounts/templates/somebody-signed-up.body.txt")]
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
