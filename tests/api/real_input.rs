//! Input as people type and paste it: the 2,000 forms of `tests/data/students.jsonl` with answers to five questions, all of
//! which are accepted and returned as written, and single cases.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use orientation::config::Event;
use orientation::features::groups::GroupBook;
use orientation::features::registration::Registration;
use orientation::kernel::Role;
use orientation::platform::store::{Filter, Query};
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization;

use crate::answers;
use crate::support::{PASSWORD, TestApp, Visitor, form, new_student_id};
use crate::v1_accounts::{credentials, sign_up_of};

/// Number of concurrent requests.
const AT_ONCE: usize = 64;

/// The form as the service must return it: in NFC, without white space at the ends, with the phone numbers of `expect`.
fn as_written(row: &Value) -> Value {
    let mut form = tidied(&row["form"]);
    form["phone"] = row["expect"]["phone"].clone();
    form["emergencyContact"]["phone"] = row["expect"]["emergencyContactPhone"].clone();
    for (name, default) in
        [("dietary", json!([])), ("accessibilityContact", json!(false)), ("answers", json!({}))]
    {
        form.as_object_mut().expect("an object").entry(name).or_insert(default);
    }
    form
}

fn tidied(value: &Value) -> Value {
    match value {
        Value::String(text) => text.nfc().collect::<String>().trim().into(),
        Value::Array(items) => items.iter().map(tidied).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), tidied(value))).collect(),
        other => other.clone(),
    }
}

