//! Operations on frequent questions.

use std::sync::Arc;

use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::{Example, MaybeUndefined};
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, Tags};
use serde_json::json;

use super::model::{FaqAnswer, FaqChanges, FaqQuestion, FaqState};
use super::service::{
    AnswerQuestionError, AskQuestionError, Asked, CommitteeQuestion, DeleteQuestionError, Faq,
    RestoreQuestionError, SearchFaqError, TOPIC, UpdateQuestionError,
};
use crate::base::Base;
use crate::features::accounts::check_address;
use crate::http::rights::{Anybody, DeleteFaq, EditFaq, Visitor};
use crate::http::{
    By, Client, EmailText, Examples, Failure, IfMatch, JsonBody, Kind, MarkdownBody, MarkdownText, PageBody,
    PageCursor, PageLimit, Prepared, PreparedAnswer, PreparedCache, Problem, Refusal, Remark, Rule, changed,
    entity_tag,
};
use crate::kernel::{EmailAddress, Invalid, Markdown, Timestamp};
use crate::platform::signals::TooMany;
use crate::platform::store::{Page, PageError, Stale, StoreError};

#[derive(Tags)]
enum Tag {
    /// Frequent questions: anybody asks, the committee answers.
    #[oai(rename = "Frequent questions")]
    Faq,
}

const QUESTION: &str = "May I bring my dog?";
const ANSWER: &str = "Yes, on a **leash**. There is water at the registration desk.";
const CATEGORY: &str = "Getting there";
const TIME: &str = "2026-09-01T07:00:00.000Z";

// ---- requests ----

/// A question.
#[derive(Object)]
#[oai(
    rename = "NewFaqQuestion",
    rename_all = "camelCase",
    deny_unknown_fields,
    skip_serializing_if_is_none,
    example
)]
pub struct NewQuestionBody {
    /// The question. 1 to 1,000 characters.
    #[oai(validator(min_length = 1, max_length = 1000))]
    question: Remark,
    /// Email address that gets the answer. It is deleted when the answer is sent, or after 90 days.
    email: Option<EmailText>,
    /// Nothing. A page hides this field, so that only programs fill it in; their questions are dropped.
    #[oai(validator(max_length = 5000))]
    website: Option<Remark>,
}

impl Example for NewQuestionBody {
    fn example() -> Self {
        Self { question: QUESTION.into(), email: Some("ana@example.org".into()), website: None }
    }
}

/// An answer to a question.
#[derive(Object)]
#[oai(
    rename = "FaqAnswer",
    rename_all = "camelCase",
    deny_unknown_fields,
    skip_serializing_if_is_none,
    example
)]
pub struct AnswerBody {
    /// Answer in Markdown. 1 to 20,000 characters.
    #[oai(validator(min_length = 1, max_length = 20_000))]
    answer: MarkdownText,
    /// The question in other words. 1 to 1,000 characters. By default it stays as it was asked.
    #[oai(validator(min_length = 1, max_length = 1000))]
    question: Option<Remark>,
    /// Category on one line. 1 to 60 characters. By default that of the question, which is *General* at first.
    #[oai(validator(min_length = 1, max_length = 60))]
    category: Option<String>,
    /// Number of the question in the category, counted from 1. By default, or if it is too high, it is the last one.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
    position: Option<u32>,
}

impl Example for AnswerBody {
    fn example() -> Self {
        Self { answer: ANSWER.into(), question: None, category: Some(CATEGORY.into()), position: Some(1) }
    }
}

impl From<AnswerBody> for FaqAnswer {
    fn from(body: AnswerBody) -> Self {
        Self {
            answer: Markdown::new(body.answer.into_inner()),
            question: body.question.map(Remark::into_inner),
            category: body.category,
            position: body.position,
        }
    }
}

