//! Operations of registration.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono_tz::Tz;
use poem_openapi::param::Header;
use poem_openapi::payload::Json;
use poem_openapi::types::{Example, MaybeUndefined, ParseFromJSON, ToJSON};
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, Tags};
use serde_json::{Value, json};

use super::answers;
use super::bodies::AnswerBody;
use super::fields::{COUNTRY_CODE, STUDENT_ID};
use super::form::{Changes, EmergencyContact, Form};
use super::model::{Registration, RegistrationState};
use super::service::{
    GetRegistrationError, RegisterError, Registrations, UpdateRegistrationError, WithdrawBursaryRequestError,
};
use crate::config::{Event, Window};
use crate::features::bursary_requests::FollowFormError;
use crate::features::event::GroupBody;
use crate::features::payments::{OrderBody, SoldOut};
use crate::http::rights::Student;
use crate::http::{
    By, DateText, EmailText, Examples, Failure, IdempotencyKey, JsonBody, Kind, PhoneText, Problem, Refusal,
    Remark, Rule, Text, TextFormat, entity_tag, not_signed_in, precondition,
};
use crate::kernel::{FieldError, Invalid, Timestamp};
use crate::platform::idempotency::OnceError;
use crate::platform::signals::TooMany;
use crate::platform::store::{Stale, StoreError};

#[derive(Tags)]
enum Tag {
    /// The registration form, and the group that a student gets.
    Registration,
}

/// The format of a student id.
pub struct StudentIdFormat;

impl TextFormat for StudentIdFormat {
    const NAME: &'static str = "identifier";
    const PATTERN: Option<&'static str> = Some(STUDENT_ID);
}

/// The format of a country code.
pub struct CountryFormat;

impl TextFormat for CountryFormat {
    const NAME: &'static str = "identifier";
    const PATTERN: Option<&'static str> = Some(COUNTRY_CODE);
}

/// Whom to call in an emergency.
#[derive(Clone, Debug, Object)]
#[oai(rename = "EmergencyContact", deny_unknown_fields, example)]
pub struct EmergencyContactBody {
    /// Name: 1 to 100 characters.
    #[oai(validator(min_length = 1, max_length = 100))]
    name: String,
    /// Relationship to the student: 1 to 100 characters.
    #[oai(validator(min_length = 1, max_length = 100))]
    relationship: String,
    /// Phone number with + and its country code. Stored in E.164.
    phone: PhoneText,
}

impl Example for EmergencyContactBody {
    fn example() -> Self {
        Self { name: "Rui Silva".into(), relationship: "father".into(), phone: "+351 912 345 678".into() }
    }
}

impl From<EmergencyContactBody> for EmergencyContact {
    fn from(body: EmergencyContactBody) -> Self {
        Self { name: body.name, relationship: body.relationship, phone: body.phone.into_inner() }
    }
}

impl From<EmergencyContact> for EmergencyContactBody {
    fn from(contact: EmergencyContact) -> Self {
        Self { name: contact.name, relationship: contact.relationship, phone: contact.phone.as_str().into() }
    }
}

