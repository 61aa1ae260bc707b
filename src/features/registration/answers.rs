//! The answers to the event's own questions, and how they are checked.
//!
//! A question with a condition is asked only if the condition holds. Conditions refer to earlier questions, so that one
//! pass over the questions in their order knows which of them are asked.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::config::{Condition, ExpectedAnswer, FormConfig, Question, QuestionKind, Required};
use crate::kernel::{FieldError, text};

/// The longest answers of one form together, in code points.
pub const ANSWERS_LENGTH: usize = 20_000;

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A text, an option, or a date written `YYYY-MM-DD`.
    Text(String),
    /// Several options.
    Choices(Vec<String>),
}

/// Answers by the id of their question.
pub type Answers = BTreeMap<String, Answer>;

/// Changes of answers by the id of their question. `None` removes an answer.
pub type AnswerChanges = BTreeMap<String, Option<Answer>>;

impl Answer {
    /// Whether it says nothing: an empty text or list counts as no answer.
    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text::is_blank(text),
            Self::Choices(choices) => choices.is_empty(),
            Self::Flag(_) | Self::Number(_) => false,
        }
    }

    /// Length of its texts, in code points.
    fn length(&self) -> usize {
        match self {
            Self::Text(text) => text::length(text),
            Self::Choices(choices) => choices.iter().map(|choice| text::length(choice)).sum(),
            Self::Flag(_) | Self::Number(_) => 0,
        }
    }

    /// Whether a question of this kind can have it. Limits and options are not checked: they may have been others when it
    /// was given.
    pub fn suits(&self, kind: &QuestionKind) -> bool {
        use QuestionKind::{Date, LongText, Number, OneOf, SeveralOf, ShortText, YesNo};
        match self {
            Self::Flag(_) => matches!(kind, YesNo),
            Self::Number(_) => matches!(kind, Number { .. }),
            Self::Text(text) if matches!(kind, Date { .. }) => date(text).is_some(),
            Self::Text(_) => matches!(kind, ShortText { .. } | LongText { .. } | OneOf { .. }),
            Self::Choices(_) => matches!(kind, SeveralOf { .. }),
        }
    }
}

/// The answers of a form that is submitted, as they are stored.
///
/// # Errors
/// Every validation error at once.
pub fn submitted(sent: Answers, form: &FormConfig) -> Result<Answers, Vec<FieldError>> {
    let sent = sent.into_iter().map(|(id, answer)| (id, Some(answer))).collect();
    Merge::new(&Answers::new(), form, Stage::Submitting).run(sent)
}

/// The answers of a submitted form after `changes`. An answer that is not sent and whose question is no longer asked is
/// removed. Required are the answers that the changes make necessary, and no others: the event may have changed.
///
/// # Errors
/// Every validation error at once.
pub fn changed(
    stored: &Answers,
    changes: AnswerChanges,
    form: &FormConfig,
) -> Result<Answers, Vec<FieldError>> {
    Merge::new(stored, form, Stage::Submitted).run(changes)
}

/// The answers of a submitted form after corrections by the committee: as [`changed`], without regard to which answers are
/// fixed.
///
/// # Errors
/// Every validation error at once.
pub fn corrected(
    stored: &Answers,
    corrections: AnswerChanges,
    form: &FormConfig,
) -> Result<Answers, Vec<FieldError>> {
    Merge::new(stored, form, Stage::Correcting).run(corrections)
}

/// The validation errors of `changes` that don't depend on the answers that are stored.
pub fn errors(changes: &AnswerChanges, form: &FormConfig) -> Vec<FieldError> {
    let of_one = |(id, sent): (&String, &Option<Answer>)| match (form.question(id), sent) {
        (None, _) => vec![not_a_question(id)],
        (Some(question), Some(answer)) => value(question, answer).err().unwrap_or_default(),
        (Some(_), None) => vec![],
    };
    changes.iter().flat_map(of_one).collect()
}

/// When answers are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// With the form.
    Submitting,
    /// After it: some answers are fixed.
    Submitted,
    /// After it, by the committee.
    Correcting,
}

/// Merges answers that are sent into those that are stored.
struct Merge<'a> {
    stored: &'a Answers,
    form: &'a FormConfig,
    stage: Stage,
    merged: Answers,
    /// Ids of questions whose answer has an error: whether conditions on them hold is not known.
    unclear: BTreeSet<&'a str>,
    errors: Vec<FieldError>,
}

impl<'a> Merge<'a> {
    fn new(stored: &'a Answers, form: &'a FormConfig, stage: Stage) -> Self {
        let (unclear, errors) = (BTreeSet::new(), vec![]);
        Self { stored, form, stage, merged: stored.clone(), unclear, errors }
    }