/// Changes of a question. What is absent stays as it is.
#[derive(Object)]
#[oai(
    rename = "FaqChanges",
    rename_all = "camelCase",
    deny_unknown_fields,
    skip_serializing_if_is_none,
    example
)]
pub struct ChangesBody {
    /// The question. 1 to 1,000 characters.
    #[oai(
        skip_serializing_if = "MaybeUndefined::is_undefined",
        validator(min_length = 1, max_length = 1000)
    )]
    question: MaybeUndefined<Remark>,
    /// Answer in Markdown. 1 to 20,000 characters. Only for a question that has one.
    #[oai(
        skip_serializing_if = "MaybeUndefined::is_undefined",
        validator(min_length = 1, max_length = 20_000)
    )]
    answer: MaybeUndefined<MarkdownText>,
    /// Category on one line. 1 to 60 characters. In another category the question is the last one, unless there is a
    /// `position`.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(min_length = 1, max_length = 60))]
    category: MaybeUndefined<String>,
    /// Number of the question in the category, counted from 1. The last one if it is too high. Only for a question that has an
    /// answer.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
    position: Option<u32>,
}

impl Example for ChangesBody {
    fn example() -> Self {
        let answer = MaybeUndefined::Value(ANSWER.into());
        Self {
            question: MaybeUndefined::Undefined,
            answer,
            category: MaybeUndefined::Undefined,
            position: Some(2),
        }
    }
}

impl ChangesBody {
    fn read(self) -> Result<FaqChanges, Invalid> {
        let mut errors = vec![];
        let question = changed(self.question, "/question", &mut errors).map(Remark::into_inner);
        let answer = changed(self.answer, "/answer", &mut errors);
        let category = changed(self.category, "/category", &mut errors);
        let answer = answer.map(|answer| Markdown::new(answer.into_inner()));
        match errors.is_empty() {
            true => Ok(FaqChanges { question, answer, category, position: self.position }),
            false => Err(Invalid(errors)),
        }
    }
}

/// Rules on bodies that schemas can't express.
pub fn rules() -> Vec<Rule> {
    vec![("NewFaqQuestion", Box::new(check_address))]
}

impl NewQuestionBody {
    fn read(self) -> Result<Asked, Invalid> {
        let address = |email: EmailText| {
            let errors = check_address(&json!({ "email": email.as_ref() }));
            EmailAddress::parse(email.as_ref()).map_err(|_| Invalid(errors))
        };
        Ok(Asked {
            question: self.question.into_inner(),
            email: self.email.map(address).transpose()?,
            trapped: self.website.is_some(),
        })
    }
}

// ---- responses ----

/// A frequent question with its answer.
#[derive(Clone, Debug, Object)]
#[oai(rename = "FrequentQuestion", rename_all = "camelCase", example)]
pub struct FrequentQuestionBody {
    /// Id of the question.
    id: String,
    /// The question.
    question: String,
    /// Answer of the committee.
    answer: MarkdownBody,
    /// Category.
    category: String,
    /// Time of the first answer (RFC 3339, UTC).
    answered_at: String,
    /// Time of the last change (RFC 3339, UTC).
    updated_at: String,
}

impl FrequentQuestionBody {
    /// `None` if the question is not answered.
    fn of(question: &FaqQuestion) -> Option<Self> {
        Some(Self {
            id: question.id.clone(),
            question: question.question.clone(),
            answer: question.answer.as_ref()?.into(),
            category: question.category.clone(),
            answered_at: question.answered_at?.rfc3339(),
            updated_at: question.updated_at.rfc3339(),
        })
    }
}

impl Example for FrequentQuestionBody {
    fn example() -> Self {
        Self {
            id: a_question(),
            question: QUESTION.into(),
            answer: (&Markdown::new(ANSWER)).into(),
            category: CATEGORY.into(),
            answered_at: TIME.into(),
            updated_at: TIME.into(),
        }
    }
}

/// Frequent questions with their answers.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Faq", rename_all = "camelCase")]
pub struct FaqBody {
    /// The questions, in their order.
    items: Vec<FrequentQuestionBody>,
}

