//! Operations of registration.

use std::sync::Arc;

use chrono_tz::Tz;
use poem_openapi::payload::Json;
use poem_openapi::types::{Example, MaybeUndefined};
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, Tags};
use serde_json::{Value, json};

use super::form::{Changes, EmergencyContact, Form};
use super::model::{Registration, RegistrationState};
use super::service::{GetRegistrationError, RegisterError, Registrations, UpdateRegistrationError};
use crate::config::{Event, Window};
use crate::features::event::GroupBody;
use crate::features::payments::OrderBody;
use crate::http::rights::Student;
use crate::http::{By, Examples, Failure, JsonBody, Kind, Problem, Refusal, Remark, Rule, not_signed_in};
use crate::kernel::{Invalid, Timestamp};
use crate::platform::signals::TooMany;
use crate::platform::store::StoreError;

#[derive(Tags)]
enum Tag {
    /// The form, the group, and the place in it.
    Registration,
}

/// Whom to call.
#[derive(Clone, Debug, Object)]
#[oai(rename = "EmergencyContact", deny_unknown_fields, example)]
pub struct EmergencyContactBody {
    /// Whom: at most 100 characters.
    name: String,
    /// Who that is to you: at most 100 characters.
    relationship: String,
    /// With its country code; kept in E.164.
    phone: String,
}

impl Example for EmergencyContactBody {
    fn example() -> Self {
        Self { name: "Rui Silva".into(), relationship: "father".into(), phone: "+351 912 345 678".into() }
    }
}

impl From<EmergencyContactBody> for EmergencyContact {
    fn from(body: EmergencyContactBody) -> Self {
        Self { name: body.name, relationship: body.relationship, phone: body.phone }
    }
}

impl From<EmergencyContact> for EmergencyContactBody {
    fn from(contact: EmergencyContact) -> Self {
        Self { name: contact.name, relationship: contact.relationship, phone: contact.phone }
    }
}

/// The registration form. Texts are kept in Unicode NFC without white space at their ends, and lengths are counted so.
/// What `getEvent` lists is to be taken from there.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub struct RegistrationForm {
    /// Full name as in the passport: at most 120 characters.
    legal_name: String,
    /// One of `pronouns` of `getEvent`.
    pronouns: String,
    /// Your own words, with the pronouns `Other` and only then: at most 100 characters.
    pronouns_other: Option<String>,
    /// `YYYY-MM-DD`, from 1920 to 2020.
    birth_date: String,
    /// 5 to 9 letters and digits; case doesn't count.
    student_id: String,
    /// One of `disciplines` of `getEvent`.
    discipline: String,
    /// One of `shirtSizes` of `getEvent`.
    shirt_size: String,
    /// With + and its country code, 6 to 15 digits; kept in E.164.
    phone: String,
    /// Whom to call.
    emergency_contact: EmergencyContactBody,
    /// What first aid should know: at most 4,000 characters, line breaks allowed.
    medical_information: Option<Remark>,
    /// What you take: at most 4,000 characters, line breaks allowed.
    medication: Option<Remark>,
    /// Some of `dietary` of `getEvent`.
    #[oai(default, validator(unique_items))]
    dietary: Vec<String>,
    /// What the list lacks: at most 100 characters.
    dietary_other: Option<String>,
    /// What you need to take part: at most 4,000 characters, line breaks allowed.
    accessibility: Option<Remark>,
    /// Whether we may contact you about it.
    #[oai(default)]
    accessibility_contact: bool,
    /// Whether you take part in the scavenger hunt.
    joins_hunt: bool,
    /// E-mail addresses of friends whom you want in your hunt team.
    #[oai(default, validator(max_items = 20))]
    hunt_teammates: Vec<String>,
    /// Where you live in summer: at most 100 characters.
    summer_city: String,
    /// ISO 3166 alpha-2.
    summer_country: String,
    /// One of `movingMonths` of `getEvent`.
    moving_month: Option<String>,
    /// Whether you may be photographed.
    photo_consent: bool,
    /// Whether you ask for a bursary. The committee decides later; you can pay meanwhile.
    bursary_requested: bool,
}