    fn run(mut self, mut sent: AnswerChanges) -> Result<Answers, Vec<FieldError>> {
        for question in &self.form.questions {
            match sent.remove(&question.id) {
                Some(sent) => self.sent(question, sent.filter(|answer| !answer.is_empty())),
                None => self.not_sent(question),
            }
        }
        self.errors.extend(sent.keys().map(|id| not_a_question(id)));
        if self.merged.values().map(Answer::length).sum::<usize>() > ANSWERS_LENGTH {
            let detail = format!("Use at most {ANSWERS_LENGTH} characters in all answers together.");
            self.errors.push(FieldError::new("/answers", "too-long", detail));
        }
        if self.errors.is_empty() { Ok(self.merged) } else { Err(self.errors) }
    }

    fn sent(&mut self, question: &'a Question, sent: Option<Answer>) {
        let is_asked = self.is_asked(question, &self.merged);
        match sent {
            _ if question.retired => self.refuse(question, "not-asked", "This question is no longer asked."),
            _ if self.stage == Stage::Submitted && !question.editable => {
                let detail = "This is fixed after submission. Ask the committee to change it.";
                self.refuse(question, "fixed-after-submitting", detail);
            }
            Some(answer) => self.answer(question, &answer, is_asked),
            None => {
                self.merged.remove(&question.id);
                if is_asked == Some(true) {
                    self.demand(question);
                }
            }
        }
    }

    fn answer(&mut self, question: &'a Question, answer: &Answer, is_asked: Option<bool>) {
        if is_asked == Some(false) {
            return self.refuse(question, "not-asked", "Leave this empty: your other answers rule it out.");
        }
        match value(question, answer) {
            Ok(answer) => drop(self.merged.insert(question.id.clone(), answer)),
            Err(errors) => {
                self.unclear.insert(&question.id);
                self.errors.extend(errors);
            }
        }
    }

    fn not_sent(&mut self, question: &'a Question) {
        if question.retired {
            return;
        }
        match self.is_asked(question, &self.merged) {
            Some(false) => drop(self.merged.remove(&question.id)),
            Some(true) if self.is_newly_asked(question) => self.demand(question),
            _ => {}
        }
    }

    /// Whether the form or the changes are what asks the question.
    fn is_newly_asked(&self, question: &Question) -> bool {
        self.stage == Stage::Submitting || self.is_asked(question, self.stored) == Some(false)
    }

    /// Requires an answer, unless the question is optional.
    fn demand(&mut self, question: &'a Question) {
        if question.required != Required::No && !self.merged.contains_key(&question.id) {
            self.refuse(question, "missing", "This is required.");
        }
    }

    fn refuse(&mut self, question: &'a Question, code: &'static str, detail: &str) {
        self.unclear.insert(&question.id);
        self.errors.push(FieldError::new(pointer(&question.id), code, detail));
    }

    /// Whether the question is asked of a student with these answers; `None` if that depends on an answer with an error.
    fn is_asked(&self, question: &Question, answers: &Answers) -> Option<bool> {
        match &question.required {
            Required::No | Required::Yes => Some(true),
            Required::If(condition) if self.unclear.contains(condition.question.as_str()) => None,
            Required::If(condition) => Some(holds(condition, answers)),
        }
    }
}

/// Whether the answers are such that the condition holds.
fn holds(condition: &Condition, answers: &Answers) -> bool {
    match (answers.get(&condition.question), &condition.answer) {
        (Some(Answer::Flag(flag)), ExpectedAnswer::Flag(expected)) => flag == expected,
        (Some(Answer::Text(text)), ExpectedAnswer::Option(expected)) => text == expected,
        (Some(Answer::Choices(choices)), ExpectedAnswer::Option(expected)) => choices.contains(expected),
        _ => false,
    }
}

/// The answer as it is stored, if it suits the kind and the limits of the question.
fn value(question: &Question, answer: &Answer) -> Result<Answer, Vec<FieldError>> {
    let at = pointer(&question.id);
    let one = |(code, detail): Refused| vec![FieldError::new(at.as_str(), code, detail)];
    match (&question.kind, answer) {
        (QuestionKind::ShortText { max_length }, Answer::Text(text)) => {
            line(text, *max_length).map(Answer::Text).map_err(one)
        }
        (QuestionKind::LongText { max_length }, Answer::Text(text)) => {
            remark(text, *max_length).map(Answer::Text).map_err(one)
        }
        (QuestionKind::YesNo, Answer::Flag(flag)) => Ok(Answer::Flag(*flag)),
        (QuestionKind::OneOf { options }, Answer::Text(text)) => {
            option(text, options).map(Answer::Text).map_err(one)
        }
        (QuestionKind::SeveralOf { options, max_choices }, Answer::Choices(sent)) => {
            choices(sent, options, *max_choices, &at).map(Answer::Choices)
        }
        (QuestionKind::Date { from, until }, Answer::Text(text)) => {
            day(text, *from, *until).map(Answer::Text).map_err(one)
        }
        (QuestionKind::Number { min, max }, Answer::Number(number)) => {
            number_within(*number, *min, *max).map(Answer::Number).map_err(one)
        }
        (kind, _) => Err(one(("wrong-type", format!("This must be {}.", in_words(kind))))),
    }
}

