//! Operations on students.

use std::collections::BTreeMap;
use std::sync::Arc;

use poem::Body;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::{Binary, Json};
use poem_openapi::types::{Example, MaybeUndefined};
use poem_openapi::{ApiResponse, Object, OpenApi, Tags};

use super::access::{NotGranted, StudentAccess};
use super::bodies::StudentBody;
use super::export::{ExportError, FileKind, csv, xlsx};
use super::model::StudentNote;
use super::query::{QueryError, StudentQuery};
use super::service::{
    AddNoteError, CorrectStudentError, CountStudentsError, Counts, GetStudentError, ListNotesError,
    ListStudentsError, StudentPage, Students, shown,
};
use crate::features::registration::{
    AnswerBody, CorrectError, Corrections, StudentIdFormat, change, student_id_taken,
};
use crate::http::rights::{EditAccounts, NoteStudents, ReadStudents};
use crate::http::{
    By, DateText, Examples, Failure, JsonBody, Kind, PageBody, PageCursor, PageLimit, Problem, Refusal,
    Remark, Text, internal, invalid_parameter,
};
use crate::kernel::{Invalid, text};
use crate::platform::signals::TooMany;
use crate::platform::store::{Crossed, PageError, StoreError};

#[derive(Tags)]
enum Tag {
    /// Students as leaders and the committee read them: the granted fields of students within reach.
    Students,
}

/// A page of students.
#[derive(Clone, Debug, Object)]
#[oai(rename = "StudentPage", rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct StudentPageBody {
    /// Students, in the order of the list.
    items: Vec<StudentBody>,
    /// Cursor of the next page: send it as `cursor`. Absent on the last page.
    next_cursor: Option<String>,
    /// Number of all students that match. On the first page only.
    total: Option<u64>,
}

impl From<StudentPage> for StudentPageBody {
    fn from(page: StudentPage) -> Self {
        Self {
            items: page.rows.iter().map(|row| StudentBody::new(&page.view, row)).collect(),
            next_cursor: page.next.map(|next| next.as_str().to_owned()),
            total: page.total,
        }
    }
}

/// Students, counted.
#[derive(Clone, Debug, Object)]
#[oai(rename = "StudentCounts")]
pub struct CountsBody {
    /// Number of students that match.
    total: u64,
    /// Number of students for each combination of values.
    rows: Vec<CountBody>,
}

/// The number of students with one combination of values.
#[derive(Clone, Debug, Object)]
#[oai(rename = "StudentCount")]
pub struct CountBody {
    /// One value for each field of `by`, in that order. Empty for students without a value.
    values: Vec<String>,
    /// Number of students. A student with several values of a list is counted for each of them.
    count: u64,
}

impl From<Counts> for CountsBody {
    fn from(counts: Counts) -> Self {
        let row =
            |row: Crossed| CountBody { values: row.values.iter().map(shown).collect(), count: row.documents };
        Self { total: counts.total, rows: counts.rows.into_iter().map(row).collect() }
    }
}

/// A new note on a student.
#[derive(Clone, Debug, Object)]
#[oai(rename = "NewStudentNote", deny_unknown_fields, example)]
pub struct NewNoteBody {
    /// Text of the note: 1 to 2,000 characters, line breaks allowed.
    #[oai(validator(min_length = 1, max_length = 2000))]
    text: Remark,
}

impl Example for NewNoteBody {
    fn example() -> Self {
        Self { text: "Called: arrives a day late.".into() }
    }
}

/// An internal note on a student. Students don't see notes.
#[derive(Clone, Debug, Object)]
#[oai(rename = "StudentNote", rename_all = "camelCase")]
pub struct NoteBody {
    /// Id of the note.
    id: String,
    /// Id of the account or API key that wrote it.
    author: String,
    /// Text of the note.
    text: Remark,
    /// Time when it was written (RFC 3339, UTC).
    written_at: String,
}

impl From<&StudentNote> for NoteBody {
    fn from(note: &StudentNote) -> Self {
        Self {
            id: note.id.clone(),
            author: note.author.clone(),
            text: note.text.as_str().into(),
            written_at: note.written_at.rfc3339(),
        }
    }
}