/// The registration form. Text is trimmed and normalised to NFC, and length limits apply to the result. `getEvent`
/// describes the fields and questions of the event's form, with their options. Of the properties that are optional here,
/// the event requires some, and some it does not ask for.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none, example)]
pub struct RegistrationForm {
    /// Full name as in the passport: 1 to 120 characters.
    #[oai(validator(min_length = 1, max_length = 120))]
    legal_name: String,
    /// One of the event's `pronouns`, or `Other`.
    #[oai(validator(max_length = 100))]
    pronouns: String,
    /// Pronouns in your own words: at most 100 characters. Required with the pronouns `Other`, otherwise not allowed.
    #[oai(validator(max_length = 100))]
    pronouns_other: Option<String>,
    /// Birth date, `YYYY-MM-DD`, from 1920 to 2020.
    birth_date: DateText,
    /// Student id: 5 to 9 letters and digits. Letter case does not matter.
    student_id: Text<StudentIdFormat>,
    /// One of the event's `disciplines`.
    #[oai(validator(max_length = 100))]
    discipline: String,
    /// One of the event's `shirtSizes`.
    #[oai(validator(max_length = 100))]
    shirt_size: Option<String>,
    /// Phone number with + and its country code. Stored in E.164.
    phone: PhoneText,
    /// Person to call in an emergency.
    emergency_contact: EmergencyContactBody,
    /// What first aid should know: at most 4,000 characters, line breaks allowed.
    #[oai(validator(max_length = 4000))]
    medical_information: Option<Remark>,
    /// Medication that you take: at most 4,000 characters, line breaks allowed.
    #[oai(validator(max_length = 4000))]
    medication: Option<Remark>,
    /// Diets and allergies, from the event's `dietary`.
    #[oai(default, validator(max_items = 200, unique_items))]
    dietary: Vec<String>,
    /// Other diets and allergies: at most 100 characters.
    #[oai(validator(max_length = 100))]
    dietary_other: Option<String>,
    /// What you need to take part: at most 4,000 characters, line breaks allowed.
    #[oai(validator(max_length = 4000))]
    accessibility: Option<Remark>,
    /// Whether the committee may contact you about your accessibility needs.
    #[oai(default)]
    accessibility_contact: bool,
    /// Whether you take part in the scavenger hunt.
    joins_hunt: Option<bool>,
    /// Email addresses of friends whom you want in your hunt team: at most 20.
    #[oai(default, validator(max_items = 20))]
    hunt_teammates: Vec<EmailText>,
    /// City where you live in summer: 1 to 100 characters.
    #[oai(validator(min_length = 1, max_length = 100))]
    summer_city: Option<String>,
    /// Country where you live in summer: its ISO 3166 alpha-2 code, or `XK`, `AC` or `TA`.
    summer_country: Option<Text<CountryFormat>>,
    /// Month in which you move to town: one of the event's `movingMonths`.
    #[oai(validator(max_length = 100))]
    moving_month: Option<String>,
    /// Whether you may be photographed.
    photo_consent: Option<bool>,
    /// Whether you ask for a bursary. The committee decides later, and you can pay meanwhile.
    bursary_requested: Option<bool>,
    /// Answers to the event's own questions, by their id. `getEvent` describes the questions.
    #[oai(default, validator(max_properties = 50))]
    answers: BTreeMap<String, AnswerBody>,
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
            shirt_size: Some("M".into()),
            phone: "+1 416 978 2011".into(),
            emergency_contact: EmergencyContactBody::example(),
            medical_information: Some(Remark::from("Asthma.\nThe inhaler is in my bag.")),
            medication: None,
            dietary: vec!["Vegetarian".into()],
            dietary_other: Some("no mushrooms".into()),
            accessibility: None,
            accessibility_contact: false,
            joins_hunt: Some(true),
            hunt_teammates: vec!["friend@example.org".into()],
            summer_city: Some("Porto".into()),
            summer_country: Some("PT".into()),
            moving_month: Some("August".into()),
            photo_consent: Some(true),
            bursary_requested: Some(false),
            answers: BTreeMap::new(),
        }
    }
}

impl From<RegistrationForm> for Form {
    fn from(body: RegistrationForm) -> Self {
        Self {
            legal_name: body.legal_name,
            pronouns: body.pronouns,
            pronouns_other: body.pronouns_other,
            birth_date: body.birth_date.into_inner(),
            student_id: body.student_id.into_inner(),
            discipline: body.discipline,
            shirt_size: body.shirt_size,
            phone: body.phone.into_inner(),
            emergency_contact: body.emergency_contact.into(),
            medical_information: body.medical_information.map(Remark::into_inner),
            medication: body.medication.map(Remark::into_inner),
            dietary: body.dietary,
            dietary_other: body.dietary_other,
            accessibility: body.accessibility.map(Remark::into_inner),
            accessibility_contact: body.accessibility_contact,
            joins_hunt: body.joins_hunt,
            hunt_teammates: body.hunt_teammates.into_iter().map(EmailText::into_inner).collect(),
            summer_city: body.summer_city,
            summer_country: body.summer_country.map(Text::into_inner),
            moving_month: body.moving_month,
            photo_consent: body.photo_consent,
            bursary_requested: body.bursary_requested,
            answers: body.answers.into_iter().map(|(id, answer)| (id, answer.0)).collect(),
        }
    }
}

