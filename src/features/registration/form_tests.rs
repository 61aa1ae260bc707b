use super::*;

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

/// The pointers and codes of what is wrong after `spoil`.
fn wrong(spoil: impl FnOnce(&mut Form)) -> Vec<(String, &'static str)> {
    let mut form = form();
    spoil(&mut form);
    let faults = form.checked(&event()).unwrap_err();
    faults.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
}

fn one(spoil: impl FnOnce(&mut Form)) -> (String, &'static str) {
    let faults = wrong(spoil);
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults[0].clone()
}

fn at(pointer: &str, code: &'static str) -> (String, &'static str) {
    (pointer.to_owned(), code)
}

#[test]
fn all_forms_as_people_fill_them_in_read_back_as_written() {
    let event = event();
    let rows = include_str!("../../../tests/data/students.jsonl");
    let mut count = 0;
    for row in rows.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let written: Form = serde_json::from_value(row["form"].clone()).unwrap();
        let kept = written.clone().checked(&event).unwrap_or_else(|faults| panic!("{faults:?} in {row}"));
        let again: Form = serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap();
        let mut expected: serde_json::Value = serde_json::to_value(&written).unwrap();
        clean_all(&mut expected);
        expected["phone"] = row["expect"]["phone"].clone();
        expected["emergencyContact"]["phone"] = row["expect"]["emergencyContactPhone"].clone();
        assert_eq!(serde_json::to_value(&again).unwrap(), expected);
        count += 1;
    }
    assert_eq!(count, 2000);
}

/// White space at the ends and NFC are the only differences.
fn clean_all(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(written) => *written = text::clean(written),
        serde_json::Value::Array(all) => all.iter_mut().for_each(clean_all),
        serde_json::Value::Object(all) => all.values_mut().for_each(clean_all),
        _ => {}
    }
}

#[test]
fn every_fault_is_told_at_once() {
    let faults = wrong(|form| {
        *form = Form {
            dietary: vec!["Vegan".into(), "Air".into(), "Vegan".into()],
            hunt_teammates: vec!["a@b.org".into(), "nobody".into(), "A@B.org".into()],
            ..Form::default()
        }
    });
    let pointers: Vec<_> = faults.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/legalName",
            "/pronouns",
            "/birthDate",
            "/studentId",
            "/discipline",
            "/shirtSize",
            "/phone",
            "/emergencyContact/name",
            "/emergencyContact/relationship",
            "/emergencyContact/phone",
            "/dietary/1",
            "/dietary/2",
            "/huntTeammates/1",
            "/huntTeammates/2",
            "/summerCity",
            "/summerCountry",
        ]
    );
}

#[test]
fn lengths_count_code_points_after_trimming_and_composing() {
    let long = format!("  {}  ", "e\u{301}".repeat(LEGAL_NAME_MAX));
    let kept = Form { legal_name: long.clone(), ..form() }.checked(&event()).unwrap();
    assert_eq!(kept.legal_name, "é".repeat(LEGAL_NAME_MAX));
    assert_eq!(one(|form| form.legal_name = format!("{long}x")), at("/legalName", "too-long"));
    assert_eq!(
        one(|form| form.medication = Some("🎉".repeat(REMARK_MAX + 1))),
        at("/medication", "too-long")
    );
}

#[test]
fn control_characters_are_refused_but_breaks_and_tabs_in_remarks_and_marks_everywhere() {
    assert_eq!(one(|form| form.summer_city = "Por\0to".into()), at("/summerCity", "control-character"));
    assert_eq!(one(|form| form.summer_city = "Por\nto".into()), at("/summerCity", "control-character"));
    assert_eq!(
        one(|form| form.medication = Some("\u{1b}[2J".into())),
        at("/medication", "control-character")
    );
    let remark = "one\r\n\ttwo \u{200f}🎉".to_owned();
    let kept = Form { medication: Some(remark.clone()), ..form() }.checked(&event()).unwrap();
    assert_eq!(kept.medication, Some(remark));
}

#[test]
fn a_birth_date_exists_and_its_year_is_no_slip() {
    for bad in ["2007-02-29", "2008-2-29", "08-02-29", "2008-02-29T00:00:00Z", "", "+2008-02-29"] {
        assert_eq!(one(|form| form.birth_date = bad.into()), at("/birthDate", "not-a-date"), "{bad}");
    }
    for bad in ["1919-12-31", "2021-01-01"] {
        assert_eq!(one(|form| form.birth_date = bad.into()), at("/birthDate", "out-of-range"), "{bad}");
    }
}

#[test]
fn a_phone_is_kept_as_e164_and_nothing_else_is_taken_for_one() {
    let kept = form().checked(&event()).unwrap();
    assert_eq!(
        (kept.phone.as_str(), kept.emergency_contact.phone.as_str()),
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
fn other_pronouns_need_words_and_only_they_have_any() {
    let other = |form: &mut Form, words: Option<&str>| {
        form.pronouns = OTHER_PRONOUNS.into();
        form.pronouns_other = words.map(str::to_owned);
    };
    let mut right = form();
    other(&mut right, Some("xe/xem"));
    assert!(right.checked(&event()).is_ok());
    assert_eq!(one(|form| other(form, Some("  "))), at("/pronounsOther", "missing"));
    assert_eq!(one(|form| form.pronouns_other = Some("xe".into())), at("/pronounsOther", "not-asked"));
}

#[test]
fn ids_and_countries_have_their_form() {
    for bad in ["abcd", "abcdefghij", "abc-12", "ábcde"] {
        assert_eq!(one(|form| form.student_id = bad.into()), at("/studentId", "not-a-student-id"), "{bad}");
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
fn teammates_are_at_most_twenty() {
    let many = |n| (0..n).map(|i| format!("friend{i}@example.org")).collect::<Vec<_>>();
    assert!(Form { hunt_teammates: many(TEAMMATES_MAX), ..form() }.checked(&event()).is_ok());
    assert_eq!(one(|form| form.hunt_teammates = many(TEAMMATES_MAX + 1)), at("/huntTeammates", "too-many"));
}

#[test]
fn what_is_changed_is_checked_and_what_stays_is_not_looked_at() {
    let old = Form { discipline: "No longer offered".into(), medication: Some("iron".into()), ..form() };
    let changes = Changes {
        phone: Some("+1 416 978 2012".into()),
        medication: Some(" ".into()),
        joins_hunt: Some(true),
        ..Changes::default()
    };
    let new = old.changed(changes, &event()).unwrap();
    assert_eq!(new, Form { phone: "+14169782012".into(), medication: None, joins_hunt: true, ..old });
}

#[test]
fn what_is_fixed_is_refused_by_name_beside_other_faults() {
    let changes = Changes {
        fixed: vec!["legalName"],
        removed: vec!["summerCity"],
        phone: Some("?".into()),
        ..Changes::default()
    };
    let faults = form().changed(changes, &event()).unwrap_err();
    let told: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.code)).collect();
    let expected = [
        ("/legalName", "fixed-after-submitting"),
        ("/summerCity", "missing"),
        ("/phone", "not-a-phone-number"),
    ];
    assert_eq!(told, expected);
}