/// Corrections of what is fixed for the student after submission. Omitted properties keep their value. `null` clears
/// `pronounsOther`, `accessibility` and answers that are not required.
#[derive(Clone, Debug, Object)]
#[oai(
    rename = "StudentCorrection",
    rename_all = "camelCase",
    deny_unknown_fields,
    skip_serializing_if_is_none,
    example
)]
pub struct CorrectionBody {
    /// Reason, for the audit log: 1 to 500 characters.
    #[oai(validator(min_length = 1, max_length = 500))]
    reason: Remark,
    /// Full name as in the passport: 1 to 120 characters.
    #[oai(validator(min_length = 1, max_length = 120))]
    legal_name: Option<String>,
    /// One of the event's `pronouns`, or `Other`.
    #[oai(validator(max_length = 100))]
    pronouns: Option<String>,
    /// Pronouns in the student's own words: at most 100 characters.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(max_length = 100))]
    pronouns_other: MaybeUndefined<String>,
    /// Birth date, `YYYY-MM-DD`, from 1920 to 2020.
    birth_date: Option<DateText>,
    /// Student id: 5 to 9 letters and digits.
    student_id: Option<Text<StudentIdFormat>>,
    /// One of the event's `disciplines`.
    #[oai(validator(max_length = 100))]
    discipline: Option<String>,
    /// One of the event's `shirtSizes`.
    #[oai(validator(max_length = 100))]
    shirt_size: Option<String>,
    /// What the student needs to take part: at most 4,000 characters, line breaks allowed.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(max_length = 4000))]
    accessibility: MaybeUndefined<Remark>,
    /// Whether the student may be photographed.
    photo_consent: Option<bool>,
    /// Answers to the event's own questions, by their id.
    #[oai(validator(max_properties = 50))]
    answers: Option<BTreeMap<String, Option<AnswerBody>>>,
}

impl Example for CorrectionBody {
    fn example() -> Self {
        Self {
            reason: "A typo, as the passport shows.".into(),
            legal_name: Some("Ana Silva".into()),
            pronouns: None,
            pronouns_other: MaybeUndefined::Undefined,
            birth_date: None,
            student_id: None,
            discipline: None,
            shirt_size: None,
            accessibility: MaybeUndefined::Undefined,
            photo_consent: None,
            answers: None,
        }
    }
}

impl From<CorrectionBody> for Corrections {
    fn from(body: CorrectionBody) -> Self {
        let answers = body.answers.into_iter().flatten();
        Self {
            legal_name: body.legal_name,
            pronouns: body.pronouns,
            pronouns_other: change(body.pronouns_other),
            birth_date: body.birth_date.map(Text::into_inner),
            student_id: body.student_id.map(Text::into_inner),
            discipline: body.discipline,
            shirt_size: body.shirt_size,
            accessibility: change(body.accessibility).map(|text| text.map(Remark::into_inner)),
            photo_consent: body.photo_consent,
            answers: answers.map(|(id, answer)| (id, answer.map(|answer| answer.0))).collect(),
        }
    }
}

/// The answer of `addStudentNote`.
#[derive(ApiResponse)]
pub enum NoteAnswer {
    /// The note is added.
    #[oai(status = 201)]
    Added(Json<NoteBody>),
}