/// Code and detail of an error.
type Refused = (&'static str, String);

fn line(written: &str, max_length: usize) -> Result<String, Refused> {
    let clean = text::clean(written);
    if text::has_control(&clean) {
        return Err(("control-character", "Remove line breaks and other control characters.".into()));
    }
    short(clean, max_length)
}

fn remark(written: &str, max_length: usize) -> Result<String, Refused> {
    let clean = text::clean(written);
    if text::has_control_but_breaks(&clean) {
        let detail = "Remove control characters other than line breaks and tabs.";
        return Err(("control-character", detail.into()));
    }
    short(clean, max_length)
}

fn short(clean: String, max_length: usize) -> Result<String, Refused> {
    match text::length(&clean) <= max_length {
        true => Ok(clean),
        false => Err(("too-long", format!("Use at most {max_length} characters."))),
    }
}

fn option(written: &str, options: &[String]) -> Result<String, Refused> {
    let clean = text::clean(written);
    match options.contains(&clean) {
        true => Ok(clean),
        false => Err(("not-an-option", format!("Choose one of: {}.", options.join(", ")))),
    }
}

fn choices(
    sent: &[String],
    options: &[String],
    most: usize,
    at: &str,
) -> Result<Vec<String>, Vec<FieldError>> {
    let (mut chosen, mut errors) = (vec![], vec![]);
    // A longer list has an error among these: its entries differ, and there are not that many options.
    for (i, one) in sent.iter().enumerate().take(options.len() + 1) {
        match option(one, options) {
            Ok(option) if chosen.contains(&option) => {
                errors.push(FieldError::new(format!("{at}/{i}"), "repeated", "Duplicate entry."));
            }
            Ok(option) => chosen.push(option),
            Err((code, detail)) => errors.push(FieldError::new(format!("{at}/{i}"), code, detail)),
        }
    }
    if errors.is_empty() && chosen.len() > most {
        errors.push(FieldError::new(at, "too-many", format!("Choose at most {most}.")));
    }
    if errors.is_empty() { Ok(chosen) } else { Err(errors) }
}

fn day(written: &str, from: Option<NaiveDate>, until: Option<NaiveDate>) -> Result<String, Refused> {
    let clean = text::identifier(written);
    let Some(day) = date(&clean) else {
        return Err(("not-a-date", "Write a date that exists, such as 2008-02-29.".into()));
    };
    let detail = match (from, until) {
        (Some(from), Some(until)) if day < from || until < day => format!("from {from} to {until}"),
        (Some(from), _) if day < from => format!("{from} or later"),
        (_, Some(until)) if until < day => format!("{until} or earlier"),
        _ => return Ok(clean),
    };
    Err(("out-of-range", format!("The date must be {detail}.")))
}

/// `YYYY-MM-DD`, as RFC 3339 writes it.
fn date(written: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(written, "%Y-%m-%d").ok()?;
    (date.to_string() == written).then_some(date)
}

fn number_within(number: i64, min: i64, max: i64) -> Result<i64, Refused> {
    match (min..=max).contains(&number) {
        true => Ok(number),
        false => Err(("out-of-range", format!("The number must be from {min} to {max}."))),
    }
}

/// What an answer of this kind has to be.
fn in_words(kind: &QuestionKind) -> &'static str {
    match kind {
        QuestionKind::ShortText { .. } | QuestionKind::LongText { .. } => "text",
        QuestionKind::YesNo => "true or false",
        QuestionKind::OneOf { .. } => "one of the options, as text",
        QuestionKind::SeveralOf { .. } => "a list of options",
        QuestionKind::Date { .. } => "a date, as text such as 2008-02-29",
        QuestionKind::Number { .. } => "a whole number",
    }
}

fn not_a_question(id: &str) -> FieldError {
    FieldError::new(
        pointer(id),
        "unknown-property",
        "The event asks no such question. `getEvent` lists its questions.",
    )
}

/// JSON pointer to an answer.
fn pointer(id: &str) -> String {
    format!("/answers/{}", id.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
