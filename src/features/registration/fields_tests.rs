use std::collections::BTreeSet;

use super::super::form::EmergencyContact;
use super::*;

/// The OpenAPI document.
fn document() -> Value {
    serde_json::from_str(include_str!("../../../openapi/orientation.json")).unwrap()
}

fn schema(name: &str) -> Value {
    document()["components"]["schemas"][name].clone()
}

/// Names of a schema's properties.
fn properties(name: &str) -> BTreeSet<String> {
    schema(name)["properties"].as_object().unwrap().keys().cloned().collect()
}

fn names(fields: impl Iterator<Item = &'static Field>) -> BTreeSet<String> {
    fields.map(|field| field.name().to_owned()).collect()
}

/// What the schema of a property says about its values: everything but words, defaults and null.
fn stated(property: &Value) -> Value {
    if let Some(reference) = property["allOf"][0]["$ref"].as_str() {
        let of = schema(reference.rsplit('/').next().unwrap());
        let properties = of["properties"].as_object().unwrap();
        let properties: serde_json::Map<_, _> =
            properties.iter().map(|(name, property)| (name.clone(), stated(property))).collect();
        assert_eq!(of["required"].as_array().unwrap().len(), properties.len());
        return json!({ "type": "object", "properties": properties });
    }
    let mut property = property.clone();
    for words in ["description", "default", "nullable"] {
        property.as_object_mut().unwrap().remove(words);
    }
    property
}

/// What the schema of a property of this kind has to say.
fn limits(kind: Kind, required: bool) -> Value {
    match kind {
        Kind::Line(max) if required => json!({ "type": "string", "minLength": 1, "maxLength": max }),
        Kind::Line(max) | Kind::Choice(max) => json!({ "type": "string", "maxLength": max }),
        Kind::Remark(max) => json!({ "type": "string", "format": "multiline", "maxLength": max }),
        Kind::Code(pattern) => json!({ "type": "string", "format": "identifier", "pattern": pattern }),
        Kind::Choices(max) => {
            json!({ "type": "array", "items": { "type": "string" }, "maxItems": max, "uniqueItems": true })
        }
        Kind::Date => json!({ "type": "string", "format": "date" }),
        Kind::Phone(max) => json!({ "type": "string", "format": "phone", "maxLength": max }),
        Kind::Addresses(max) => {
            let address = json!({ "type": "string", "format": "idn-email", "maxLength": 254 });
            json!({ "type": "array", "items": address, "maxItems": max })
        }
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Object(properties) => {
            let properties: serde_json::Map<_, _> =
                properties.iter().map(|(name, kind)| ((*name).to_owned(), limits(*kind, true))).collect();
            json!({ "type": "object", "properties": properties })
        }
    }
}

#[test]
fn every_property_of_the_bodies_has_a_row_and_every_row_a_property() {
    let rows = names(FIELDS.iter());
    assert_eq!(rows.len(), FIELDS.len());
    assert_eq!(properties("RegistrationForm"), rows);
    assert_eq!(properties("RegistrationChanges"), rows);
    let ours = ["state", "group", "submittedAt", "registeredAt"].map(str::to_owned);
    assert_eq!(properties("Registration"), &rows | &ours.into());
}

#[test]
fn every_student_field_has_a_row_with_its_name() {
    for field in FIELDS {
        assert_eq!(json!(field.field), field.name());
        assert_eq!(field.path, format!("form.{}", field.name()));
    }
    let in_order: BTreeSet<_> = FIELDS.iter().map(|field| field.field.clone()).collect();
    assert!(in_order.iter().eq(FIELDS.iter().map(|field| &field.field)));
    let labels: BTreeSet<_> = FIELDS.iter().map(|field| field.label).collect();
    assert_eq!(labels.len(), FIELDS.len());
}

#[test]
fn the_limits_of_the_document_are_those_of_the_table() {
    let (form, changes) = (schema("RegistrationForm"), schema("RegistrationChanges"));
    for field in FIELDS {
        let limits = limits(field.kind, field.required);
        assert_eq!(stated(&form["properties"][field.name()]), limits, "{}", field.name());
        if field.editable {
            let mut changed = stated(&changes["properties"][field.name()]);
            changed.as_object_mut().unwrap().remove("nullable");
            assert_eq!(changed, limits, "{}", field.name());
        }
    }
    let required: BTreeSet<String> = serde_json::from_value(form["required"].clone()).unwrap();
    assert_eq!(required, names(FIELDS.iter().filter(|field| field.required)));
}

#[test]
fn the_document_says_which_fields_are_fixed() {
    let document = document();
    let operation = &document["paths"]["/v1/registration"]["patch"]["description"];
    let changes = schema("RegistrationChanges");
    for field in FIELDS {
        let quoted = format!("`{}`", field.name());
        assert_eq!(operation.as_str().unwrap().contains(&quoted), !field.editable, "{quoted}");
        let description = &changes["properties"][field.name()]["description"];
        assert_eq!(*description == json!("Fixed after submission."), !field.editable, "{quoted}");
    }
}

#[test]
fn a_row_gives_the_value_that_is_stored() {
    let text = |field: &str| Some(field.to_owned());
    let form = Form {
        legal_name: "Ana Silva".into(),
        pronouns_other: text("xe/xem"),
        emergency_contact: EmergencyContact { name: "Rui".into(), ..EmergencyContact::default() },
        medical_information: text("asthma"),
        medication: text("iron"),
        dietary: vec!["Vegan".into()],
        dietary_other: text("no mushrooms"),
        accessibility: text("a ramp"),
        moving_month: text("August"),
        ..Form::default()
    };
    let stored = json!(form);
    assert_eq!(stored.as_object().unwrap().len(), FIELDS.len());
    for field in FIELDS {
        assert_eq!((field.value)(&form), stored[field.name()], "{}", field.name());
        assert_eq!(
            (field.value)(&Form::default()),
            *json!(Form::default()).get(field.name()).unwrap_or(&Value::Null)
        );
    }
}

#[test]
fn what_is_fixed_or_cleared_is_found_by_name() {
    let sent = json!({ "legalName": "Eve", "photoConsent": null, "phone": null, "medication": null, "joinsHunt": true });
    assert_eq!(fixed(&sent), ["legalName", "photoConsent"]);
    assert_eq!(cleared(&sent), ["phone"]);
}
