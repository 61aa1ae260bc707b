//! One student's steps through the service.

use std::error::Error;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::{COOKIE, LOCATION, RETRY_AFTER, SET_COOKIE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::students::Student;
use crate::cli::Failed;
use crate::kernel::{EmailAddress, Secret, text};

const PASSWORD: &str = "seven quiet herons at dawn";
/// Interval between two looks into the outbox.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Idle connections are closed after this time: before the service closes them, which would lose a request that is sent at
/// that moment. The service waits five seconds for the first byte.
const IDLE: Duration = Duration::from_secs(3);
/// Time to wait for a response: longer than the service takes to give up.
const ANSWER: Duration = Duration::from_secs(60);

/// A client of the service at one address, for all students.
pub(in crate::cli) struct Visitor {
    http: reqwest::Client,
    service: Url,
    /// Session cookie of an administrator, for the outbox of a rehearsal.
    administrator: OnceLock<String>,
    requests: AtomicU64,
}

/// What a student has at the end.
pub(in crate::cli) struct Arrived {
    pub group: String,
    pub currency: String,
    pub paid: i64,
    pub emails: usize,
    /// Time from the first request to the email with the ticket.
    pub took: Duration,
}

/// A student who has sent the form and paid.
pub(in crate::cli) struct Registered {
    pub email: String,
    /// Session cookie.
    pub cookie: String,
    /// Response to the form: the registration and its order.
    pub answer: Value,
}

/// The step at which a student failed, and why.
#[derive(Debug)]
pub(in crate::cli) struct Stuck(pub String);

impl From<reqwest::Error> for Stuck {
    /// With all causes: the error alone says only which URL was asked.
    fn from(error: reqwest::Error) -> Self {
        let causes = std::iter::successors(Some(&error as &dyn Error), |error| (*error).source());
        Self(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    }
}

impl Visitor {
    pub fn new(service: Url) -> Result<Self, Failed> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(IDLE)
            .timeout(ANSWER)
            .build()
            .map_err(Failed::because)?;
        Ok(Self { http, service, administrator: OnceLock::new(), requests: AtomicU64::new(0) })
    }

    /// URL of the service.
    pub fn service(&self) -> &Url {
        &self.service
    }

    /// Signs an administrator in, whose session then reads the outbox.
    ///
    /// # Errors
    /// If the service refuses the password, or can't be reached.
    pub async fn sign_in_administrator(&self, email: &str, password: &Secret<String>) -> Result<(), Failed> {
        let cookie = self.sign_in(email, password.expose()).await;
        let cookie = cookie.map_err(|stuck| Failed(format!("--administrator: {}", stuck.0)))?;
        self.administrator.get_or_init(|| cookie);
        Ok(())
    }

    /// Number of requests sent so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Fails unless emails can be read here: a simulated student has no mailbox.
    pub async fn requires_a_sandbox(&self) -> Result<(), Failed> {
        let answer = self.in_outbox(self.address("/outbox.json?limit=1")).send().await;
        match answer.map(|answer| answer.status()) {
            Ok(StatusCode::OK) => Ok(()),
            Ok(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(Failed(format!(
                "the outbox of {} needs an administrator: pass --administrator EMAIL",
                self.service
            ))),
            Ok(status) => Err(Failed(format!(
                "{} has no sandbox: its outbox answers {status}. The demo invents accounts and payments",
                self.service
            ))),
            Err(error) => Err(Failed(format!("{} can't be reached: {error}", self.service))),
        }
    }

    /// Runs every step. Waits for each email for up to `patience`.
    pub async fn walk(&self, student: &Student, patience: Duration) -> Result<Arrived, Stuck> {
        let began = Instant::now();
        let Registered { email, cookie, answer } = self.register(student, patience).await?;
        let order = &answer["order"];
        let emails = self.ticket(&email, patience).await?;
        self.reads_back_as_written(student, &cookie).await?;
        Ok(Arrived {
            group: text_at(&answer, "/registration/group/name")?,
            currency: text_at(order, "/amount/currency")?,
            paid: order["amount"]["amount"]
                .as_i64()
                .ok_or_else(|| Stuck("the order has no amount".into()))?,
            emails,
            took: began.elapsed(),
        })
    }

    /// From sign-up to the payment. Waits for the email with the link for up to `patience`.
    pub async fn register(&self, student: &Student, patience: Duration) -> Result<Registered, Stuck> {
        let email = address_of(student)?;
        self.sign_up(student).await?;
        let email_text = self.email_text(&email, "token=", patience).await?;
        self.ask(
            Method::POST,
            "/v1/accounts/confirm",
            None,
            Some(&json!({ "token": token_in(&email_text)? })),
        )
        .await?;
        let cookie = self.sign_in(&email, PASSWORD).await?;
        let answer = self.ask(Method::POST, "/v1/registration", Some(&cookie), Some(&student.form)).await?;
        let answer: Value = answer.json().await?;
        self.pay(&answer["order"]).await?;
        Ok(Registered { email, cookie, answer })
    }

    /// Waits until the payment for the orientation ticket has arrived, for up to `patience`.
    pub async fn is_registered(&self, cookie: &str, patience: Duration) -> Result<(), Stuck> {
        let deadline = Instant::now() + patience;
        loop {
            let kept = self.ask(Method::GET, "/v1/registration", Some(cookie), None).await?;
            if kept.json::<Value>().await?["state"] == "registered" {
                return Ok(());
            }
            wait_until(deadline, "the payment").await?;
        }
    }

    /// Sends a request to the API as the administrator, if one is signed in.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn ask_as_administrator(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, Stuck> {
        let cookie = self.administrator.get().map(String::as_str);
        Ok(self.ask(method, path, cookie, Some(body)).await?.json().await?)
    }

    async fn sign_up(&self, student: &Student) -> Result<(), Stuck> {
        let mut body = student.account.clone();
        body["password"] = PASSWORD.into();
        self.ask(Method::POST, "/v1/accounts", None, Some(&body)).await.map(drop)
    }

    async fn sign_in(&self, email: &str, password: &str) -> Result<String, Stuck> {
        let body = json!({ "email": email, "password": password });
        let answer = self.ask(Method::POST, "/v1/session", None, Some(&body)).await?;
        let cookie = answer.headers().get(SET_COOKIE).and_then(|cookie| cookie.to_str().ok());
        let pair = cookie.and_then(|cookie| cookie.split(';').next());
        pair.map(str::to_owned).ok_or_else(|| Stuck("signing in set no cookie".into()))
    }

    /// Presses *Pay* on the sandbox's page.
    async fn pay(&self, order: &Value) -> Result<(), Stuck> {
        let page = text_at(order, "/checkoutUrl")?;
        let page = Url::parse(&page).map_err(|error| Stuck(format!("checkoutUrl: {error}")))?;
        let shown = self.send(self.http.get(page.clone())).await?;
        refuse_unless(shown.status() == StatusCode::OK, "the checkout page", shown.status())?;
        let answer = self.send(self.http.post(page).form(&[("press", "pay")])).await?;
        let goes_on = answer.status().is_redirection() && answer.headers().contains_key(LOCATION);
        refuse_unless(goes_on, "pressing Pay", answer.status())
    }

    /// Waits for the email with the ticket and checks its PDF. Returns the number of emails that the student has by then.
    async fn ticket(&self, email: &str, patience: Duration) -> Result<usize, Stuck> {
        let deadline = Instant::now() + patience;
        loop {
            let emails = self.emails(email).await?;
            let pdf = emails.iter().flat_map(|email| email["attachments"].as_array().into_iter().flatten());
            if let Some(pdf) = pdf.into_iter().find(|file| file["type"] == "application/pdf") {
                let address = self.address(&text_at(pdf, "/address")?);
                let bytes = self.send(self.in_outbox(address)).await?.bytes().await?;
                return if bytes.starts_with(b"%PDF-") {
                    Ok(emails.len())
                } else {
                    Err(Stuck("the ticket is not a PDF".into()))
                };
            }
            wait_until(deadline, "the ticket").await?;
        }
    }

    /// Text of the newest email to `email` that contains `needle`.
    async fn email_text(&self, email: &str, needle: &str, patience: Duration) -> Result<String, Stuck> {
        let deadline = Instant::now() + patience;
        loop {
            let emails = self.emails(email).await?;
            let texts = emails.iter().filter_map(|email| email["text"].as_str());
            if let Some(found) = texts.into_iter().find(|text| text.contains(needle)) {
                return Ok(found.to_owned());
            }
            wait_until(deadline, "an email").await?;
        }
    }

    async fn emails(&self, email: &str) -> Result<Vec<Value>, Stuck> {
        let mut address = self.address("/outbox.json");
        address.query_pairs_mut().append_pair("to", email);
        let answer: Value = self.send(self.in_outbox(address)).await?.json().await?;
        let items = answer.get("items").unwrap_or(&answer).as_array().cloned();
        items.ok_or_else(|| Stuck("outbox.json is not a list".into()))
    }

    async fn reads_back_as_written(&self, student: &Student, cookie: &str) -> Result<(), Stuck> {
        let kept: Value = self.ask(Method::GET, "/v1/registration", Some(cookie), None).await?.json().await?;
        refuse_unless(
            kept["state"] == "registered",
            "after paying, the registration's state",
            &kept["state"],
        )?;
        let mut expected = student.form.clone();
        tidy(&mut expected);
        expect_phone(&mut expected["phone"], &student.expect.phone);
        expect_phone(&mut expected["emergencyContact"]["phone"], &student.expect.emergency_contact_phone);
        for (property, expected) in expected.as_object().into_iter().flatten() {
            let same =
                property == "studentId" && text_of(expected).eq_ignore_ascii_case(text_of(&kept[property]));
            refuse_unless(same || &kept[property] == expected, "what reads back differently:", property)?;
        }
        Ok(())
    }

    /// Sends a request until it succeeds. Obeys 429 and 503; any other refusal is a failure.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        cookie: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Response, Stuck> {
        loop {
            let mut request = self.http.request(method.clone(), self.address(path));
            if let Some(cookie) = cookie {
                request = request.header(COOKIE, cookie);
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let answer = self.send(request).await?;
            match answer.status() {
                status if status.is_success() => return Ok(answer),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    tokio::time::sleep(retry_after(&answer)).await;
                }
                status => {
                    let said = answer.text().await.unwrap_or_default();
                    return Err(Stuck(format!("{method} {path}: {status} {said}")));
                }
            }
        }
    }

    /// Sends a request once.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Stuck> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Ok(request.send().await?)
    }

    /// A request to a path of the API, with a session cookie.
    pub fn request(&self, method: Method, path: &str, cookie: &str) -> RequestBuilder {
        self.http.request(method, self.address(path)).header(COOKIE, cookie)
    }

    /// A request to a page at `url`, without the session: a checkout can be on another host.
    pub fn page(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// A request for something in the outbox.
    fn in_outbox(&self, address: Url) -> RequestBuilder {
        let request = self.http.get(address);
        match self.administrator.get() {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }

    fn address(&self, path: &str) -> Url {
        self.service.join(path).unwrap_or_else(|_| self.service.clone())
    }
}

fn address_of(student: &Student) -> Result<String, Stuck> {
    let written = text_at(&student.account, "/email")?;
    let address = EmailAddress::parse(&written).map_err(|error| Stuck(error.to_string()))?;
    Ok(address.as_str().to_owned())
}

pub(in crate::cli) fn text_at(value: &Value, pointer: &str) -> Result<String, Stuck> {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| Stuck(format!("{pointer} is missing")))
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn token_in(email: &str) -> Result<&str, Stuck> {
    let rest = email.split("token=").nth(1).ok_or_else(|| Stuck("the email has no token".into()))?;
    Ok(rest.split(|c: char| c.is_whitespace() || c == '&').next().unwrap_or(rest))
}

/// How long a 429 or 503 asks to wait.
pub(in crate::cli) fn retry_after(answer: &Response) -> Duration {
    let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1).clamp(1, 60))
}

fn refuse_unless(holds: bool, what: &str, instead: impl std::fmt::Display) -> Result<(), Stuck> {
    if holds { Ok(()) } else { Err(Stuck(format!("{what}: {instead}"))) }
}

/// A pause before the next look; fails after `deadline`.
pub(in crate::cli) async fn wait_until(deadline: Instant, what: &str) -> Result<(), Stuck> {
    refuse_unless(Instant::now() < deadline, what, "did not arrive")?;
    tokio::time::sleep(LOOK_AGAIN).await;
    Ok(())
}

/// Every text as it is stored: trimmed, in Unicode NFC.
fn tidy(value: &mut Value) {
    match value {
        Value::String(written) => *written = text::clean(written),
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(properties) => properties.values_mut().for_each(tidy),
        _ => {}
    }
}

fn expect_phone(written: &mut Value, expected: &Option<String>) {
    if let Some(expected) = expected {
        *written = expected.as_str().into();
    }
}
