//! Operations on announcements.

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::{Example, MaybeUndefined, ToJSON};
use poem_openapi::{ApiResponse, Object, OpenApi, Tags};

use super::model::{Announcement, AnnouncementChanges, AnnouncementDraft};
use super::service::{
    Announcements, CreateAnnouncementError, DeleteAnnouncementError, GetAnnouncementError, Listed,
    UpdateAnnouncementError,
};
use crate::http::rights::{CreateAnnouncements, DeleteAnnouncements, EditAnnouncements, SignedIn};
use crate::http::{
    AudienceBody, AudienceKind, By, Examples, Failure, IfMatch, JsonBody, Kind, MarkdownBody, MarkdownText,
    PageCursor, PageLimit, PreparedPage, Problem, Refusal, TimeText, changed, entity_tag,
};
use crate::kernel::{Invalid, Markdown, Timestamp};
use crate::platform::store::{PageError, Stale, StoreError};

#[derive(Tags)]
enum Tag {
    /// Announcements of the committee.
    Announcements,
}

const TITLE: &str = "Bring water";
const TEXT: &str = "It will be hot on **Tuesday**. Bring water and a hat.";

// ---- requests ----

/// An announcement to write.
#[derive(Object)]
#[oai(rename = "NewAnnouncement", rename_all = "camelCase", deny_unknown_fields, example)]
pub struct NewAnnouncementBody {
    /// Title on one line. 1 to 150 characters.
    #[oai(validator(min_length = 1, max_length = 150))]
    title: String,
    /// Text in Markdown. 1 to 20,000 characters.
    #[oai(validator(min_length = 1, max_length = 20_000))]
    text: MarkdownText,
    /// The people that it is for.
    audience: AudienceBody,
    /// Whether it is listed before the others. Not by default.
    pinned: Option<bool>,
    /// Time from which its audience sees it (RFC 3339). By default, or if it is in the past, at once.
    publish_at: Option<TimeText>,
}

impl Example for NewAnnouncementBody {
    fn example() -> Self {
        Self {
            title: TITLE.into(),
            text: TEXT.into(),
            audience: AudienceBody { kind: AudienceKind::Everyone, groups: None },
            pinned: Some(true),
            publish_at: Some("2027-09-01T07:00:00Z".into()),
        }
    }
}

/// Changes of an announcement. What is absent stays as it is.
#[derive(Object)]
#[oai(
    rename = "AnnouncementChanges",
    rename_all = "camelCase",
    deny_unknown_fields,
    skip_serializing_if_is_none,
    example
)]
pub struct AnnouncementChangesBody {
    /// Title on one line. 1 to 150 characters.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined", validator(min_length = 1, max_length = 150))]
    title: MaybeUndefined<String>,
    /// Text in Markdown. 1 to 20,000 characters.
    #[oai(
        skip_serializing_if = "MaybeUndefined::is_undefined",
        validator(min_length = 1, max_length = 20_000)
    )]
    text: MaybeUndefined<MarkdownText>,
    /// The people that it is for.
    audience: Option<AudienceBody>,
    /// Whether it is listed before the others.
    pinned: Option<bool>,
    /// Time from which its audience sees it (RFC 3339). A time in the past publishes it now, unless it is published already.
    /// A time in the future withdraws it until then.
    publish_at: Option<TimeText>,
}

impl Example for AnnouncementChangesBody {
    fn example() -> Self {
        let (title, text) = (MaybeUndefined::Value(TITLE.into()), MaybeUndefined::Undefined);
        Self { title, text, audience: None, pinned: Some(false), publish_at: None }
    }
}

/// The schema admits times only.
fn time(text: &TimeText) -> Option<Timestamp> {
    Timestamp::parse(text.as_ref())
}

// ---- responses ----

