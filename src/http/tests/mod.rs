//! The interface around operations made for these tests.

mod bodies;
mod connections;
mod document;
mod requests;

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use poem::http::Method;
use poem::test::TestClient;
use poem::{Endpoint, Response, Route, get, handler, post};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::registry::MetaSchema;
use poem_openapi::types::{MaybeUndefined, Password, ToJSON};
use poem_openapi::{Enum, Object, OpenApi, Tags};
use url::Url;

use super::pages::PageLayout;
use super::rights::{Anybody, Scoped, SignedIn, Student};
use super::*;
use crate::kernel::{Actor, Caller, Principal, Rights, Role, Scope};
use crate::platform::store::StoreError;

#[derive(Tags)]
enum Tag {
    /// Operations for tests.
    Trial,
}

#[derive(Clone, Copy, Enum)]
#[oai(rename_all = "camelCase")]
enum Size {
    Small,
    Large,
}

/// Somebody to call.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct Contact {
    /// Who.
    #[oai(validator(max_length = 5))]
    name: String,
    /// How.
    phone: String,
}

/// A form.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none)]
struct Form {
    /// As in the passport.
    #[oai(validator(min_length = 1, max_length = 5))]
    legal_name: String,
    /// Somebody to call.
    emergency_contact: Contact,
    /// In years.
    #[oai(validator(minimum(value = "1", exclusive), maximum(value = "150")))]
    age: i32,
    /// One of two.
    size: Size,
    /// Takes part.
    joins: bool,
    /// At most two words.
    #[oai(validator(max_items = 2, unique_items))]
    words: Vec<String>,
    /// Whatever else there is to say.
    #[oai(validator(max_length = 20))]
    remark: Option<Remark>,
    /// Where to write.
    email: Option<EmailText>,
    /// Something to compare.
    #[oai(validator(max_length = 5))]
    code: Option<Text<Identifier>>,
    /// A secret.
    #[oai(validator(max_length = 6))]
    secret: Option<Password>,
}

struct Identifier;

impl TextFormat for Identifier {
    const NAME: &'static str = "identifier";
}

/// A change.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none)]
struct Change {
    /// Null takes it away.
    #[oai(validator(max_length = 5))]
    nickname: MaybeUndefined<String>,
}

const NO_SUCH_THING: Kind = Kind::new(404, "no-such-thing", "No such thing");

#[derive(Debug)]
enum ThingError {
    NotFound,
    Store(StoreError),
}

impl Refusal for ThingError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound, Self::Store(StoreError::Busy)])
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => NO_SUCH_THING.says("There is none."),
            Self::Store(error) => error.problem(),
        }
    }
}

/// At most a kilobyte of text.
struct Note;

impl MessageKind for Note {
    const CONTENT_TYPE: &'static str = "text/plain";
    const MAX_BYTES: usize = 1024;

    fn schema() -> MetaSchema {
        MetaSchema { description: Some("A note."), ..MetaSchema::new("string") }
    }
}

struct Trial;

struct Edit;
impl Scoped for Edit {
    const SCOPE: Scope = Scope::AccountsEdit;
}

#[OpenApi(tag = "Tag::Trial")]
impl Trial {
    /// Sends the form.
    ///
    /// Answers with its texts.
    #[oai(path = "/v1/form", method = "post", operation_id = "sendForm")]
    async fn send(&self, _anybody: By<Anybody>, form: JsonBody<Form>) -> poem::Result<Json<String>> {
        let form = form.0;
        let _ = (form.emergency_contact.phone, form.joins, form.words);
        let texts = [
            Some(form.legal_name),
            form.remark.map(Text::into_inner),
            form.email.map(Text::into_inner),
            form.code.map(Text::into_inner),
            form.secret.map(|secret| secret.0),
        ];
        Ok(Json(texts.map(|text| text.unwrap_or_else(|| "-".into())).join("|")))
    }

    /// Changes the form.
    ///
    /// Only what is there.
    #[oai(path = "/v1/form", method = "patch", operation_id = "changeForm")]
    async fn change(&self, _anybody: By<Anybody>, change: JsonBody<Change>) -> poem::Result<Json<String>> {
        Ok(Json(format!("{:?}", change.0.nickname.to_json())))
    }

    /// Who calls?
    ///
    /// Tells the account.
    #[oai(path = "/v1/me", method = "get", operation_id = "getMe")]
    async fn me(&self, By(caller): By<SignedIn>) -> poem::Result<Json<String>> {
        Ok(Json(caller.account_id))
    }