impl From<Vec<FaqQuestion>> for FaqBody {
    fn from(questions: Vec<FaqQuestion>) -> Self {
        Self { items: questions.iter().filter_map(FrequentQuestionBody::of).collect() }
    }
}

/// A category of frequent questions.
#[derive(Clone, Debug, Object)]
#[oai(rename = "FaqCategory", rename_all = "camelCase")]
pub struct CategoryBody {
    /// Name.
    name: String,
    /// Number of answered questions.
    questions: u64,
}

/// The categories of frequent questions.
#[derive(Clone, Debug, Object)]
#[oai(rename = "FaqCategories", rename_all = "camelCase")]
pub struct CategoriesBody {
    /// The categories, in the order of `listFaq`.
    items: Vec<CategoryBody>,
}

impl From<Vec<(String, u64)>> for CategoriesBody {
    fn from(categories: Vec<(String, u64)>) -> Self {
        let category = |(name, questions)| CategoryBody { name, questions };
        Self { items: categories.into_iter().map(category).collect() }
    }
}

/// State of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "FaqState", rename_all = "camelCase")]
pub enum StateBody {
    /// It waits for the committee.
    Unanswered,
    /// It is public, with its answer.
    Answered,
    /// It is deleted, and can be restored for 90 days.
    Deleted,
}

impl From<FaqState> for StateBody {
    fn from(state: FaqState) -> Self {
        match state {
            FaqState::Unanswered => Self::Unanswered,
            FaqState::Answered => Self::Answered,
            FaqState::Deleted => Self::Deleted,
        }
    }
}

impl From<StateBody> for FaqState {
    fn from(state: StateBody) -> Self {
        match state {
            StateBody::Unanswered => Self::Unanswered,
            StateBody::Answered => Self::Answered,
            StateBody::Deleted => Self::Deleted,
        }
    }
}

/// A question as the committee sees it.
#[derive(Clone, Debug, Object)]
#[oai(rename = "FaqQuestion", rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct QuestionBody {
    /// Id of the question.
    id: String,
    /// The question.
    question: String,
    /// Answer. Absent if there is none.
    answer: Option<MarkdownBody>,
    /// Category.
    category: String,
    /// State.
    state: StateBody,
    /// Whether an email is sent to the person who asked when the question is answered. Their address is not shown.
    asker_waits: bool,
    /// Time at which it was asked (RFC 3339, UTC).
    asked_at: String,
    /// Time of the first answer (RFC 3339, UTC).
    answered_at: Option<String>,
    /// Time of the last change (RFC 3339, UTC).
    updated_at: String,
    /// Time of the deletion (RFC 3339, UTC).
    deleted_at: Option<String>,
    /// Entity tag of the question: send it as `If-Match` with an edit.
    etag: String,
}

impl QuestionBody {
    fn new(seen: &CommitteeQuestion) -> Result<Self, StoreError> {
        let question = &seen.question;
        Ok(Self {
            id: question.id.clone(),
            question: question.question.clone(),
            answer: question.answer.as_ref().map(MarkdownBody::from),
            category: question.category.clone(),
            state: question.state.into(),
            asker_waits: seen.asker_waits,
            asked_at: question.asked_at.rfc3339(),
            answered_at: question.answered_at.map(Timestamp::rfc3339),
            updated_at: question.updated_at.rfc3339(),
            deleted_at: question.deleted_at.map(Timestamp::rfc3339),
            etag: entity_tag(question)?,
        })
    }
}

impl From<&QuestionBody> for QuestionBody {
    fn from(body: &QuestionBody) -> Self {
        body.clone()
    }
}

impl Example for QuestionBody {
    fn example() -> Self {
        Self {
            id: a_question(),
            question: QUESTION.into(),
            answer: Some((&Markdown::new(ANSWER)).into()),
            category: CATEGORY.into(),
            state: StateBody::Answered,
            asker_waits: false,
            asked_at: TIME.into(),
            answered_at: Some(TIME.into()),
            updated_at: TIME.into(),
            deleted_at: None,
            etag: "\"Yl9sN0zq1vQ5cE0pJ3l6bA\"".into(),
        }
    }
}