/// An announcement.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Announcement", rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct AnnouncementBody {
    /// Id of the announcement.
    id: String,
    /// Title on one line.
    title: String,
    /// Text.
    text: MarkdownBody,
    /// The people that it is for.
    audience: AudienceBody,
    /// Whether it is listed before the others.
    pinned: bool,
    /// Time from which its audience sees it (RFC 3339, UTC).
    publish_at: String,
    /// Time at which it was written (RFC 3339, UTC).
    created_at: String,
    /// Time of the last edit, or of the creation (RFC 3339, UTC).
    updated_at: String,
    /// Whether you have ticked it off. Absent in the responses of those who write it.
    ticked_off: Option<bool>,
}

impl AnnouncementBody {
    fn new(announcement: &Announcement, ticked_off: Option<bool>) -> Self {
        Self {
            id: announcement.id.clone(),
            title: announcement.title.clone(),
            text: (&announcement.text).into(),
            audience: (&announcement.audience).into(),
            pinned: announcement.pinned,
            publish_at: announcement.publish_at.rfc3339(),
            created_at: announcement.created_at.rfc3339(),
            updated_at: announcement.updated_at.rfc3339(),
            ticked_off,
        }
    }

    /// The announcement as JSON, written at its first request.
    fn written(listed: &Listed) -> Arc<str> {
        let announcement = &listed.kept.announcement;
        let write = |ticked_off| Self::new(announcement, Some(ticked_off)).to_json_string().into();
        let written = listed.kept.written.get_or_init(|| [write(false), write(true)]);
        written[usize::from(listed.ticked_off)].clone()
    }
}

impl Example for AnnouncementBody {
    fn example() -> Self {
        let time = "2026-09-01T07:00:00.000Z";
        Self {
            id: an_announcement(),
            title: TITLE.into(),
            text: (&Markdown::new(TEXT)).into(),
            audience: AudienceBody { kind: AudienceKind::Everyone, groups: None },
            pinned: true,
            publish_at: time.into(),
            created_at: time.into(),
            updated_at: time.into(),
            ticked_off: Some(false),
        }
    }
}

/// A page of announcements.
#[derive(ApiResponse)]
pub enum AnnouncementPage {
    /// Done.
    #[oai(status = 200)]
    Page(PreparedPage<AnnouncementBody>),
}

/// An announcement as it is.
#[derive(ApiResponse)]
pub enum AnnouncementAnswer {
    /// The announcement.
    #[oai(status = 200)]
    Current(
        Json<AnnouncementBody>,
        /// Entity tag of what the committee has written, for `If-Match` of an edit. A tick doesn't change it.
        #[oai(header = "ETag")]
        String,
    ),
}

/// The result of an edit.
#[derive(ApiResponse)]
pub enum AnnouncementEdited {
    /// The announcement as it is now.
    #[oai(status = 200)]
    Edited(
        Json<AnnouncementBody>,
        /// Entity tag of the announcement: send it as `If-Match` with the next edit.
        #[oai(header = "ETag")]
        String,
    ),
}

/// The result of writing an announcement.
#[derive(ApiResponse)]
pub enum AnnouncementCreated {
    /// The announcement is written.
    #[oai(status = 201)]
    Created(
        Json<AnnouncementBody>,
        /// Entity tag of the announcement: send it as `If-Match` with an edit.
        #[oai(header = "ETag")]
        String,
    ),
}

/// The announcement was deleted.
#[derive(ApiResponse)]
pub enum AnnouncementDeleted {
    /// The announcement was deleted.
    #[oai(status = 204)]
    Deleted,
}

/// The result of ticking an announcement off, or of undoing it.
#[derive(ApiResponse)]
pub enum Ticked {
    /// Done, now or before.
    #[oai(status = 204)]
    Done,
}

// ---- refusals ----

const NO_SUCH_ANNOUNCEMENT: Kind = Kind::new(404, "no-such-announcement", "No such announcement");
const TOO_MANY_ANNOUNCEMENTS: Kind = Kind::new(409, "too-many-announcements", "Too many announcements");

fn no_such_announcement() -> Problem {
    NO_SUCH_ANNOUNCEMENT
        .says("There is no such announcement for you. `listAnnouncements` lists those that there are.")
}