/// An export as CSV.
#[derive(ApiResponse)]
pub enum CsvAnswer {
    /// CSV in UTF-8 (RFC 4180).
    #[oai(status = 200, content_type = "text/csv; charset=utf-8")]
    Csv(Binary<Body>, #[oai(header = "Content-Disposition")] String),
}

/// An export as XLSX.
#[derive(ApiResponse)]
pub enum XlsxAnswer {
    /// A workbook with one sheet.
    #[oai(status = 200, content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")]
    Xlsx(Binary<Body>, #[oai(header = "Content-Disposition")] String),
}

// ---- refusals ----

const FIELD_NOT_GRANTED: Kind = Kind::new(403, "field-not-granted", "Field not granted");
const NO_SUCH_STUDENT: Kind = Kind::new(404, "no-such-student", "No such student");

/// 404: there is no student with this id within the caller's reach.
pub fn no_such_student() -> Problem {
    NO_SUCH_STUDENT.says("There is no student with this id among those whom you may read about.")
}

/// 403: the caller may not read this field.
pub fn field_not_granted(field: &str) -> Problem {
    FIELD_NOT_GRANTED.says(format!("You may not read {field}. `requestRights` asks for more fields."))
}

impl Refusal for QueryError {
    fn examples() -> Examples<Self> {
        let invalid = "Write a filter as field:operator:value, such as shirtSize:eq:M.";
        Examples::of([NotGranted("dietary".into()).into(), Self::Invalid("filter", invalid.into())])
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotGranted(NotGranted(field)) => field_not_granted(&field),
            Self::Invalid(parameter, detail) => invalid_parameter(parameter, &detail),
        }
    }
}

impl Refusal for ListStudentsError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<QueryError>().and::<PageError>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Query(error) => error.problem(),
            Self::Page(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for CountStudentsError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<QueryError>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Query(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for ExportError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<QueryError>().and::<TooMany>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Query(error) => error.problem(),
            Self::TooMany(error) => error.problem(),
            Self::Xlsx(error) => internal(error),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for GetStudentError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<QueryError>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_student(),
            Self::Query(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for AddNoteError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_student(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for CorrectStudentError {
    fn examples() -> Examples<Self> {
        Examples::of([
            Self::NotFound,
            NotGranted("dietary".into()).into(),
            CorrectError::StudentIdTaken.into(),
        ])
        .and::<Invalid>()
        .and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_student(),
            Self::NotGranted(NotGranted(field)) => field_not_granted(&field),
            Self::Correct(CorrectError::StudentIdTaken) => student_id_taken(),
            Self::Correct(CorrectError::Invalid(error)) => error.problem(),
            Self::Correct(CorrectError::Store(error)) | Self::Store(error) => error.problem(),
        }
    }
}

impl From<Invalid> for CorrectStudentError {
    fn from(error: Invalid) -> Self {
        CorrectError::Invalid(error).into()
    }
}

impl Refusal for ListNotesError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<PageError>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_student(),
            Self::Page(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

// ---- operations ----

/// The operations of this feature.
pub struct StudentsController(Arc<Students>);

impl StudentsController {
    /// The operations over `students`.
    pub fn new(students: Arc<Students>) -> Self {
        Self(students)
    }
}

/// The search of a request, without white space around it.
pub(super) fn search_of(written: Option<String>) -> Option<String> {
    written.map(|search| text::clean(&search)).filter(|search| !search.is_empty())
}

#[OpenApi(tag = "Tag::Students")]
impl StudentsController {
    /// List students
    ///
    /// Returns what the caller may read: the granted fields of students within reach, and only registered students unless
    /// the caller holds `students:unregistered`. A field that is not granted can't be named anywhere, and a search never
    /// looks into it.
    #[oai(path = "/v1/students", method = "get", operation_id = "listStudents")]
    #[expect(
        clippy::too_many_arguments,
        reason = "each way to narrow the list is a parameter of the operation"
    )]
    async fn list_students(
        &self,
        caller: By<ReadStudents>,
        /// Words, each of which must be the beginning of a word in the legal name, the preferred name, the email address or
        /// the student id, as far as these are granted. Case, accents and width don't matter. At most 100 characters.
        #[oai(validator(max_length = 100))]
        search: Query<Option<String>>,
        /// Filters, all of which must match: `field:operator:value`. The operators are `eq`, `in` (values between `|`),
        /// `contains` (part of a text, or an entry of a list), `exists` (`true` or `false`), `from` and `to` (dates, times
        /// and numbers, both inclusive). At most 20.
        #[oai(default, validator(max_items = 20))]
        filter: Query<Vec<String>>,
        /// Field to sort by, with `-` before it for descending order. By default students are in the order of their
        /// sign-ups.
        #[oai(validator(max_length = 100))]
        sort: Query<Option<String>>,
        /// Fields to return, besides `id`. By default all that are granted.
        #[oai(default, validator(max_items = 100))]
        fields: Query<Vec<String>>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<StudentPageBody>, Failure<ListStudentsError>> {
        let which =
            StudentQuery { search: search_of(search.0), filters: filter.0, sort: sort.0, fields: fields.0 };
        let access = StudentAccess::new(&caller.0.rights);
        Ok(Json(self.0.list(&access, &which, cursor.0.0.as_ref(), limit.0.0).await?.into()))
    }

    /// Count students
    ///
    /// Returns the number of students within reach for each value of one field, or for each combination of values of two.
    #[oai(path = "/v1/students/counts", method = "get", operation_id = "countStudents")]
    async fn count_students(
        &self,
        caller: By<ReadStudents>,
        /// One or two fields to count by.
        #[oai(validator(min_items = 1, max_items = 2))]
        by: Query<Vec<String>>,
        /// As in `listStudents`.
        #[oai(validator(max_length = 100))]
        search: Query<Option<String>>,
        /// As in `listStudents`.
        #[oai(default, validator(max_items = 20))]
        filter: Query<Vec<String>>,
    ) -> Result<Json<CountsBody>, Failure<CountStudentsError>> {
        let which =
            StudentQuery { search: search_of(search.0), filters: filter.0, ..StudentQuery::default() };
        let access = StudentAccess::new(&caller.0.rights);
        Ok(Json(self.0.count(&access, &which, &by.0).await?.into()))
    }

    /// Export students as CSV
    ///
    /// The rows of `listStudents`, all of them, with headings. A value that a spreadsheet would take for a formula has an
    /// apostrophe before it. The audit log records the columns and the number of students.
    #[oai(path = "/v1/students.csv", method = "get", operation_id = "exportStudentsCsv")]
    async fn export_students_csv(
        &self,
        caller: By<ReadStudents>,
        /// As in `listStudents`.
        #[oai(validator(max_length = 100))]
        search: Query<Option<String>>,
        /// As in `listStudents`.
        #[oai(default, validator(max_items = 20))]
        filter: Query<Vec<String>>,
        /// As in `listStudents`.
        #[oai(validator(max_length = 100))]
        sort: Query<Option<String>>,
        /// Columns. By default all that are granted.
        #[oai(default, validator(max_items = 100))]
        fields: Query<Vec<String>>,
        /// Whether to begin with a byte order mark, so that Excel recognises UTF-8.
        #[oai(default)]
        excel: Query<bool>,
    ) -> Result<CsvAnswer, Failure<ExportError>> {
        let which =
            StudentQuery { search: search_of(search.0), filters: filter.0, sort: sort.0, fields: fields.0 };
        let export = self.0.export(&caller.0, &which, FileKind::Csv).await?;
        let name = saved_as(&export.file);
        Ok(CsvAnswer::Csv(Binary(Body::from_bytes_stream(csv(export, excel.0))), name))
    }

    /// Export students as XLSX
    ///
    /// The rows of `listStudents`, all of them, as a workbook: dates are dates, ids and phone numbers are texts, and the
    /// headings stay in view. Times are in the event's time zone. The audit log records the columns and the number of
    /// students.
    #[oai(path = "/v1/students.xlsx", method = "get", operation_id = "exportStudentsXlsx")]
    async fn export_students_xlsx(
        &self,
        caller: By<ReadStudents>,
        /// As in `listStudents`.
        #[oai(validator(max_length = 100))]
        search: Query<Option<String>>,
        /// As in `listStudents`.
        #[oai(default, validator(max_items = 20))]
        filter: Query<Vec<String>>,
        /// As in `listStudents`.
        #[oai(validator(max_length = 100))]
        sort: Query<Option<String>>,
        /// Columns. By default all that are granted.
        #[oai(default, validator(max_items = 100))]
        fields: Query<Vec<String>>,
    ) -> Result<XlsxAnswer, Failure<ExportError>> {
        let which =
            StudentQuery { search: search_of(search.0), filters: filter.0, sort: sort.0, fields: fields.0 };
        let export = self.0.export(&caller.0, &which, FileKind::Xlsx).await?;
        let name = saved_as(&export.file);
        let file = xlsx(export, self.0.time_zone()).await.map_err(ExportError::from)?;
        let body = Body::from_async_read(tokio::fs::File::from_std(file));
        Ok(XlsxAnswer::Xlsx(Binary(body), name))
    }

    /// Get a student
    ///
    /// Returns the granted fields of a student within reach.
    #[oai(path = "/v1/students/:studentId", method = "get", operation_id = "getStudent")]
    async fn get_student(
        &self,
        caller: By<ReadStudents>,
        /// Id of the student's account, from `listStudents`.
        #[oai(name = "studentId", example = "a_student")]
        student_id: Path<String>,
        /// Fields to return, besides `id`. By default all that are granted.
        #[oai(default, validator(max_items = 100))]
        fields: Query<Vec<String>>,
    ) -> Result<Json<StudentBody>, Failure<GetStudentError>> {
        let access = StudentAccess::new(&caller.0.rights);
        let (view, row) = self.0.student(&access, &student_id.0, &fields.0).await?;
        Ok(Json(StudentBody::new(&view, &row)))
    }

    /// Correct a student's form
    ///
    /// Corrects what is fixed for the student after submission, such as a typo in the legal name. Only granted fields can be
    /// corrected. The student gets an email that names the corrected fields; if the legal name changes, the ticket is issued
    /// anew and attached. The audit log records the reason.
    #[oai(path = "/v1/students/:studentId", method = "patch", operation_id = "correctStudent")]
    async fn correct_student(
        &self,
        caller: By<EditAccounts>,
        /// Id of the student's account, from `listStudents`.
        #[oai(name = "studentId", example = "a_student")]
        student_id: Path<String>,
        body: JsonBody<CorrectionBody>,
    ) -> Result<Json<StudentBody>, Failure<CorrectStudentError>> {
        let reason = body.0.reason.clone().into_inner();
        let corrections = Corrections::from(body.0);
        let (view, row) = self.0.correct(&caller.0, &student_id.0, &corrections, &reason).await?;
        Ok(Json(StudentBody::new(&view, &row)))
    }

    /// List the notes on a student
    ///
    /// Newest first. Students don't see notes.
    #[oai(path = "/v1/students/:studentId/notes", method = "get", operation_id = "listStudentNotes")]
    async fn list_student_notes(
        &self,
        caller: By<NoteStudents>,
        /// Id of the student's account, from `listStudents`.
        #[oai(name = "studentId", example = "a_student")]
        student_id: Path<String>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<NoteBody>>, Failure<ListNotesError>> {
        let access = StudentAccess::new(&caller.0.rights);
        let page = self.0.notes(&access, &student_id.0, cursor.0.0.as_ref(), limit.0.0).await?;
        Ok(Json(page.into()))
    }

    /// Add a note on a student
    ///
    /// Notes are for the committee. They can't be changed.
    #[oai(path = "/v1/students/:studentId/notes", method = "post", operation_id = "addStudentNote")]
    async fn add_student_note(
        &self,
        caller: By<NoteStudents>,
        /// Id of the student's account, from `listStudents`.
        #[oai(name = "studentId", example = "a_student")]
        student_id: Path<String>,
        body: JsonBody<NewNoteBody>,
    ) -> Result<NoteAnswer, Failure<AddNoteError>> {
        let note = self.0.add_note(&caller.0, &student_id.0, body.0.text.as_ref()).await?;
        Ok(NoteAnswer::Added(Json(NoteBody::from(&note))))
    }
}

/// The header that has a browser save the file under this name, which has letters, digits, hyphens and full stops only.
fn saved_as(file: &str) -> String {
    format!("attachment; filename=\"{file}\"")
}

/// A well-formed id of no student.
fn a_student() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}
