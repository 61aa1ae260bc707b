//! The documents of frequent questions, and the rules of their states.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::order::{Entry, position};
use crate::kernel::{EmailAddress, Markdown, Timestamp, text};
use crate::platform::audit::Action;
use crate::platform::store::{Class, Document, Filter, Index, Keep, Owner, Personal, PersonalField, Value};

/// The committee answered a question.
pub const FAQ_ANSWERED: Action = Action::new("faq.answered");

/// The committee edited a question. The detail names the properties that changed.
pub const FAQ_UPDATED: Action = Action::new("faq.updated");

/// The committee deleted a question.
pub const FAQ_DELETED: Action = Action::new("faq.deleted");

/// The committee restored a deleted question.
pub const FAQ_RESTORED: Action = Action::new("faq.restored");

/// The category of questions for which nobody has chosen one.
pub const DEFAULT_CATEGORY: &str = "General";

/// Maximum number of answered questions. All of them are in one response.
pub const ANSWERED_MAX: u32 = 500;

/// Maximum number of unanswered questions: more than a committee leaves open, few enough that nobody fills the store.
pub const UNANSWERED_MAX: u32 = 500;

/// How long a deleted question can be restored.
pub const DELETED_KEPT: Duration = Duration::from_hours(90 * 24);

/// How long the address of somebody who asked is kept if there is no answer.
pub const ASKER_KEPT: Duration = Duration::from_hours(90 * 24);

/// Maximum number of different words by which one question is found.
const WORDS_MAX: usize = 2_000;

/// The most words of one search. Further ones are ignored.
const SEARCHED_MAX: usize = 10;

/// What the words of a question begin with, and those of an answer.
const OF_QUESTION: &str = "q:";
const OF_ANSWER: &str = "a:";

/// State of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaqState {
    /// It waits for the committee.
    Unanswered,
    /// It is public.
    Answered,
    /// It can be restored, with its answer if it had one.
    Deleted,
}

impl FaqState {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unanswered => "unanswered",
            Self::Answered => "answered",
            Self::Deleted => "deleted",
        }
    }
}

/// A question that somebody asked, with its answer. Who asked is in [`FaqAsker`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaqQuestion {
    pub id: String,
    pub question: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Markdown>,
    pub category: String,
    /// Sorts by category, then in the committee's order: [`category_key`], a line break, and a
    /// position (`order`). There is one from the first answer on; it is unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    pub state: FaqState,
    pub asked_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
    /// Time of the last change of the texts, the category or the order.
    pub updated_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// By which it is found once it is answered.
    pub words: Vec<String>,
}

impl Document for FaqQuestion {
    const COLLECTION: &'static str = "faq_questions";
    const INDEXES: &'static [Index] = &[
        Index::unique(BY_PLACE, &["place"]),
        Index::on("faq_questions_in_order", &["state", "place", "id"]),
        Index::on("faq_questions_by_state", &["state", "id"]),
        Index::on("faq_questions_by_deletion", &["deletedAt"]),
        Index::words("faq_questions_by_word", &["words"]),
    ];
    const PERSONAL: Personal = Personal::Of(
        Owner::Through { field: "id", collection: FaqAsker::COLLECTION },
        &[PersonalField::lasting("question", Class::Content)],
    );
    const KEEP: Keep =
        Keep::until_removal("the answers are public; a sweep removes a question 90 days after its deletion");

    fn id(&self) -> &str {
        &self.id
    }
}

/// The index that keeps places apart.
pub const BY_PLACE: &str = "faq_questions_by_place";

/// The address to which the answer to a question is sent. Deleted when the email is posted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaqAsker {
    /// The question's id.
    pub id: String,
    pub email: EmailAddress,
    /// [`EmailAddress::key`].
    pub email_key: String,
    pub asked_at: Timestamp,
}

impl Document for FaqAsker {
    const COLLECTION: &'static str = "faq_askers";
    const INDEXES: &'static [Index] = &[Index::on("faq_askers_by_time", &["askedAt"])];
    const PERSONAL: Personal =
        Personal::Of(Owner::Address("emailKey"), &[PersonalField::new("email", Class::Contact)]);
    const KEEP: Keep = Keep::lasting(ASKER_KEPT, "the answer is sent there, and then it is deleted");

