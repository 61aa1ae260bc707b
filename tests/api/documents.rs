//! A stored registration never contains properties that the form doesn't have, whatever a client sends.

use std::collections::{BTreeMap, BTreeSet};

use orientation::platform::store::{Document, Keep, Personal};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::{TestApp, Visitor, form, new_student_id};

/// A registration as stored, with all of its properties.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Raw {
    id: String,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

impl Document for Raw {
    const COLLECTION: &'static str = "registrations";
    const PERSONAL: Personal = Personal::None;
    const KEEP: Keep = Keep::with_store("test data");

    fn id(&self) -> &str {
        &self.id
    }
}

/// Properties that an attacker would want to write: of the registration, the order, the account, and future features.
const FOREIGN: [&str; 21] = [
    "id",
    "account",
    "group",
    "state",
    "orderId",
    "studentKey",
    "submittedAt",
    "registeredAt",
    "ticketIssuedAt",
    "registered",
    "isRegistered",
    "payments",
    "paidAt",
    "checkIns",
    "team",
    "huntTeam",
    "role",
    "scopes",
    "form",
    "__proto__",
    "$set",
];

async fn raw(app: &TestApp, student: &Visitor) -> Option<Raw> {
    app.store.get(&student.account().id).await.expect("readable")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_properties_of_the_form_are_stored() {
    let app = TestApp::start().await;
    let ana = app.student().await;
    let honest = form(&new_student_id());
    for name in FOREIGN {
        let pointer = |place: &str| vec![(format!("{place}/{name}"), "unknown-property".to_owned())];
        let mut outside = honest.clone();
        outside[name] = json!("registered");
        assert_eq!(ana.post("/v1/registration", &outside).await.errors(), pointer(""));
        let mut inside = honest.clone();
        inside["emergencyContact"][name] = json!({ "name": "Beta", "symbol": "β" });
        assert_eq!(ana.post("/v1/registration", &inside).await.errors(), pointer("/emergencyContact"));
    }
    assert_eq!(raw(&app, &ana).await, None);

    ana.post("/v1/registration", &honest).await.ok(201);
    let kept = raw(&app, &ana).await.expect("there");
    let names: BTreeSet<_> = kept.rest.keys().map(String::as_str).collect();
    let ours = ["email", "form", "group", "orderId", "search", "state", "studentKey", "submittedAt"];
    assert_eq!(names, BTreeSet::from(ours));
    let asked: BTreeSet<_> = honest.as_object().expect("an object").keys().cloned().collect();
    let form = kept.rest["form"].as_object().expect("an object");
    let more: BTreeSet<_> = form.keys().filter(|name| !asked.contains(*name)).map(String::as_str).collect();
    assert_eq!(more, BTreeSet::from(["accessibilityContact"]), "it has a default");

    for name in FOREIGN {
        let pointer = vec![(format!("/{name}"), "unknown-property".to_owned())];
        assert_eq!(ana.patch("/v1/registration", &json!({ name: "registered" })).await.errors(), pointer);
    }
    assert_eq!(raw(&app, &ana).await, Some(kept));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_property_that_is_sent_twice_stores_nothing_else() {
    let app = TestApp::start().await;
    let ana = app.student().await;
    let twice = form(&new_student_id()).to_string().replacen('{', "{\"shirtSize\":{\"group\":\"Beta\"},", 1);
    let request = ana.request(reqwest::Method::POST, "/v1/registration");
    let answer = ana.send(request.header("content-type", "application/json").body(twice)).await;
    assert!([201, 400, 422].contains(&answer.status.as_u16()), "{answer:?}");
    if let Some(kept) = raw(&app, &ana).await {
        assert_eq!(kept.rest["form"]["shirtSize"], "M");
    }
    app.finish().await;
}
