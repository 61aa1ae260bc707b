//! The email of sessions.

use std::sync::Arc;

use async_trait::async_trait;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::base::Base;
use crate::features::accounts::{Account, Session};
use crate::kernel::{Clock, Timestamp};
use crate::platform::mail::{Email, EmailKind, EmailLayout, Mail, RenderError, Sample};
use crate::platform::store::Store;

/// What the email about a new device is about. The session may have ended when the email is sent, so its values are
/// copied.
#[derive(Serialize, Deserialize)]
pub struct AboutDevice {
    account: String,
    device: Option<String>,
    network: Option<String>,
}

/// To a leader who signs in in a browser that is new to the account.
pub fn new_device(account: &Account, session: &Session) -> Mail {
    let about = AboutDevice {
        account: account.id.clone(),
        device: session.device.clone(),
        network: session.network.clone(),
    };
    Mail::of::<NewDevice>(&session.id, &account.email, &about, session.created_at)
}

/// The email about a sign-in on a new device.
pub struct NewDevice {
    store: Store,
    clock: Arc<dyn Clock>,
    layout: EmailLayout,
    time_zone: Tz,
}

impl NewDevice {
    pub fn new(base: &Base) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            layout: base.email_layout.clone(),
            time_zone: base.event.time_zone,
        }
    }

    fn write(&self, about: &About) -> Result<Email, RenderError> {
        let layout = &self.layout;
        let text = NewDeviceText { layout, about };
        layout.render(&text.as_subject(), &text, &NewDeviceHtml { layout, about })
    }

    /// A time in the event's time zone, in words.
    fn in_words(&self, time: Timestamp) -> String {
        time.to_utc().with_timezone(&self.time_zone).format("%A %-d %B %Y at %H:%M (%Z)").to_string()
    }
}

/// Values that the templates show.
struct About {
    name: String,
    device: String,
    network: String,
    when: String,
}

#[derive(askama::Template)]
#[template(path = "features/sessions/templates/new-device.body.txt", blocks = ["subject"])]
struct NewDeviceText<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[derive(askama::Template)]
#[template(path = "features/sessions/templates/new-device.body.html")]
struct NewDeviceHtml<'a> {
    layout: &'a EmailLayout,
    about: &'a About,
}

#[async_trait]
impl EmailKind for NewDevice {
    const NAME: &'static str = "new-device";
    type About = AboutDevice;

    async fn render(&self, about: AboutDevice, mail: &Mail) -> Result<Email, RenderError> {
        let account = self.store.get::<Account>(&about.account).await?;
        let account = account.ok_or(RenderError::Obsolete("the account is gone"))?;
        self.write(&About {
            name: account.greeting().to_owned(),
            device: about.device.unwrap_or_default(),
            network: about.network.unwrap_or_default(),
            when: self.in_words(mail.first_posted_at()),
        })
    }

    fn samples(&self) -> Result<Vec<Sample>, RenderError> {
        Ok(Sample::only(self.write(&About {
            name: Sample::FIRST_NAME.into(),
            device: "Firefox on Windows".into(),
            network: "203.0.113.0/24".into(),
            when: self.in_words(self.clock.now()),
        })?))
    }
}