/// Changes of the registration form. Omitted properties keep their value, and `null` clears an optional one. Properties
/// that are fixed after submission are rejected individually.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct RegistrationChanges {
    /// Phone number with + and its country code. Stored in E.164.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    phone: MaybeUndefined<PhoneText>,
    /// Person to call in an emergency.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    emergency_contact: MaybeUndefined<EmergencyContactBody>,
    /// What first aid should know: at most 4,000 characters, line breaks allowed.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(max_length = 4000))]
    medical_information: MaybeUndefined<Remark>,
    /// Medication that you take: at most 4,000 characters, line breaks allowed.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(max_length = 4000))]
    medication: MaybeUndefined<Remark>,
    /// Diets and allergies, from the event's `dietary`.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(max_items = 200, unique_items))]
    dietary: MaybeUndefined<Vec<String>>,
    /// Other diets and allergies: at most 100 characters.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(max_length = 100))]
    dietary_other: MaybeUndefined<String>,
    /// Whether the committee may contact you about your accessibility needs.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    accessibility_contact: MaybeUndefined<bool>,
    /// Whether you take part in the scavenger hunt.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    joins_hunt: MaybeUndefined<bool>,
    /// Email addresses of friends whom you want in your hunt team: at most 20.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(max_items = 20))]
    hunt_teammates: MaybeUndefined<Vec<EmailText>>,
    /// City where you live in summer: 1 to 100 characters.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(min_length = 1, max_length = 100))]
    summer_city: MaybeUndefined<String>,
    /// Country where you live in summer: its ISO 3166 alpha-2 code, or `XK`, `AC` or `TA`.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    summer_country: MaybeUndefined<Text<CountryFormat>>,
    /// Month in which you move to town: one of the event's `movingMonths`.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(max_length = 100))]
    moving_month: MaybeUndefined<String>,
    /// Whether you ask for a bursary.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    bursary_requested: MaybeUndefined<bool>,
    /// Answers to the event's own questions, by their id. Omitted answers stay, and `null` clears an optional one. An
    /// answer that is omitted and whose question no longer applies is removed.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(max_properties = 50))]
    answers: MaybeUndefined<BTreeMap<String, Option<AnswerBody>>>,
    /// Fixed after submission.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    legal_name: MaybeUndefined<String>,
    /// Fixed after submission.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pronouns: MaybeUndefined<String>,
    /// Fixed after submission.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pronouns_other: MaybeUndefined<String>,
    /// Fixed after submission.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    birth_date: MaybeUndefined<String>,
    /// Fixed after submission.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    student_id: MaybeUndefined<String>,
    /// Fixed after submission.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    discipline: MaybeUndefined<String>,
    /// Fixed after submission.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    shirt_size: MaybeUndefined<String>,
    /// Fixed after submission.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    accessibility: MaybeUndefined<Remark>,
    /// Fixed after submission.
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
            answers: Undefined,
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

