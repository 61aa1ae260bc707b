//! The students of `tests/data/students.jsonl`, with answers to the questions of `tests/data/event-with-questions.toml`.

use serde_json::{Value, json};

/// The event that asks the questions.
pub const EVENT: &str = include_str!("../data/event-with-questions.toml");

const WORKSHOPS: [&str; 4] = ["Welding", "3D printing", "Résumé writing", "Swing dance"];
const LAPTOPS: [&str; 4] = ["Windows", "macOS", "Linux", "I have no laptop"];

/// All rows with `form.answers`, the same in every run.
pub fn students() -> Vec<Value> {
    let row = |(number, line): (usize, &str)| {
        let mut row: Value = serde_json::from_str(line).expect("JSON");
        row["form"]["answers"] = answers(number, &row["form"]);
        row
    };
    include_str!("../data/students.jsonl").lines().enumerate().map(row).collect()
}

/// The answers of the student in this row. The text is in the student's script, on two lines.
fn answers(number: usize, form: &Value) -> Value {
    let mut answers = json!({ "bus": number.is_multiple_of(3), "laptop": LAPTOPS[number / 5 % 4] });
    if answers["bus"] == true {
        answers["arrival"] = format!("2027-08-{}", 20 + number % 12).into();
    }
    let chosen = WORKSHOPS.iter().enumerate().filter(|(i, _)| number >> i & 1 == 1).map(|(_, name)| *name);
    let chosen: Vec<_> = chosen.take(2).collect();
    if !chosen.is_empty() {
        answers["workshops"] = json!(chosen);
    }
    if number.is_multiple_of(2) {
        let text = |name: &str| form[name].as_str().expect("a text");
        answers["firstAid"] = format!("{}\n{}", text("legalName").trim(), text("summerCity")).into();
    }
    answers
}
