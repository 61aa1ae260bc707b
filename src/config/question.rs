//! `[[form.questions]]`: the questions of the faculty's own on the registration form.

use std::ops::{Range, RangeInclusive};

use chrono::NaiveDate;
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use super::check::{Check, WrittenList};
use crate::kernel::{Class, QUESTION_ID_MAX, Retention, is_question_id, text};

/// The most questions of one event, retired ones included.
pub const QUESTIONS_MAX: usize = 50;
/// The longest question, in code points.
const LABEL_LENGTH: usize = 200;
/// The longest answer on one line, in code points, and the longest if the file doesn't say otherwise.
const SHORT_TEXT: (usize, usize) = (200, 100);
/// The longest answer with line breaks, in code points.
pub const LONGEST_ANSWER: usize = 4000;
/// The same, and the longest if the file doesn't say otherwise.
const LONG_TEXT: (usize, usize) = (LONGEST_ANSWER, 1000);
/// The whole numbers that every client can read: JavaScript has no larger ones.
pub const NUMBERS: RangeInclusive<i64> = -9_007_199_254_740_991..=9_007_199_254_740_991;

/// A question of the faculty's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Stable identifier for programs, under which answers are stored. Unique.
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

impl QuestionKind {
    /// The word in `event.toml`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ShortText { .. } => "short-text",
            Self::LongText { .. } => "long-text",
            Self::YesNo => "yes-no",
            Self::OneOf { .. } => "one-of",
            Self::SeveralOf { .. } => "several-of",
            Self::Date { .. } => "date",
            Self::Number { .. } => "number",
        }
    }

    /// The options to choose from; empty for other kinds.
    pub fn options(&self) -> &[String] {
        match self {
            Self::OneOf { options } | Self::SeveralOf { options, .. } => options,
            _ => &[],
        }
    }
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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ExpectedAnswer {
    /// Of a question that is answered with yes or no.
    Flag(bool),
    /// An option.
    Option(String),
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenQuestion {
    id: Spanned<String>,
    label: Spanned<String>,
    help: Option<Spanned<String>>,
    kind: Spanned<String>,
    options: Option<WrittenList>,
    required: Option<Spanned<bool>>,
    required_if: Option<Spanned<WrittenCondition>>,
    max_length: Option<Spanned<usize>>,
    max_choices: Option<Spanned<usize>>,
    min: Option<Spanned<i64>>,
    max: Option<Spanned<i64>>,
    from: Option<Spanned<Datetime>>,
    until: Option<Spanned<Datetime>>,
    editable: Option<bool>,
    class: Spanned<String>,
    keep: Option<Spanned<String>>,
    retired: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCondition {
    question: Spanned<String>,
    answer: Spanned<ExpectedAnswer>,
}

/// A key of a question that suits some kinds only.
struct Limit {
    key: &'static str,
    /// Where it is written, if it is.
    at: Option<Range<usize>>,
    kinds: &'static [&'static str],
}

fn limits(written: &WrittenQuestion) -> [Limit; 7] {
    let limit = |key, at, kinds| Limit { key, at, kinds };
    [
        limit("options", written.options.as_ref().map(Spanned::span), &["one-of", "several-of"]),
        limit("max_length", written.max_length.as_ref().map(Spanned::span), &["short-text", "long-text"]),
        limit("max_choices", written.max_choices.as_ref().map(Spanned::span), &["several-of"]),
        limit("min", written.min.as_ref().map(Spanned::span), &["number"]),
        limit("max", written.max.as_ref().map(Spanned::span), &["number"]),
        limit("from", written.from.as_ref().map(Spanned::span), &["date"]),
        limit("until", written.until.as_ref().map(Spanned::span), &["date"]),
    ]
}

impl Check<'_> {
    /// The questions, as far as they are valid.
    pub(super) fn questions(&mut self, written: &Spanned<Vec<WrittenQuestion>>) -> Vec<Question> {
        let all = written.get_ref();
        if all.len() > QUESTIONS_MAX {
            let detail = format!("there are more than {QUESTIONS_MAX} questions");
            self.error("form.questions", written.span(), detail);
        }
        self.unique("form.questions.id", all.iter().map(|question| &question.id));
        let mut questions = vec![];
        for one in all {
            let question = self.question(one, &questions);
            questions.extend(question);
        }
        questions
    }

    fn question(&mut self, written: &WrittenQuestion, earlier: &[Question]) -> Option<Question> {
        let id = written.id.get_ref();
        if !is_question_id(id) {
            let detail = format!(
                "it is not a lowercase letter a to z and then up to {} letters a to z and digits",
                QUESTION_ID_MAX - 1
            );
            self.error("form.questions.id", written.id.span(), detail);
        }
        let kind = self.kind(written);
        let (editable, retired) = (written.editable.unwrap_or(true), written.retired.unwrap_or(false));
        // A retired question is not asked, so that its condition doesn't matter.
        let required = if retired { Required::No } else { self.required(written, editable, earlier) };
        Some(Question {
            id: id.clone(),
            label: self.line("form.questions.label", &written.label, LABEL_LENGTH),
            help: written.help.as_ref().map(|help| self.lines("form.questions.help", help)),
            required,
            editable,
            class: self.class(&written.class),
            retention: self.retention(written),
            retired,
            kind: kind?,
        })
    }

    fn kind(&mut self, written: &WrittenQuestion) -> Option<QuestionKind> {
        let name = written.kind.get_ref().as_str();
        let kind = match name {
            "short-text" => QuestionKind::ShortText { max_length: self.max_length(written, SHORT_TEXT) },
            "long-text" => QuestionKind::LongText { max_length: self.max_length(written, LONG_TEXT) },
            "yes-no" => QuestionKind::YesNo,
            "one-of" => QuestionKind::OneOf { options: self.options(written) },
            "several-of" => self.several_of(written),
            "date" => self.date(written),
            "number" => self.number(written),
            _ => {
                let detail = "it is not short-text, long-text, yes-no, one-of, several-of, date or number";
                self.error("form.questions.kind", written.kind.span(), detail);
                return None;
            }
        };
        for Limit { key, at, .. } in limits(written).into_iter().filter(|limit| !limit.kinds.contains(&name))
        {
            if let Some(at) = at {
                let detail = format!("a question of the kind {name} does not have it: remove it");
                self.error(&format!("form.questions.{key}"), at, detail);
            }
        }
        Some(kind)
    }

    fn max_length(&mut self, written: &WrittenQuestion, (most, default): (usize, usize)) -> usize {
        let Some(length) = &written.max_length else { return default };
        if !(1..=most).contains(length.get_ref()) {
            self.error("form.questions.max_length", length.span(), format!("it is not 1 to {most}"));
        }
        *length.get_ref()
    }

    fn options(&mut self, written: &WrittenQuestion) -> Vec<String> {
        const KEY: &str = "form.questions.options";
        let Some(options) = &written.options else {
            self.error(KEY, written.kind.span(), "it is missing: a question of this kind needs options");
            return vec![];
        };
        self.choices(KEY, options)
    }

    fn several_of(&mut self, written: &WrittenQuestion) -> QuestionKind {
        let options = self.options(written);
        let max_choices = written.max_choices.as_ref().map_or(options.len(), |most| *most.get_ref());
        if let Some(most) = &written.max_choices
            && !(1..=options.len()).contains(most.get_ref())
        {
            let detail = "it is not 1 to the number of options";
            self.error("form.questions.max_choices", most.span(), detail);
        }
        QuestionKind::SeveralOf { options, max_choices }
    }

    fn date(&mut self, written: &WrittenQuestion) -> QuestionKind {
        let from = written.from.as_ref().and_then(|from| self.day("form.questions.from", from));
        let until = written.until.as_ref().and_then(|until| self.day("form.questions.until", until));
        if let (Some(from), Some(until), Some(written)) = (from, until, &written.until)
            && until < from
        {
            self.error("form.questions.until", written.span(), "it is before `from`");
        }
        QuestionKind::Date { from, until }
    }

    fn day(&mut self, key: &str, written: &Spanned<Datetime>) -> Option<NaiveDate> {
        let day = match written.get_ref() {
            Datetime { date: Some(date), time: None, offset: None } => {
                NaiveDate::from_ymd_opt(date.year.into(), date.month.into(), date.day.into())
            }
            _ => None,
        };
        if day.is_none() {
            self.error(key, written.span(), "it is not a date without a time, such as 2027-09-01");
        }
        day
    }

    fn number(&mut self, written: &WrittenQuestion) -> QuestionKind {
        let min = self.bound("form.questions.min", written.min.as_ref()).unwrap_or(*NUMBERS.start());
        let max = self.bound("form.questions.max", written.max.as_ref()).unwrap_or(*NUMBERS.end());
        if let Some(written) = written.max.as_ref().or(written.min.as_ref())
            && max < min
        {
            self.error("form.questions.max", written.span(), "it is less than `min`");
        }
        QuestionKind::Number { min, max }
    }

    fn bound(&mut self, key: &str, written: Option<&Spanned<i64>>) -> Option<i64> {
        let written = written?;
        if !NUMBERS.contains(written.get_ref()) {
            self.error(key, written.span(), "it has more than 15 digits");
        }
        Some(*written.get_ref())
    }

    fn required(&mut self, written: &WrittenQuestion, editable: bool, earlier: &[Question]) -> Required {
        match (&written.required, &written.required_if) {
            (Some(required), Some(_)) => {
                let detail = "a question has either `required` or `required_if`: remove one of them";
                self.error("form.questions.required", required.span(), detail);
                Required::No
            }
            (_, Some(condition)) => {
                let condition = self.condition(condition, editable, earlier);
                condition.map_or(Required::No, Required::If)
            }
            (Some(required), None) if *required.get_ref() => Required::Yes,
            _ => Required::No,
        }
    }

    fn condition(
        &mut self,
        written: &Spanned<WrittenCondition>,
        editable: bool,
        earlier: &[Question],
    ) -> Option<Condition> {
        const KEY: &str = "form.questions.required_if";
        let WrittenCondition { question: id, answer } = written.get_ref();
        let Some(question) = earlier.iter().find(|question| question.id == *id.get_ref()) else {
            self.error(KEY, id.span(), "it names no earlier question that is valid");
            return None;
        };
        if question.retired {
            self.error(KEY, id.span(), "this question is retired");
        }
        if !editable && question.editable {
            let detail = "the answer to this question can change after submission: make it fixed, or the \
                          question that depends on it editable";
            self.error(KEY, id.span(), detail);
        }
        let answer = match answer.get_ref() {
            ExpectedAnswer::Option(option) => ExpectedAnswer::Option(text::clean(option)),
            flag => flag.clone(),
        };
        let can_be_given = match &answer {
            ExpectedAnswer::Flag(_) => question.kind == QuestionKind::YesNo,
            ExpectedAnswer::Option(option) => question.kind.options().contains(option),
        };
        if !can_be_given {
            self.error(KEY, written.get_ref().answer.span(), expected(question));
        }
        Some(Condition { question: id.get_ref().clone(), answer })
    }

    fn class(&mut self, written: &Spanned<String>) -> Class {
        match written.get_ref().as_str() {
            "identity" => Class::Identity,
            "contact" => Class::Contact,
            "health" => Class::Health,
            "logistics" => Class::Logistics,
            _ => {
                let detail = "it is not identity, contact, health or logistics";
                self.error("form.questions.class", written.span(), detail);
                Class::Health
            }
        }
    }

    fn retention(&mut self, written: &WrittenQuestion) -> Retention {
        const KEY: &str = "form.questions.keep";
        let Some(keep) = &written.keep else { return Retention::Erased };
        let in_own_words = ["short-text", "long-text", "date"].contains(&written.kind.get_ref().as_str());
        match keep.get_ref().as_str() {
            "erased" => return Retention::Erased,
            "counted" if in_own_words => {
                let detail =
                    "texts and dates can say whose they are, so that they can't be kept for statistics";
                self.error(KEY, keep.span(), detail);
            }
            "counted" => {}
            _ => self.error(KEY, keep.span(), "it is not erased or counted"),
        }
        Retention::Counted
    }
}

/// What a condition on this question can expect.
fn expected(question: &Question) -> String {
    match &question.kind {
        QuestionKind::YesNo => "the answer to this question is true or false".into(),
        kind if kind.options().is_empty() => {
            format!("a condition can't depend on a question of the kind {}", kind.as_str())
        }
        kind => format!("the answer to this question is one of: {}", kind.options().join(", ")),
    }
}

#[cfg(test)]
#[path = "question_tests.rs"]
mod tests;
