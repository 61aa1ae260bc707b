use poem::http::StatusCode;
use serde_json::{Value, json};

use super::client;

fn good() -> Value {
    json!({
        "legalName": "Anna", "emergencyContact": { "name": "Bo", "phone": "1" }, "age": 2, "size": "small",
        "joins": true, "words": [],
    })
}

async fn send(body: impl Into<poem::Body>) -> (StatusCode, Value) {
    let answer = client().post("/v1/form").content_type("application/json").body(body).send().await.0;
    let status = answer.status();
    let body = answer.into_body().into_string().await.unwrap();
    (status, serde_json::from_str(&body).unwrap())
}

/// Pointers and codes of the faults of a body, sorted.
async fn faults(body: Value) -> Vec<String> {
    let (status, problem) = send(body.to_string()).await;
    assert_eq!(status, 422, "{problem}");
    let fault =
        |fault: &Value| format!("{} {}", fault["pointer"].as_str().unwrap(), fault["code"].as_str().unwrap());
    let mut faults: Vec<_> = problem["errors"].as_array().unwrap().iter().map(fault).collect();
    faults.sort();
    faults
}

#[tokio::test]
async fn a_valid_body_is_accepted() {
    assert_eq!(send(good().to_string()).await, (StatusCode::OK, json!("Anna|-|-|-|-")));
}

#[tokio::test]
async fn all_errors_are_reported_at_once() {
    let body = json!({
        "legalName": "way too long", "emergencyContact": { "name": "abcdefgh", "a/b": 1 }, "age": 1,
        "size": "huge", "joins": "yes", "words": ["a", "a", "b"], "isRegistered": true,
    });
    let expected = [
        "/age too-small",
        "/emergencyContact/a~1b unknown-property",
        "/emergencyContact/name too-long",
        "/emergencyContact/phone missing",
        "/isRegistered unknown-property",
        "/joins wrong-type",
        "/legalName too-long",
        "/size not-an-option",
        "/words repeated",
        "/words too-many",
    ];
    assert_eq!(faults(body).await, expected);
}

#[tokio::test]
async fn errors_never_quote_the_body() {
    let mut body = good();
    body["legalName"] = "hunter2hunter2".into();
    body["size"] = "hunter2".into();
    body["age"] = "hunter2".into();
    let (_, problem) = send(body.to_string()).await;
    assert!(!problem.to_string().contains("hunter2"), "{problem}");
}

#[tokio::test]
async fn control_characters_are_refused_except_breaks_in_remarks() {
    let mut body = good();
    body["legalName"] = "A\0".into();
    body["words"] = json!(["fine", "two\nlines"]);
    body["remark"] = "one\r\n\ttwo".into();
    assert_eq!(faults(body.clone()).await, ["/legalName control-character", "/words/1 control-character"]);
    body["remark"] = "\u{1b}[2J".into();
    assert!(faults(body).await.contains(&"/remark control-character".to_owned()));
}

#[tokio::test]
async fn right_to_left_marks_and_emoji_are_text() {
    let mut body = good();
    body["legalName"] = "ש\u{200f}🎉".into();
    assert_eq!(send(body.to_string()).await, (StatusCode::OK, json!("ש\u{200f}🎉|-|-|-|-")));
}

#[tokio::test]
async fn lengths_count_code_points_of_the_cleaned_text() {
    for name in ["🎉🎉🎉🎉🎉", "  Zoe\u{308}e\u{301}o\u{308} \t", "\u{200b}\u{202d}Anna\u{202c}"] {
        let mut body = good();
        body["legalName"] = name.into();
        assert_eq!(send(body.to_string()).await.0, 200, "{name}");
    }
}

#[tokio::test]
async fn texts_are_cleaned_as_their_format_says() {
    let mut body = good();
    body["legalName"] = " Zoe\u{308}\u{200b} ".into();
    body["remark"] = "\none\r\n\ttwo ".into();
    body["email"] = "\u{2068}a@b.org\u{2069}".into();
    body["code"] = " a\u{ad}b１٢३ ".into();
    body["secret"] = " e\u{301}x\u{200b} ".into();
    assert_eq!(
        send(body.to_string()).await,
        (StatusCode::OK, json!("Zoë|one\r\n\ttwo|a@b.org|ab123| éx\u{200b} "))
    );
    body["email"] = "a\n@b.org".into();
    body["code"] = "ab1234".into();
    body["secret"] = "1234567".into();
    assert_eq!(faults(body).await, ["/code too-long", "/email control-character", "/secret too-long"]);
}

