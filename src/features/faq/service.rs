//! Use cases: ask, list, search, answer, edit, delete and restore questions.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::mails::{AboutQuestion, QuestionAnswered};
use super::model::{
    ANSWERED_MAX, BY_PLACE, FAQ_ANSWERED, FAQ_DELETED, FAQ_RESTORED, FAQ_UPDATED, FaqAnswer, FaqAsker,
    FaqChanges, FaqQuestion, FaqState, Filed, NotEditable, UNANSWERED_MAX, category_key, found_by,
    in_category, in_state,
};
use crate::base::Base;
use crate::features::accounts::client_key;
use crate::kernel::{Actor, Caller, Clock, EmailAddress, Ids, Invalid, Scope, Timestamp};
use crate::platform::audit::Subject;
use crate::platform::mail::Mail;
use crate::platform::signals::{Limit, Signals, TooMany};
use crate::platform::store::{
    Cursor, Dir, Document, Filter, Page, PageError, Precondition, Query, Stale, Store, StoreError, Tx,
};

/// Woken by each change of what is public.
pub const TOPIC: &str = "faq";

/// Questions that one client or account can ask. Enough for a few people behind one address, too few to keep the committee busy. Those who
/// answer questions, and write entries of their own, are not limited.
const ASK: Limit = Limit { name: "ask-question", quota: 20, window: Duration::from_hours(24) };

/// The same while the committee has many questions to answer ([`FaqQuestion::is_backlog`]): to take the second half of the
/// places needs more than a hundred clients a day.
const ASK_WHILE_MANY: Limit =
    Limit { name: "ask-question-while-many", quota: 2, window: Duration::from_hours(24) };

/// Searches of one client. Enough for a campus behind one address that searches while it types.
const SEARCH: Limit = Limit { name: "search-faq", quota: 300, window: Duration::from_mins(1) };

/// Questions that a search returns at most.
const FOUND_MAX: usize = 50;

/// Answered questions that are read at most: some more than the maximum, which simultaneous requests can exceed.
const READ_MAX: u32 = ANSWERED_MAX + 100;

/// Questions of a category that are read to find a place among them. Deleted ones are counted until they are removed.
const PLACES_MAX: u32 = 10_000;

/// How often an answer or an edit is tried while others take the same place in the order.
const TRIES: u32 = 10;

