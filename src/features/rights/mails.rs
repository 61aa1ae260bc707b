//! The emails about rights.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use url::Url;

use super::model::{self, RightKind, RightsChange, RightsRequest};
use crate::base::Base;
use crate::features::accounts::Account;
use crate::kernel::{Reach, Right, Scope, StudentField, Timestamp};
use crate::platform::mail::{Email, EmailKind, EmailLayout, Mail, RenderError, Sample, Template};
use crate::platform::store::Store;

/// What an email about a decision is about.
#[derive(Serialize, Deserialize)]
pub struct AboutRequest {
    /// Id of the leader's account. Earlier emails don't have it.
    #[serde(default)]
    account: String,
    request: String,
}

/// What an email about a change of all rights is about.
#[derive(Serialize, Deserialize)]
pub struct AboutChange {
    /// Id of the leader's account. Earlier emails don't have it.
    #[serde(default)]
    account: String,
    change: String,
}

/// To a leader who got a right.
pub(super) fn granted(request: &RightsRequest, leader: &Account, now: Timestamp) -> Mail {
    about_request::<RightGranted>(request, leader, now)
}

/// To a leader who did not get a right.
pub(super) fn declined(request: &RightsRequest, leader: &Account, now: Timestamp) -> Mail {
    about_request::<RightDeclined>(request, leader, now)
}

fn about_request<K: EmailKind<About = AboutRequest>>(
    request: &RightsRequest,
    leader: &Account,
    now: Timestamp,
) -> Mail {
    let about = AboutRequest { account: leader.id.clone(), request: request.id.clone() };
    Mail::of::<K>(&request.id, &leader.email, &about, now)
}

/// To a leader whose rights an administrator has set.
pub(super) fn set(change: &RightsChange, leader: &Account) -> Mail {
    let about = AboutChange { account: leader.id.clone(), change: change.id.clone() };
    Mail::of::<RightsSet>(&change.id, &leader.email, &about, change.changed_at)
}

/// The emails that this feature renders.
pub fn templates(base: &Base) -> Vec<Arc<dyn Template>> {
    let parts = Arc::new(EmailParts {
        store: base.store.clone(),
        layout: base.email_layout.clone(),
        pages: base.pages_url.clone(),
    });
    vec![
        Arc::new(RightGranted(parts.clone())),
        Arc::new(RightDeclined(parts.clone())),
        Arc::new(RightsSet(parts)),
    ]
}

/// What the emails are rendered from.
struct EmailParts {
    store: Store,
    layout: EmailLayout,
    pages: Url,
}

/// A right in words.
struct RightInWords {
    /// Word for its kind, such as `Scope`.
    kind: &'static str,
    name: String,
    description: String,
}

impl From<&Right> for RightInWords {
    fn from(right: &Right) -> Self {
        let kind = match RightKind::of(right) {
            RightKind::Scope => "Scope",
            RightKind::StudentField => "Student field",
            RightKind::Reach => "Reach",
        };
        Self { kind, name: right.to_string(), description: model::description(right) }
    }
}

/// What the templates about a request need.
struct About {
    name: String,
    right: RightInWords,
    reason: String,
    link: Url,
}

/// What the templates about a change need.
struct Change {
    name: String,
    added: Vec<RightInWords>,
    removed: Vec<RightInWords>,
    reason: String,
    link: Url,
}

impl EmailParts {
    async fn about(&self, about: &AboutRequest) -> Result<About, RenderError> {
        let request: Option<RightsRequest> = self.store.get(&about.request).await?;
        let request = request.ok_or(RenderError::Obsolete("no request"))?;
        let decision = request.decision.ok_or(RenderError::Obsolete("no decision"))?;
        let (name, right) = (self.greeting(&request.account).await?, RightInWords::from(&request.right));
        Ok(About { name, right, reason: decision.reason, link: self.pages.clone() })
    }

    async fn change(&self, about: &AboutChange) -> Result<Change, RenderError> {
        let change: Option<RightsChange> = self.store.get(&about.change).await?;
        let change = change.ok_or(RenderError::Obsolete("no change"))?;
        let in_words = |rights: &BTreeSet<Right>| rights.iter().map(Into::into).collect();
        Ok(Change {
            name: self.greeting(&change.account).await?,
            added: in_words(&change.added),
            removed: in_words(&change.removed),
            reason: change.reason,
            link: self.pages.clone(),
        })
    }

    fn sample(&self, reason: &str) -> About {
        let right = RightInWords::from(&Right::Scope(Scope::AccountsRead));
        let (name, reason) = (Sample::FIRST_NAME.into(), reason.into());
        About { name, right, reason, link: self.pages.clone() }
    }

    fn sample_change(&self) -> Change {
        let group = Right::Reach(Reach::Group(Sample::GROUP.into()));
        let added = [Right::Scope(Scope::AccountsRead), Right::StudentField(StudentField::LegalName), group];
        Change {
            name: Sample::FIRST_NAME.into(),
            added: added.iter().map(Into::into).collect(),
            removed: vec![RightInWords::from(&Right::Scope(Scope::EmailSend))],
            reason: "You lead the group Alpha this year.".into(),
            link: self.pages.clone(),
        }
    }

    async fn greeting(&self, account: &str) -> Result<String, RenderError> {
        let account: Account = self.store.get(account).await?.ok_or(RenderError::Obsolete("no account"))?;
        Ok(account.greeting().to_owned())
    }
}

struct RightGranted(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/rights/templates/right-granted.body.txt", blocks = ["subject"])]
struct RightGrantedText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/rights/templates/right-granted.body.html")]
struct RightGrantedHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl RightGranted {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = RightGrantedText { layout, about };
        layout.render(&text.as_subject(), &text, &RightGrantedHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for RightGranted {
    const NAME: &'static str = "right-granted";
    type About = AboutRequest;

    async fn render(&self, about: AboutRequest, _: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about(&about).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&self.0.sample("You help at the registration desk."))?))
    }
}

struct RightDeclined(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/rights/templates/right-declined.body.txt", blocks = ["subject"])]
struct RightDeclinedText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/rights/templates/right-declined.body.html")]
struct RightDeclinedHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl RightDeclined {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = RightDeclinedText { layout, about };
        layout.render(&text.as_subject(), &text, &RightDeclinedHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for RightDeclined {
    const NAME: &'static str = "right-declined";
    type About = AboutRequest;

    async fn render(&self, about: AboutRequest, _: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about(&about).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&self.0.sample("Your tasks don't need it."))?))
    }
}

struct RightsSet(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/rights/templates/rights-set.body.txt", blocks = ["subject"])]
struct RightsSetText<'a> {
    layout: &'a EmailLayout,
    change: &'a Change,
}

#[derive(askama::Template)]
#[template(path = "features/rights/templates/rights-set.body.html")]
struct RightsSetHtml<'a> {
    layout: &'a EmailLayout,
    change: &'a Change,
}

impl RightsSet {
    fn write(&self, change: &Change) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = RightsSetText { layout, change };
        layout.render(&text.as_subject(), &text, &RightsSetHtml { layout, change })
    }
}

#[async_trait]
impl EmailKind for RightsSet {
    const NAME: &'static str = "rights-set";
    type About = AboutChange;

    async fn render(&self, about: AboutChange, _: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.change(&about).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&self.0.sample_change())?))
    }
}
