use poem::IntoResponse;
use poem::http::StatusCode;
use poem::test::{TestClient, TestResponse};

use super::*;

const COOKIE: &str = "orientation_session";

async fn problem(answer: TestResponse) -> (u16, String) {
    let status = answer.0.status().as_u16();
    answer.assert_content_type("application/problem+json");
    let body: serde_json::Value =
        serde_json::from_str(&answer.0.into_body().into_string().await.unwrap()).unwrap();
    assert_eq!(body["status"], status);
    (status, body["type"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_parameter_requires_a_session() {
    let client = client();
    let me = |cookie: &str| client.get("/v1/me").header("cookie", format!("{COOKIE}={cookie}")).send();
    me("student").await.assert_json("student").await;
    let refused = (401, "/problems/not-signed-in".to_owned());
    assert_eq!(problem(me("nobody").await).await, refused);
    assert_eq!(problem(client.get("/v1/me").send().await).await, refused);
    assert_eq!(problem(me("broken").await).await, (503, "/problems/unavailable".to_owned()));
}

#[test]
fn store_failures_and_queue_timeouts_have_retry_after() {
    let failed = StoreError::Failed("it is away".into());
    for (error, seconds) in [(failed, "5"), (StoreError::TooSlow, "5"), (StoreError::Busy, "10")] {
        let answer = unavailable(error).into_response();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["retry-after"]),
            (503, &seconds.parse().unwrap())
        );
    }
}

#[tokio::test]
async fn a_right_is_a_parameter() {
    let client = client();
    let call = |method: Method, path: &'static str, cookie: &str| {
        client.request(method, path).header("cookie", format!("{COOKIE}={cookie}")).send()
    };
    call(Method::GET, "/v1/student", "student").await.assert_status_is_ok();
    let leader = problem(call(Method::GET, "/v1/student", "leader").await).await;
    assert_eq!(leader, (403, "/problems/students-only".to_owned()));
    for may in ["editor", "admin"] {
        call(Method::DELETE, "/v1/accounts", may).await.assert_status_is_ok();
    }
    for (may_not, why) in
        [("leader", "scope-missing"), ("student", "scope-missing"), ("waiting", "not-approved")]
    {
        let refused = problem(call(Method::DELETE, "/v1/accounts", may_not).await).await;
        assert_eq!(refused, (403, format!("/problems/{why}")), "{may_not}");
    }
}

#[tokio::test]
async fn a_machine_authenticates_with_its_key() {
    let client = client();
    let call = |path: &'static str, method: Method, credentials: &str| {
        client.request(method, path).header("authorization", credentials).send()
    };
    for credentials in ["Bearer editor-key", "bearer  editor-key"] {
        let answer = call("/v1/accounts", Method::DELETE, credentials).await;
        answer.assert_status_is_ok();
        answer.assert_json("{\"kind\":\"machine\",\"id\":\"editor-key\"}").await;
    }
    for (credentials, refused) in [
        ("Bearer scanner-key", (403, "/problems/scope-missing")),
        ("Bearer unknown", (401, "/problems/api-key-invalid")),
        ("Bearer ", (401, "/problems/api-key-invalid")),
        ("Bearer", (401, "/problems/not-signed-in")),
        ("Basic editor-key", (401, "/problems/not-signed-in")),
        ("Bearer broken", (503, "/problems/unavailable")),
    ] {
        let (status, kind) = problem(call("/v1/accounts", Method::DELETE, credentials).await).await;
        assert_eq!((status, kind.as_str()), refused, "{credentials}");
    }
    let me = problem(call("/v1/me", Method::GET, "Bearer editor-key").await).await;
    assert_eq!(me, (401, "/problems/not-signed-in".to_owned()), "a machine has no account");
}

#[tokio::test]
async fn an_invalid_key_is_refused_even_with_a_cookie() {
    let client = client();
    let request = client.delete("/v1/accounts").header("cookie", format!("{COOKIE}=editor"));
    let refused = problem(request.header("authorization", "Bearer unknown").send().await).await;
    assert_eq!(refused, (401, "/problems/api-key-invalid".to_owned()));
}

#[tokio::test]
async fn under_https_only_the_protected_cookie_opens_a_session() {
    let client =
        TestClient::new(Api::new(Trial, Route::new(), parts("https://api.example.edu")).into_endpoint());
    let me = |cookie: &str| client.get("/v1/me").header("cookie", cookie.to_owned()).send();
    me("orientation_session=student").await.assert_status(StatusCode::UNAUTHORIZED);
    let answer = me("__Host-orientation_session=student").await;
    answer.assert_status_is_ok();
    answer.assert_header("strict-transport-security", "max-age=31536000");
}