    fn id(&self) -> &str {
        &self.id
    }
}

impl FaqAsker {
    /// The address of the person who asked the question.
    pub fn new(question: &FaqQuestion, email: EmailAddress) -> Self {
        Self { id: question.id.clone(), email_key: email.key(), email, asked_at: question.asked_at }
    }
}

/// What the committee answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaqAnswer {
    pub answer: Markdown,
    /// The question in other words.
    pub question: Option<String>,
    pub category: Option<String>,
    /// Its number in the category, counted from 1.
    pub position: Option<u32>,
}

/// What the committee changes about a question; nothing where there is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaqChanges {
    pub question: Option<String>,
    pub answer: Option<Markdown>,
    pub category: Option<String>,
    /// Its number in the category, counted from 1.
    pub position: Option<u32>,
}

/// Why a question can't be answered or edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEditable {
    /// It has to be restored first.
    #[error("the question is deleted")]
    Deleted,
    /// It has an answer, which can be edited.
    #[error("the question is answered already")]
    AlreadyAnswered,
    /// It has no answer, which could be edited or placed.
    #[error("the question is not answered yet")]
    Unanswered,
}

impl FaqQuestion {
    /// Whether the backlog is long enough to lower the limit of each client.
    pub fn is_backlog(waiting: u64) -> bool {
        waiting >= u64::from(UNANSWERED_MAX / 2)
    }

    /// A question that somebody asks.
    pub fn asked(id: String, question: String, now: Timestamp) -> Self {
        Self {
            id,
            question,
            answer: None,
            category: DEFAULT_CATEGORY.into(),
            place: None,
            state: FaqState::Unanswered,
            asked_at: now,
            answered_at: None,
            updated_at: now,
            deleted_at: None,
            words: vec![],
        }
    }

    /// Checks that it can be answered.
    ///
    /// # Errors
    /// [`NotEditable`]
    pub fn check_unanswered(&self) -> Result<(), NotEditable> {
        match self.state {
            FaqState::Unanswered => Ok(()),
            FaqState::Answered => Err(NotEditable::AlreadyAnswered),
            FaqState::Deleted => Err(NotEditable::Deleted),
        }
    }

    /// Checks that these changes can be made.
    ///
    /// # Errors
    /// [`NotEditable`]
    pub fn check_changes(&self, changes: &FaqChanges) -> Result<(), NotEditable> {
        let of_answer = changes.answer.is_some() || changes.position.is_some();
        match self.state {
            FaqState::Deleted => Err(NotEditable::Deleted),
            FaqState::Unanswered if of_answer => Err(NotEditable::Unanswered),
            FaqState::Unanswered | FaqState::Answered => Ok(()),
        }
    }

    /// Answers it, which makes it public at this place of the category.
    pub fn answer(&mut self, answer: &FaqAnswer, filed: Filed, now: Timestamp) {
        if let Some(question) = &answer.question {
            self.question.clone_from(question);
        }
        self.answer = Some(answer.answer.clone());
        self.file(filed);
        self.state = FaqState::Answered;
        (self.answered_at, self.updated_at) = (Some(now), now);
        self.index();
    }

