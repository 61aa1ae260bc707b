use std::collections::BTreeSet;

use super::super::form::EmergencyContact;
use super::*;
use crate::config::QUESTIONS_MAX;

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
                properties.iter().map(|(name, _, kind)| ((*name).to_owned(), limits(*kind, true))).collect();
            json!({ "type": "object", "properties": properties })
        }
    }
}

#[test]
fn every_property_of_the_bodies_has_a_row_and_every_row_a_property() {
    let mut rows = names(FIELDS.iter());
    assert_eq!(rows.len(), FIELDS.len());
    rows.insert("answers".into());
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
    assert_eq!(required, names(FIELDS.iter().filter(|field| field.required && !field.can_be_left_out())));
    for body in [form, changes] {
        assert_eq!(body["properties"]["answers"]["maxProperties"], QUESTIONS_MAX);
    }
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
        shirt_size: text("M"),
        joins_hunt: Some(true),
        summer_city: text("Porto"),
        summer_country: text("PT"),
        moving_month: text("August"),
        photo_consent: Some(true),
        bursary_requested: Some(false),
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
fn what_changes_can_not_do_is_found_by_name() {
    let sent = json!({ "legalName": "Eve", "photoConsent": null, "phone": null, "medication": null, "joinsHunt": true });
    let codes = |config: &FormConfig| {
        let errors = refused(&sent, config).into_iter();
        errors.map(|error| (error.pointer, error.code)).collect::<Vec<_>>()
    };
    let at = |pointer: &str, code| (pointer.to_owned(), code);
    let (fixed, missing) = ("fixed-after-submitting", "missing");
    let expected = [at("/legalName", fixed), at("/phone", missing), at("/photoConsent", fixed)];
    assert_eq!(codes(&FormConfig::default()), expected);
    let without = [StudentField::JoinsHunt, StudentField::PhotoConsent].into();
    let expected = [at("/legalName", fixed), at("/phone", missing), at("/joinsHunt", "not-asked")];
    assert_eq!(codes(&FormConfig { without, ..FormConfig::default() }), expected);
}

#[test]
fn optional_fields_and_those_without_rules_can_be_left_out() {
    let required = FIELDS.iter().filter(|field| field.required && !field.can_be_left_out());
    let required: Vec<_> = required.map(Field::name).collect();
    assert_eq!(
        required,
        ["legalName", "pronouns", "birthDate", "studentId", "discipline", "phone", "emergencyContact"]
    );
    let optional = FIELDS.iter().filter(|field| !field.required && !field.can_be_left_out());
    assert_eq!(optional.map(Field::name).collect::<Vec<_>>(), ["pronounsOther"]);
}