    /// For students.
    ///
    /// And nobody else.
    #[oai(path = "/v1/student", method = "get", operation_id = "getStudent")]
    async fn student(&self, By(caller): By<Student>) -> poem::Result<Json<String>> {
        Ok(Json(caller.account_id))
    }

    /// For editors.
    ///
    /// And nobody else.
    #[oai(path = "/v1/accounts", method = "delete", operation_id = "editAccounts")]
    async fn edit(&self, By(principal): By<Edit>) -> poem::Result<Json<String>> {
        Ok(Json(serde_json::to_string(&principal.actor).unwrap()))
    }

    /// A thing.
    ///
    /// There is none.
    #[oai(path = "/v1/things/:id", method = "get", operation_id = "getThing")]
    async fn thing(
        &self,
        _anybody: By<Anybody>,
        id: Path<String>,
        size: Query<Option<u16>>,
    ) -> Result<Json<String>, Failure<ThingError>> {
        let _ = (id, size);
        Err(ThingError::NotFound.into())
    }

    /// Panics.
    ///
    /// Always.
    #[oai(path = "/v1/panic", method = "get", operation_id = "panic")]
    async fn panics(&self, _anybody: By<Anybody>) -> poem::Result<Json<String>> {
        panic!("of somebody's secret")
    }

    /// A message.
    ///
    /// Of another service.
    #[oai(path = "/v1/webhooks/trial", method = "post", operation_id = "receiveNote")]
    async fn receive(&self, _anybody: By<Anybody>, message: Message<Note>) -> Json<String> {
        Json(String::from_utf8_lossy(&message.0).into_owned())
    }

    /// The client's address.
    ///
    /// As it is seen.
    #[oai(path = "/v1/client", method = "get", operation_id = "getClient")]
    async fn client(&self, _anybody: By<Anybody>, Client(address): Client) -> poem::Result<Json<String>> {
        Ok(Json(address.to_string()))
    }
}

/// Cookies `student` and `leader` open sessions; `broken` breaks the store.
struct Sessions;

#[async_trait]
impl Callers for Sessions {
    async fn by_cookie(&self, cookie: &str) -> Result<Option<CallerOfCookie>, StoreError> {
        let caller = |rights| {
            CallerOfCookie::from(Caller { account_id: cookie.into(), session_id: "s".into(), rights })
        };
        match cookie {
            // A student's scopes have no effect, and neither have those of a leader without approval.
            "student" => {
                Ok(Some(caller(Rights { role: Role::Student, ..Rights::leader([Scope::AdminAll]) })))
            }
            "waiting" => Ok(Some(caller(Rights { approved: false, ..Rights::leader([Scope::AdminAll]) }))),
            "leader" => Ok(Some(caller(Rights::leader([Scope::FaqEdit])))),
            "editor" => Ok(Some(caller(Rights::leader([Scope::AccountsEdit])))),
            "admin" => Ok(Some(caller(Rights::leader([Scope::AdminAll])))),
            "broken" => Err(StoreError::Busy),
            _ => Ok(None),
        }
    }
}

struct Keys;

#[async_trait]
impl MachineCallers for Keys {
    async fn by_key(&self, key: &str, _: IpAddr) -> Result<Principal, KeyError> {
        let machine = |rights| Principal { actor: Actor::Machine(key.into()), rights };
        match key {
            "editor-key" => Ok(machine(Rights::leader([Scope::AccountsEdit]))),
            "scanner-key" => Ok(machine(Rights::leader([Scope::ScannerFood]))),
            "broken" => Err(StoreError::Busy.into()),
            _ => Err(KeyError::Invalid),
        }
    }
}

#[handler]
fn page() -> &'static str {
    "a page"
}

fn parts(public_url: &str) -> ApiParts {
    ApiParts {
        public_url: Url::parse(public_url).unwrap(),
        frontend_url: Some(Url::parse("http://127.0.0.1:5173").unwrap()),
        trusted_proxies: vec!["127.0.0.1/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()],
        callers: Arc::new(Sessions),
        machines: Arc::new(Keys),
        rules: vec![],
        any_origin: vec![],
        page_layout: Arc::new(PageLayout::sample()),
    }
}

fn api() -> Api {
    let pages = Route::new().at("/page", get(page).post(page)).at("/only-post", post(page));
    Api::new(Trial, pages, parts("http://127.0.0.1:3000"))
}

fn client() -> TestClient<impl Endpoint<Output = Response>> {
    TestClient::new(api().into_endpoint())
}