impl Example for RegistrationForm {
    fn example() -> Self {
        Self {
            legal_name: "Ana Silva".into(),
            pronouns: "she/her".into(),
            pronouns_other: None,
            birth_date: "2008-02-29".into(),
            student_id: "silva042".into(),
            discipline: "Engineering Science".into(),
            shirt_size: "M".into(),
            phone: "+1 416 978 2011".into(),
            emergency_contact: EmergencyContactBody::example(),
            medical_information: Some(Remark::from("Asthma.\nThe inhaler is in my bag.")),
            medication: None,
            dietary: vec!["Vegetarian".into()],
            dietary_other: Some("no mushrooms".into()),
            accessibility: None,
            accessibility_contact: false,
            joins_hunt: true,
            hunt_teammates: vec!["friend@example.org".into()],
            summer_city: "Porto".into(),
            summer_country: "PT".into(),
            moving_month: Some("August".into()),
            photo_consent: true,
            bursary_requested: false,
        }
    }
}

impl From<RegistrationForm> for Form {
    fn from(body: RegistrationForm) -> Self {
        Self {
            legal_name: body.legal_name,
            pronouns: body.pronouns,
            pronouns_other: body.pronouns_other,
            birth_date: body.birth_date,
            student_id: body.student_id,
            discipline: body.discipline,
            shirt_size: body.shirt_size,
            phone: body.phone,
            emergency_contact: body.emergency_contact.into(),
            medical_information: body.medical_information.map(Remark::into_inner),
            medication: body.medication.map(Remark::into_inner),
            dietary: body.dietary,
            dietary_other: body.dietary_other,
            accessibility: body.accessibility.map(Remark::into_inner),
            accessibility_contact: body.accessibility_contact,
            joins_hunt: body.joins_hunt,
            hunt_teammates: body.hunt_teammates,
            summer_city: body.summer_city,
            summer_country: body.summer_country,
            moving_month: body.moving_month,
            photo_consent: body.photo_consent,
            bursary_requested: body.bursary_requested,
        }
    }
}

/// What is to be changed; what isn't sent stays, and null takes away what may be missing. Some properties are fixed after
/// submitting: each of them that is sent is refused by name.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct RegistrationChanges {
    /// With + and its country code, 6 to 15 digits.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    phone: MaybeUndefined<String>,
    /// Whom to call.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    emergency_contact: MaybeUndefined<EmergencyContactBody>,
    /// What first aid should know: at most 4,000 characters, line breaks allowed.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    medical_information: MaybeUndefined<Remark>,
    /// What you take: at most 4,000 characters, line breaks allowed.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    medication: MaybeUndefined<Remark>,
    /// Some of `dietary` of `getEvent`.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(unique_items))]
    dietary: MaybeUndefined<Vec<String>>,
    /// What the list lacks: at most 100 characters.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    dietary_other: MaybeUndefined<String>,
    /// Whether we may contact you about your accessibility needs.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    accessibility_contact: MaybeUndefined<bool>,
    /// Whether you take part in the scavenger hunt.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    joins_hunt: MaybeUndefined<bool>,
    /// E-mail addresses of friends whom you want in your hunt team.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(max_items = 20))]
    hunt_teammates: MaybeUndefined<Vec<String>>,
    /// Where you live in summer: at most 100 characters.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    summer_city: MaybeUndefined<String>,
    /// ISO 3166 alpha-2.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    summer_country: MaybeUndefined<String>,
    /// One of `movingMonths` of `getEvent`.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    moving_month: MaybeUndefined<String>,
    /// Whether you ask for a bursary.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    bursary_requested: MaybeUndefined<bool>,
    /// Fixed after submitting.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    legal_name: MaybeUndefined<String>,
    /// Fixed after submitting.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pronouns: MaybeUndefined<String>,
    /// Fixed after submitting.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pronouns_other: MaybeUndefined<String>,
    /// Fixed after submitting.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    birth_date: MaybeUndefined<String>,
    /// Fixed after submitting.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    student_id: MaybeUndefined<String>,
    /// Fixed after submitting.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    discipline: MaybeUndefined<String>,
    /// Fixed after submitting.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    shirt_size: MaybeUndefined<String>,
    /// Fixed after submitting.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    accessibility: MaybeUndefined<Remark>,
    /// Fixed after submitting.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    photo_consent: MaybeUndefined<bool>,
}

