//! Operations on one's own subscription.

use std::sync::Arc;

use poem_openapi::{ApiResponse, OpenApi, Tags};

use super::service::{SubscribeError, Subscriptions};
use crate::http::rights::SignedIn;
use crate::http::{By, Examples, Failure, Problem, Refusal};
use crate::platform::signals::TooMany;
use crate::platform::store::StoreError;

#[derive(Tags)]
enum Tag {
    /// Whether you get announcements and mailings by email.
    Subscriptions,
}

/// Done, without content.
#[derive(ApiResponse)]
pub enum Done {
    /// It is so now, or was so before.
    #[oai(status = 204)]
    Done,
}

impl Refusal for SubscribeError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<TooMany>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::TooMany(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

/// The operations of this feature.
pub struct SubscriptionsController(Arc<Subscriptions>);

impl SubscriptionsController {
    /// The operations over `subscriptions`.
    pub fn new(subscriptions: Arc<Subscriptions>) -> Self {
        Self(subscriptions)
    }
}

#[OpenApi(tag = "Tag::Subscriptions")]
impl SubscriptionsController {
    /// Unsubscribe
    ///
    /// You get no more announcements and mailings by email. Emails about your account, your ticket and your payments still
    /// arrive. An email confirms it; if you have unsubscribed before, nothing changes and no email is sent. The link in each
    /// such email does the same without signing in. `getMe` shows whether you are subscribed.
    #[oai(path = "/v1/me/subscription", method = "delete", operation_id = "unsubscribe")]
    async fn unsubscribe(&self, caller: By<SignedIn>) -> Result<Done, Failure<StoreError>> {
        self.0.unsubscribe(&caller.0.account_id).await?;
        Ok(Done::Done)
    }

    /// Subscribe again
    ///
    /// You get announcements and mailings by email again. At first, everybody does. An account can be subscribed 10 times per
    /// hour.
    #[oai(path = "/v1/me/subscription", method = "put", operation_id = "subscribe")]
    async fn subscribe(&self, caller: By<SignedIn>) -> Result<Done, Failure<SubscribeError>> {
        self.0.subscribe(&caller.0.account_id).await?;
        Ok(Done::Done)
    }
}
