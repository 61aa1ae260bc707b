//! The emails about a registration. Emails about accounts are tested in `v1_accounts`, `v1_me` and
//! `v1_password_resets`.

use serde_json::Value;

use crate::support::stripe::{self, event};
use crate::support::{Mailbox, TestApp, Visitor, form, new_student_id, text_of_pdf};

/// Everything that a student received: the emails, and the text of their attachments.
async fn all_received(app: &TestApp, student: &Visitor) -> String {
    app.settle().await;
    let (mut all, mailbox) = (String::new(), app.mailbox(student.email()));
    for email in mailbox.emails().await {
        all.push_str(&email.to_string());
        for file in email["attachments"].as_array().expect("a list") {
            assert_eq!(file["type"], "application/pdf");
            all.push_str(&text_of_pdf(&mailbox.file(file).await));
        }
    }
    all
}

async fn subjects(mailbox: &Mailbox) -> Vec<String> {
    let emails = mailbox.emails().await;
    emails.iter().map(|email| email["subject"].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_email_after_registration_has_the_ticket_as_a_pdf() {
    let app = TestApp::start().await;
    let (ana, order) = app.registered().await;
    let mailbox = app.mailbox(ana.email());
    let email = mailbox.email("You are registered").await;
    assert_eq!(email["to"], ana.email());
    has_id(&email, &format!("ticket:{}", order["id"].as_str().expect("an id")));
    let [file] = &email["attachments"].as_array().expect("a list")[..] else { panic!("one file") };
    assert_eq!((&file["name"], &file["type"]), (&"ticket.pdf".into(), &"application/pdf".into()));
    let pdf = mailbox.file(file).await;
    let (sent, shown) = (text_of_pdf(&pdf), text_of_pdf(&ana.get("/v1/ticket.pdf").await.bytes));
    assert_eq!(sent, shown);
    let group = ana.get("/v1/registration").await.ok(200)["group"]["name"].clone();
    let text = email["text"].as_str().expect("a text");
    for part in ["CAD 130.00", group.as_str().expect("a name"), "Hello Ana"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    app.finish().await;
}

/// The double of SES shows no ids.
fn has_id(email: &Value, id: &str) {
    assert!(email["id"].is_null() || email["id"] == id, "{} is not {id}", email["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_checkout_is_reported_by_one_email() {
    let app = stripe::app_with_secret().await;
    let (ana, order) = app.submitted().await;
    app.deliver(&event("evt_1", "expired", &order, "unpaid")).await.ok(200);
    app.deliver(&event("evt_2", "expired", &order, "unpaid")).await.ok(200);
    app.settle().await;
    let mailbox = app.mailbox(ana.email());
    assert_eq!(subjects(&mailbox).await.len(), 1);
    let email = mailbox.email("isn't paid yet").await;
    has_id(&email, &format!("checkout-expired:{}", stripe::session(&order)));
    let text = email["text"].as_str().expect("a text");
    let link = text.split_whitespace().find(|word| word.contains("/checkout/back")).expect("a link");
    assert!(ana.get(link).await.text().contains("Not paid yet"));
    app.finish().await;
}

/// A form with one recognisable answer of each kind, and these answers.
fn recognisable(student_id: &str) -> (Value, Vec<String>) {
    let mut written = form(student_id);
    let answers = [
        ("medicalInformation", "Zebradiabetes of the third kind"),
        ("medication", "Okapirin twice a day"),
        ("accessibility", "A ramp for my quaggacycle"),
        ("dietaryOther", "no tapirberries"),
        ("pronounsOther", "xe/axolotlself"),
        ("summerCity", "Port Narwhal"),
        ("birthDate", "2003-03-23"),
        ("phone", "+15062347654"),
    ];
    for (field, answer) in answers {
        written[field] = answer.into();
    }
    written["pronouns"] = "Other".into();
    written["dietary"] = vec!["Nut allergy"].into();
    written["huntTeammates"] = vec!["quokka@mail.example.edu"].into();
    written["emergencyContact"]["name"] = "Gerenuk Dikdik".into();
    written["emergencyContact"]["phone"] = "+15062330987".into();
    let mut all: Vec<_> = answers.iter().map(|(_, answer)| (*answer).to_owned()).collect();
    let others = ["Nut allergy", "quokka@", "Gerenuk", "+15062330987", "5062347654", student_id];
    all.extend(others.map(str::to_owned));
    // The text of a PDF can have line breaks anywhere.
    all.extend(
        ["Zebradiabetes", "Okapirin", "quaggacycle", "tapirberries", "axolotl", "Narwhal"].map(str::to_owned),
    );
    (written, all)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_email_and_no_ticket_contains_an_answer_of_the_form() {
    let app = stripe::app_with_secret().await;
    let ana = app.student().await;
    let student_id = new_student_id();
    let (written, answers) = recognisable(&student_id);
    let order = ana.post("/v1/registration", &written).await.ok(201)["order"].clone();
    app.deliver(&event("evt_1", "expired", &order, "unpaid")).await.ok(200);
    app.settle().await;
    let before = all_received(&app, &ana).await;
    let checkout = format!("/v1/orders/{}/checkout", order["id"].as_str().expect("an id"));
    let next = ana.press(&checkout).await.ok(200);
    let page = ana.get(next["checkoutUrl"].as_str().expect("a checkout")).await.text();
    ana.press_button(&next, "pay").await;
    let after = all_received(&app, &ana).await;
    assert_eq!(subjects(&app.mailbox(ana.email())).await.len(), 2);
    assert!(after.contains("Ana García") && after.contains("Receipt"), "the ticket was received: {after}");
    let ticket = ana.get("/v1/ticket").await.text() + &ana.get("/v1/ticket.svg").await.text();
    for answer in &answers {
        for (place, text) in [("before", &before), ("after", &after), ("page", &page), ("ticket", &ticket)] {
            assert!(!text.contains(answer.as_str()), "{place}: {answer}");
        }
    }
    let kept = ana.get("/v1/registration").await.text();
    assert!(kept.contains("Zebradiabetes"), "the answers are recognisable");
    app.finish().await;
}
