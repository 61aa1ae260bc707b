//! `getEvent`.

use std::sync::Arc;

use poem_openapi::param::Header;
use poem_openapi::{Enum, Object, OpenApi, Tags};

use crate::base::Base;
use crate::config::{Event, GroupConfig, OTHER_PRONOUNS, Product, Window};
use crate::features::payments::MoneyBody;
use crate::http::rights::Anybody;
use crate::http::{By, Prepared, PreparedAnswer};
use crate::kernel::{Clock, Timestamp};

#[derive(Tags)]
enum Tag {
    /// Public data of the event.
    Event,
}

/// State of the registration period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "camelCase")]
pub enum WindowState {
    /// Not open yet.
    Upcoming,
    /// Open now.
    Open,
    /// Closed.
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
    /// Opening time, inclusive: RFC 3339, UTC.
    pub opens: String,
    /// Closing time, exclusive: RFC 3339, UTC.
    pub closes: String,
    /// Whether `state` is `open`.
    pub open: bool,
    /// Whether registration is upcoming, open or closed.
    pub state: WindowState,
}

/// An orientation group.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Group")]
pub struct GroupBody {
    /// Name.
    pub name: String,
    /// Symbol, such as a Greek letter.
    pub symbol: String,
}

impl From<&GroupConfig> for GroupBody {
    fn from(group: &GroupConfig) -> Self {
        Self { name: group.name.clone(), symbol: group.symbol.clone() }
    }
}

/// A product.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Product")]
pub struct ProductBody {
    /// Stable identifier for programs. Paying for `orientation` completes the registration.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Price of one.
    pub price: MoneyBody,
}

impl From<&Product> for ProductBody {
    fn from(product: &Product) -> Self {
        Self { id: product.id.clone(), name: product.name.clone(), price: product.price.into() }
    }
}

/// Public data of the event. Lists are in display order.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Event", rename_all = "camelCase")]
pub struct EventBody {
    /// Name, such as `Orientation Week 2027`.
    pub name: String,
    /// The organising faculty.
    pub faculty: String,
    /// Time zone in which to display times: a name of the IANA time zone database.
    pub time_zone: String,
    /// Email address for help.
    pub contact: String,
    /// When students can register.
    pub registration: RegistrationWindow,
    /// Options of `discipline` in the registration form.
    pub disciplines: Vec<String>,
    /// Options of `pronouns`. `Other` requires `pronounsOther`.
    pub pronouns: Vec<String>,
    /// Options of `shirtSize`.
    pub shirt_sizes: Vec<String>,
    /// Options of `dietary`.
    pub dietary: Vec<String>,
    /// Options of `movingMonth`.
    pub moving_months: Vec<String>,
    /// Orientation groups.
    pub groups: Vec<GroupBody>,
    /// Products on sale.
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

/// The operations of this feature.
pub struct EventController {
    window: Window,
    clock: Arc<dyn Clock>,
    upcoming: Prepared<EventBody>,
    open: Prepared<EventBody>,
    closed: Prepared<EventBody>,
}

impl EventController {
    /// The operations about the event of `base`.
    pub fn new(base: &Base) -> Self {
        let (event, clock) = (&*base.event, base.clock.clone());
        Self {
            window: event.registration,
            clock,
            upcoming: Prepared::new(&EventBody::new(event, WindowState::Upcoming)),
            open: Prepared::new(&EventBody::new(event, WindowState::Open)),
            closed: Prepared::new(&EventBody::new(event, WindowState::Closed)),
        }
    }

    fn prepared(&self) -> &Prepared<EventBody> {
        match WindowState::of(self.window, self.clock.now()) {
            WindowState::Upcoming => &self.upcoming,
            WindowState::Open => &self.open,
            WindowState::Closed => &self.closed,
        }
    }
}

#[OpenApi(tag = "Tag::Event")]
impl EventController {
    /// Get the event
    ///
    /// Its name, the registration period and whether it is open now, the options of the registration form, the groups, and
    /// the products.
    #[oai(path = "/v1/event", method = "get", operation_id = "getEvent")]
    async fn get_event(
        &self,
        _anybody: By<Anybody>,
        /// Entity tags of earlier responses. If the current one is among them, the response is 304.
        #[oai(name = "If-None-Match", validator(max_length = 1024))]
        if_none_match: Header<Option<String>>,
    ) -> PreparedAnswer<EventBody> {
        self.prepared().answer(if_none_match.0.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use poem::http::StatusCode;
    use poem::test::TestClient;
    use poem_openapi::OpenApiService;
    use poem_openapi::types::ToJSON;

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
        let body = EventBody::new(&Event::shipped(), WindowState::Open).to_json().unwrap();
        assert_eq!(body["timeZone"], "America/Toronto");
        assert_eq!(body["pronouns"].as_array().unwrap().last().unwrap(), OTHER_PRONOUNS);
        assert_eq!(body["groups"][0], serde_json::json!({ "name": "Alpha", "symbol": "α" }));
        assert_eq!(body["products"][0]["price"], serde_json::json!({ "amount": 13000, "currency": "CAD" }));
    }
}
