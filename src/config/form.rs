//! The part of `event.toml` that a faculty changes about the registration form: its own questions.

use chrono::NaiveDate;

use crate::kernel::{Class, Retention};

/// What the event changes about the registration form.
#[derive(Clone, Debug, Default)]
pub struct FormConfig {
    /// The event's questions, in the order in which they are asked. Retired ones are among them.
    pub questions: Vec<Question>,
}

impl FormConfig {
    /// The question with this id, even if it is retired.
    pub fn question(&self, id: &str) -> Option<&Question> {
        self.questions.iter().find(|question| question.id == id)
    }

    /// The questions that students are asked, in their order.
    pub fn asked(&self) -> impl Iterator<Item = &Question> {
        self.questions.iter().filter(|question| !question.retired)
    }
}

/// A question of the faculty's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Stable identifier for programs, by which answers are stored. Unique.
    pub id: String,
    /// The question as people read it.
    pub label: String,
    /// An explanation below the question.
    pub help: Option<String>,
    /// What an answer holds, with limits.
    pub kind: QuestionKind,
    /// Whether a form is incomplete without an answer.
    pub required: Required,
    /// Whether the student can change the answer after submission.
    pub editable: bool,
    /// What kind of personal data the answer is.
    pub class: Class,
    /// What the disposal at the end of the school year does with the answer.
    pub retention: Retention,
    /// Whether the question is no longer asked. Its answers are kept, and staff can read them.
    pub retired: bool,
}

#[cfg(test)]
impl Question {
    /// An optional question of this kind, which the student can change.
    pub fn for_tests(id: &str, kind: QuestionKind) -> Self {
        Self {
            id: id.to_owned(),
            label: format!("The question {id}"),
            help: None,
            kind,
            required: Required::No,
            editable: true,
            class: Class::Logistics,
            retention: Retention::Erased,
            retired: false,
        }
    }
}

/// What an answer holds. Lengths are in code points, after cleaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuestionKind {
    /// Text on one line.
    ShortText { max_length: usize },
    /// Text with line breaks.
    LongText { max_length: usize },
    /// Yes or no.
    YesNo,
    /// One of the options.
    OneOf { options: Vec<String> },
    /// Different ones of the options.
    SeveralOf { options: Vec<String>, max_choices: usize },
    /// A date, from the first to the last, both inclusive.
    Date { from: Option<NaiveDate>, until: Option<NaiveDate> },
    /// A whole number, from the least to the greatest, both inclusive.
    Number { min: i64, max: i64 },
}

/// When a form is incomplete without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Required {
    /// Never: the question is optional.
    No,
    /// Always.
    Yes,
    /// If the condition holds. If it doesn't, the question is not asked.
    If(Condition),
}

/// An earlier question has this answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Id of the other question.
    pub question: String,
    /// The answer to it. Of several options, this is one of those chosen.
    pub answer: ExpectedAnswer,
}

/// The answer that a condition expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedAnswer {
    /// Of a question that is answered with yes or no.
    Flag(bool),
    /// An option.
    Option(String),
}