/// Why a question was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AskQuestionError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("too many questions wait for the committee")]
    Full,
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why nothing was searched.
#[derive(Debug, thiserror::Error)]
pub enum SearchFaqError {
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum AnswerQuestionError {
    #[error("there is no such question")]
    NotFound,
    #[error("the question is answered already")]
    AlreadyAnswered,
    #[error("the question is deleted")]
    Deleted,
    #[error("there are too many answered questions")]
    Full,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a question was not edited.
#[derive(Debug, thiserror::Error)]
pub enum UpdateQuestionError {
    #[error("there is no such question")]
    NotFound,
    #[error("the question is not answered yet")]
    Unanswered,
    #[error("the question is deleted")]
    Deleted,
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Stale(#[from] Stale),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a question was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteQuestionError {
    #[error("there is no such question")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a question was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreQuestionError {
    #[error("there is no such question")]
    NotFound,
    #[error("there are too many answered questions")]
    Full,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NotEditable> for AnswerQuestionError {
    fn from(error: NotEditable) -> Self {
        match error {
            NotEditable::Deleted => Self::Deleted,
            NotEditable::AlreadyAnswered | NotEditable::Unanswered => Self::AlreadyAnswered,
        }
    }
}

impl From<NotEditable> for UpdateQuestionError {
    fn from(error: NotEditable) -> Self {
        match error {
            NotEditable::Deleted => Self::Deleted,
            NotEditable::AlreadyAnswered | NotEditable::Unanswered => Self::Unanswered,
        }
    }
}

/// What an anonymous client asks.
#[derive(Clone, Debug)]
pub struct Asked {
    pub question: String,
    /// Where the answer is sent.
    pub email: Option<EmailAddress>,
    /// Whether the field is filled in that people don't see.
    pub trapped: bool,
}

/// A question as the committee sees it.
pub struct CommitteeQuestion {
    /// The question.
    pub question: FaqQuestion,
    /// Whether an email is sent to the person who asked when it is answered.
    pub asker_waits: bool,
}

/// The frequent questions.
pub struct Faq {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    signals: Arc<dyn Signals>,
}

impl Faq {
    /// The frequent questions in the store of `base`.
    pub fn new(base: &Base) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            ids: base.ids.clone(),
            signals: base.signals.clone(),
        }
    }

    /// Takes a question of somebody, signed in or not, unless a program has filled in the trap. Returns its id, in that case that of no question.
    ///
    /// # Errors
    /// [`AskQuestionError`]; then nothing has changed.
    pub async fn ask(
        &self,
        client: IpAddr,
        caller: Option<&Caller>,
        asked: Asked,
    ) -> Result<String, AskQuestionError> {
        match caller {
            Some(caller) if caller.rights.may(Scope::FaqEdit) => {}
            // Many students share one address.
            Some(caller) => self.take_share(&caller.account_id).await?,
            None => self.take_share(&client_key(client)).await?,
        }
        let question = FaqQuestion::asked(self.ids.next(), asked.question, self.clock.now());
        let asker = asked.email.map(|email| FaqAsker::new(&question, email));
        self.store
            .transact(async |tx| {
                let waiting = tx.count::<FaqQuestion>(in_state(FaqState::Unanswered)).await?;
                if waiting >= u64::from(UNANSWERED_MAX) {
                    return Err(AskQuestionError::Full);
                }
                if asked.trapped {
                    return Ok(());
                }
                tx.insert(&question).await?;
                if let Some(faq_asker) = &asker {
                    tx.insert(faq_asker).await?;
                }
                Ok(())
            })
            .await?;
        Ok(question.id)
    }

    /// Takes one question from the daily limit of an account or a client, which is lower while there is a backlog.
    async fn take_share(&self, client: &str) -> Result<(), AskQuestionError> {
        self.signals.take(ASK, client).await?;
        let waiting = self.store.count::<FaqQuestion>(in_state(FaqState::Unanswered)).await?;
        if FaqQuestion::is_backlog(waiting) {
            self.signals.take(ASK_WHILE_MANY, client).await?;
        }
        Ok(())
    }

    /// All answered questions, by category and in the committee's order.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn answered(&self) -> Result<Vec<FaqQuestion>, StoreError> {
        self.store.find(in_order(in_state(FaqState::Answered)).limit(READ_MAX)).await
    }

    /// The answered questions of a category, in the committee's order.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn answered_in(&self, category: &str) -> Result<Vec<FaqQuestion>, StoreError> {
        let answered = in_state(FaqState::Answered).and(in_category(category));
        self.store.find(in_order(answered).limit(READ_MAX)).await
    }

