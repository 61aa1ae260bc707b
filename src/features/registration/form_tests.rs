use serde_json::json;

use super::super::answers::Answer;
use super::super::fields::STUDENT_ID;
use super::*;
use crate::config::{Question, QuestionKind};
use crate::kernel::{StudentField, text};

fn event() -> Event {
    Event::shipped()
}

fn form() -> Form {
    Form {
        legal_name: "Ana Silva".into(),
        pronouns: "she/her".into(),
        birth_date: "2008-02-29".into(),
        student_id: "Silva042".into(),
        discipline: "Civil".into(),
        shirt_size: Some("M".into()),
        phone: "+1 (416) 978-2011".into(),
        emergency_contact: EmergencyContact {
            name: "Rui Silva".into(),
            relationship: "father".into(),
            phone: "+351 912 345 678".into(),
        },
        joins_hunt: Some(false),
        summer_city: Some("Porto".into()),
        summer_country: Some("PT".into()),
        photo_consent: Some(false),
        bursary_requested: Some(false),
        ..Form::default()
    }
}

/// The pointers and codes of the errors after `spoil`.
fn errors(spoil: impl FnOnce(&mut Form)) -> Vec<(String, &'static str)> {
    let mut form = form();
    spoil(&mut form);
    let errors = form.checked(&event()).unwrap_err();
    errors.into_iter().map(|error| (error.pointer, error.code)).collect()
}

fn one(spoil: impl FnOnce(&mut Form)) -> (String, &'static str) {
    let errors = errors(spoil);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].clone()
}

fn at(pointer: &str, code: &'static str) -> (String, &'static str) {
    (pointer.to_owned(), code)
}

#[test]
fn forms_as_people_fill_them_in_are_stored_as_written() {
    let event = event();
    let rows = include_str!("../../../tests/data/students.jsonl");
    let mut count = 0;
    for row in rows.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let mut written = row["form"].clone();
        clean_all(&mut written);
        let form: Form = serde_json::from_value(written).unwrap();
        let mut expected = serde_json::to_value(&form).unwrap();
        let stored = form.checked(&event).unwrap_or_else(|errors| panic!("{errors:?} in {row}"));
        let again: Form = serde_json::from_str(&serde_json::to_string(&stored).unwrap()).unwrap();
        expected["phone"] = row["expect"]["phone"].clone();
        expected["emergencyContact"]["phone"] = row["expect"]["emergencyContactPhone"].clone();
        assert_eq!(serde_json::to_value(&again).unwrap(), expected);
        count += 1;
    }
    assert_eq!(count, 2000);
}

/// What the interface does before a form is checked.
fn clean_all(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(written) => *written = text::clean(written),
        serde_json::Value::Array(all) => all.iter_mut().for_each(clean_all),
        serde_json::Value::Object(all) => all.values_mut().for_each(clean_all),
        _ => {}
    }
}

#[test]
fn every_error_is_reported_at_once() {
    let errors = errors(|form| {
        *form = Form {
            dietary: vec!["Vegan".into(), "Air".into()],
            hunt_teammates: vec!["a@b.org".into(), "nobody".into(), "A@B.org".into()],
            moving_month: Some("Never".into()),
            answers: [("bus".to_owned(), Answer::Flag(true))].into(),
            ..Form::default()
        }
    });
    let pointers: Vec<_> = errors.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/shirtSize",
            "/joinsHunt",
            "/summerCity",
            "/summerCountry",
            "/photoConsent",
            "/bursaryRequested",
            "/pronouns",
            "/birthDate",
            "/studentId",
            "/discipline",
            "/phone",
            "/emergencyContact/phone",
            "/dietary/1",
            "/huntTeammates/1",
            "/huntTeammates/2",
            "/movingMonth",
            "/answers/bus",
        ]
    );
}

#[test]
fn a_birth_date_exists_and_its_year_is_plausible() {
    for bad in ["2007-02-29", "08-02-29", "2008-02-29T00:00:00Z", ""] {
        assert_eq!(one(|form| form.birth_date = bad.into()).0, "/birthDate", "{bad}");
    }
    for bad in ["1919-12-31", "2021-01-01"] {
        assert_eq!(one(|form| form.birth_date = bad.into()), at("/birthDate", "out-of-range"), "{bad}");
    }
    for good in ["1920-01-01", "2020-12-31"] {
        assert!(Form { birth_date: good.into(), ..form() }.checked(&event()).is_ok(), "{good}");
    }
}

#[test]
fn a_phone_number_is_stored_in_e164_and_nothing_else_is_accepted() {
    let stored = form().checked(&event()).unwrap();
    assert_eq!(
        (stored.phone.as_str(), stored.emergency_contact.phone.as_str()),
        ("+14169782011", "+351912345678")
    );
    for bad in [
        "416 978 2011",
        "+",
        "+1",
        "+1 416 978 2011 x5",
        "+1 416 978 2011; DROP",
        "+1234567890123456",
        "tel:+14169782011",
    ] {
        assert_eq!(one(|form| form.phone = bad.into()), at("/phone", "not-a-phone-number"), "{bad}");
    }
}

