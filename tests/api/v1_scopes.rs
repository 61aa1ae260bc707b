//! `/v1/scopes`: every right that exists.

use orientation::features::registration::{BESIDE_THE_FORM, FIELDS};
use orientation::kernel::Scope;
use serde_json::Value;

use crate::support::TestApp;

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().filter_map(|item| item["name"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scope_every_field_and_every_group_is_listed_in_words() {
    let app = TestApp::start().await;
    let scopes = app.student().await.get("/v1/scopes").await.ok(200);
    assert_eq!(names(&scopes["scopes"]), Scope::all().map(Scope::as_str).collect::<Vec<_>>());
    let beside = BESIDE_THE_FORM.iter().map(|(field, _)| field.to_string());
    let fields: Vec<_> = FIELDS.iter().map(|field| field.field.to_string()).chain(beside).collect();
    assert_eq!(names(&scopes["studentFields"]), fields);
    let groups = app.config.event.groups.iter().map(|group| format!("group:{}", group.name));
    assert_eq!(
        names(&scopes["reach"]),
        ["group:all".to_owned()].into_iter().chain(groups).collect::<Vec<_>>()
    );
    assert_eq!(scopes["huntTeamReach"], "hunt-team:<number>");
    for (list, words) in [("scopes", "description"), ("studentFields", "label"), ("reach", "description")] {
        let items = scopes[list].as_array().expect("a list");
        assert!(items.iter().all(|item| item[words].as_str().is_some_and(|text| !text.is_empty())), "{list}");
    }
    app.anonymous().get("/v1/scopes").await.refused(401, "not-signed-in");
    app.finish().await;
}