impl Example for RegistrationChanges {
    fn example() -> Self {
        use MaybeUndefined::{Undefined, Value};
        Self {
            phone: Value("+1 416 978 2012".into()),
            emergency_contact: Undefined,
            medical_information: Undefined,
            medication: Undefined,
            dietary: Value(vec!["Vegan".into()]),
            dietary_other: Undefined,
            accessibility_contact: Undefined,
            joins_hunt: Value(false),
            hunt_teammates: Undefined,
            summer_city: Undefined,
            summer_country: Undefined,
            moving_month: Value("September".into()),
            bursary_requested: Undefined,
            legal_name: Undefined,
            pronouns: Undefined,
            pronouns_other: Undefined,
            birth_date: Undefined,
            student_id: Undefined,
            discipline: Undefined,
            shirt_size: Undefined,
            accessibility: Undefined,
            photo_consent: Undefined,
        }
    }
}

/// What is sent for a property that the form needs; `null` is noted by name.
fn needed<T>(name: &'static str, sent: MaybeUndefined<T>, removed: &mut Vec<&'static str>) -> Option<T> {
    if sent.is_null() {
        removed.push(name);
    }
    sent.take()
}

/// What is sent for a property that may be missing; `null` takes it away.
fn optional<T: Default>(sent: MaybeUndefined<T>) -> Option<T> {
    if sent.is_null() { Some(T::default()) } else { sent.take() }
}

fn optional_remark(sent: MaybeUndefined<Remark>) -> Option<String> {
    if sent.is_null() { Some(String::new()) } else { sent.take().map(Remark::into_inner) }
}

impl From<RegistrationChanges> for Changes {
    fn from(body: RegistrationChanges) -> Self {
        let fixed = [
            ("legalName", body.legal_name.is_undefined()),
            ("pronouns", body.pronouns.is_undefined()),
            ("pronounsOther", body.pronouns_other.is_undefined()),
            ("birthDate", body.birth_date.is_undefined()),
            ("studentId", body.student_id.is_undefined()),
            ("discipline", body.discipline.is_undefined()),
            ("shirtSize", body.shirt_size.is_undefined()),
            ("accessibility", body.accessibility.is_undefined()),
            ("photoConsent", body.photo_consent.is_undefined()),
        ];
        let fixed = fixed.into_iter().filter(|(_, absent)| !absent).map(|(name, _)| name).collect();
        let mut removed = vec![];
        let contact = needed("emergencyContact", body.emergency_contact, &mut removed);
        Self {
            phone: needed("phone", body.phone, &mut removed),
            emergency_contact: contact.map(EmergencyContact::from),
            medical_information: optional_remark(body.medical_information),
            medication: optional_remark(body.medication),
            dietary: optional(body.dietary),
            dietary_other: optional(body.dietary_other),
            accessibility_contact: optional(body.accessibility_contact),
            joins_hunt: needed("joinsHunt", body.joins_hunt, &mut removed),
            hunt_teammates: optional(body.hunt_teammates),
            summer_city: needed("summerCity", body.summer_city, &mut removed),
            summer_country: needed("summerCountry", body.summer_country, &mut removed),
            moving_month: optional(body.moving_month),
            bursary_requested: needed("bursaryRequested", body.bursary_requested, &mut removed),
            fixed,
            removed,
        }
    }
}

/// How far a registration has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "RegistrationState", rename_all = "camelCase")]
pub enum RegistrationStateBody {
    /// The form is in, and the place in the group is kept; the ticket isn't paid.
    Submitted,
    /// The ticket is paid.
    Registered,
}

impl From<RegistrationState> for RegistrationStateBody {
    fn from(state: RegistrationState) -> Self {
        match state {
            RegistrationState::Submitted => Self::Submitted,
            RegistrationState::Registered => Self::Registered,
        }
    }
}

