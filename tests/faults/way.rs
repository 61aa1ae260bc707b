//! A student's way to the ticket. Students repeat requests that get no response.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{COOKIE, HeaderMap};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::program::{Program, client};
use crate::students::Student;

/// Interval for polling.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a student is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Registering,
    AtTheCheckout,
    Paying,
    AwaitingTheTicket,
}

/// What a student does when the checkout's URL is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Requests it, as the frontend does.
    Asks,
    /// Waits until a job of the service has opened it.
    Waits,
}

/// The content of a 201 response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub order: String,
    pub group: String,
}

/// How requests reach the service.
#[async_trait]
pub trait Road: Send + Sync {
    /// The address of the service.
    fn url(&self) -> String;

    /// The response; `None` if it was incomplete, and the request can be repeated now.
    async fn once(&self, request: RequestBuilder) -> Option<(StatusCode, Value)>;

    /// Whether an email with a ticket was sent to this address; `None` if there was no response.
    async fn has_ticket(&self, email: &str) -> Option<bool>;
}

/// The way of all students.
pub struct Way {
    http: reqwest::Client,
    road: Arc<dyn Road>,
    patience: Patience,
    /// By student id.
    doing: Mutex<BTreeMap<String, Step>>,
    told: Mutex<BTreeMap<String, Told>>,
    done: mpsc::UnboundedSender<Step>,
}

impl Way {
    /// The way through one program, and the steps as students complete them.
    pub fn through(program: &Program, patience: Patience) -> (Self, mpsc::UnboundedReceiver<Step>) {
        let road = OneProgram { http: client(), url: program.url(), lives: program.lives() };
        Self::along(Arc::new(road), patience)
    }

    /// The way over this road, and the steps as students complete them.
    pub fn along(road: Arc<dyn Road>, patience: Patience) -> (Self, mpsc::UnboundedReceiver<Step>) {
        let (done, steps) = mpsc::unbounded_channel();
        let way =
            Self { http: client(), road, patience, doing: Mutex::default(), told: Mutex::default(), done };
        (way, steps)
    }

    /// The current step of each student.
    pub fn doing(&self) -> BTreeMap<String, Step> {
        self.doing.lock().expect("nobody panics inside").clone()
    }

    /// The 201 response of each student.
    pub fn told(&self) -> BTreeMap<String, Told> {
        self.told.lock().expect("nobody panics inside").clone()
    }

    /// From the form to the payment.
    pub async fn register_and_pay(&self, student: &Student) {
        self.begin(student, Step::Registering);
        let order = self.register(student).await;
        self.next(student, Step::AtTheCheckout);
        let page = self.checkout(student, &order).await;
        self.next(student, Step::Paying);
        self.pay(&page).await;
        self.next(student, Step::AwaitingTheTicket);
    }

    /// Waits for the email with the ticket.
    pub async fn await_ticket(&self, student: &Student) {
        while self.road.has_ticket(&student.email).await != Some(true) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let (_, kept) = self.surely(self.get("/v1/registration", &student.cookie)).await;
        assert_eq!(kept["state"], "registered", "students with a ticket are registered");
        let done = self.doing.lock().expect("nobody panics inside").remove(&student.id);
        self.note_done(done);
    }

    /// The order's id.
    async fn register(&self, student: &Student) -> String {
        loop {
            let request = self.request(Method::POST, "/v1/registration", &student.cookie).json(&student.form);
            match self.road.once(request).await {
                Some((StatusCode::CREATED, answer)) => return self.note_told(student, &answer),
                Some((StatusCode::CONFLICT, problem)) => {
                    let kind = problem["type"].as_str().unwrap_or_default();
                    assert!(kind.ends_with("/already-registered"), "{problem}");
                    let (_, orders) = self.surely(self.get("/v1/orders", &student.cookie)).await;
                    assert_eq!(orders["items"].as_array().map(Vec::len), Some(1), "{orders}");
                    return text(&orders["items"][0]["id"]);
                }
                Some((status, problem)) => panic!("registering: {status} {problem}"),
                None => {}
            }
        }
    }

    fn note_told(&self, student: &Student, answer: &Value) -> String {
        let group = text(&answer["registration"]["group"]["name"]);
        let told = Told { order: text(&answer["order"]["id"]), group };
        let order = told.order.clone();
        self.told.lock().expect("nobody panics inside").insert(student.id.clone(), told);
        order
    }

