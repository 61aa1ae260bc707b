use super::super::fields::STUDENT_ID;
use super::*;
use crate::kernel::text;

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
        shirt_size: "M".into(),
        phone: "+1 (416) 978-2011".into(),
        emergency_contact: EmergencyContact {
            name: "Rui Silva".into(),
            relationship: "father".into(),
            phone: "+351 912 345 678".into(),
        },
        summer_city: "Porto".into(),
        summer_country: "PT".into(),
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
            ..Form::default()
        }
    });
    let pointers: Vec<_> = errors.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/pronouns",
            "/birthDate",
            "/studentId",
            "/discipline",
            "/shirtSize",
            "/phone",
            "/emergencyContact/phone",
            "/dietary/1",
            "/huntTeammates/1",
            "/huntTeammates/2",
            "/summerCountry",
            "/movingMonth",
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
            one(|form| form.summer_country = bad.into()),
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
        joins_hunt: Some(true),
        ..Changes::default()
    };
    let new = old.changed(changes, &event()).unwrap();
    assert_eq!(new, Form { phone: "+14169782012".into(), medication: None, joins_hunt: true, ..old });
}

#[test]
fn fixed_properties_are_rejected_by_name_beside_other_errors() {
    let changes = Changes {
        fixed: vec!["legalName"],
        cleared: vec!["summerCity"],
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