    /// Applies the changes of the texts, and files an answered question as `filed` says. Returns the names of the properties
    /// that changed.
    pub fn change(
        &mut self,
        changes: &FaqChanges,
        filed: Option<Filed>,
        now: Timestamp,
    ) -> Vec<&'static str> {
        let before = self.clone();
        if let Some(question) = &changes.question {
            self.question.clone_from(question);
        }
        if changes.answer.is_some() {
            self.answer.clone_from(&changes.answer);
        }
        match (filed, &changes.category) {
            (Some(filed), _) => self.file(filed),
            (None, Some(category)) => self.category.clone_from(category),
            (None, None) => {}
        }
        let changed = [
            ("question", self.question != before.question),
            ("answer", self.answer != before.answer),
            ("category", self.category != before.category),
            ("position", self.place != before.place && changes.position.is_some()),
        ];
        let changed: Vec<_> = changed.into_iter().filter_map(|(name, has)| has.then_some(name)).collect();
        if !changed.is_empty() {
            self.updated_at = now;
            self.index();
        }
        changed
    }

    /// The category in which the changes file it, and its number there; `None` if they leave it where it is.
    pub fn filing<'c>(&'c self, changes: &'c FaqChanges) -> Option<(&'c str, Option<u32>)> {
        let category = changes.category.as_deref().unwrap_or(&self.category);
        let is_filed = self.state == FaqState::Answered;
        (is_filed && (changes.position.is_some() || category != self.category))
            .then_some((category, changes.position))
    }

    /// Where it is filed as the one with this number in the category; without a number where it is, or as the last one.
    /// `others` has the category's other questions with a place, in their order. If there are any, the category is written as
    /// theirs is.
    pub fn filed(&self, others: &[Self], category: &str, number: Option<u32>, now: Timestamp) -> Filed {
        let key = category_key(category);
        let category = others.first().map_or(category, |other| &other.category).to_owned();
        let entries: Vec<_> = others.iter().filter_map(Self::entry).collect();
        let place = match &self.place {
            Some(place) if number.is_none() && place.starts_with(&format!("{key}\n")) => place.clone(),
            _ => format!("{key}\n{}", position(&entries, number, now)),
        };
        Filed { category, place }
    }

    /// It in the order of its category, where deleted questions keep their positions.
    fn entry(&self) -> Option<Entry<'_>> {
        let (_, position) = self.place.as_ref()?.rsplit_once('\n')?;
        Some(Entry { position, is_shown: self.state == FaqState::Answered })
    }

    /// Deletes it. Returns whether it was not deleted before.
    pub fn delete(&mut self, now: Timestamp) -> bool {
        let was_there = self.state != FaqState::Deleted;
        if was_there {
            (self.state, self.deleted_at) = (FaqState::Deleted, Some(now));
        }
        was_there
    }

    /// Restores it as it was before its deletion. Returns whether it was deleted.
    pub fn restore(&mut self) -> bool {
        let was_deleted = self.state == FaqState::Deleted;
        if was_deleted {
            let is_answered = self.answer.is_some();
            self.state = if is_answered { FaqState::Answered } else { FaqState::Unanswered };
            self.deleted_at = None;
        }
        was_deleted
    }

    fn file(&mut self, filed: Filed) {
        (self.category, self.place) = (filed.category, Some(filed.place));
    }

    fn index(&mut self) {
        let Some(answer) = &self.answer else { return };
        let of_question = text::full_text_words(&self.question, WORDS_MAX);
        let of_answer = text::full_text_words(&answer.plain(), WORDS_MAX - of_question.len());
        let tagged = of_question.into_iter().map(|word| format!("{OF_QUESTION}{word}"));
        self.words = tagged.chain(of_answer.into_iter().map(|word| format!("{OF_ANSWER}{word}"))).collect();
    }
}

/// A category and a place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filed {
    category: String,
    place: String,
}

/// By which categories are compared and sorted: letter case, accents, width and the number of spaces don't matter.
pub fn category_key(category: &str) -> String {
    text::fold(category).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The questions with a place in this category.
pub fn in_category(category: &str) -> Filter {
    let key = category_key(category);
    // The character after the line break ends the range.
    let (from, to): (Value, Value) = (format!("{key}\n").into(), format!("{key}\u{b}").into());
    Filter::range("place", Some(from), Some(to))
}

/// The questions in this state.
pub fn in_state(state: FaqState) -> Filter {
    Filter::eq("state", state.as_str())
}

/// The answered questions of which each word of `search` begins a word: of the question, then of the question or the answer.
/// All of them if there is nothing to search for.
pub fn found_by(search: &str) -> Vec<Filter> {
    let words = text::searched_words(search);
    if words.is_empty() {
        let all = text::is_blank(search).then(|| in_state(FaqState::Answered));
        return all.into_iter().collect();
    }
    let begins = |tags: &[&str]| {
        let word = |word: &String| {
            let tagged = |tag: &&str| Filter::HasPrefix("words".into(), format!("{tag}{word}"));
            Filter::Or(tags.iter().map(tagged).collect())
        };
        let all = words.iter().take(SEARCHED_MAX).map(word).collect();
        in_state(FaqState::Answered).and(Filter::And(all))
    };
    vec![begins(&[OF_QUESTION]), begins(&[OF_QUESTION, OF_ANSWER])]
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
