//! The 2,000 forms of `tests/data/students.jsonl`, as people fill them in: all of them are taken, and read back as
//! written.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use orientation::features::registration::GroupBook;
use orientation::http::Role;
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization;

use crate::support::{TestApp, Visitor};

/// So many at once.
const AT_ONCE: usize = 64;

fn rows() -> Vec<Value> {
    let text = include_str!("../data/students.jsonl");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The form as it is to be read back: in NFC, without white space at the ends, the phones as `expect` has them.
fn as_written(row: &Value) -> Value {
    let mut form = tidied(&row["form"]);
    form["phone"] = row["expect"]["phone"].clone();
    form["emergencyContact"]["phone"] = row["expect"]["emergencyContactPhone"].clone();
    for (name, default) in [("dietary", json!([])), ("accessibilityContact", json!(false))] {
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

/// Registers this row's student; returns the group, or what went wrong.
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
async fn two_thousand_forms_are_taken_and_read_back_as_written() {
    let app = TestApp::start().await;
    let rows = rows();
    // One client for all: a connection a student would be another test.
    let client = app.stranger();
    let ways = stream::iter(&rows).map(async |row| {
        let email = row["account"]["email"].as_str().expect("an address");
        let student = app.somebody(email, Role::Student, &[]).await;
        let mut visitor = client.clone();
        visitor.cookie = student.cookie;
        register(&visitor, row).await
    });
    let groups: Vec<String> = ways.buffer_unordered(AT_ONCE).try_collect().await.expect("all are taken");

    let mut members = BTreeMap::new();
    for group in groups {
        *members.entry(group).or_insert(0) += 1;
    }
    let (fewest, most) = (members.values().min(), members.values().max());
    assert_eq!((fewest, most, members.len()), (Some(&100), Some(&100), 20));
    let book: GroupBook = app.store.get(GroupBook::ID).await.expect("readable").expect("there");
    let counted: BTreeMap<_, _> = book.groups.into_iter().map(|tally| (tally.name, tally.members)).collect();
    assert_eq!(counted, members);
    app.finish().await;
}
