//! Students from sign-up to ticket. Accounts are written to the store, the rest is done over HTTP.

use orientation::kernel::{Ids, RandomIds};
use serde_json::{Value, json};

use super::{TestApp, Visitor};

/// A form with the choices of the shipped `event.toml`.
pub fn form(student_id: &str) -> Value {
    json!({
        "legalName": "Ana García", "pronouns": "she/her", "birthDate": "2008-02-29", "studentId": student_id,
        "discipline": "Civil", "shirtSize": "M", "phone": "+1 506-234-5678",
        "emergencyContact": { "name": "Luz García", "relationship": "mother", "phone": "+1 506 233 0166" },
        "dietary": [], "joinsHunt": true, "huntTeammates": [], "summerCity": "Port Autumn", "summerCountry": "CA",
        "movingMonth": "August", "photoConsent": true, "bursaryRequested": false,
    })
}

/// An unused student id.
pub fn new_student_id() -> String {
    let id = RandomIds.next();
    id[id.len() - 9..].to_owned()
}

impl TestApp {
    /// A student who has submitted the form, and the order of the response.
    pub async fn submitted(&self) -> (Visitor, Value) {
        let student = self.student().await;
        let answer = student.post("/v1/registration", &form(&new_student_id())).await.ok(201);
        (student, answer["order"].clone())
    }

    /// A student who has paid, and the order as it was before the payment.
    pub async fn registered(&self) -> (Visitor, Value) {
        let (student, order) = self.submitted().await;
        student.press_button(&order, "pay").await;
        self.settle().await;
        (student, order)
    }
}

impl Visitor {
    /// Presses a button of the sandbox's page; returns the address that it redirects to.
    pub async fn press_button(&self, order: &Value, button: &str) -> String {
        let page = order["checkoutUrl"].as_str().expect("a live checkout");
        let pressed = self.submit(page, &[("press", button)]).await;
        assert_eq!(pressed.status, 303, "{}", pressed.text());
        pressed.header("location").expect("a redirect").to_owned()
    }

    /// The current order.
    pub async fn order(&self, order: &Value) -> Value {
        let id = order["id"].as_str().expect("an id");
        self.get(&format!("/v1/orders/{id}")).await.ok(200)
    }

    /// The state of the student's registration.
    pub async fn registration_state(&self) -> Value {
        self.get("/v1/registration").await.ok(200)["state"].clone()
    }
}
