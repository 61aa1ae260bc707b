//! A client of the service.

use std::fmt::Debug;

use orientation::features::accounts::Account;
use orientation::features::api_keys::Key;
use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, SET_COOKIE};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

use super::document::{Outcome, Seen};

/// A client of the service, with a session or without.
#[derive(Clone)]
pub struct Visitor {
    http: reqwest::Client,
    url: String,
    /// `name=value` of the session's cookie.
    pub cookie: Option<String>,
    /// An API key, sent with every request.
    pub key: Option<Key>,
    account: Option<Account>,
    seen: Seen,
}

impl Visitor {
    pub fn new(url: &str) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        Self {
            http: http.expect("a client"),
            url: url.to_owned(),
            cookie: None,
            key: None,
            account: None,
            seen: Seen::default(),
        }
    }

    pub fn signed_in(url: &str, account: Account, cookie: &str) -> Self {
        let cookie = Some(format!("orientation_session={cookie}"));
        Self { cookie, account: Some(account), ..Self::new(url) }
    }

    /// The same, whose responses are recorded in `seen`.
    pub fn recorded_in(self, seen: &Seen) -> Self {
        Self { seen: seen.clone(), ..self }
    }

    /// The account that was made for this visitor.
    pub fn account(&self) -> &Account {
        self.account.as_ref().expect("a visitor with an account")
    }

    pub fn email(&self) -> &str {
        self.account().email.as_str()
    }

    /// A request, to be sent by [`Visitor::send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let address = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) };
        let request = self.http.request(method, address);
        let request = match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        };
        match &self.key {
            Some(key) => request.bearer_auth(key.expose()),
            None => request,
        }
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().expect("a request");
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let answer = self.http.execute(request).await.expect("an answer");
        let (status, headers) = (answer.status(), answer.headers().clone());
        let answer = Answer { status, headers, bytes: answer.bytes().await.expect("a body").to_vec() };
        self.seen.record(&method, &path, answer.outcome());
        answer
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    /// A POST without a body.
    pub async fn press(&self, path: &str) -> Answer {
        self.send(self.request(Method::POST, path)).await
    }

    /// A PUT without a body.
    pub async fn put_empty(&self, path: &str) -> Answer {
        self.send(self.request(Method::PUT, path)).await
    }

    /// Fields of a form on a page.
    pub async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(self.request(Method::POST, path).form(fields)).await
    }
}

/// A response of the service.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    /// Everything except what differs between any two responses. It is equal for responses that a client must not be
    /// able to distinguish.
    pub fn comparable(&self) -> (u16, Vec<(String, String)>, String) {
        let headers = self.headers.iter().filter(|(name, _)| *name != "date" && *name != "x-request-id");
        let mut headers: Vec<_> =
            headers.map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect();
        headers.sort();
        (self.status.as_u16(), headers, self.text())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// `name=value` of the cookie that the response sets.
    pub fn cookie(&self) -> Option<String> {
        let cookie = self.headers.get(SET_COOKIE)?.to_str().ok()?;
        cookie.split(';').next().map(str::to_owned)
    }

    /// The outcome as the document lists it.
    pub fn outcome(&self) -> Outcome {
        if self.header("content-type") != Some("application/problem+json") {
            return Outcome::Success(self.status.as_u16());
        }
        Outcome::problem(self.json()["type"].as_str().expect("a type"))
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.bytes.is_empty() { Value::Null } else { self.json() }
    }

    /// The problem of a refusal of this status and kind (`/problems/<kind>`).
    #[track_caller]
    pub fn refused(&self, status: u16, kind: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        let content_type = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        assert_eq!(content_type, Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["type"], format!("/problems/{kind}"), "{problem}");
        assert_eq!(problem["status"], status);
        problem
    }

    /// The validation errors of a 422 as pairs of pointer and code, sorted.
    #[track_caller]
    pub fn errors(&self) -> Vec<(String, String)> {
        let problem = self.refused(422, "invalid");
        let errors = problem["errors"].as_array().expect("a list").clone();
        let mut errors: Vec<_> = errors.iter().map(|e| (text(&e["pointer"]), text(&e["code"]))).collect();
        errors.sort();
        errors
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

impl Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, self.text())
    }
}