/// `None` leaves a value as it is, `Some(None)` removes it.
pub fn change<T>(sent: MaybeUndefined<T>) -> Option<Option<T>> {
    match sent {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}

impl From<RegistrationChanges> for Changes {
    fn from(body: RegistrationChanges) -> Self {
        let sent = body.to_json().unwrap_or_default();
        let remark = |sent| change(sent).map(|remark| remark.map(Remark::into_inner));
        let addresses = |list: Vec<EmailText>| list.into_iter().map(EmailText::into_inner).collect();
        let answers = |sent: BTreeMap<String, Option<AnswerBody>>| {
            sent.into_iter().map(|(id, answer)| (id, answer.map(|answer| answer.0))).collect()
        };
        Self {
            phone: body.phone.take().map(PhoneText::into_inner),
            emergency_contact: body.emergency_contact.take().map(EmergencyContact::from),
            medical_information: remark(body.medical_information),
            medication: remark(body.medication),
            dietary: change(body.dietary).map(Option::unwrap_or_default),
            dietary_other: change(body.dietary_other),
            accessibility_contact: change(body.accessibility_contact).map(Option::unwrap_or_default),
            joins_hunt: change(body.joins_hunt),
            hunt_teammates: change(body.hunt_teammates).map(Option::unwrap_or_default).map(addresses),
            summer_city: change(body.summer_city),
            summer_country: change(body.summer_country).map(|country| country.map(Text::into_inner)),
            moving_month: change(body.moving_month),
            bursary_requested: change(body.bursary_requested),
            answers: change(body.answers).map(|sent| sent.map(answers)),
            sent,
        }
    }
}

/// State of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "RegistrationState", rename_all = "camelCase")]
pub enum RegistrationStateBody {
    /// The form is submitted and the student has a group. The ticket is neither paid nor waived.
    Submitted,
    /// The ticket is paid or waived.
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

/// A student's registration: its state, and the form as it is stored.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Registration", rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct RegistrationBody {
    /// State of the registration.
    pub state: RegistrationStateBody,
    /// Orientation group of the student.
    pub group: GroupBody,
    /// Time of submission (RFC 3339, UTC).
    pub submitted_at: String,
    /// Time at which the ticket was paid or waived (RFC 3339, UTC).
    pub registered_at: Option<String>,
    /// Full name as in the passport.
    legal_name: String,
    /// Chosen pronouns.
    pronouns: String,
    /// Pronouns in the student's own words, with the pronouns `Other`.
    pronouns_other: Option<String>,
    /// Birth date, `YYYY-MM-DD`.
    birth_date: String,
    /// Student id, in the student's letter case.
    student_id: String,
    /// Chosen discipline.
    discipline: String,
    /// Chosen shirt size.
    shirt_size: Option<String>,
    /// Phone number in E.164.
    phone: String,
    /// Person to call in an emergency.
    emergency_contact: EmergencyContactBody,
    /// What first aid should know.
    medical_information: Option<Remark>,
    /// Medication that the student takes.
    medication: Option<Remark>,
    /// Chosen diets and allergies.
    dietary: Vec<String>,
    /// Other diets and allergies.
    dietary_other: Option<String>,
    /// What the student needs to take part.
    accessibility: Option<Remark>,
    /// Whether the committee may contact the student about accessibility needs.
    accessibility_contact: bool,
    /// Whether the student takes part in the scavenger hunt.
    joins_hunt: Option<bool>,
    /// Email addresses of friends whom the student wants in the hunt team.
    hunt_teammates: Vec<String>,
    /// City where the student lives in summer.
    summer_city: Option<String>,
    /// Code of the country where the student lives in summer.
    summer_country: Option<String>,
    /// Month in which the student moves to town.
    moving_month: Option<String>,
    /// Whether the student may be photographed.
    photo_consent: Option<bool>,
    /// Whether the student asks for a bursary.
    bursary_requested: Option<bool>,
    /// Answers to the event's own questions, by their id.
    answers: BTreeMap<String, AnswerBody>,
}

impl RegistrationBody {
    /// The body of `registration`; `event` knows the symbol of the group.
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
            answers: form.answers.into_iter().map(|(id, answer)| (id, AnswerBody(answer))).collect(),
        }
    }
}