/// A student's registration: where it stands, and the form as it is kept.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Registration", rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct RegistrationBody {
    /// How far it has come.
    pub state: RegistrationStateBody,
    /// The orientation group.
    pub group: GroupBody,
    /// When the form was submitted: RFC 3339, UTC.
    pub submitted_at: String,
    /// When the ticket was paid: RFC 3339, UTC.
    pub registered_at: Option<String>,
    /// As it stands in the passport.
    legal_name: String,
    /// As chosen.
    pronouns: String,
    /// With the pronouns `Other`.
    pronouns_other: Option<String>,
    /// `YYYY-MM-DD`.
    birth_date: String,
    /// As it was written.
    student_id: String,
    /// As chosen.
    discipline: String,
    /// As chosen.
    shirt_size: String,
    /// E.164.
    phone: String,
    /// Whom to call; the phone in E.164.
    emergency_contact: EmergencyContactBody,
    /// What first aid should know.
    medical_information: Option<Remark>,
    /// What the student takes.
    medication: Option<Remark>,
    /// As chosen.
    dietary: Vec<String>,
    /// What the list lacks.
    dietary_other: Option<String>,
    /// What the student needs to take part.
    accessibility: Option<Remark>,
    /// Whether we may contact the student about it.
    accessibility_contact: bool,
    /// Whether the student takes part in the scavenger hunt.
    joins_hunt: bool,
    /// E-mail addresses of friends.
    hunt_teammates: Vec<String>,
    /// Where the student lives in summer.
    summer_city: String,
    /// ISO 3166 alpha-2.
    summer_country: String,
    /// As chosen.
    moving_month: Option<String>,
    /// Whether the student may be photographed.
    photo_consent: bool,
    /// Whether the student asks for a bursary.
    bursary_requested: bool,
}

impl RegistrationBody {
    /// `event` has the symbol of the group.
    pub fn new(registration: Registration, event: &Event) -> Self {
        let symbol = event.group(&registration.group).map(|group| group.symbol.clone());
        let form = registration.form;
        Self {
            state: registration.state.into(),
            group: GroupBody { name: registration.group, symbol: symbol.unwrap_or_default() },
            submitted_at: registration.submitted_at.rfc3339(),
            registered_at: registration.registered_at.map(Timestamp::rfc3339),
            legal_name: form.legal_name,
            pronouns: form.pronouns,
            pronouns_other: form.pronouns_other,
            birth_date: form.birth_date,
            student_id: form.student_id,
            discipline: form.discipline,
            shirt_size: form.shirt_size,
            phone: form.phone,
            emergency_contact: form.emergency_contact.into(),
            medical_information: form.medical_information.as_deref().map(Remark::from),
            medication: form.medication.as_deref().map(Remark::from),
            dietary: form.dietary,
            dietary_other: form.dietary_other,
            accessibility: form.accessibility.as_deref().map(Remark::from),
            accessibility_contact: form.accessibility_contact,
            joins_hunt: form.joins_hunt,
            hunt_teammates: form.hunt_teammates,
            summer_city: form.summer_city,
            summer_country: form.summer_country,
            moving_month: form.moving_month,
            photo_consent: form.photo_consent,
            bursary_requested: form.bursary_requested,
        }
    }
}

/// A form that was taken, and the order that came of it.
#[derive(Clone, Debug, Object)]
pub struct Registered {
    /// The registration with its group.
    registration: RegistrationBody,
    /// The order of the orientation ticket, with `checkoutUrl` to pay it; where that is absent `openCheckout` gets it.
    order: OrderBody,
}

/// What `register` answers.
#[derive(ApiResponse)]
pub enum RegisterAnswer {
    /// The form was taken.
    #[oai(status = 201)]
    Created(Json<Registered>),
}

const CLOSED: Kind = Kind::new(409, "registration-closed", "Registration is closed");
const ALREADY_REGISTERED: Kind = Kind::new(409, "already-registered", "Already registered");
const STUDENT_ID_TAKEN: Kind = Kind::new(409, "student-id-taken", "Student id already in use");
const NO_REGISTRATION: Kind = Kind::new(404, "no-registration", "No registration");