    /// The categories with their numbers of answered questions, in the order of the list.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn categories(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let mut counted = self.store.tally::<FaqQuestion>("category", in_state(FaqState::Answered)).await?;
        counted.sort_by_cached_key(|(category, _)| category_key(category));
        Ok(counted)
    }

    /// Answered questions in which each word of `search` begins a word: first those where the question alone has all of
    /// them. Without words those that the list begins with.
    ///
    /// # Errors
    /// [`SearchFaqError`]
    pub async fn search(&self, client: IpAddr, search: &str) -> Result<Vec<FaqQuestion>, SearchFaqError> {
        self.signals.take(SEARCH, &client_key(client)).await?;
        let (mut found, mut known) = (vec![], BTreeSet::new());
        for filter in found_by(search) {
            let more = in_order(filter).limit(FOUND_MAX as u32);
            let more = self.store.find::<FaqQuestion>(more).await?;
            found.extend(more.into_iter().filter(|question| known.insert(question.id.clone())));
        }
        found.truncate(FOUND_MAX);
        Ok(found)
    }

    /// The page of the questions in this state, or of all, newest first, that begins at `after`; at most `limit`.
    ///
    /// # Errors
    /// [`PageError`]
    pub async fn questions(
        &self,
        state: Option<FaqState>,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<CommitteeQuestion>, PageError> {
        let filter = state.map_or(Filter::All, in_state);
        let newest_first = Query::new(filter).sort("id", Dir::Desc).limit(limit);
        let page = self.store.page::<FaqQuestion>(newest_first, after).await?;
        let ids = page.items.iter().map(|question| question.id.as_str().into()).collect();
        let askers = Query::new(Filter::In("id".into(), ids)).limit(limit);
        let askers = self.store.find::<FaqAsker>(askers).await?;
        let waiting: BTreeSet<_> = askers.into_iter().map(|asker| asker.id).collect();
        let shown = |question: FaqQuestion| CommitteeQuestion {
            asker_waits: waiting.contains(&question.id),
            question,
        };
        Ok(Page { items: page.items.into_iter().map(shown).collect(), next: page.next })
    }

    /// Answers a question, which makes it public. The person who asked gets an email, and their address is deleted.
    ///
    /// # Errors
    /// [`AnswerQuestionError`]; then nothing has changed.
    pub async fn answer(
        &self,
        by: &Actor,
        id: &str,
        answer: &FaqAnswer,
    ) -> Result<CommitteeQuestion, AnswerQuestionError> {
        for _ in 0..TRIES {
            match self.try_to_answer(by, id, answer).await {
                Err(AnswerQuestionError::Store(error)) if place_is_taken(&error) => {}
                settled => return settled,
            }
        }
        Err(StoreError::Busy.into())
    }

    async fn try_to_answer(
        &self,
        by: &Actor,
        id: &str,
        answer: &FaqAnswer,
    ) -> Result<CommitteeQuestion, AnswerQuestionError> {
        let now = self.clock.now();
        self.store
            .transact(async |tx| {
                let question = tx.get::<FaqQuestion>(id).await?;
                let mut question = question.ok_or(AnswerQuestionError::NotFound)?;
                question.check_unanswered()?;
                if is_full(&tx).await? {
                    return Err(AnswerQuestionError::Full);
                }
                let category = answer.category.as_deref().unwrap_or(&question.category);
                let filed = file(&tx, &question, category, answer.position, now).await?;
                question.answer(answer, filed, now);
                tx.put(&question).await?;
                tell_asker(&tx, id, now).await?;
                tx.audit(by, FAQ_ANSWERED, Subject::of::<FaqQuestion>(id), &[], now).await?;
                tx.note(TOPIC).await;
                Ok(CommitteeQuestion { question, asker_waits: false })
            })
            .await
    }

    /// Edits a question, if it is as `condition` says. Moving it writes no other question.
    ///
    /// # Errors
    /// [`UpdateQuestionError`]; then nothing has changed.
    pub async fn update(
        &self,
        by: &Actor,
        id: &str,
        changes: &FaqChanges,
        condition: &Precondition,
    ) -> Result<CommitteeQuestion, UpdateQuestionError> {
        for _ in 0..TRIES {
            match self.try_to_update(by, id, changes, condition).await {
                Err(UpdateQuestionError::Store(error)) if place_is_taken(&error) => {}
                settled => return settled,
            }
        }
        Err(StoreError::Busy.into())
    }

    async fn try_to_update(
        &self,
        by: &Actor,
        id: &str,
        changes: &FaqChanges,
        condition: &Precondition,
    ) -> Result<CommitteeQuestion, UpdateQuestionError> {
        let now = self.clock.now();
        self.store
            .transact(async |tx| {
                let question = tx.get::<FaqQuestion>(id).await?;
                let mut question = question.ok_or(UpdateQuestionError::NotFound)?;
                condition.check(&question)?;
                question.check_changes(changes)?;
                let filed = match question.filing(changes) {
                    Some((category, number)) => Some(file(&tx, &question, category, number, now).await?),
                    None => None,
                };
                let changed = question.change(changes, filed, now);
                if !changed.is_empty() {
                    tx.put(&question).await?;
                    let (subject, detail) = (Subject::of::<FaqQuestion>(id), changed.join(" "));
                    tx.audit(by, FAQ_UPDATED, subject, &[("changed", &detail)], now).await?;
                    tx.note(TOPIC).await;
                }
                Ok(seen_by_committee(&tx, question).await?)
            })
            .await
    }

    /// Deletes a question, so that it can be restored for some time. Repeating it changes nothing.
    ///
    /// # Errors
    /// [`DeleteQuestionError`]; then nothing has changed.
    pub async fn delete(&self, by: &Actor, id: &str) -> Result<(), DeleteQuestionError> {
        let now = self.clock.now();
        self.store
            .transact(async |tx| {
                let question = tx.get::<FaqQuestion>(id).await?;
                let mut question = question.ok_or(DeleteQuestionError::NotFound)?;
                if question.delete(now) {
                    tx.put(&question).await?;
                    tx.audit(by, FAQ_DELETED, Subject::of::<FaqQuestion>(id), &[], now).await?;
                    tx.note(TOPIC).await;
                }
                Ok(())
            })
            .await
    }

    /// Restores a deleted question as it was, with its answer and its place. Repeating it changes nothing.
    ///
    /// # Errors
    /// [`RestoreQuestionError`]; then nothing has changed.
    pub async fn restore(&self, by: &Actor, id: &str) -> Result<CommitteeQuestion, RestoreQuestionError> {
        let now = self.clock.now();
        self.store
            .transact(async |tx| {
                let question = tx.get::<FaqQuestion>(id).await?;
                let mut question = question.ok_or(RestoreQuestionError::NotFound)?;
                if question.restore() {
                    if question.state == FaqState::Answered && is_full(&tx).await? {
                        return Err(RestoreQuestionError::Full);
                    }
                    tx.put(&question).await?;
                    tx.audit(by, FAQ_RESTORED, Subject::of::<FaqQuestion>(id), &[], now).await?;
                    tx.note(TOPIC).await;
                }
                Ok(seen_by_committee(&tx, question).await?)
            })
            .await
    }
}

