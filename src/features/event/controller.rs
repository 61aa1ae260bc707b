//! `getEvent`.

use std::sync::Arc;

use poem_openapi::param::Header;
use poem_openapi::{Enum, Object, OpenApi, Tags, Union};

use crate::base::Base;
use crate::config::{Event, GroupConfig, OTHER_PRONOUNS, Product, Window};
use crate::features::payments::MoneyBody;
use crate::http::rights::Anybody;
use crate::http::{By, Prepared, PreparedAnswer};
use crate::kernel::{Class, Clock, Retention, Timestamp};

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

/// Kind of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "camelCase")]
pub enum FormFieldKind {
    /// Text on one line.
    ShortText,
    /// Text with line breaks.
    LongText,
    /// `true` or `false`.
    YesNo,
    /// One of `options`.
    OneOf,
    /// A list of different `options`.
    SeveralOf,
    /// A date, `YYYY-MM-DD`.
    Date,
    /// A whole number.
    Number,
    /// A phone number with + and its country code.
    Phone,
    /// A list of email addresses.
    EmailAddresses,
    /// An object with the properties `fields`.
    Object,
}

/// Kind of personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "camelCase")]
pub enum FormFieldClass {
    /// Who somebody is.
    Identity,
    /// How to reach somebody.
    Contact,
    /// Health, diet and accessibility.
    Health,
    /// What the event has to organise.
    Logistics,
}

impl From<Class> for FormFieldClass {
    /// Classes that no field of the form has count as logistics.
    fn from(class: Class) -> Self {
        match class {
            Class::Identity => Self::Identity,
            Class::Contact => Self::Contact,
            Class::Health => Self::Health,
            Class::Logistics | Class::Payment | Class::Content | Class::Activity | Class::Secret => {
                Self::Logistics
            }
        }
    }
}

/// What happens at the end of the school year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "camelCase")]
pub enum FormFieldRetention {
    /// It is erased.
    Erased,
    /// It is counted, and no longer says whose it was.
    Counted,
}

impl From<Retention> for FormFieldRetention {
    fn from(retention: Retention) -> Self {
        match retention {
            Retention::Counted => Self::Counted,
            Retention::Erased | Retention::Lasting => Self::Erased,
        }
    }
}

/// The answer to a question that another question depends on: `true`, `false` or an option.
#[derive(Clone, Debug, Union)]
pub enum ExpectedAnswer {
    /// Yes or no.
    Flag(bool),
    /// An option. Of several options, it is one of those chosen.
    Option(String),
}

/// When a field is asked for.
#[derive(Clone, Debug, Object)]
pub struct FormFieldCondition {
    /// Name of the other field, which comes earlier.
    pub field: String,
    /// The value of the other field.
    pub answer: ExpectedAnswer,
}

/// A field of the registration form, or a question of the event's own.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct FormField {
    /// Name of the property in `RegistrationForm`. That of a question is `answers.` and the question's id.
    pub name: String,
    /// Label for people.
    pub label: String,
    /// Explanation for people.
    pub help: Option<String>,
    /// Kind of the field.
    pub kind: FormFieldKind,
    /// Whether a form is incomplete without it.
    pub required: bool,
    /// Condition of the field: it is required if this holds, and otherwise not allowed.
    pub required_if: Option<FormFieldCondition>,
    /// Options to choose from.
    pub options: Option<Vec<String>>,
    /// Properties of an object.
    pub fields: Option<Vec<FormField>>,
    /// Maximum number of characters.
    pub max_length: Option<u32>,
    /// Maximum number of entries of a list.
    pub max_items: Option<u32>,
    /// Regular expression that a text must match.
    pub pattern: Option<String>,
    /// Minimum of a number.
    pub min: Option<i64>,
    /// Maximum of a number.
    pub max: Option<i64>,
    /// First possible date.
    pub from: Option<String>,
    /// Last possible date.
    pub until: Option<String>,
    /// Whether it can be changed after submission.
    pub editable: bool,
    /// Kind of personal data.
    pub class: FormFieldClass,
    /// What happens to it at the end of the school year.
    pub retention: FormFieldRetention,
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
    /// The registration form: built-in fields that the event asks for, and the event's own questions.
    pub form: Vec<FormField>,
    /// Orientation groups.
    pub groups: Vec<GroupBody>,
    /// Products on sale.
    pub products: Vec<ProductBody>,
}

impl EventBody {
    fn new(event: &Event, form: &[FormField], state: WindowState) -> Self {
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
            form: form.to_vec(),
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
    /// The operations about the event of `base`, whose registration form has these fields.
    pub fn new(base: &Base, form: &[FormField]) -> Self {
        let (event, clock) = (&*base.event, base.clock.clone());
        let in_state = |state| Prepared::new(&EventBody::new(event, form, state));
        Self {
            window: event.registration,
            clock,
            upcoming: in_state(WindowState::Upcoming),
            open: in_state(WindowState::Open),
            closed: in_state(WindowState::Closed),
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
    /// Its name, the registration period and whether it is open now, the registration form with its options, the groups, and
    /// the products.
    #[oai(path = "/v1/event", method = "get", operation_id = "getEvent")]
    async fn get_event(
        &self,
        _anybody: By<Anybody>,
        /// Entity tags of earlier responses. If the current one is among them, the response is 304.
        #[oai(name = "If-None-Match")]
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
        let controller = EventController::new(&base, &[]);
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
        let body = EventBody::new(&Event::shipped(), &[], WindowState::Open).to_json().unwrap();
        assert_eq!(body["timeZone"], "America/Toronto");
        assert_eq!(body["pronouns"].as_array().unwrap().last().unwrap(), OTHER_PRONOUNS);
        assert_eq!(body["groups"][0], serde_json::json!({ "name": "Alpha", "symbol": "α" }));
        assert_eq!(body["products"][0]["price"], serde_json::json!({ "amount": 13000, "currency": "CAD" }));
    }
}