/// A new registration and its order.
#[derive(Clone, Debug, Object)]
pub struct Registered {
    /// The new registration.
    registration: RegistrationBody,
    /// Order of the orientation ticket. Its `checkoutUrl` is where to pay; if it is absent, call `openCheckout`.
    order: OrderBody,
}

/// The answer of `register`.
#[derive(ApiResponse)]
pub enum RegisterAnswer {
    /// The form is accepted.
    #[oai(status = 201)]
    Created(Json<Registered>),
}

/// The registration as it is.
#[derive(ApiResponse)]
pub enum RegistrationAnswer {
    /// The registration.
    #[oai(status = 200)]
    Current(
        Json<RegistrationBody>,
        /// Entity tag of the registration: send it as `If-Match` with an edit.
        #[oai(header = "ETag")]
        String,
        /// `no-store`: the registration has health data.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

/// The answer of `withdrawBursaryRequest`.
#[derive(ApiResponse)]
pub enum BursaryRequestWithdrawn {
    /// The student does not ask for a bursary any more.
    #[oai(status = 204)]
    Withdrawn,
}

const CLOSED: Kind = Kind::new(409, "registration-closed", "Registration is closed");
const ALREADY_REGISTERED: Kind = Kind::new(409, "already-registered", "Already registered");
const STUDENT_ID_TAKEN: Kind = Kind::new(409, "student-id-taken", "Student id already in use");
const NO_REGISTRATION: Kind = Kind::new(404, "no-registration", "No registration");

impl Refusal for RegisterError {
    fn examples() -> Examples<Self> {
        let closed = Self::Closed(example_window(), Tz::America__Toronto);
        Examples::of([closed, Self::AlreadyRegistered, Self::StudentIdTaken, Self::NoAccount])
            .and::<SoldOut>()
            .and::<Invalid>()
            .and::<OnceError>()
            .and::<TooMany>()
            .and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Closed(window, zone) => closed(window, zone),
            Self::AlreadyRegistered => ALREADY_REGISTERED
                .says("`getRegistration` shows your registration, and `updateRegistration` changes it."),
            Self::StudentIdTaken => student_id_taken(),
            Self::NoAccount => not_signed_in(),
            Self::SoldOut(error) => error.problem(),
            Self::Invalid(error) => error.problem(),
            Self::Repeated(error) => error.problem(),
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
        Examples::of([Self::NotFound])
            .and::<Invalid>()
            .and::<Stale>()
            .and::<FollowFormError>()
            .and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_registration(),
            Self::Invalid(error) => error.problem(),
            Self::Stale(error) => error.problem(),
            Self::Bursary(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for WithdrawBursaryRequestError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<FollowFormError>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_registration(),
            Self::Bursary(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

/// 409: another registration has this student id.
pub fn student_id_taken() -> Problem {
    STUDENT_ID_TAKEN.says(
        "Another registration has this student id. Compare it with the student's card. If it is right, write to the \
         committee.",
    )
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

    fn answer(&self, registration: Registration) -> Result<RegistrationAnswer, StoreError> {
        let tag = entity_tag(&registration)?;
        Ok(RegistrationAnswer::Current(Json(self.body(registration)), tag, "no-store".into()))
    }
}

#[OpenApi(tag = "Tag::Registration")]
impl RegistrationController {
    /// Submit the registration form
    ///
    /// Puts the student into a group and orders the orientation ticket. The order's `checkoutUrl` is where to pay it; the
    /// student is registered once it is paid. Sent again with the same `Idempotency-Key`, the same form gets the same
    /// registration instead of a 409.
    #[oai(path = "/v1/registration", method = "post", operation_id = "register")]
    async fn register(
        &self,
        student: By<Student>,
        /// Key of this request, chosen by the client: a UUID, for example. Remembered for 24 hours.
        #[oai(name = "Idempotency-Key")]
        key: Header<IdempotencyKey>,
        form: JsonBody<RegistrationForm>,
    ) -> Result<RegisterAnswer, Failure<RegisterError>> {
        let (caller, form) = (&student.0, Form::from(form.0));
        let once = key.0.once("register", &caller.account_id, &form);
        let (registration, order) = self.registrations.register(caller, form, once.as_ref()).await?;
        let order = OrderBody::from(&order);
        Ok(RegisterAnswer::Created(Json(Registered { registration: self.body(registration), order })))
    }

    /// Get your registration
    ///
    /// Its state, your group, and the form as it is stored.
    #[oai(path = "/v1/registration", method = "get", operation_id = "getRegistration")]
    async fn get_registration(
        &self,
        student: By<Student>,
    ) -> Result<RegistrationAnswer, Failure<GetRegistrationError>> {
        let registration = self.registrations.registration(&student.0.account_id).await?;
        Ok(self.answer(registration).map_err(GetRegistrationError::from)?)
    }

    /// Change your registration
    ///
    /// Omitted properties keep their value. After submission `legalName`, `pronouns`, `pronounsOther`, `birthDate`,
    /// `studentId`, `discipline`, `shirtSize`, `accessibility` and `photoConsent` are fixed, and so are the answers that
    /// `getEvent` describes as not editable: each one that is sent is rejected. Whether you ask for a bursary can be changed
    /// until the committee has decided.
    #[oai(path = "/v1/registration", method = "patch", operation_id = "updateRegistration")]
    async fn update_registration(
        &self,
        student: By<Student>,
        /// `ETag` of the registration that was edited. If it has changed since, the response is 412.
        #[oai(name = "If-Match", validator(max_length = 1024))]
        if_match: Header<Option<String>>,
        changes: JsonBody<RegistrationChanges>,
    ) -> Result<RegistrationAnswer, Failure<UpdateRegistrationError>> {
        let condition = precondition(if_match.0.as_deref());
        let updated = self.registrations.update(&student.0, changes.0.into(), &condition).await?;
        Ok(self.answer(updated).map_err(UpdateRegistrationError::from)?)
    }

    /// Withdraw your request for a bursary
    ///
    /// Sets `bursaryRequested` of your registration to `false`. You can ask again with `updateRegistration` until the
    /// committee has decided. Without a request nothing changes.
    #[oai(
        path = "/v1/registration/bursary-request",
        method = "delete",
        operation_id = "withdrawBursaryRequest"
    )]
    async fn withdraw_bursary_request(
        &self,
        student: By<Student>,
    ) -> Result<BursaryRequestWithdrawn, Failure<WithdrawBursaryRequestError>> {
        self.registrations.withdraw_bursary_request(&student.0).await?;
        Ok(BursaryRequestWithdrawn::Withdrawn)
    }
}

/// Checks of forms and of changes that break their schema, by the rules that the schema can't express.
pub fn rules(event: &Arc<Event>) -> [Rule; 2] {
    let (of_form, of_changes) = (event.clone(), event.clone());
    let form = move |body: &Value| {
        let mut form = json!(Form::default());
        fill_in(&mut form, body);
        let form: Option<Form> = serde_json::from_value(form).ok();
        form.and_then(|form| form.checked(&of_form).err()).unwrap_or_default()
    };
    let changes = move |body: &Value| {
        let changes = RegistrationChanges::parse_from_json(Some(body.clone())).ok();
        changes.map(|body| errors(body.into(), &of_changes)).unwrap_or_default()
    };
    [("RegistrationForm", Box::new(form)), ("RegistrationChanges", Box::new(changes))]
}

/// The errors of changes that don't depend on the form that they change.
fn errors(mut changes: Changes, event: &Event) -> Vec<FieldError> {
    let answers = changes.answers.take().flatten().unwrap_or_default();
    let mut errors = Form::default().changed(changes, event).err().unwrap_or_default();
    errors.extend(answers::errors(&answers, &event.form));
    errors
}

/// Copies the properties of `written` into an empty form.
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