fn in_order(filter: Filter) -> Query {
    Query::new(filter).sort("place", Dir::Asc)
}

/// Two that take the same place at once: the second one takes another.
fn place_is_taken(error: &StoreError) -> bool {
    matches!(error, StoreError::Duplicate { index } if index == BY_PLACE)
}

async fn is_full(tx: &Tx) -> Result<bool, StoreError> {
    Ok(tx.count::<FaqQuestion>(in_state(FaqState::Answered)).await? >= u64::from(ANSWERED_MAX))
}

/// Where a question is filed, among the others of the category, deleted ones included.
async fn file(
    tx: &Tx,
    question: &FaqQuestion,
    category: &str,
    number: Option<u32>,
    now: Timestamp,
) -> Result<Filed, StoreError> {
    let mut others = tx.find::<FaqQuestion>(in_order(in_category(category)).limit(PLACES_MAX)).await?;
    others.retain(|other| other.id() != question.id());
    Ok(question.filed(&others, category, number, now))
}

/// Posts the email to the person who asked, and deletes their address.
async fn tell_asker(tx: &Tx, question: &str, now: Timestamp) -> Result<(), StoreError> {
    let Some(asker) = tx.get::<FaqAsker>(question).await? else { return Ok(()) };
    let about = AboutQuestion { question: question.to_owned() };
    tx.post(&Mail::of::<QuestionAnswered>(question, &asker.email, &about, now)).await?;
    tx.delete::<FaqAsker>(question).await?;
    Ok(())
}

async fn seen_by_committee(tx: &Tx, question: FaqQuestion) -> Result<CommitteeQuestion, StoreError> {
    let asker_waits = tx.get::<FaqAsker>(question.id()).await?.is_some();
    Ok(CommitteeQuestion { question, asker_waits })
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