/// Registers this row's student; returns the group, or the error.
async fn register(visitor: &Visitor, row: &Value) -> Result<String, String> {
    let answer = visitor.post("/v1/registration", &row["form"]).await;
    if answer.status != 201 {
        return Err(format!("{}: {answer:?}", row["form"]));
    }
    let mut kept = visitor.get("/v1/registration").await.ok(200);
    let fields = kept.as_object_mut().expect("an object");
    let group = fields.remove("group").expect("a group");
    for ours in ["state", "submittedAt"] {
        fields.remove(ours);
    }
    let written = as_written(row);
    if kept != written {
        return Err(format!("written {written}\nread back {kept}"));
    }
    Ok(group["name"].as_str().expect("a name").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_forms_are_accepted_and_returned_as_written() {
    let event = Event::parse(answers::EVENT).expect("valid");
    let app = TestApp::start_with(|config| config.event = event).await;
    let rows = answers::students();
    // One client for all: this is not a test of 2,000 connections.
    let client = app.anonymous();
    let ways = stream::iter(&rows).map(async |row| {
        let email = row["account"]["email"].as_str().expect("an address");
        let student = app.somebody(email, Role::Student, &[]).await;
        let mut visitor = client.clone();
        visitor.cookie = student.cookie;
        register(&visitor, row).await
    });
    let groups: Vec<String> = ways.buffer_unordered(AT_ONCE).try_collect().await.expect("all are accepted");

    let mut members = BTreeMap::new();
    for group in groups {
        *members.entry(group).or_insert(0) += 1;
    }
    let (fewest, most) = (members.values().min(), members.values().max());
    assert_eq!((fewest, most, members.len()), (Some(&100), Some(&100), 20));
    let book: GroupBook = app.store.get(GroupBook::ID).await.expect("readable").expect("there");
    let counted: BTreeMap<_, _> = book.groups.into_iter().map(|tally| (tally.name, tally.members)).collect();
    assert_eq!(counted, members);
    let stored: Vec<Registration> =
        app.store.find(Query::new(Filter::All).limit(3000)).await.expect("readable");
    let by_bus = stored.iter().filter(|student| student.form.answers.contains_key("arrival"));
    assert_eq!((stored.len(), by_bus.count()), (2000, 667));
    answers_are_filtered_counted_and_exported(&app, &rows).await;
    app.finish().await;
}

/// The committee reads the answers like any field of the form.
async fn answers_are_filtered_counted_and_exported(app: &TestApp, rows: &[Value]) {
    let admin = app.administrator().await;
    let answer = |row: &Value, id: &str| row["form"]["answers"][id].clone();
    for (filter, holds) in [
        ("answers.bus:eq:true", &(|row: &Value| answer(row, "bus") == true) as &dyn Fn(&Value) -> bool),
        ("answers.arrival:from:2027-08-25", &|row| {
            answer(row, "arrival").as_str().is_some_and(|day| day >= "2027-08-25")
        }),
        ("answers.workshops:contains:Welding", &|row| {
            answer(row, "workshops").as_array().is_some_and(|chosen| chosen.contains(&"Welding".into()))
        }),
        ("answers.laptop:in:Linux|macOS", &|row| {
            ["Linux", "macOS"].map(Value::from).contains(&answer(row, "laptop"))
        }),
        ("answers.firstAid:exists:false", &|row| answer(row, "firstAid").is_null()),
    ] {
        let page = admin.get(&format!("/v1/students?limit=1&filter={filter}")).await.ok(200);
        assert_eq!(page["total"], rows.iter().filter(|row| holds(row)).count(), "{filter}");
    }
    let by_laptop = admin.get("/v1/students/counts?by=answers.laptop&by=answers.bus").await.ok(200);
    assert_eq!(
        (by_laptop["total"].as_u64(), by_laptop["rows"].as_array().map(Vec::len)),
        (Some(2000), Some(8))
    );
    let columns = ["studentId", "legalName", "medicalInformation", "answers.workshops", "answers.firstAid"];
    let columns = columns.map(|column| format!("fields={column}")).join("&");
    let exported = admin.get(&format!("/v1/students.csv?{columns}")).await.text();
    let read: BTreeMap<String, Vec<String>> = csv::Reader::from_reader(exported.as_bytes())
        .into_deserialize::<Vec<String>>()
        .map(|record| record.expect("a record"))
        .map(|record| (record[0].clone(), record))
        .collect();
    assert_eq!(read.len(), 2000);
    for row in rows {
        let form = as_written(row);
        let defused = |text: &str| match text.starts_with(['=', '+', '-', '@']) {
            true => format!("'{text}"),
            false => text.to_owned(),
        };
        let text = |value: &Value| defused(value.as_str().unwrap_or_default());
        let workshops: Vec<_> =
            form["answers"]["workshops"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let expected = [
            text(&form["studentId"]),
            text(&form["legalName"]),
            text(&form["medicalInformation"]),
            workshops.join("; "),
            text(&form["answers"]["firstAid"]),
        ];
        assert_eq!(read[&expected[0]], expected);
    }
}

// ---- accounts ----

/// Signs up with this body, confirms the address, and signs in.
pub async fn join(app: &TestApp, body: &Value, address: &str) -> Visitor {
    let mut visitor = app.anonymous();
    visitor.post("/v1/accounts", body).await.ok(202);
    let token = app.mailbox(address).token("Confirm").await;
    // As people copy it from an email.
    let token = format!(" \u{2068}{token}\u{2069}\u{200b}");
    visitor.post("/v1/accounts/confirm", &json!({ "token": token })).await.ok(204);
    let signed_in =
        visitor.post("/v1/session", &json!({ "email": body["email"], "password": body["password"] })).await;
    signed_in.ok(200);
    visitor.cookie = signed_in.cookie();
    visitor
}

#[tokio::test(flavor = "multi_thread")]
async fn people_with_one_name_sign_up_register_and_get_a_ticket() {
    let app = TestApp::start().await;
    let mut body = sign_up_of("suharto@mail.example.edu");
    body["firstName"] = "Suharto".into();
    body.as_object_mut().expect("an object").remove("lastName");
    let student = join(&app, &body, "suharto@mail.example.edu").await;
    let me = student.get("/v1/me").await.ok(200);
    assert_eq!((&me["firstName"], me.get("lastName")), (&json!("Suharto"), None));
    let emails = app.mailbox("suharto@mail.example.edu");
    let confirm = emails.email("Confirm").await["text"].as_str().expect("a text").to_owned();
    assert!(confirm.contains("and the name Suharto.\n"), "{confirm}");
    emails.email("Welcome").await;

    let mut written = form(&new_student_id());
    written["legalName"] = "Suharto".into();
    let order = student.post("/v1/registration", &written).await.ok(201)["order"].clone();
    student.press_button(&order, "pay").await;
    app.settle().await;
    assert!(student.get("/v1/ticket.pdf").await.bytes.starts_with(b"%PDF-"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn initials_joined_to_a_surname_are_a_name() {
    let app = TestApp::start().await;
    let student = app.student().await;
    for name in ["J.Kim", "A.Ng", "M.Li", "St.John", "J.R.R."] {
        let me = student.patch("/v1/me", &json!({ "firstName": name, "preferredName": name })).await.ok(200);
        assert_eq!(me["firstName"], name);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_accepted_in_every_script_and_with_invisible_characters() {
    let app = TestApp::start().await;
    for (pasted, address) in [
        ("ann@example.இந்தியா", "ann@example.இந்தியா"),
        ("\u{202d}bo@mail.example.edu\u{202c}", "bo@mail.example.edu"),
        ("cy\u{200b}@mail.example.edu", "cy@mail.example.edu"),
        ("ｄｉ＠ｍａｉｌ．ｅｘａｍｐｌｅ．ｅｄｕ", "di@mail.example.edu"),
    ] {
        let student = join(&app, &sign_up_of(pasted), address).await;
        assert_eq!(student.get("/v1/me").await.ok(200)["email"], address);
        app.anonymous().post("/v1/session", &credentials(address, PASSWORD)).await.ok(200);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_length_of_a_password_is_counted_in_nfc() {
    let app = TestApp::start().await;
    let syllable = |i: u32| char::from_u32(0xac00 + i * 7_919 % 11_172).expect("a syllable of Hangul");
    let composed: String = (1..=70).map(syllable).collect();
    let mut body = sign_up_of("ana@mail.example.edu");
    body["password"] = composed.nfd().collect::<String>().into();
    assert!(body["password"].as_str().expect("a text").chars().count() > 128);
    join(&app, &body, "ana@mail.example.edu").await;
    app.anonymous().post("/v1/session", &credentials("ana@mail.example.edu", &composed)).await.ok(200);
    app.finish().await;
}

// ---- the form ----

/// The registration that is stored for a form with these values.
async fn kept(app: &TestApp, changes: Value) -> Value {
    let student = app.student().await;
    let mut written = form(&new_student_id());
    for (property, value) in changes.as_object().expect("an object") {
        written[property] = value.clone();
    }
    student.post("/v1/registration", &written).await.ok(201)["registration"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn pasted_numbers_ids_and_addresses_lose_invisible_characters() {
    let app = TestApp::start().await;
    for around in [
        ("\u{202d}", "\u{202c}"),
        ("\u{2068}", "\u{2069}"),
        ("\u{200e}", "\u{200e}"),
        ("\u{200b}", "\u{feff}"),
    ] {
        let paste = |text: &str| format!("{}{text}{}", around.0, around.1);
        let id = new_student_id();
        let friend = json!([paste("friend@example.org")]);
        let kept = kept(
            &app,
            json!({ "phone": paste("+1 416 978 2011"), "studentId": paste(&id), "huntTeammates": friend }),
        )
        .await;
        assert_eq!((&kept["phone"], &kept["studentId"]), (&json!("+14169782011"), &json!(id)));
        assert_eq!(kept["huntTeammates"], json!(["friend@example.org"]));
    }
    for phone in
        ["＋１ ４１６ ９７８ ２０１１", "+١ ٤١٦ ٩٧٨ ٢٠١١", "+1 416\u{2012}978\u{2012}2011", "+१-४१६-९७८-२०११"]
    {
        assert_eq!(kept(&app, json!({ "phone": phone })).await["phone"], "+14169782011", "{phone}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_for_calls_within_the_country_is_removed() {
    let app = TestApp::start().await;
    assert_eq!(kept(&app, json!({ "phone": "+1 1-416-978-2011" })).await["phone"], "+14169782011");
    assert_eq!(kept(&app, json!({ "phone": "+44 (0)20 7946 0958" })).await["phone"], "+442079460958");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn team_mates_have_addresses_in_every_script() {
    let app = TestApp::start().await;
    let friends = json!(["कर्म@example.org", "ann@example.இந்தியா", ""]);
    let kept = kept(&app, json!({ "huntTeammates": friends })).await;
    assert_eq!(kept["huntTeammates"], json!(["कर्म@example.org", "ann@example.இந்தியா"]));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legal_name_can_have_120_characters() {
    let app = TestApp::start().await;
    let long = "Zoe\u{308} ".repeat(29);
    let kept = kept(&app, json!({ "legalName": format!("{long}Anna") })).await;
    assert_eq!(kept["legalName"].as_str().expect("a text").chars().count(), 120);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn countries_beside_iso_and_phones_without_a_country_are_accepted() {
    let app = TestApp::start().await;
    for (country, phone, stored) in [
        ("XK", "+383 44 123 456", "+38344123456"),
        ("AC", "+247 40 123", "+24740123"),
        ("TA", "+290 8999", "+2908999"),
        // A satellite phone.
        ("CA", "+881 612 345 678", "+881612345678"),
    ] {
        let kept = kept(&app, json!({ "summerCountry": country, "phone": phone })).await;
        assert_eq!((&kept["summerCountry"], &kept["phone"]), (&json!(country), &json!(stored)));
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_optional_text_counts_as_absent() {
    let app = TestApp::start().await;
    for empty in ["", "  ", "\u{200b}"] {
        let optional = [
            "pronounsOther",
            "medicalInformation",
            "medication",
            "dietaryOther",
            "accessibility",
            "movingMonth",
        ];
        let written: serde_json::Map<_, _> =
            optional.map(|name| (name.to_owned(), json!(empty))).into_iter().collect();
        let kept = kept(&app, Value::Object(written)).await;
        for name in optional {
            assert_eq!(kept.get(name), None, "{name} {empty:?}");
        }
        let mut body = sign_up_of("ana@mail.example.edu");
        (body["lastName"], body["preferredName"]) = (empty.into(), empty.into());
        app.anonymous().post("/v1/accounts", &body).await.ok(202);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_begin_with_a_byte_order_mark() {
    let app = TestApp::start().await;
    let student = app.student().await;
    let body = format!("\u{feff}{}", form(&new_student_id()));
    let request = student.request(reqwest::Method::POST, "/v1/registration");
    student.send(request.header("content-type", "application/json").body(body)).await.ok(201);
    app.finish().await;
}