#[tokio::test]
async fn an_unknown_path_is_a_problem() {
    let client = client();
    let not_found = (404, "/problems/not-found".to_owned());
    for path in ["/v1/nothing", "/v1/", "/nothing", "/health/nothing", "/docs/nothing"] {
        assert_eq!(problem(client.get(path).send().await).await, not_found, "{path}");
    }
    for path in ["/v1/things/x?size=many", "/v1/things/%ff"] {
        let wrong = client.get(path).send().await;
        assert_eq!(problem(wrong).await, (400, "/problems/bad-parameter".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_gets_allow() {
    let client = client();
    for (path, allowed) in [
        ("/v1/form", "PATCH, POST"),
        ("/v1/me", "GET, HEAD"),
        ("/v1/things/x", "GET, HEAD"),
        ("/page", "GET, HEAD, POST"),
    ] {
        let answer = client.delete(path).send().await;
        answer.assert_header("allow", allowed);
        assert_eq!(problem(answer).await, (405, "/problems/method-not-allowed".to_owned()));
    }
    client.head("/v1/client").send().await.assert_status_is_ok();
}

#[tokio::test]
async fn a_panic_becomes_a_response_without_its_message() {
    let answer = client().get("/v1/panic").send().await;
    answer.assert_status(StatusCode::INTERNAL_SERVER_ERROR);
    let body = answer.0.into_body().into_string().await.unwrap();
    assert!(body.contains("/problems/internal") && !body.contains("secret"), "{body}");
}

#[tokio::test]
async fn cross_origin_changes_with_a_session_are_refused() {
    let client = client();
    let change = |origin: &'static str, cookie: bool| {
        let cookie = if cookie { format!("{COOKIE}=student") } else { "other=1".into() };
        let request = client.patch("/v1/form").header("cookie", cookie).content_type("application/json");
        request.header("origin", origin).body("{}").send()
    };
    for ours in ["http://127.0.0.1:3000", "http://127.0.0.1:5173"] {
        change(ours, true).await.assert_status_is_ok();
    }
    for foreign in ["https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1:3001"] {
        let refused = problem(change(foreign, true).await).await;
        assert_eq!(refused, (403, "/problems/foreign-origin".to_owned()), "{foreign}");
        change(foreign, false).await.assert_status_is_ok();
    }
    let read = client.get("/v1/me").header("cookie", format!("{COOKIE}=student")).header("origin", "null");
    read.send().await.assert_status_is_ok();
    let posted =
        client.post("/page").header("cookie", format!("{COOKIE}=x")).header("sec-fetch-site", "cross-site");
    posted.send().await.assert_status(StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn only_the_frontend_may_read_responses() {
    let client = client();
    let preflight = |origin: &'static str| client.options("/v1/form").header("origin", origin).send();
    let answer = preflight("http://127.0.0.1:5173").await;
    answer.assert_status(StatusCode::NO_CONTENT);
    answer.assert_header("access-control-allow-origin", "http://127.0.0.1:5173");
    answer.assert_header("access-control-allow-credentials", "true");
    answer.assert_header("vary", "Origin");
    let foreign = preflight("https://evil.example").await;
    foreign.assert_status(StatusCode::METHOD_NOT_ALLOWED);
    foreign.assert_header_is_not_exist("access-control-allow-origin");
}

#[tokio::test]
async fn a_loopback_service_refuses_other_host_names() {
    let answer = client().get("/v1/client").header("host", "evil.example:3000").send().await;
    assert_eq!(problem(answer).await, (421, "/problems/unknown-host".to_owned()));
}

#[tokio::test]
async fn every_response_has_security_headers() {
    let client = client();
    for path in ["/v1/client", "/page", "/nothing", "/docs"] {
        let answer = client.get(path).send().await;
        answer.assert_header("x-content-type-options", "nosniff");
        answer.assert_header("referrer-policy", "same-origin");
        answer.assert_header_exist("content-security-policy");
        answer.assert_header_exist("x-request-id");
    }
    client.get("/v1/client").send().await.assert_header("cache-control", "no-store");
}

#[tokio::test]
async fn the_request_id_of_a_trusted_proxy_is_kept() {
    let client = client();
    let id_for = async |id: &'static str| {
        let answer = client.get("/v1/client").header("x-request-id", id).send().await;
        answer.0.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(id_for("0a1b2c3d-4e5f").await, "0a1b2c3d-4e5f");
    for not_sane in ["short", "with spaces in it", "a{}\"injection"] {
        assert_ne!(id_for(not_sane).await, not_sane);
    }
}

#[tokio::test]
async fn the_client_is_the_last_untrusted_address() {
    let client = client();
    let seen = async |forwarded: &'static str| {
        let answer = client.get("/v1/client").header("x-forwarded-for", forwarded).send().await;
        answer.0.into_body().into_string().await.unwrap()
    };
    assert_eq!(seen("203.0.113.9").await, "\"203.0.113.9\"");
    assert_eq!(seen("198.51.100.1, 203.0.113.9, 10.1.2.3").await, "\"203.0.113.9\"");
    assert_eq!(seen("forged, 203.0.113.9").await, "\"203.0.113.9\"");
    assert_eq!(seen("::ffff:203.0.113.9").await, "\"203.0.113.9\"");
    assert_eq!(seen("203.0.113.9:8080, 10.1.2.3:443").await, "\"203.0.113.9\"");
    assert_eq!(seen("[2001:db8::1]:8080").await, seen("2001:db8::1").await);
    assert_eq!(seen("[2001:db8::1]").await, "\"2001:db8::1\"");
    assert_eq!(seen("nonsense").await, "\"127.0.0.1\"");
}

#[tokio::test]
async fn document_and_swagger_ui_support_etags() {
    let api = api();
    let json = api.document().json().to_owned();
    let client = TestClient::new(api.into_endpoint());
    let answer = client.get("/openapi.json").send().await;
    answer.assert_content_type("application/json");
    let tag = answer.0.header("etag").unwrap().to_owned();
    answer.assert_header("cache-control", "no-cache");
    answer.assert_text(json).await;
    let again = client.get("/openapi.json").header("if-none-match", tag).send().await;
    again.assert_status(StatusCode::NOT_MODIFIED);
    for path in ["/docs", "/docs/start.js", "/docs/swagger-ui.js", "/docs/swagger-ui.css"] {
        client.get(path).send().await.assert_status_is_ok();
    }
}
