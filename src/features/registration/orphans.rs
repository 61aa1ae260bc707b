//! Stored answers that the event's form no longer has a place for.

use std::collections::BTreeMap;
use std::fmt;

use futures_util::TryStreamExt;

use super::fields::{FIELDS, Field};
use super::form::Form;
use super::model::Registration;
use crate::config::FormConfig;
use crate::kernel::StudentField;
use crate::platform::store::{Filter, Store, StoreError};

/// Answers to one question, or values of one built-in field, that nobody could read under this configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphans {
    field: StudentField,
    why: Why,
    /// Number of registrations that have one.
    count: u64,
}

/// Why a value has no place in the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// The event has no such question.
    Removed,
    /// The question is of this kind, which the answers don't suit.
    OtherKind(&'static str),
    /// The event leaves the field out.
    LeftOut,
}

/// What a change of the form would make of the values that are stored. Reads every registration.
///
/// # Errors
/// If the store can't be read.
pub async fn orphans(store: &Store, form: &FormConfig) -> Result<Vec<Orphans>, StoreError> {
    let mut counts = BTreeMap::new();
    let mut registrations = std::pin::pin!(store.stream::<Registration>(Filter::All));
    while let Some(registration) = registrations.try_next().await? {
        for found in of_form(&registration.form, form) {
            *counts.entry(found).or_insert(0) += 1;
        }
    }
    Ok(counts.into_iter().map(|((field, why), count)| Orphans { field, why, count }).collect())
}

/// The values of this form that have no place in the event's.
fn of_form(form: &Form, config: &FormConfig) -> Vec<(StudentField, Why)> {
    let left_out = |field: &&Field| !config.asks(&field.field) && field.is_given(&(field.value)(form));
    let left_out = FIELDS.iter().filter(left_out).map(|field| (field.field.clone(), Why::LeftOut));
    let answers = form.answers.iter().filter_map(|(id, answer)| {
        let why = match config.question(id) {
            None => Why::Removed,
            Some(question) if !answer.suits(&question.kind) => Why::OtherKind(question.kind.as_str()),
            Some(_) => return None,
        };
        Some((StudentField::Answer(id.clone()), why))
    });
    left_out.chain(answers).collect()
}

impl fmt::Display for Orphans {
    /// A sentence for people, without a full stop: what is wrong, and what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, why, count } = self;
        let name = match field {
            StudentField::Answer(id) => id.clone(),
            built_in => built_in.to_string(),
        };
        match why {
            Why::Removed => write!(
                f,
                "the question \"{name}\" is missing, and the answers to it ({count}) would be lost: add it again, with \
                 `retired = true` if it is no longer asked"
            ),
            Why::OtherKind(kind) => write!(
                f,
                "the question \"{name}\" is of the kind {kind}, and some of the answers to it ({count}) are not: give it its \
                 former kind and `retired = true`, and add a question with another id"
            ),
            Why::LeftOut => write!(
                f,
                "`without` has \"{name}\", and students have filled it in ({count}): remove it from `without`"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::answers::{Answer, Answers};
    use super::super::service::tests::{Desk, form};
    use super::*;
    use crate::config::{Question, QuestionKind};
    use crate::kernel::Clock;

    /// The sentences about two students with these answers.
    async fn sentences(answers: [Answers; 2], config: &FormConfig) -> Vec<String> {
        let desk = Desk::open().await;
        for (id, answers) in ["ana", "bo"].into_iter().zip(answers) {
            let form = Form { answers, ..form(&format!("{id}00000")) };
            let registration = Registration::submit(id, form, "Alpha".into(), "o", desk.base.clock.now());
            desk.base.store.transact(async |tx| tx.insert(&registration).await).await.unwrap();
        }
        let found = orphans(&desk.base.store, config).await.unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    fn bus(answer: Answer) -> Answers {
        [("bus".to_owned(), answer)].into()
    }

    fn with(question: Question) -> FormConfig {
        FormConfig { questions: vec![question], ..FormConfig::default() }
    }

    #[tokio::test]
    async fn answers_to_a_question_that_is_missing_are_counted() {
        let answers = || [bus(Answer::Flag(true)), bus(Answer::Flag(false))];
        let retired = Question { retired: true, ..Question::for_tests("bus", QuestionKind::YesNo) };
        assert!(sentences(answers(), &with(retired)).await.is_empty());
        let told = sentences(answers(), &FormConfig::default()).await;
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with("the question \"bus\" is missing, and the answers to it (2)"),
            "{told:?}"
        );
    }

    #[tokio::test]
    async fn answers_that_do_not_suit_the_kind_are_counted() {
        let text = Question::for_tests("bus", QuestionKind::ShortText { max_length: 1 });
        let told = sentences([bus(Answer::Flag(true)), bus(Answer::Text("yes".into()))], &with(text)).await;
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("of the kind short-text, and some of the answers to it (1)"), "{told:?}");
    }

    #[tokio::test]
    async fn values_of_fields_that_are_left_out_are_counted() {
        let without = [StudentField::SummerCity, StudentField::Medication, StudentField::Dietary].into();
        let config = FormConfig { without, ..FormConfig::default() };
        let told = sentences([Answers::new(), Answers::new()], &config).await;
        assert_eq!(
            told,
            ["`without` has \"summerCity\", and students have filled it in (2): remove it from `without`"]
        );
    }
}