impl Refusal for RegisterError {
    fn examples() -> Examples<Self> {
        let closed = Self::Closed(example_window(), Tz::America__Toronto);
        Examples::of([closed, Self::AlreadyRegistered, Self::StudentIdTaken, Self::NoAccount])
            .and::<Invalid>()
            .and::<TooMany>()
            .and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Closed(window, zone) => closed(window, zone),
            Self::AlreadyRegistered => ALREADY_REGISTERED
                .says("`getRegistration` shows your registration, and `updateRegistration` changes it."),
            Self::StudentIdTaken => STUDENT_ID_TAKEN.says(
                "Another registration has this student id. Compare it with your card. If it is right, write to the \
                 committee.",
            ),
            Self::NoAccount => not_signed_in(),
            Self::Invalid(error) => error.problem(),
            Self::TooMany(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for GetRegistrationError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_registration(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for UpdateRegistrationError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<Invalid>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_registration(),
            Self::Invalid(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

fn no_registration() -> Problem {
    NO_REGISTRATION.says("You have not submitted the registration form. `register` submits it.")
}

fn closed(window: Window, zone: Tz) -> Problem {
    let local = |time: Timestamp| {
        format!("{} ({})", time.to_utc().with_timezone(&zone).format("%-d %B %Y, %H:%M"), zone.name())
    };
    CLOSED.says(format!(
        "Students can register from {} until {}. If you can't register then, write to the committee.",
        local(window.opens),
        local(window.closes)
    ))
}

/// 1 June to 1 September 2027 in Toronto.
fn example_window() -> Window {
    let at = Timestamp::from_millis;
    Window { opens: at(1_811_822_400_000), closes: at(1_819_771_200_000) }
}

/// The operations of this feature.
pub struct RegistrationController {
    registrations: Arc<Registrations>,
}

impl RegistrationController {
    pub fn new(registrations: Arc<Registrations>) -> Self {
        Self { registrations }
    }

    fn body(&self, registration: Registration) -> RegistrationBody {
        RegistrationBody::new(registration, self.registrations.event())
    }
}

#[OpenApi(tag = "Tag::Registration")]
impl RegistrationController {
    /// Submits the registration form
    ///
    /// Puts the student into a group and orders the orientation ticket; follow `checkoutUrl` of the order to pay it. The
    /// student is registered once it is paid.
    #[oai(path = "/v1/registration", method = "post", operation_id = "register")]
    async fn register(
        &self,
        student: By<Student>,
        form: JsonBody<RegistrationForm>,
    ) -> Result<RegisterAnswer, Failure<RegisterError>> {
        let (registration, order) = self.registrations.register(&student.0.account_id, form.0.into()).await?;
        let order = OrderBody::from(&order);
        Ok(RegisterAnswer::Created(Json(Registered { registration: self.body(registration), order })))
    }

    /// Shows your registration
    ///
    /// Its state, your group, and the form as it is kept.
    #[oai(path = "/v1/registration", method = "get", operation_id = "getRegistration")]
    async fn get_registration(
        &self,
        student: By<Student>,
    ) -> Result<Json<RegistrationBody>, Failure<GetRegistrationError>> {
        Ok(Json(self.body(self.registrations.registration(&student.0.account_id).await?)))
    }

    /// Changes your registration
    ///
    /// What isn't sent stays. Fixed after submitting are `legalName`, `pronouns`, `pronounsOther`, `birthDate`,
    /// `studentId`, `discipline`, `shirtSize`, `accessibility` and `photoConsent`: each that is sent is refused by name.
    #[oai(path = "/v1/registration", method = "patch", operation_id = "updateRegistration")]
    async fn update_registration(
        &self,
        student: By<Student>,
        changes: JsonBody<RegistrationChanges>,
    ) -> Result<Json<RegistrationBody>, Failure<UpdateRegistrationError>> {
        Ok(Json(self.body(self.registrations.update(&student.0.account_id, changes.0.into()).await?)))
    }
}

/// What the rules say of forms that break their schema.
pub fn rule(event: &Event) -> Rule {
    let event = event.clone();
    let judge = move |body: &Value| {
        let mut form = json!(Form::default());
        fill_in(&mut form, body);
        let form: Option<Form> = serde_json::from_value(form).ok();
        form.and_then(|form| form.checked(&event).err()).unwrap_or_default()
    };
    ("RegistrationForm", Box::new(judge))
}

/// Puts what was written over an empty form.
fn fill_in(form: &mut Value, written: &Value) {
    match (form, written) {
        (Value::Object(form), Value::Object(written)) => {
            for (name, value) in written {
                fill_in(form.entry(name.as_str()).or_insert(Value::Null), value);
            }
        }
        (form, written) => *form = written.clone(),
    }
}

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;