impl Refusal for GetAnnouncementError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_announcement(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for CreateAnnouncementError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::TooMany]).and::<Invalid>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Invalid(error) => error.problem(),
            Self::TooMany => TOO_MANY_ANNOUNCEMENTS
                .says("There are 500 announcements. Delete old ones with `deleteAnnouncement` first."),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for UpdateAnnouncementError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<Invalid>().and::<Stale>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Invalid(error) => error.problem(),
            Self::NotFound => no_such_announcement(),
            Self::Stale(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for DeleteAnnouncementError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => no_such_announcement(),
            Self::Store(error) => error.problem(),
        }
    }
}

// ---- operations ----

/// The operations of this feature.
pub struct AnnouncementsController(Arc<Announcements>);

impl AnnouncementsController {
    /// The operations on `announcements`.
    pub fn new(announcements: Arc<Announcements>) -> Self {
        Self(announcements)
    }

    /// The draft in a body, whose groups must be those of the event.
    fn draft(&self, body: NewAnnouncementBody) -> Result<AnnouncementDraft, Invalid> {
        let audience = body.audience.read("/audience", self.0.event())?;
        Ok(AnnouncementDraft {
            title: body.title,
            text: Markdown::new(body.text.into_inner()),
            audience,
            pinned: body.pinned.unwrap_or_default(),
            publish_at: body.publish_at.as_ref().and_then(time),
        })
    }

    fn changes(&self, body: AnnouncementChangesBody) -> Result<AnnouncementChanges, Invalid> {
        let mut errors = vec![];
        let title = changed(body.title, "/title", &mut errors);
        let text = changed(body.text, "/text", &mut errors);
        let text = text.map(|text| Markdown::new(text.into_inner()));
        let audience = body.audience.map(|audience| audience.read("/audience", self.0.event())).transpose();
        let audience = audience.map_err(|error| errors.push(error)).ok().flatten();
        let publish_at = body.publish_at.as_ref().and_then(time);
        match errors.is_empty() {
            true => Ok(AnnouncementChanges { title, text, audience, pinned: body.pinned, publish_at }),
            false => Err(Invalid(errors)),
        }
    }
}

