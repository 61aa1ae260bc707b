//! The response to bad input: a problem with a stable type. Nothing changes, and other clients don't wait. Orders of
//! other students are tested in `v1_orders`, second registrations in `v1_registration`, unsigned events in
//! `v1_webhooks_stripe`, tokens beside the operations that accept them.

use std::time::{Duration, Instant};

use orientation::http::ConnectionLimits;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, ORIGIN};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, TestApp, Visitor, form, new_student_id};
use crate::v1_accounts::sign_up_of;

async fn send(visitor: &Visitor, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = visitor.request(Method::POST, path).header(CONTENT_TYPE, kind).body(body);
    visitor.send(request).await
}

// ---- bodies ----

#[tokio::test(flavor = "multi_thread")]
async fn malformed_json_is_a_400_at_any_length_or_depth() {
    let app = TestApp::start().await;
    let student = app.student().await;
    let form = form("ag123456").to_string();
    let bodies: [Vec<u8>; 9] = [
        b"".to_vec(),
        b"{".to_vec(),
        b"nonsense".to_vec(),
        form.as_bytes()[..form.len() / 2].to_vec(),
        format!("{form}{form}").into_bytes(),
        form.replace("\"Civil\"", "Civil").into_bytes(),
        vec![0xff; 64],
        "[".repeat(60_000).into_bytes(),
        "{\"legalName\":".repeat(4_000).into_bytes(),
    ];
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(30)]).into_owned();
        let answer = send(&student, "/v1/registration", "application/json", body).await;
        let problem = answer.refused(400, "malformed-json");
        assert!(!problem.to_string().contains("García"), "{shown}: the response does not repeat the request");
    }
    let huge = format!("{{\"legalName\":\"{}\"}}", "x".repeat(1_000_000));
    send(&student, "/v1/registration", "application/json", huge).await.refused(413, "too-large");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json"]
    {
        let answer = send(&student, "/v1/registration", kind, form.clone()).await;
        answer.refused(415, "wrong-content-type");
    }
    student.get("/v1/registration").await.refused(404, "no-registration");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_types_and_unknown_properties_are_reported_together_at_every_level() {
    let app = TestApp::start().await;
    let student = app.student().await;
    let mut body = form("ag123456");
    body["legalName"] = 5.into();
    body["joinsHunt"] = "yes".into();
    body["huntTeammates"] = json!({});
    body["emergencyContact"]["phone"] = 15_062_330_166_u64.into();
    body["emergencyContact"]["isRegistered"] = true.into();
    body["group"] = "Alpha".into();
    body["summerCity"] = Value::Null;
    let expected: Vec<_> = [
        ("/emergencyContact/isRegistered", "unknown-property"),
        ("/emergencyContact/phone", "wrong-type"),
        ("/group", "unknown-property"),
        ("/huntTeammates", "wrong-type"),
        ("/joinsHunt", "wrong-type"),
        ("/legalName", "wrong-type"),
        ("/summerCity", "wrong-type"),
    ]
    .map(|(pointer, code)| (pointer.to_owned(), code.to_owned()))
    .into();
    assert_eq!(student.post("/v1/registration", &body).await.errors(), expected);
    student.get("/v1/registration").await.refused(404, "no-registration");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_that_do_not_exist_are_refused() {
    let app = TestApp::start().await;
    let student = app.student().await;
    for date in
        ["2007-02-29", "2007-13-01", "2007-00-10", "2007-04-31", "20070401", "1.4.2007", "-2007-04-01", ""]
    {
        let mut body = form("ag123456");
        body["birthDate"] = date.into();
        let errors = student.post("/v1/registration", &body).await.errors();
        assert_eq!((errors.len(), errors[0].0.as_str()), (1, "/birthDate"), "{date}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_characters_are_refused_and_marks_of_scripts_are_kept() {
    let app = TestApp::start().await;
    let student = app.student().await;
    for bad in ["A\0na", "A\u{1b}[2J", "A\nB", "A\u{7f}", "A\u{85}B", "A\u{2028}B"] {
        for property in ["legalName", "summerCity"] {
            let mut body = form("ag123456");
            body[property] = bad.into();
            let errors = student.post("/v1/registration", &body).await.errors();
            assert_eq!(errors, [(format!("/{property}"), "control-character".into())], "{bad:?}");
        }
        let errors = student.patch("/v1/me", &json!({ "firstName": bad })).await.errors();
        assert_eq!(errors[0].0, "/firstName", "{bad:?}");
        let errors =
            app.anonymous().post("/v1/session", &json!({ "email": bad, "password": bad })).await.errors();
        assert!(errors.iter().any(|(pointer, _)| pointer == "/email"), "{bad:?}");
    }
    let mut body = form("ag123456");
    body["legalName"] = "נועה \u{200f}כהן\u{200e} 🎉".into();
    body["medicalInformation"] = "one\n\ttwo\r\n👩🏽‍🚀".into();
    let kept = student.post("/v1/registration", &body).await.ok(201)["registration"].clone();
    assert_eq!(kept["legalName"], "נועה \u{200f}כהן\u{200e} 🎉");
    assert_eq!(kept["medicalInformation"], "one\n\ttwo\r\n👩🏽‍🚀");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_nothing_but_invisible_characters_is_empty() {
    let app = TestApp::start().await;
    let student = app.student().await;
    for blank in
        ["\u{200b}", "\u{3164}", "\u{2060}", "\u{115f}\u{1160}", "\u{2800} \u{2800}", "\u{200d}\u{fe0f}"]
    {
        for (pointer, code) in [
            ("/legalName", "empty"),
            ("/emergencyContact/name", "empty"),
            ("/emergencyContact/relationship", "empty"),
            ("/summerCity", "missing"),
        ] {
            let mut body = form("ag123456");
            *body.pointer_mut(pointer).expect("there") = blank.into();
            let errors = student.post("/v1/registration", &body).await.errors();
            assert_eq!(errors, [(pointer.to_owned(), code.to_owned())], "{blank:?}");
        }
        let mut body = sign_up_of("ana@mail.example.edu");
        body["firstName"] = blank.into();
        let errors = app.anonymous().post("/v1/accounts", &body).await.errors();
        assert_eq!(errors, [("/firstName".to_owned(), "empty".to_owned())], "{blank:?}");
        let errors = student.patch("/v1/me", &json!({ "firstName": blank })).await.errors();
        assert_eq!(errors, [("/firstName".to_owned(), "missing".to_owned())], "{blank:?}");
    }
    student.get("/v1/registration").await.refused(404, "no-registration");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_of_the_form_is_at_most_as_long_as_the_document_says() {
    let app = TestApp::start().await;
    let document = app.anonymous().get("/openapi.json").await.ok(200);
    let limits = document["components"]["schemas"]["RegistrationForm"]["properties"].as_object();
    let limits = limits.expect("properties").iter().filter_map(|(name, schema)| {
        Some((name, usize::try_from(schema["maxLength"].as_u64()?).expect("a length")))
    });
    let mut count = 0;
    for (name, limit) in limits {
        let student = app.student().await;
        let mut body = form(&new_student_id());
        // In NFC half as long as it is sent.
        body[name] = "e\u{301}".repeat(limit + 1).into();
        let too_long = (format!("/{name}"), "too-long".to_owned());
        let errors = student.post("/v1/registration", &body).await.errors();
        assert_eq!(errors, std::slice::from_ref(&too_long), "{name}");
        body[name] = "e\u{301}".repeat(limit).into();
        let answer = student.post("/v1/registration", &body).await;
        assert!(answer.status == 201 || !answer.errors().contains(&too_long), "{name}: {answer:?}");
        count += 1;
    }
    assert_eq!(count, 12);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_with_web_addresses_are_refused() {
    let app = TestApp::start().await;
    for link in ["visit evil.com", "paypal.com", "www.x.y", "http://x", "t.co/x"] {
        let mut body = sign_up_of("ana@mail.example.edu");
        for name in ["firstName", "lastName", "preferredName"] {
            body[name] = link.into();
        }
        let errors = app.anonymous().post("/v1/accounts", &body).await.errors();
        let expected =
            ["/firstName", "/lastName", "/preferredName"].map(|name| (name.to_owned(), "link".to_owned()));
        assert_eq!(errors, expected, "{link}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phone_numbers_outside_every_numbering_plan_are_refused() {
    let app = TestApp::start().await;
    let student = app.student().await;
    for phone in ["+1 116 978 2011", "+1 416 978 201", "+999 123 456 789", "416 978 2011", "+44 123"] {
        let mut body = form("ag123456");
        body["phone"] = phone.into();
        body["emergencyContact"]["phone"] = phone.into();
        let errors = student.post("/v1/registration", &body).await.errors();
        let expected =
            ["/emergencyContact/phone", "/phone"].map(|at| (at.to_owned(), "not-a-phone-number".to_owned()));
        assert_eq!(errors, expected, "{phone}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_refusal_repeats_a_password() {
    let app = TestApp::start().await;
    let anonymous = app.anonymous();
    let secret = "hunter2hunter2";
    let bodies = [
        json!({ "email": "ana", "password": secret, "firstName": secret, "lastName": 5 }),
        json!({ "email": secret, "password": { "password": secret } }),
        json!({ "token": secret, "password": secret }),
    ];
    for path in ["/v1/accounts", "/v1/session", "/v1/password-resets/complete", "/v1/accounts/confirm"] {
        for body in &bodies {
            let answer = anonymous.post(path, body).await;
            assert!(answer.status.is_client_error() && !answer.text().contains("hunter2"), "{answer:?}");
        }
        let broken =
            send(&anonymous, path, "application/json", format!("{{\"password\":\"{secret}\",")).await;
        assert!(!broken.text().contains("hunter2"), "{broken:?}");
    }
    app.finish().await;
}

/// Sent in place of an id, a number or a word.
const NASTY: [&str; 11] = [
    "",
    "%00",
    "%ff",
    "%",
    "..%2f..%2fetc%2fpasswd",
    "%F0%9F%8E%89",
    "-1",
    "18446744073709551616",
    "'%20OR%201=1--",
    "%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
    "%E2%80%AE%0d%0aset-cookie:%20a=b",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_url_causes_a_server_error_or_is_reflected_as_markup() {
    let app = TestApp::start().await;
    let student = app.student().await;
    for place in [
        "/{}",
        "/docs/{}",
        "/confirm?token={}",
        "/reset-password?token={}",
        "/checkout/done?{}",
        "/sandbox/checkout/{}",
        "/outbox/{}",
        "/outbox/{}/html",
        "/outbox/{}/attachments/0",
        "/outbox/x/attachments/{}",
        "/outbox?to={}",
        "/outbox?cursor={}",
        "/outbox?limit={}",
        "/outbox.json?cursor={}",
        "/mails/{}",
        "/mails/{}/html",
        "/mails/welcome?sample={}",
        "/v1/{}",
        "/v1/orders/{}",
        "/v1/orders?limit={}",
        "/v1/orders?cursor={}",
    ] {
        for nasty in NASTY.into_iter().chain([&*"x".repeat(5_000)]) {
            let address = place.replace("{}", nasty);
            let answer = student.get(&address).await;
            assert!(!answer.status.is_server_error(), "{address}: {answer:?}");
            assert!(!answer.text().contains("<script>alert"), "{address}: {answer:?}");
            let cookie = answer.cookie();
            let is_ours = |cookie: &String| cookie.starts_with("orientation_browser=");
            assert!(cookie.as_ref().is_none_or(is_ours), "{address}: {cookie:?}");
        }
    }
    student.get("/v1/me").await.ok(200);
    app.finish().await;
}

// ---- origins ----

#[tokio::test(flavor = "multi_thread")]
async fn with_a_session_only_requests_from_our_own_pages_change_anything() {
    let app = TestApp::start().await;
    let student = app.student().await;
    let rename = |name: &str, value: &str| {
        let request = student.request(Method::PATCH, "/v1/me").json(&json!({ "firstName": "Mallory" }));
        student.send(request.header(name, value))
    };
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", ""),
        ("origin", "http://127.0.0.1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        rename(name, value).await.refused(403, "foreign-origin");
    }
    assert_eq!(student.get("/v1/me").await.ok(200)["firstName"], "Ana");
    let own = app.url.clone();
    rename("origin", &own).await.ok(200);
    let form = student.request(Method::POST, "/confirm").header(ORIGIN, "https://evil.example");
    student.send(form.form(&[("token", "x")])).await.refused(403, "foreign-origin");
    app.finish().await;
}

// ---- connections ----

/// Deadlines that a test can wait for, and few enough connections that a test can open all of them.
fn impatient() -> ConnectionLimits {
    ConnectionLimits {
        connections: 120,
        connections_of_a_peer: 100,
        first_byte: Duration::from_millis(400),
        head: Duration::from_millis(800),
        ..ConnectionLimits::default()
    }
}

async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.config.listen).await.expect("it listens")
}

/// Reads until the server closes the connection; a reset counts as closing.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = vec![];
    let reading = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
    let _ = reading.await.expect("cut off in time");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_silent_connections_do_not_block_other_clients() {
    let patient = ConnectionLimits { first_byte: Duration::from_secs(600), ..impatient() };
    let app = TestApp::start_behind(patient).await;
    let mut silent = vec![];
    for _ in 0..500 {
        silent.push(connect(&app).await);
    }
    for _ in 0..10 {
        // A new client opens a new connection.
        app.anonymous().get("/v1/event").await.ok(200);
    }
    assert_eq!(rest(&mut silent[0]).await, "", "the oldest silent connection is closed to make room");
    app.anonymous().get("/health/ready").await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_are_closed() {
    let app = TestApp::start_behind(impatient()).await;
    let mut silent = vec![];
    for _ in 0..50 {
        silent.push(connect(&app).await);
    }
    let started = Instant::now();
    for stream in &mut silent {
        assert_eq!(rest(stream).await, "");
    }
    assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
    app.anonymous().get("/v1/event").await.ok(200);
    app.finish().await;
}

/// Enough for a deadline of a second or two, on a busy machine too.
const PROMPT: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_never_end_close_the_connection() {
    let app = TestApp::start_behind(impatient()).await;
    let started = Instant::now();
    let mut stream = connect(&app).await;
    stream.write_all(b"GET /v1/event HTTP/1.1\r\nx-slow: ").await.expect("taken");
    let (mut reading, mut writing) = stream.split();
    let dripping = async {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut answer = vec![];
    tokio::select! {
        () = dripping => {}
        _ = reading.read_to_end(&mut answer) => {}
    }
    assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
    app.anonymous().get("/v1/event").await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_too_long_get_431() {
    let app = TestApp::start().await;
    let host = app.config.listen;
    let long = "x".repeat(20 * 1024);
    let many = "x-many: y\r\n".repeat(1_800);
    for head in [
        format!("GET /v1/event HTTP/1.1\r\nhost: {host}\r\nx-long: {long}\r\n\r\n"),
        format!("GET /v1/event?{long} HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        format!("GET /v1/event HTTP/1.1\r\nhost: {host}\r\n{many}\r\n"),
    ] {
        let mut stream = connect(&app).await;
        stream.write_all(head.as_bytes()).await.expect("taken");
        let answer = rest(&mut stream).await;
        assert!(
            ["431", "414"].iter().any(|status| answer.starts_with(&format!("HTTP/1.1 {status}"))),
            "{answer:.200}"
        );
    }
    app.anonymous().get("/v1/event").await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_ends_closes_the_connection() {
    let app = TestApp::start().await;
    let head = format!(
        "POST /v1/accounts HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        app.config.listen
    );
    let mut stream = connect(&app).await;
    stream.write_all(head.as_bytes()).await.expect("taken");
    let (mut reading, mut writing) = stream.split();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let mut sent = 0;
    let flooding = async {
        while writing.write_all(chunk.as_bytes()).await.is_ok() {
            sent += chunk.len();
        }
        std::future::pending::<()>().await;
    };
    let mut answer = vec![];
    let reading = tokio::time::timeout(PROMPT, reading.read_to_end(&mut answer));
    tokio::select! {
        () = flooding => {}
        ended = reading => drop(ended.expect("cut off in time")),
    }
    assert!(sent < 64 * 1024 * 1024, "{sent} bytes were taken");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    app.anonymous().get("/v1/event").await.ok(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_breaks_off_changes_nothing() {
    let app = TestApp::start().await;
    let body = sign_up_of("ana@mail.example.edu").to_string();
    for length in [body.len() / 2, body.len() - 1] {
        let head = format!(
            "POST /v1/accounts HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            app.config.listen,
            body.len()
        );
        let mut stream = connect(&app).await;
        stream.write_all(head.as_bytes()).await.expect("taken");
        stream.write_all(&body.as_bytes()[..length]).await.expect("taken");
        drop(stream);
    }
    app.anonymous().get("/health/ready").await.ok(200);
    app.settle().await;
    assert!(app.mailbox("ana@mail.example.edu").emails().await.is_empty());
    app.finish().await;
}
