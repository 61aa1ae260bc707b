//! `getEvent`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::body::Bytes;
use poem::{IntoResponse, Response};
use poem_openapi::param::Header;
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, Tags};
use sha2::{Digest, Sha256};

use crate::base::Base;
use crate::config::{Event, GroupConfig, OTHER_PRONOUNS, Product, Window};
use crate::features::payments::MoneyBody;
use crate::http::By;
use crate::http::rights::Anybody;
use crate::kernel::{Clock, Timestamp};

#[derive(Tags)]
enum Tag {
    /// What everybody may know.
    Event,
}

/// Whether students can register now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "camelCase")]
pub enum WindowState {
    /// Not yet.
    Upcoming,
    /// Now.
    Open,
    /// No longer.
    Closed,
}

impl WindowState {
    fn of(window: Window, now: Timestamp) -> Self {
        match now {
            now if now < window.opens => Self::Upcoming,
            now if now < window.closes => Self::Open,
            _ => Self::Closed,
        }
    }
}

/// When students can register.
#[derive(Clone, Debug, Object)]
pub struct RegistrationWindow {
    /// From then on: RFC 3339, UTC.
    pub opens: String,
    /// Until before then: RFC 3339, UTC.
    pub closes: String,
    /// Whether `state` is `open`.
    pub open: bool,
    /// Where now is.
    pub state: WindowState,
}

/// An orientation group.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Group")]
pub struct GroupBody {
    /// Its name.
    pub name: String,
    /// Its symbol, such as a Greek letter.
    pub symbol: String,
}

impl From<&GroupConfig> for GroupBody {
    fn from(group: &GroupConfig) -> Self {
        Self { name: group.name.clone(), symbol: group.symbol.clone() }
    }
}

/// Something that is sold.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Product")]
pub struct ProductBody {
    /// A word for programs; `orientation` is the ticket that registers.
    pub id: String,
    /// For people.
    pub name: String,
    /// What one costs.
    pub price: MoneyBody,
}

impl From<&Product> for ProductBody {
    fn from(product: &Product) -> Self {
        Self { id: product.id.clone(), name: product.name.clone(), price: product.price.into() }
    }
}

/// What everybody may know about the event. Lists stand in the order in which they are to be shown.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Event", rename_all = "camelCase")]
pub struct EventBody {
    /// Such as `Orientation Week 2027`.
    pub name: String,
    /// Whose event it is.
    pub faculty: String,
    /// In which people read times: a name of the time zone database.
    pub time_zone: String,
    /// Where to write for help.
    pub contact: String,
    /// When students can register.
    pub registration: RegistrationWindow,
    /// What `discipline` of the form may be.
    pub disciplines: Vec<String>,
    /// What `pronouns` of the form may be; `Other` goes with `pronounsOther`.
    pub pronouns: Vec<String>,
    /// What `shirtSize` of the form may be.
    pub shirt_sizes: Vec<String>,
    /// What `dietary` of the form may hold.
    pub dietary: Vec<String>,
    /// What `movingMonth` of the form may be.
    pub moving_months: Vec<String>,
    /// The orientation groups.
    pub groups: Vec<GroupBody>,
    /// What is sold.
    pub products: Vec<ProductBody>,
}

impl EventBody {
    fn new(event: &Event, state: WindowState) -> Self {
        let mut pronouns = event.pronouns.clone();
        pronouns.push(OTHER_PRONOUNS.to_owned());
        Self {
            name: event.name.clone(),
            faculty: event.faculty.clone(),
            time_zone: event.time_zone.name().to_owned(),
            contact: event.contact.to_string(),
            registration: RegistrationWindow {
                opens: event.registration.opens.rfc3339(),
                closes: event.registration.closes.rfc3339(),
                open: state == WindowState::Open,
                state,
            },
            disciplines: event.disciplines.clone(),
            pronouns,
            shirt_sizes: event.shirt_sizes.clone(),
            dietary: event.dietary.clone(),
            moving_months: event.moving_months.clone(),
            groups: event.groups.iter().map(GroupBody::from).collect(),
            products: event.products.iter().map(ProductBody::from).collect(),
        }
    }
}

/// An [`EventBody`] that was written out beforehand.
#[derive(Clone)]
pub struct Prepared {
    bytes: Bytes,
    tag: String,
}

impl Prepared {
    fn new(event: &Event, state: WindowState) -> Self {
        let bytes = Bytes::from(EventBody::new(event, state).to_json_string());
        let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(&bytes)[..16]));
        Self { bytes, tag }
    }

    /// Whether the client has it: `If-None-Match` lists tags, weak or not, or is `*` (RFC 9110, 13.1.2).
    fn is_known(&self, if_none_match: &str) -> bool {
        let mut tags = if_none_match.split(',').map(str::trim);
        tags.any(|tag| tag == "*" || tag.trim_start_matches("W/") == self.tag)
    }
}

