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
fn completing_it_again_changes_nothing_and_it_is_the_same_on_every_run() {
    let (one, two) = (api(), api());
    assert_eq!(one.document().json(), two.document().json());
    assert_eq!(Document::new(one.document().json()).json(), one.document().json());
    assert!(one.document().json().ends_with("}\n"));
}

#[test]
fn what_people_send_is_closed_at_every_level_and_what_they_get_is_not() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    for sent in ["Form", "Contact", "Change"] {
        assert_eq!(schemas[sent]["additionalProperties"], false, "{sent}");
    }
    assert_eq!(schemas["Problem"]["additionalProperties"], Value::Null);
}

#[test]
fn shared_refusals_stand_only_where_they_can_occur() {
    let document = document();
    let sent = ["200", "400", "403", "408", "413", "415", "421", "422", "503"];
    assert_eq!(statuses(&document, "/v1/form", "post"), sent);
    assert_eq!(statuses(&document, "/v1/me", "get"), ["200", "401", "421", "503"]);
    assert_eq!(statuses(&document, "/v1/student", "get"), ["200", "401", "403", "421", "503"]);
    assert_eq!(statuses(&document, "/v1/things/{id}", "get"), ["200", "400", "404", "421", "503"]);
}

#[test]
fn rights_and_public_operations_are_told() {
    let document = document();
    assert_eq!(document["paths"]["/v1/accounts"]["delete"]["x-right"], "accounts:edit");
    assert_eq!(document["paths"]["/v1/student"]["get"]["x-right"], "student");
    assert_eq!(document["paths"]["/v1/student"]["get"]["parameters"], Value::Null);
    assert_eq!(document["paths"]["/v1/me"]["get"]["security"], json!([{ "session": [] }]));
    assert_eq!(document["paths"]["/v1/form"]["post"]["security"], json!([]));
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
    assert_eq!(text.lines().count(), 8);
}

#[test]
fn quirks_of_the_framework_are_gone() {
    let text = document().to_string();
    for quirk in ["charset", "uint16", "\"description\":\"\"", "\"deprecated\":false", "x-right: "] {
        assert!(!text.contains(quirk), "{quirk}");
    }
}
