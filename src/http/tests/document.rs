use serde_json::{Value, json};

use super::api;
use crate::http::spec::Document;

fn document() -> Value {
    api().document().value().clone()
}

fn statuses(document: &Value, path: &str, method: &str) -> Vec<String> {
    let mut statuses: Vec<_> =
        document["paths"][path][method]["responses"].as_object().unwrap().keys().cloned().collect();
    statuses.sort();
    statuses
}

#[test]
fn completion_is_idempotent_and_deterministic() {
    let (one, two) = (api(), api());
    assert_eq!(one.document().json(), two.document().json());
    assert_eq!(Document::new(one.document().json()).json(), one.document().json());
    assert!(one.document().json().ends_with("}\n"));
}

#[test]
fn request_objects_are_closed_and_responses_are_open() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    for sent in ["Form", "Contact", "Change"] {
        assert_eq!(schemas[sent]["additionalProperties"], false, "{sent}");
    }
    assert_eq!(schemas["Problem"]["additionalProperties"], Value::Null);
}

#[test]
fn operations_list_only_their_possible_statuses() {
    let document = document();
    let sent = ["200", "400", "403", "408", "413", "415", "421", "422"];
    assert_eq!(statuses(&document, "/v1/form", "post"), sent);
    assert_eq!(statuses(&document, "/v1/me", "get"), ["200", "401", "403", "421", "503"]);
    assert_eq!(statuses(&document, "/v1/student", "get"), ["200", "401", "403", "421", "503"]);
    assert_eq!(statuses(&document, "/v1/things/{id}", "get"), ["200", "400", "404", "421", "503"]);
    let message = ["200", "400", "408", "413", "415", "421"];
    assert_eq!(statuses(&document, "/v1/webhooks/trial", "post"), message);
}

#[test]
fn the_types_of_a_refusal_are_listed_with_an_example_of_each() {
    let document = document();
    let not_found = &document["paths"]["/v1/things/{id}"]["get"]["responses"]["404"];
    assert_eq!(not_found["description"], "No such thing (`no-such-thing`).");
    let content = &not_found["content"]["application/problem+json"];
    let exact = json!({
        "type": "object",
        "required": ["type", "status"],
        "properties": {
            "type": { "type": "string", "enum": ["/problems/no-such-thing"] },
            "status": { "type": "integer", "format": "int32", "enum": [404] },
        },
    });
    let problem = json!({ "$ref": "#/components/schemas/Problem" });
    assert_eq!(content["schema"], json!({ "allOf": [problem, exact] }));
    let example = json!({
        "type": "/problems/no-such-thing", "title": "No such thing", "status": 404, "detail": "There is none.",
    });
    assert_eq!(content["examples"]["no-such-thing"], json!({ "summary": "No such thing", "value": example }));
}

#[test]
fn a_response_of_shared_kinds_alone_is_a_component() {
    let document = document();
    let reference = |path: &str, method: &str, status: &str| {
        document["paths"][path][method]["responses"][status]["$ref"].as_str().unwrap().to_owned()
    };
    let body = "#/components/responses/BrokenBodyOrMalformedJson";
    assert_eq!(reference("/v1/form", "post", "400"), body);
    assert_eq!(reference("/v1/form", "patch", "400"), body);
    assert_eq!(reference("/v1/things/{id}", "get", "503"), "#/components/responses/Unavailable");
    let responses = &document["components"]["responses"];
    assert_eq!(responses["Unavailable"]["headers"]["Retry-After"]["schema"]["type"], "integer");
    let invalid = &responses["Invalid"]["content"]["application/problem+json"]["schema"]["allOf"][1];
    assert_eq!(invalid["required"], json!(["type", "status", "errors"]));
}

#[test]
fn every_operation_names_its_right() {
    let document = document();
    assert_eq!(document["paths"]["/v1/accounts"]["delete"]["x-right"], "accounts:edit");
    assert_eq!(document["paths"]["/v1/student"]["get"]["x-right"], "student");
    assert_eq!(document["paths"]["/v1/student"]["get"]["parameters"], Value::Null);
    assert_eq!(document["paths"]["/v1/me"]["get"]["x-right"], "account");
    assert_eq!(document["paths"]["/v1/form"]["post"]["x-right"], "anybody");
    assert_eq!(document["paths"]["/v1/me"]["get"]["security"], json!([{ "session": [] }]));
    assert_eq!(document["paths"]["/v1/form"]["post"]["security"], json!([]));
    assert_eq!(document["paths"]["/v1/webhooks/trial"]["post"]["x-webhook"], 1024);
}

#[test]
fn the_list_of_operations_is_aligned() {
    let api = api();
    let text = api.document().operations_text();
    assert!(
        text.starts_with(
            "Trial  editAccounts  DELETE  /v1/accounts\nTrial  getClient     GET     /v1/client\n"
        ),
        "{text}"
    );
    assert_eq!(text.lines().count(), 9);
}

#[test]
fn quirks_of_the_framework_are_gone() {
    let text = document().to_string();
    for quirk in
        ["charset", "uint16", "\"description\":\"\"", "\"deprecated\":false", "x-right: ", "x-problems"]
    {
        assert!(!text.contains(quirk), "{quirk}");
    }
}