#[tokio::test]
async fn an_empty_optional_text_is_absent_and_a_needed_one_is_missing() {
    for empty in ["", "  ", "\u{200b}", "\u{3164}"] {
        let mut body = good();
        for optional in ["remark", "email", "code", "secret"] {
            body[optional] = if optional == "secret" { "" } else { empty }.into();
        }
        assert_eq!(send(body.to_string()).await, (StatusCode::OK, json!("Anna|-|-|-|-")), "{empty:?}");
        body["legalName"] = empty.into();
        assert_eq!(faults(body).await, ["/legalName empty"], "{empty:?}");
    }
    let client = client();
    let change = async |body: &'static str| {
        let answer = client.patch("/v1/form").content_type("application/json").body(body).send().await.0;
        (answer.status().as_u16(), answer.into_body().into_string().await.unwrap())
    };
    assert_eq!(change("{\"nickname\":\" \"}").await, change("{\"nickname\":null}").await);
    assert_eq!(change("{\"nickname\":\"\"}").await.0, 200);
}

#[tokio::test]
async fn a_byte_order_mark_is_skipped() {
    assert_eq!(send(format!("\u{feff}{}", good())).await.0, 200);
    assert_eq!(send("\u{feff}\u{feff}{}").await.0, 400);
}

#[tokio::test]
async fn null_is_accepted_only_where_it_clears_a_value() {
    let client = client();
    let patch =
        |body: &'static str| client.patch("/v1/form").content_type("application/json").body(body).send();
    assert_eq!(patch(r#"{"nickname":null}"#).await.0.status(), 200);
    assert_eq!(patch("{}").await.0.status(), 200);
    let long = patch(r#"{"nickname":"too long"}"#).await;
    long.assert_status(StatusCode::UNPROCESSABLE_ENTITY);
    long.assert_json(json!({
        "type": "/problems/invalid", "title": "Invalid body", "status": 422,
        "detail": "Fix the fields listed in `errors` and try again.",
        "errors": [{ "pointer": "/nickname", "code": "too-long", "detail": "Use at most 5 characters." }],
    }))
    .await;
    let mut body = good();
    body["remark"] = Value::Null;
    assert_eq!(faults(body).await, ["/remark wrong-type"]);
}

#[tokio::test]
async fn malformed_json_is_refused_with_its_position() {
    let deep = "[".repeat(50_000);
    for body in ["", "{", "{\"legalName\":", "{,}", "{\"a\":\"\u{1}\"}", "\"\\ud800\"", &deep] {
        let (status, problem) = send(body.to_owned()).await;
        assert_eq!(
            (status.as_u16(), &problem["type"]),
            (400, &json!("/problems/malformed-json")),
            "{body:.20}"
        );
    }
    assert_eq!(send(vec![b'"', 0xff, b'"']).await.0, 400);
}

#[tokio::test]
async fn a_body_of_another_type_is_one_error() {
    for body in ["[1]", "5", "null", "\"text\""] {
        let (status, problem) = send(body).await;
        assert_eq!(status, 422, "{body}");
        assert_eq!(problem["errors"][0]["pointer"], "");
    }
}

#[tokio::test]
async fn the_last_of_duplicate_properties_counts() {
    let body = good()
        .to_string()
        .replace("\"legalName\":\"Anna\"", "\"legalName\":\"far too long\",\"legalName\":\"Bo\"");
    assert_eq!(send(body).await, (StatusCode::OK, json!("Bo|-|-|-|-")));
}

#[tokio::test]
async fn the_content_type_must_be_json() {
    let client = client();
    for wrong in
        ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "multipart/form-data"]
    {
        let answer = client.post("/v1/form").content_type(wrong).body(good().to_string()).send().await;
        answer.assert_status(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    client
        .post("/v1/form")
        .body(good().to_string())
        .send()
        .await
        .assert_status(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for right in ["application/json; charset=utf-8", "Application/JSON"] {
        client
            .post("/v1/form")
            .content_type(right)
            .body(good().to_string())
            .send()
            .await
            .assert_status_is_ok();
    }
}

#[tokio::test]
async fn webhooks_accept_any_origin_and_have_their_own_limit() {
    let client = client();
    let message = |length: usize| {
        let request = client.post("/v1/webhooks/trial").content_type("text/plain; charset=utf-8");
        let request = request.header("origin", "https://evil.example").header("content-length", length);
        request.header("cookie", "orientation_session=student").body("x".repeat(length)).send()
    };
    message(1024).await.assert_json("x".repeat(1024)).await;
    message(1025).await.assert_status(StatusCode::PAYLOAD_TOO_LARGE);
    let json = client.post("/v1/webhooks/trial").content_type("application/json").body("{}").send().await;
    json.assert_status(StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn the_list_of_errors_is_limited() {
    let many: serde_json::Map<_, _> = (0..2000).map(|i| (format!("x{i}"), json!(1))).collect();
    assert_eq!(faults(Value::Object(many)).await.len(), 50);
}