/// The id of a question.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AskedQuestion", rename_all = "camelCase", example)]
pub struct AskedBody {
    /// Id of the question, for the committee.
    id: String,
}

impl Example for AskedBody {
    fn example() -> Self {
        Self { id: a_question() }
    }
}

/// The question was taken.
#[derive(ApiResponse)]
pub enum Taken {
    /// The question waits for the committee.
    #[oai(status = 202)]
    Taken(Json<AskedBody>),
}

/// A question as it is.
#[derive(ApiResponse)]
pub enum QuestionAnswer {
    /// The question as it is now.
    #[oai(status = 200)]
    Current(
        Json<QuestionBody>,
        /// Entity tag of the question: send it as `If-Match` with the next edit.
        #[oai(header = "ETag")]
        String,
    ),
}

impl QuestionAnswer {
    fn new(seen: &CommitteeQuestion) -> Result<Self, StoreError> {
        let body = QuestionBody::new(seen)?;
        let tag = body.etag.clone();
        Ok(Self::Current(Json(body), tag))
    }
}

/// The question is deleted.
#[derive(ApiResponse)]
pub enum QuestionDeleted {
    /// The question is deleted, now or before.
    #[oai(status = 204)]
    Deleted,
}

// ---- refusals ----

const NO_SUCH_QUESTION: Kind = Kind::new(404, "no-such-question", "No such question");
const TOO_MANY_QUESTIONS: Kind = Kind::new(409, "too-many-questions", "Too many open questions");
const FAQ_FULL: Kind = Kind::new(409, "faq-full", "Too many answered questions");
const ALREADY_ANSWERED: Kind = Kind::new(409, "question-answered", "Question answered already");
const UNANSWERED: Kind = Kind::new(409, "question-unanswered", "Question not answered yet");
const DELETED: Kind = Kind::new(409, "question-deleted", "Question deleted");

fn no_such_question() -> Problem {
    NO_SUCH_QUESTION.says("`listQuestions` lists all questions with their ids.")
}

fn faq_full() -> Problem {
    FAQ_FULL.says("There are 500 answered questions. Delete some with `deleteQuestion` first.")
}

fn deleted() -> Problem {
    DELETED.says("The question is deleted. Restore it with `restoreQuestion` first.")
}

impl Refusal for AskQuestionError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::Full]).and::<Invalid>().and::<TooMany>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Invalid(error) => error.problem(),
            Self::Full => TOO_MANY_QUESTIONS.says(
                "The committee has 500 questions to answer and takes no more for now. Look whether `searchFaq` finds an answer, \
                 or ask again in a few days. The address for urgent questions is in `getEvent`.",
            ),
            Self::TooMany(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for SearchFaqError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<TooMany>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::TooMany(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for AnswerQuestionError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound, Self::AlreadyAnswered, Self::Deleted, Self::Full]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_question(),
            Self::AlreadyAnswered => ALREADY_ANSWERED
                .says("Somebody has answered this question already. Edit the answer with `updateQuestion`."),
            Self::Deleted => deleted(),
            Self::Full => faq_full(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for UpdateQuestionError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound, Self::Unanswered, Self::Deleted])
            .and::<Invalid>()
            .and::<Stale>()
            .and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_question(),
            Self::Unanswered => UNANSWERED.says(
                "The question has no answer yet, and therefore no position. Answer it with `answerQuestion` first.",
            ),
            Self::Deleted => deleted(),
            Self::Invalid(error) => error.problem(),
            Self::Stale(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for DeleteQuestionError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_question(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for RestoreQuestionError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound, Self::Full]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_question(),
            Self::Full => faq_full(),
            Self::Store(error) => error.problem(),
        }
    }
}

