use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn options(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn on(year: i32, month: u32, day: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(year, month, day)
}

/// One question of each kind. The stop is asked for if the bus is needed, and the street if the stop is another one.
fn form() -> FormConfig {
    let question = Question::for_tests;
    let depends = |id: &str, answer| Required::If(Condition { question: id.into(), answer });
    let stops = QuestionKind::OneOf { options: options(&["North", "Other"]) };
    let street = QuestionKind::ShortText { max_length: 10 };
    let workshops =
        QuestionKind::SeveralOf { options: options(&["Chess", "Dance", "Zoë's walk"]), max_choices: 2 };
    let questions = vec![
        Question { required: Required::Yes, ..question("bus", QuestionKind::YesNo) },
        Question { required: depends("bus", ExpectedAnswer::Flag(true)), ..question("stop", stops) },
        Question {
            required: depends("stop", ExpectedAnswer::Option("Other".into())),
            ..question("street", street)
        },
        question("workshops", workshops),
        question("remark", QuestionKind::LongText { max_length: 20 }),
        question("arrival", QuestionKind::Date { from: on(2027, 8, 20), until: on(2027, 9, 10) }),
        Question { editable: false, ..question("siblings", QuestionKind::Number { min: 0, max: 9 }) },
        Question { retired: true, ..question("fax", QuestionKind::YesNo) },
    ];
    FormConfig { questions, ..FormConfig::default() }
}

fn answers(value: Value) -> Answers {
    serde_json::from_value(value).unwrap()
}

/// The answers as they are stored, or pointers and codes of the errors.
fn submit(sent: Value) -> Result<Value, Vec<(String, &'static str)>> {
    shown(submitted(answers(sent), &form()))
}

/// The same, of a form with these answers that is changed.
fn change(stored: &Value, changes: Value) -> Result<Value, Vec<(String, &'static str)>> {
    let changes = serde_json::from_value(changes).unwrap();
    shown(changed(&answers(stored.clone()), changes, &form()))
}

fn shown(result: Result<Answers, Vec<FieldError>>) -> Result<Value, Vec<(String, &'static str)>> {
    let codes =
        |errors: Vec<FieldError>| errors.into_iter().map(|error| (error.pointer, error.code)).collect();
    result.map(|answers| json!(answers)).map_err(codes)
}

fn at(id: &str, code: &'static str) -> (String, &'static str) {
    (format!("/answers/{id}"), code)
}

#[test]
fn answers_are_stored_clean_and_empty_ones_not_at_all() {
    let sent = json!({
        "bus": true, "stop": " Other ", "street": " Zoe\u{308} ", "workshops": ["Zoe\u{308}'s walk", "Chess"],
        "remark": "one\ntwo ", "arrival": "２０２７-08-20", "siblings": 9,
    });
    let stored = json!({
        "bus": true, "stop": "Other", "street": "Zoë", "workshops": ["Zoë's walk", "Chess"],
        "remark": "one\ntwo", "arrival": "2027-08-20", "siblings": 9,
    });
    assert_eq!(submit(sent), Ok(stored));
    let empty = json!({ "bus": false, "workshops": [], "remark": " \u{200b}", "arrival": "" });
    assert_eq!(submit(empty), Ok(json!({ "bus": false })));
}

#[test]
fn every_error_is_reported_at_once() {
    let sent = json!({
        "bus": "yes", "stop": "South", "workshops": ["Chess", "Chess", "Golf"], "remark": "x".repeat(21),
        "arrival": "2027-02-30", "siblings": -1, "fax": true, "car": "red", "a/b~c": 1,
    });
    let expected = vec![
        at("bus", "wrong-type"),
        at("stop", "not-an-option"),
        at("workshops/1", "repeated"),
        at("workshops/2", "not-an-option"),
        at("remark", "too-long"),
        at("arrival", "not-a-date"),
        at("siblings", "out-of-range"),
        at("fax", "not-asked"),
        at("a~1b~0c", "unknown-property"),
        at("car", "unknown-property"),
    ];
    assert_eq!(submit(sent), Err(expected));
}

#[test]
fn limits_include_their_bounds() {
    for (answer, code) in [
        (json!({ "siblings": 10 }), at("siblings", "out-of-range")),
        (json!({ "siblings": true }), at("siblings", "wrong-type")),
        (json!({ "arrival": "2027-08-19" }), at("arrival", "out-of-range")),
        (json!({ "arrival": "2027-09-11" }), at("arrival", "out-of-range")),
        (json!({ "arrival": "2027-9-1" }), at("arrival", "not-a-date")),
        (json!({ "arrival": 20270901 }), at("arrival", "wrong-type")),
        (json!({ "workshops": ["Chess", "Dance", "Zoë's walk"] }), at("workshops", "too-many")),
        (json!({ "workshops": "Chess" }), at("workshops", "wrong-type")),
        (json!({ "remark": "\u{7}" }), at("remark", "control-character")),
    ] {
        let mut sent = answer.clone();
        sent["bus"] = false.into();
        assert_eq!(submit(sent), Err(vec![code]), "{answer}");
    }
    for answer in [
        json!({ "siblings": 0 }),
        json!({ "arrival": "2027-09-10" }),
        json!({ "workshops": ["Chess", "Dance"] }),
        json!({ "remark": "x".repeat(20) }),
    ] {
        let mut sent = answer.clone();
        sent["bus"] = false.into();
        assert_eq!(submit(sent.clone()), Ok(sent), "{answer}");
    }
}

#[test]
fn a_conditional_question_is_asked_if_its_condition_holds() {
    assert_eq!(submit(json!({})), Err(vec![at("bus", "missing")]));
    assert_eq!(submit(json!({ "bus": true })), Err(vec![at("stop", "missing")]));
    assert_eq!(submit(json!({ "bus": true, "stop": "Other" })), Err(vec![at("street", "missing")]));
    assert_eq!(submit(json!({ "bus": false, "stop": "North" })), Err(vec![at("stop", "not-asked")]));
    let street = json!({ "bus": true, "stop": "North", "street": "Main" });
    assert_eq!(submit(street), Err(vec![at("street", "not-asked")]));
    let line_break = json!({ "bus": true, "stop": "Other", "street": "a\nb" });
    assert_eq!(submit(line_break), Err(vec![at("street", "control-character")]));
    // Nothing is said about what depends on an answer with an error.
    assert_eq!(submit(json!({ "bus": 1, "stop": "North" })), Err(vec![at("bus", "wrong-type")]));
}

#[test]
fn changes_are_merged_and_only_what_they_make_necessary_is_required() {
    let stored = json!({ "bus": false, "remark": "old", "siblings": 1, "fax": true });
    let with = |more: Value| {
        let mut all = stored.clone();
        for (id, answer) in more.as_object().unwrap() {
            all[id] = answer.clone();
        }
        all
    };
    assert_eq!(change(&stored, json!({})), Ok(stored.clone()));
    assert_eq!(change(&stored, json!({ "remark": "new" })), Ok(with(json!({ "remark": "new" }))));
    for nothing in [Value::Null, "".into()] {
        let changed = change(&stored, json!({ "remark": nothing })).unwrap();
        assert_eq!(changed, json!({ "bus": false, "siblings": 1, "fax": true }));
    }
    assert_eq!(change(&stored, json!({ "bus": null })), Err(vec![at("bus", "missing")]));
    assert_eq!(change(&stored, json!({ "bus": true })), Err(vec![at("stop", "missing")]));
    let by_bus = json!({ "bus": true, "stop": "North" });
    assert_eq!(change(&stored, by_bus.clone()), Ok(with(by_bus)));
    // The questions have been added since.
    assert_eq!(change(&json!({}), json!({ "remark": "new" })), Ok(json!({ "remark": "new" })));
}

#[test]
fn answers_to_questions_that_no_longer_apply_are_removed() {
    let stored = json!({ "bus": true, "stop": "Other", "street": "Main", "siblings": 1 });
    assert_eq!(change(&stored, json!({ "bus": false })), Ok(json!({ "bus": false, "siblings": 1 })));
    let sent = json!({ "bus": false, "stop": null, "street": "Main" });
    assert_eq!(change(&stored, sent), Err(vec![at("street", "not-asked")]));
    let north = json!({ "bus": true, "stop": "North", "siblings": 1 });
    assert_eq!(change(&stored, json!({ "stop": "North" })), Ok(north));
}

#[test]
fn what_is_fixed_or_retired_can_not_be_changed() {
    let stored = json!({ "bus": false, "siblings": 1, "fax": true });
    let sent = json!({ "siblings": 2, "fax": null });
    let expected = vec![at("siblings", "fixed-after-submitting"), at("fax", "not-asked")];
    assert_eq!(change(&stored, sent), Err(expected));
    assert_eq!(
        change(&stored, json!({ "siblings": null })),
        Err(vec![at("siblings", "fixed-after-submitting")])
    );
}

#[test]
fn all_answers_together_are_limited() {
    let long = |id: &str| Question::for_tests(id, QuestionKind::LongText { max_length: 4000 });
    let ids = ["a", "b", "c", "d", "e", "f"];
    let form = FormConfig { questions: ids.iter().map(|id| long(id)).collect(), ..FormConfig::default() };
    let sent = |ids: &[&str]| ids.iter().map(|id| ((*id).into(), Answer::Text("ü".repeat(4000)))).collect();
    assert!(submitted(sent(&ids[..5]), &form).is_ok());
    let errors = submitted(sent(&ids), &form).unwrap_err();
    assert_eq!((errors.len(), errors[0].pointer.as_str(), errors[0].code), (1, "/answers", "too-long"));
}

#[test]
fn the_errors_of_changes_alone_depend_on_nothing_stored() {
    let changes = json!({ "stop": "South", "bus": null, "siblings": 3, "car": "red", "street": "Main" });
    let found = errors(&serde_json::from_value(changes).unwrap(), &form());
    let found: Vec<_> = found.into_iter().map(|error| (error.pointer, error.code)).collect();
    assert_eq!(found, [at("car", "unknown-property"), at("stop", "not-an-option")]);
}

#[test]
fn an_answer_suits_the_kinds_that_can_have_it() {
    let suits = |answer: Value| {
        let answer: Answer = serde_json::from_value(answer).unwrap();
        let form = form();
        let ids = form.questions.iter().filter(|question| answer.suits(&question.kind));
        ids.map(|question| question.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(suits(json!(true)), ["bus", "fax"]);
    assert_eq!(suits(json!("North")), ["stop", "street", "remark"]);
    assert_eq!(suits(json!("1999-12-31")), ["stop", "street", "remark", "arrival"]);
    assert_eq!(suits(json!(["Chess"])), ["workshops"]);
    assert_eq!(suits(json!(99)), ["siblings"]);
}

/// An answer of any kind: often one that the form of these tests accepts.
fn any_answer() -> impl Strategy<Value = Answer> {
    const TEXTS: &[&str] = &["North", "Other", "South", "", "2027-08-30", "2027-13-01", "\u{200b}", "a\nb"];
    let text = prop_oneof![prop::sample::select(TEXTS).prop_map(str::to_owned), ".{0,30}"];
    let choice = prop::sample::select(&["Chess", "Dance", "Golf"][..]).prop_map(str::to_owned);
    prop_oneof![
        any::<bool>().prop_map(Answer::Flag),
        prop_oneof![0..12_i64, any::<i64>()].prop_map(Answer::Number),
        text.prop_map(Answer::Text),
        prop::collection::vec(choice, 0..4).prop_map(Answer::Choices),
    ]
}

fn any_id() -> impl Strategy<Value = String> {
    const IDS: &[&str] = &["bus", "stop", "street", "workshops", "remark", "arrival", "siblings", "fax"];
    prop_oneof![9 => prop::sample::select(IDS).prop_map(str::to_owned), 1 => ".{0,5}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// What is stored is accepted again as it is, and so is each change that is accepted.
    #[test]
    fn accepted_answers_are_accepted_again(
        first in prop::collection::btree_map(any_id(), any_answer(), 0..5),
        then in prop::collection::btree_map(any_id(), prop::option::of(any_answer()), 0..4),
    ) {
        let form = form();
        let Ok(stored) = submitted(first, &form) else { return Ok(()) };
        prop_assert_eq!(submitted(stored.clone(), &form), Ok(stored.clone()));
        if let Ok(changed) = changed(&stored, then, &form) {
            prop_assert_eq!(submitted(changed.clone(), &form), Ok(changed));
        }
    }
}
