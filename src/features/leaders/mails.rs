//! The emails about approval.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use url::Url;

use super::model::ApprovalDecision;
use crate::base::Base;
use crate::features::accounts::Account;
use crate::platform::mail::{Email, EmailKind, EmailLayout, Mail, RenderError, Sample, Template};
use crate::platform::store::Store;

/// What an email about a decision is about.
#[derive(Serialize, Deserialize)]
pub struct AboutDecision {
    /// Id of the leader's account. Earlier emails don't have it.
    #[serde(default)]
    account: String,
    decision: String,
}

/// To a leader who was approved.
pub(super) fn approved(decision: &ApprovalDecision, leader: &Account) -> Mail {
    about::<LeaderApproved>(decision, leader)
}

/// To a leader who was rejected.
pub(super) fn rejected(decision: &ApprovalDecision, leader: &Account) -> Mail {
    about::<LeaderRejected>(decision, leader)
}

/// To a leader whose approval was withdrawn.
pub(super) fn withdrawn(decision: &ApprovalDecision, leader: &Account) -> Mail {
    about::<ApprovalWithdrawn>(decision, leader)
}

fn about<K: EmailKind<About = AboutDecision>>(decision: &ApprovalDecision, leader: &Account) -> Mail {
    let about = AboutDecision { account: leader.id.clone(), decision: decision.id.clone() };
    Mail::of::<K>(&decision.id, &leader.email, &about, decision.decided_at)
}

/// The emails that this feature renders.
pub fn templates(base: &Base) -> Vec<Arc<dyn Template>> {
    let parts = Arc::new(EmailParts {
        store: base.store.clone(),
        layout: base.email_layout.clone(),
        pages: base.pages_url.clone(),
    });
    vec![
        Arc::new(LeaderApproved(parts.clone())),
        Arc::new(LeaderRejected(parts.clone())),
        Arc::new(ApprovalWithdrawn(parts)),
    ]
}

/// What the emails are rendered from.
struct EmailParts {
    store: Store,
    layout: EmailLayout,
    pages: Url,
}

/// What the templates need.
struct About {
    name: String,
    reason: Option<String>,
    link: Url,
}

impl EmailParts {
    /// Obsolete if another decision has followed.
    async fn about(&self, about: &AboutDecision) -> Result<About, RenderError> {
        let decision: Option<ApprovalDecision> = self.store.get(&about.decision).await?;
        let decision = decision.ok_or(RenderError::Obsolete("no decision"))?;
        let leader: Option<Account> = self.store.get(&decision.account).await?;
        let leader = leader.ok_or(RenderError::Obsolete("no account"))?;
        if leader.approval != decision.approval {
            return Err(RenderError::Obsolete("another decision has followed"));
        }
        let (name, link) = (leader.greeting().to_owned(), self.pages.clone());
        Ok(About { name, reason: decision.reason, link })
    }

    fn sample(&self, reason: Option<&str>) -> About {
        let (name, reason) = (Sample::FIRST_NAME.into(), reason.map(str::to_owned));
        About { name, reason, link: self.pages.clone() }
    }
}

struct LeaderApproved(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/leaders/templates/leader-approved.body.txt", blocks = ["subject"])]
struct LeaderApprovedText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/leaders/templates/leader-approved.body.html")]
struct LeaderApprovedHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl LeaderApproved {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = LeaderApprovedText { layout, about };
        layout.render(&text.as_subject(), &text, &LeaderApprovedHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for LeaderApproved {
    const NAME: &'static str = "leader-approved";
    type About = AboutDecision;

    async fn render(&self, about: AboutDecision, _: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about(&about).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&self.0.sample(None))?))
    }
}

struct LeaderRejected(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/leaders/templates/leader-rejected.body.txt", blocks = ["subject"])]
struct LeaderRejectedText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/leaders/templates/leader-rejected.body.html")]
struct LeaderRejectedHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl LeaderRejected {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = LeaderRejectedText { layout, about };
        layout.render(&text.as_subject(), &text, &LeaderRejectedHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for LeaderRejected {
    const NAME: &'static str = "leader-rejected";
    type About = AboutDecision;

    async fn render(&self, about: AboutDecision, _: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about(&about).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        let reason = |reason: Option<&str>| self.write(&self.0.sample(reason));
        Ok(vec![
            Sample::new("with a reason", reason(Some("We have all the leaders that we need this year."))?),
            Sample::new("without a reason", reason(None)?),
        ])
    }
}

struct ApprovalWithdrawn(Arc<EmailParts>);

#[derive(askama::Template)]
#[template(path = "features/leaders/templates/approval-withdrawn.body.txt", blocks = ["subject"])]
struct ApprovalWithdrawnText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/leaders/templates/approval-withdrawn.body.html")]
struct ApprovalWithdrawnHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

impl ApprovalWithdrawn {
    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.0.layout;
        let text = ApprovalWithdrawnText { layout, about };
        layout.render(&text.as_subject(), &text, &ApprovalWithdrawnHtml { layout, about })
    }
}

#[async_trait]
impl EmailKind for ApprovalWithdrawn {
    const NAME: &'static str = "approval-withdrawn";
    type About = AboutDecision;

    async fn render(&self, about: AboutDecision, _: &Mail) -> Result<Email, RenderError> {
        self.write(&self.0.about(&about).await?)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&self.0.sample(None))?))
    }
}