#[test]
fn other_pronouns_need_words_and_no_others_have_any() {
    let other = |form: &mut Form, words: Option<&str>| {
        form.pronouns = OTHER_PRONOUNS.into();
        form.pronouns_other = words.map(str::to_owned);
    };
    let mut valid = form();
    other(&mut valid, Some("xe/xem"));
    assert!(valid.checked(&event()).is_ok());
    assert_eq!(one(|form| other(form, None)), at("/pronounsOther", "missing"));
    assert_eq!(one(|form| form.pronouns_other = Some("xe".into())), at("/pronounsOther", "not-asked"));
}

#[test]
fn ids_and_countries_have_their_format() {
    let pattern = jsonschema::validator_for(&serde_json::json!({ "pattern": STUDENT_ID })).unwrap();
    for bad in ["abcd", "abcdefghij", "abc-12", "ábcde", ""] {
        assert_eq!(one(|form| form.student_id = bad.into()), at("/studentId", "not-a-student-id"), "{bad}");
        assert!(!pattern.is_valid(&bad.into()), "{bad}");
    }
    for good in ["abcde", "123456789", "Silva042"] {
        assert!(Form { student_id: good.into(), ..form() }.checked(&event()).is_ok(), "{good}");
        assert!(pattern.is_valid(&good.into()), "{good}");
    }
    for bad in ["pt", "XX", "PRT", "Portugal"] {
        assert_eq!(
            one(|form| form.summer_country = Some(bad.into())),
            at("/summerCountry", "not-a-country"),
            "{bad}"
        );
    }
}

#[test]
fn teammates_are_stored_as_addresses_and_empty_entries_left_out() {
    let written = ["", "कर्म@example.org", "\u{2068}ann@example.இந்தியா\u{2069}"].map(str::to_owned);
    let stored = Form { hunt_teammates: written.into(), ..form() }.checked(&event()).unwrap();
    assert_eq!(stored.hunt_teammates, ["कर्म@example.org", "ann@example.இந்தியா"]);
}

#[test]
fn changes_are_checked_and_what_stays_is_not() {
    let old = Form { discipline: "No longer offered".into(), medication: Some("iron".into()), ..form() };
    let changes = Changes {
        phone: Some("+1 416 978 2012".into()),
        medication: Some(None),
        joins_hunt: Some(Some(true)),
        ..Changes::default()
    };
    let new = old.changed(changes, &event()).unwrap();
    assert_eq!(new, Form { phone: "+14169782012".into(), medication: None, joins_hunt: Some(true), ..old });
}

#[test]
fn fixed_properties_are_rejected_by_name_beside_other_errors() {
    let changes = Changes {
        sent: json!({ "legalName": "Eve", "summerCity": null }),
        phone: Some("?".into()),
        moving_month: Some(Some("Never".into())),
        ..Changes::default()
    };
    let errors = form().changed(changes, &event()).unwrap_err();
    let reported: Vec<_> = errors.iter().map(|error| (error.pointer.as_str(), error.code)).collect();
    let expected = [
        ("/legalName", "fixed-after-submitting"),
        ("/summerCity", "missing"),
        ("/phone", "not-a-phone-number"),
        ("/movingMonth", "not-an-option"),
    ];
    assert_eq!(reported, expected);
}

#[test]
fn an_event_can_leave_out_fields() {
    let mut event = event();
    event.form.without = [StudentField::ShirtSize, StudentField::JoinsHunt, StudentField::Dietary].into();
    let without = Form { shirt_size: None, joins_hunt: None, ..form() };
    assert_eq!(without.clone().checked(&event).unwrap().shirt_size, None);
    let sent = Form { dietary: vec!["Vegan".into()], ..form() };
    let expected =
        [at("/shirtSize", "not-asked"), at("/dietary", "not-asked"), at("/joinsHunt", "not-asked")];
    let in_order = |errors: Vec<FieldError>| {
        errors.into_iter().map(|error| (error.pointer, error.code)).collect::<Vec<_>>()
    };
    assert_eq!(in_order(sent.clone().checked(&event).unwrap_err()), expected);
    let changes = Changes {
        joins_hunt: Some(Some(false)),
        sent: json!({ "joinsHunt": false, "shirtSize": "M" }),
        ..Changes::default()
    };
    let expected = [at("/shirtSize", "not-asked"), at("/joinsHunt", "not-asked")];
    assert_eq!(in_order(without.changed(changes, &event).unwrap_err()), expected);
    // What an earlier form of the event asked for can be cleared.
    let cleared =
        Changes { joins_hunt: Some(None), sent: json!({ "joinsHunt": null }), ..Changes::default() };
    assert_eq!(sent.changed(cleared, &event).unwrap().joins_hunt, None);
}

#[test]
fn answers_are_checked_with_the_rest_of_the_form() {
    let mut event = event();
    event.form.questions = vec![Question::for_tests("bus", QuestionKind::YesNo)];
    let answers: Answers = [("bus".to_owned(), Answer::Flag(true))].into();
    let stored = Form { answers: answers.clone(), ..form() }.checked(&event).unwrap();
    assert_eq!(stored.answers, answers);
    let phone = Changes { phone: Some("+1 416 978 2012".into()), ..Changes::default() };
    assert_eq!(stored.changed(phone, &event).unwrap().answers, answers);
    let all = Changes { answers: Some(None), ..Changes::default() };
    assert!(stored.changed(all, &event).unwrap().answers.is_empty());
}