impl Payload for Prepared {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema_ref() -> MetaSchemaRef {
        EventBody::schema_ref()
    }

    fn register(registry: &mut Registry) {
        EventBody::register(registry);
    }
}

impl IntoResponse for Prepared {
    fn into_response(self) -> Response {
        Response::builder().content_type(Self::CONTENT_TYPE).body(self.bytes)
    }
}

/// What `getEvent` answers.
#[derive(ApiResponse)]
pub enum EventAnswer {
    /// The event.
    #[oai(status = 200)]
    Event(
        Prepared,
        /// Changes when the answer does.
        #[oai(header = "ETag")]
        String,
        /// To be asked for again each time; with `If-None-Match` that costs next to nothing.
        #[oai(header = "Cache-Control")]
        String,
    ),
    /// It is as `If-None-Match` says.
    #[oai(status = 304)]
    Unchanged(
        /// The same tag.
        #[oai(header = "ETag")]
        String,
    ),
}

/// The operations of this feature.
pub struct EventController {
    window: Window,
    clock: Arc<dyn Clock>,
    upcoming: Prepared,
    open: Prepared,
    closed: Prepared,
}

impl EventController {
    /// The operations about the event of `base`.
    pub fn new(base: &Base) -> Self {
        let (event, clock) = (&*base.event, base.clock.clone());
        Self {
            window: event.registration,
            clock,
            upcoming: Prepared::new(event, WindowState::Upcoming),
            open: Prepared::new(event, WindowState::Open),
            closed: Prepared::new(event, WindowState::Closed),
        }
    }

    fn prepared(&self) -> &Prepared {
        match WindowState::of(self.window, self.clock.now()) {
            WindowState::Upcoming => &self.upcoming,
            WindowState::Open => &self.open,
            WindowState::Closed => &self.closed,
        }
    }
}

#[OpenApi(tag = "Tag::Event")]
impl EventController {
    /// Shows the event
    ///
    /// Its name, when students can register and whether they can now, what the registration form offers, the groups, and
    /// what is sold.
    #[oai(path = "/v1/event", method = "get", operation_id = "getEvent")]
    async fn get_event(
        &self,
        _anybody: By<Anybody>,
        /// `ETag` of an earlier answer.
        #[oai(name = "If-None-Match", validator(max_length = 1024))]
        if_none_match: Header<Option<String>>,
    ) -> EventAnswer {
        let prepared = self.prepared();
        match if_none_match.0 {
            Some(tags) if prepared.is_known(&tags) => EventAnswer::Unchanged(prepared.tag.clone()),
            _ => EventAnswer::Event(prepared.clone(), prepared.tag.clone(), "no-cache".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use poem::http::StatusCode;
    use poem::test::TestClient;
    use poem_openapi::OpenApiService;

    use super::*;

    #[tokio::test]
    async fn the_answer_follows_the_window_and_its_tag_follows_the_answer() {
        let base = Base::for_tests().await;
        let (start, day) = (base.clock.now(), Duration::from_hours(24));
        let registration = Window { opens: start.plus(day), closes: start.plus(2 * day) };
        let base = base.with_event(Event { registration, ..Event::shipped() });
        let controller = EventController::new(&base);
        let client = TestClient::new(OpenApiService::new(controller, "", ""));
        let mut tags = vec![];
        for state in ["upcoming", "open", "closed"] {
            let answer = client.get("/v1/event").send().await;
            answer.assert_status_is_ok();
            let tag = answer.0.headers()["etag"].to_str().unwrap().to_owned();
            let body: serde_json::Value = answer.0.into_body().into_json().await.unwrap();
            assert_eq!(body["registration"]["state"], state);
            assert_eq!(body["registration"]["open"], state == "open");
            let again =
                client.get("/v1/event").header("If-None-Match", format!("\"x\", W/{tag}")).send().await;
            again.assert_status(StatusCode::NOT_MODIFIED);
            tags.push(tag);
            base.clock.advance(day);
        }
        tags.dedup();
        assert_eq!(tags.len(), 3);
    }

    #[test]
    fn everything_that_the_form_offers_is_shown() {
        let body: serde_json::Value =
            serde_json::from_slice(&Prepared::new(&Event::shipped(), WindowState::Open).bytes).unwrap();
        assert_eq!(body["timeZone"], "America/Toronto");
        assert_eq!(body["pronouns"].as_array().unwrap().last().unwrap(), OTHER_PRONOUNS);
        assert_eq!(body["groups"][0], serde_json::json!({ "name": "Alpha", "symbol": "α" }));
        assert_eq!(body["products"][0]["price"], serde_json::json!({ "amount": 13000, "currency": "CAD" }));
    }
}
