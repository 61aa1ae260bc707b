//! The emails of lost items.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::model::LostItem;
use crate::base::Base;
use crate::features::accounts::Account;
use crate::platform::mail::{Email, EmailKind, EmailLayout, Mail, RenderError, Sample};
use crate::platform::store::Store;

/// What the confirmation of a report is about.
#[derive(Serialize, Deserialize)]
pub struct AboutItem {
    pub account: String,
    pub item: String,
}

/// The confirmation of a report: `lost-item-reported:<item>`.
pub struct LostItemReported {
    store: Store,
    layout: EmailLayout,
}

#[derive(askama::Template)]
#[template(path = "features/lost_items/templates/reported.body.txt", blocks = ["subject"])]
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

    fn write(&self, name: &str, description: &str) -> Result<Email, RenderError> {
        let layout = &self.layout;
        let (text, html) = (Text { layout, name, description }, Html { layout, name, description });
        layout.render(&text.as_subject(), &text, &html)
    }
}

#[async_trait]
impl EmailKind for LostItemReported {
    const NAME: &'static str = "lost-item-reported";
    type About = AboutItem;

    async fn render(&self, about: AboutItem, _: &Mail) -> Result<Email, RenderError> {
        let item: LostItem = self.store.get(&about.item).await?.ok_or(RenderError::Obsolete("no report"))?;
        let account: Account =
            self.store.get(&about.account).await?.ok_or(RenderError::Obsolete("no account"))?;
        self.write(account.greeting(), &item.description)
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(Sample::FIRST_NAME, "A blue umbrella")?))
    }
}