    /// The URL of the order's checkout, once its page has been loaded.
    async fn checkout(&self, student: &Student, order: &str) -> String {
        let address = loop {
            if let Some(address) = self.checkout_address(student, order).await {
                break address;
            }
        };
        let (status, page) = self.surely(self.http.get(&address)).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        address
    }

    async fn checkout_address(&self, student: &Student, order: &str) -> Option<String> {
        let (_, shown) = self.surely(self.get(&format!("/v1/orders/{order}"), &student.cookie)).await;
        if let Some(address) = shown["checkoutUrl"].as_str() {
            return Some(address.to_owned());
        }
        if self.patience == Patience::Waits {
            tokio::time::sleep(LOOK_AGAIN).await;
            return None;
        }
        let path = format!("/v1/orders/{order}/checkout");
        let (status, opened) = self.road.once(self.request(Method::POST, &path, &student.cookie)).await?;
        assert_eq!(status, StatusCode::OK, "{opened}");
        Some(text(&opened["checkoutUrl"]))
    }

    async fn pay(&self, page: &str) {
        loop {
            let pressed = self.http.post(page).form(&[("press", "pay")]);
            match self.road.once(pressed).await {
                // An earlier press succeeded, but its response was lost.
                Some((StatusCode::SEE_OTHER | StatusCode::CONFLICT, _)) => return,
                Some((status, said)) => panic!("paying: {status} {said}"),
                None => {}
            }
        }
    }

    fn begin(&self, student: &Student, step: Step) -> Option<Step> {
        self.doing.lock().expect("nobody panics inside").insert(student.id.clone(), step)
    }

    fn next(&self, student: &Student, step: Step) {
        let done = self.begin(student, step);
        self.note_done(done);
    }

    fn note_done(&self, done: Option<Step>) {
        // It fails if the test doesn't listen.
        let _ = done.map(|step| self.done.send(step));
    }

    fn get(&self, path: &str, cookie: &str) -> RequestBuilder {
        self.request(Method::GET, path, cookie)
    }

    fn request(&self, method: Method, path: &str, cookie: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.road.url())).header(COOKIE, cookie)
    }

    /// Repeats a request until there is a response, which must be a success.
    async fn surely(&self, request: RequestBuilder) -> (StatusCode, Value) {
        loop {
            let again = request.try_clone().expect("no stream");
            if let Some((status, answer)) = self.road.once(again).await {
                assert!(status.is_success(), "{status} {answer}");
                return (status, answer);
            }
        }
    }
}

/// The road to a single program, whose outbox has the emails.
struct OneProgram {
    http: reqwest::Client,
    url: String,
    lives: watch::Receiver<u32>,
}

#[async_trait]
impl Road for OneProgram {
    fn url(&self) -> String {
        self.url.clone()
    }

    /// `None` if the program crashed before the response was complete. Then the next run has begun.
    async fn once(&self, request: RequestBuilder) -> Option<(StatusCode, Value)> {
        let mut lives = self.lives.clone();
        let life = *lives.borrow_and_update();
        match answer(request).await {
            Ok((status, _, value)) => Some((status, value)),
            Err(_) => {
                lives.wait_for(|now| *now > life).await.expect("the program outlives its clients");
                None
            }
        }
    }

    async fn has_ticket(&self, email: &str) -> Option<bool> {
        let (status, emails) = self.once(self.http.get(outbox(&self.url, email))).await?;
        assert!(status.is_success(), "{status} {emails}");
        let ticket = |email: &Value| email["attachments"][0]["type"] == "application/pdf";
        Some(emails["items"].as_array().expect("a list").iter().any(ticket))
    }
}

/// Status, headers and body of a complete response.
pub async fn answer(request: RequestBuilder) -> reqwest::Result<(StatusCode, HeaderMap, Value)> {
    let answer = request.send().await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = answer.text().await?;
    Ok((status, headers, serde_json::from_str(&body).unwrap_or(Value::String(body))))
}

/// The URL of the outbox with the emails to this address.
pub fn outbox(url: &str, email: &str) -> url::Url {
    url::Url::parse_with_params(&format!("{url}/outbox.json"), [("to", email)]).expect("an address")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}
