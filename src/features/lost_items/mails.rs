//! The emails of lost items.

use async_trait::async_trait;

use super::model::LostItem;
use crate::base::Base;
use crate::features::accounts::Account;
use crate::platform::mail::{Email, EmailLayout, Mail, RenderError, Template};
use crate::platform::store::Store;

/// The confirmation of a report: `lost-item-reported:<item>`, about `account` and `item`.
pub const LOST_ITEM_REPORTED: &str = "lost-item-reported";

/// Renders the confirmation of a report.
pub struct LostItemReported {
    store: Store,
    layout: EmailLayout,
}

#[derive(askama::Template)]
#[template(path = "features/lost_items/templates/reported.subject.txt")]
struct Subject {}

#[derive(askama::Template)]
#[template(path = "features/lost_items/templates/reported.body.txt")]
struct Text<'a> {
    layout: &'a EmailLayout,
    name: &'a str,
    description: &'a str,
}

#[derive(askama::Template)]
#[template(path = "features/lost_items/templates/reported.body.html")]
struct Html<'a> {
    layout: &'a EmailLayout,
    name: &'a str,
    description: &'a str,
}

impl LostItemReported {
    /// Renders with the layout of `base`.
    pub fn new(base: &Base) -> Self {
        Self { store: base.store.clone(), layout: base.email_layout.clone() }
    }
}

#[async_trait]
impl Template for LostItemReported {
    fn name(&self) -> &'static str {
        LOST_ITEM_REPORTED
    }

    async fn render(&self, mail: &Mail) -> Result<Email, RenderError> {
        let item: LostItem =
            self.store.get(mail.about("item")?).await?.ok_or(RenderError::Obsolete("no report"))?;
        let account: Account =
            self.store.get(mail.about("account")?).await?.ok_or(RenderError::Obsolete("no account"))?;
        let (layout, name, description) = (&self.layout, account.greeting(), item.description.as_str());
        let (text, html) = (Text { layout, name, description }, Html { layout, name, description });
        self.layout.render(&Subject {}, &text, &html)
    }
}