#[OpenApi(tag = "Tag::Announcements")]
impl AnnouncementsController {
    /// List announcements
    ///
    /// Those that are published and for you, pinned ones first, then the newest. Those who write announcements
    /// (`announcements:create`, `announcements:edit` or `announcements:delete`) also see planned ones, whose `publishAt` is in
    /// the future. Texts for groups are for their students and for all leaders.
    #[oai(path = "/v1/announcements", method = "get", operation_id = "listAnnouncements")]
    async fn list_announcements(
        &self,
        caller: By<SignedIn>,
        /// `true` for those that you have ticked off only, `false` for the others only.
        ticked: Query<Option<bool>>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<AnnouncementPage, Failure<PageError>> {
        let page = self.0.list(&caller.0, ticked.0, cursor.0.0.as_ref(), limit.0.0).await?;
        let items = page.items.iter().map(AnnouncementBody::written);
        Ok(AnnouncementPage::Page(PreparedPage::new(items, page.next.as_ref())))
    }

    /// Get an announcement
    ///
    /// One of those that `listAnnouncements` lists.
    #[oai(path = "/v1/announcements/:announcementId", method = "get", operation_id = "getAnnouncement")]
    async fn get_announcement(
        &self,
        caller: By<SignedIn>,
        /// Id of the announcement, from `listAnnouncements`.
        #[oai(name = "announcementId", example = "an_announcement")]
        announcement_id: Path<String>,
    ) -> Result<AnnouncementAnswer, Failure<GetAnnouncementError>> {
        let (announcement, ticked_off) = self.0.announcement(&caller.0, &announcement_id.0).await?;
        let tag = entity_tag(&announcement).map_err(GetAnnouncementError::from)?;
        Ok(AnnouncementAnswer::Current(Json(AnnouncementBody::new(&announcement, Some(ticked_off))), tag))
    }

    /// Write an announcement
    ///
    /// It is published at once, or from `publishAt` on. There can be 500 announcements at a time. To send one by email, too,
    /// create a mailing of it.
    #[oai(path = "/v1/announcements", method = "post", operation_id = "createAnnouncement")]
    async fn create_announcement(
        &self,
        caller: By<CreateAnnouncements>,
        body: JsonBody<NewAnnouncementBody>,
    ) -> Result<AnnouncementCreated, Failure<CreateAnnouncementError>> {
        let draft = self.draft(body.0).map_err(CreateAnnouncementError::from)?;
        let announcement = self.0.create(&caller.0.actor, draft).await?;
        let tag = entity_tag(&announcement).map_err(CreateAnnouncementError::from)?;
        Ok(AnnouncementCreated::Created(Json(AnnouncementBody::new(&announcement, None)), tag))
    }

    /// Edit an announcement
    ///
    /// Those who have ticked it off don't see it as new. Machines can't read announcements: they edit what they have written,
    /// with the `ETag` of that response.
    #[oai(path = "/v1/announcements/:announcementId", method = "patch", operation_id = "updateAnnouncement")]
    async fn update_announcement(
        &self,
        caller: By<EditAnnouncements>,
        /// Id of the announcement, from `listAnnouncements`.
        #[oai(name = "announcementId", example = "an_announcement")]
        announcement_id: Path<String>,
        /// `ETag` of the announcement that was edited.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: JsonBody<AnnouncementChangesBody>,
    ) -> Result<AnnouncementEdited, Failure<UpdateAnnouncementError>> {
        let changes = self.changes(body.0).map_err(UpdateAnnouncementError::from)?;
        let updated = self.0.update(&caller.0.actor, &announcement_id.0, &changes, &if_match.0).await?;
        let tag = entity_tag(&updated).map_err(UpdateAnnouncementError::from)?;
        Ok(AnnouncementEdited::Edited(Json(AnnouncementBody::new(&updated, None)), tag))
    }

    /// Delete an announcement
    ///
    /// It can't be restored.
    #[oai(path = "/v1/announcements/:announcementId", method = "delete", operation_id = "deleteAnnouncement")]
    async fn delete_announcement(
        &self,
        caller: By<DeleteAnnouncements>,
        /// Id of the announcement, from `listAnnouncements`.
        #[oai(name = "announcementId", example = "an_announcement")]
        announcement_id: Path<String>,
    ) -> Result<AnnouncementDeleted, Failure<DeleteAnnouncementError>> {
        self.0.delete(&caller.0.actor, &announcement_id.0).await?;
        Ok(AnnouncementDeleted::Deleted)
    }

    /// Tick an announcement off
    ///
    /// For your account only. Repeating it changes nothing.
    #[oai(path = "/v1/announcements/:announcementId/tick", method = "put", operation_id = "tickAnnouncement")]
    async fn tick_announcement(
        &self,
        caller: By<SignedIn>,
        /// Id of the announcement, from `listAnnouncements`.
        #[oai(name = "announcementId", example = "an_announcement")]
        announcement_id: Path<String>,
    ) -> Result<Ticked, Failure<GetAnnouncementError>> {
        self.0.tick(&caller.0, &announcement_id.0, true).await?;
        Ok(Ticked::Done)
    }

    /// Undo the tick of an announcement
    ///
    /// For your account only. Repeating it changes nothing.
    #[oai(
        path = "/v1/announcements/:announcementId/tick",
        method = "delete",
        operation_id = "untickAnnouncement"
    )]
    async fn untick_announcement(
        &self,
        caller: By<SignedIn>,
        /// Id of the announcement, from `listAnnouncements`.
        #[oai(name = "announcementId", example = "an_announcement")]
        announcement_id: Path<String>,
    ) -> Result<Ticked, Failure<GetAnnouncementError>> {
        self.0.tick(&caller.0, &announcement_id.0, false).await?;
        Ok(Ticked::Done)
    }
}

/// A well-formed id of no announcement.
fn an_announcement() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}