// ---- operations ----

/// The operations of this feature.
pub struct FaqController {
    faq: Arc<Faq>,
    /// The whole list.
    list: PreparedCache<FaqBody>,
    categories: PreparedCache<CategoriesBody>,
}

impl FaqController {
    /// The operations on `faq`.
    pub fn new(base: &Base, faq: Arc<Faq>) -> Self {
        let signals = base.signals.as_ref();
        Self { faq, list: PreparedCache::new(signals, TOPIC), categories: PreparedCache::new(signals, TOPIC) }
    }
}

#[OpenApi(tag = "Tag::Faq")]
impl FaqController {
    /// List frequent questions
    ///
    /// All answered questions, by category and in the committee's order; at most some more than 500.
    #[oai(path = "/v1/faq", method = "get", operation_id = "listFaq")]
    async fn list_faq(
        &self,
        _anybody: By<Anybody>,
        /// A category, to list its questions only. Letter case, accents and width don't matter.
        #[oai(validator(min_length = 1, max_length = 60))]
        category: Query<Option<String>>,
        /// Entity tags of earlier responses. If the current one is among them, the response is 304.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<PreparedAnswer<FaqBody>, Failure<StoreError>> {
        let known = if_none_match.0.as_deref();
        if let Some(category) = category.0 {
            let body = FaqBody::from(self.faq.answered_in(&category).await?);
            return Ok(Prepared::new(&body).answer(known));
        }
        let read = async || Ok::<_, StoreError>(FaqBody::from(self.faq.answered().await?));
        let list = self.list.get(read).await?;
        Ok(list.answer(known))
    }

    /// Search frequent questions
    ///
    /// Returns the answered questions in which each word of the search begins a word of the question or the answer: first those
    /// where the question alone has all of them. Letter case, accents and width don't matter. At most 50; without words those that
    /// `listFaq` begins with.
    #[oai(path = "/v1/faq/search", method = "get", operation_id = "searchFaq")]
    async fn search_faq(
        &self,
        _anybody: By<Anybody>,
        client: Client,
        /// Words. At most 200 characters; the first ten words count.
        #[oai(validator(max_length = 200))]
        q: Query<Option<String>>,
    ) -> Result<Json<FaqBody>, Failure<SearchFaqError>> {
        Ok(Json(self.faq.search(client.0, &q.0.unwrap_or_default()).await?.into()))
    }

    /// List the categories of frequent questions
    ///
    /// Those that have answered questions, with their number.
    #[oai(path = "/v1/faq/categories", method = "get", operation_id = "listFaqCategories")]
    async fn list_faq_categories(
        &self,
        _anybody: By<Anybody>,
        /// Entity tags of earlier responses. If the current one is among them, the response is 304.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<PreparedAnswer<CategoriesBody>, Failure<StoreError>> {
        let read = async || Ok::<_, StoreError>(CategoriesBody::from(self.faq.categories().await?));
        Ok(self.categories.get(read).await?.answer(if_none_match.0.as_deref()))
    }

    /// Ask a question
    ///
    /// The committee answers it, or deletes it. A client can ask 20 questions a day, and 2 while the committee has 250 or more to
    /// answer; those with `faq:edit` can ask more. If there is an email address, the answer is sent there; the address is never
    /// shown, and is deleted then, or after 90 days. The committee also writes its own entries with this operation, and
    /// answers them with `answerQuestion`.
    #[oai(path = "/v1/faq/questions", method = "post", operation_id = "askQuestion")]
    async fn ask_question(
        &self,
        By(visiting): By<Visitor>,
        client: Client,
        body: JsonBody<NewQuestionBody>,
    ) -> Result<Taken, Failure<AskQuestionError>> {
        let asked = body.0.read().map_err(AskQuestionError::from)?;
        let id = self.faq.ask(client.0, visiting.caller.as_ref(), asked).await?;
        Ok(Taken::Taken(Json(AskedBody { id })))
    }

    /// List questions for the committee
    ///
    /// Newest first, answered or not.
    #[oai(path = "/v1/faq/questions", method = "get", operation_id = "listQuestions")]
    async fn list_questions(
        &self,
        _caller: By<EditFaq>,
        /// A state, to list the questions in it only. By default all.
        state: Query<Option<StateBody>>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<QuestionBody>>, Failure<PageError>> {
        let state = state.0.map(FaqState::from);
        let page = self.faq.questions(state, cursor.0.0.as_ref(), limit.0.0).await?;
        let items: Result<_, StoreError> = page.items.iter().map(QuestionBody::new).collect();
        Ok(Json(Page::<QuestionBody> { items: items.map_err(PageError::from)?, next: page.next }.into()))
    }

    /// Answer a question
    ///
    /// The question and its answer become public. The person who asked gets an email, if there is an address.
    #[oai(path = "/v1/faq/questions/:questionId/answer", method = "put", operation_id = "answerQuestion")]
    async fn answer_question(
        &self,
        caller: By<EditFaq>,
        /// Id of the question, from `listQuestions`.
        #[oai(name = "questionId", example = "a_question")]
        question_id: Path<String>,
        body: JsonBody<AnswerBody>,
    ) -> Result<QuestionAnswer, Failure<AnswerQuestionError>> {
        let answered = self.faq.answer(&caller.0.actor, &question_id.0, &body.0.into()).await?;
        Ok(QuestionAnswer::new(&answered).map_err(AnswerQuestionError::from)?)
    }

    /// Edit a question
    ///
    /// Changes the texts, the category and the order. Nobody gets an email.
    #[oai(path = "/v1/faq/questions/:questionId", method = "patch", operation_id = "updateQuestion")]
    async fn update_question(
        &self,
        caller: By<EditFaq>,
        /// Id of the question, from `listQuestions`.
        #[oai(name = "questionId", example = "a_question")]
        question_id: Path<String>,
        /// Entity tag of the question that was edited: `etag` in `listQuestions`.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: JsonBody<ChangesBody>,
    ) -> Result<QuestionAnswer, Failure<UpdateQuestionError>> {
        let changes = body.0.read().map_err(UpdateQuestionError::from)?;
        let updated = self.faq.update(&caller.0.actor, &question_id.0, &changes, &if_match.0).await?;
        Ok(QuestionAnswer::new(&updated).map_err(UpdateQuestionError::from)?)
    }

    /// Delete a question
    ///
    /// It can be restored for 90 days.
    #[oai(path = "/v1/faq/questions/:questionId", method = "delete", operation_id = "deleteQuestion")]
    async fn delete_question(
        &self,
        caller: By<DeleteFaq>,
        /// Id of the question, from `listQuestions`.
        #[oai(name = "questionId", example = "a_question")]
        question_id: Path<String>,
    ) -> Result<QuestionDeleted, Failure<DeleteQuestionError>> {
        self.faq.delete(&caller.0.actor, &question_id.0).await?;
        Ok(QuestionDeleted::Deleted)
    }

    /// Restore a deleted question
    ///
    /// It is again what it was before, with its answer and its place in the order. Restoring a question that is not deleted
    /// changes nothing.
    #[oai(path = "/v1/faq/questions/:questionId/restore", method = "post", operation_id = "restoreQuestion")]
    async fn restore_question(
        &self,
        caller: By<DeleteFaq>,
        /// Id of the question, from `listQuestions`.
        #[oai(name = "questionId", example = "a_question")]
        question_id: Path<String>,
    ) -> Result<QuestionAnswer, Failure<RestoreQuestionError>> {
        let restored = self.faq.restore(&caller.0.actor, &question_id.0).await?;
        Ok(QuestionAnswer::new(&restored).map_err(RestoreQuestionError::from)?)
    }
}

/// A well-formed id of no question.
fn a_question() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}
