//! The operations on lost items.

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi, Tags};

use super::model::LostItem;
use super::service::{GetLostItemError, LostItems, ReportLostItemError, UpdateLostItemError};
use crate::http::rights::Student;
use crate::http::{
    By, Examples, Failure, IfMatch, JsonBody, Kind, PageBody, PageCursor, PageLimit, Problem, Refusal,
    entity_tag,
};
use crate::platform::signals::TooMany;
use crate::platform::store::{PageError, Stale, StoreError};

#[derive(Tags)]
enum Tag {
    /// Items that students have lost.
    #[oai(rename = "Lost items")]
    LostItems,
}

/// A lost item.
#[derive(Clone, Debug, Object)]
#[oai(rename = "LostItem", rename_all = "camelCase", example)]
pub struct LostItemBody {
    /// Id of the report.
    pub id: String,
    /// The student's description of the item.
    pub description: String,
    /// Time of the report (RFC 3339, UTC).
    pub reported_at: String,
}

impl poem_openapi::types::Example for LostItemBody {
    fn example() -> Self {
        Self {
            id: an_item(),
            description: "A blue umbrella".into(),
            reported_at: "2026-09-01T07:00:00.000Z".into(),
        }
    }
}

impl From<&LostItem> for LostItemBody {
    fn from(item: &LostItem) -> Self {
        Self {
            id: item.id.clone(),
            description: item.description.clone(),
            reported_at: item.reported_at.rfc3339(),
        }
    }
}

/// The report of a lost item.
#[derive(Clone, Debug, Object)]
#[oai(rename = "LostItemReport", rename_all = "camelCase", deny_unknown_fields, example)]
pub struct LostItemReport {
    /// Description of the item. At most 200 characters.
    #[oai(validator(min_length = 1, max_length = 200))]
    pub description: String,
}

impl poem_openapi::types::Example for LostItemReport {
    fn example() -> Self {
        Self { description: "A blue umbrella".into() }
    }
}

/// An item as it is.
#[derive(ApiResponse)]
pub enum LostItemAnswer {
    /// The item.
    #[oai(status = 200)]
    Current(
        Json<LostItemBody>,
        /// Entity tag of the item: send it as `If-Match` with an edit.
        #[oai(header = "ETag")]
        String,
    ),
}

impl LostItemAnswer {
    fn new(item: &LostItem) -> Result<Self, StoreError> {
        Ok(Self::Current(Json(LostItemBody::from(item)), entity_tag(item)?))
    }
}

/// The result of a report.
#[derive(ApiResponse)]
pub enum Reported {
    /// The item is reported.
    #[oai(status = 201)]
    Reported(Json<LostItemBody>),
}

const NO_SUCH_LOST_ITEM: Kind = Kind::new(404, "no-such-lost-item", "No such lost item");
const TOO_MANY_LOST_ITEMS: Kind = Kind::new(409, "too-many-lost-items", "Too many lost items");

impl Refusal for GetLostItemError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => {
                NO_SUCH_LOST_ITEM.says("`listLostItems` lists the items that you have reported.")
            }
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for UpdateLostItemError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<Stale>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => GetLostItemError::NotFound.problem(),
            Self::Stale(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for ReportLostItemError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::TooManyReports]).and::<TooMany>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::TooManyReports => {
                TOO_MANY_LOST_ITEMS.says("You have reported 20 items. Write to us about further ones.")
            }
            Self::TooMany(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

/// The operations of this feature.
pub struct LostItemsController(Arc<LostItems>);

impl LostItemsController {
    /// The operations on `items`.
    pub fn new(items: Arc<LostItems>) -> Self {
        Self(items)
    }
}

#[OpenApi(tag = "Tag::LostItems")]
impl LostItemsController {
    /// Get a lost item
    ///
    /// Students see the items that they have reported.
    #[oai(path = "/v1/lost-items/:itemId", method = "get", operation_id = "getLostItem")]
    async fn get_lost_item(
        &self,
        By(caller): By<Student>,
        /// Id of the report, from `listLostItems`.
        #[oai(name = "itemId", example = "an_item")]
        item_id: Path<String>,
    ) -> Result<LostItemAnswer, Failure<GetLostItemError>> {
        let item = self.0.item(&caller.account_id, &item_id.0).await?;
        Ok(LostItemAnswer::new(&item).map_err(GetLostItemError::from)?)
    }

    /// Change a lost item
    ///
    /// Replaces the description.
    #[oai(path = "/v1/lost-items/:itemId", method = "patch", operation_id = "updateLostItem")]
    async fn update_lost_item(
        &self,
        By(caller): By<Student>,
        /// Id of the report, from `listLostItems`.
        #[oai(name = "itemId", example = "an_item")]
        item_id: Path<String>,
        /// `ETag` of the item that was edited.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        report: JsonBody<LostItemReport>,
    ) -> Result<LostItemAnswer, Failure<UpdateLostItemError>> {
        let description = report.0.description;
        let item = self.0.update(&caller, &item_id.0, description, &if_match.0).await?;
        Ok(LostItemAnswer::new(&item).map_err(UpdateLostItemError::from)?)
    }

    /// Report a lost item
    ///
    /// The student gets a confirmation by email. An account can have 20 reports at a time; they are deleted after 30
    /// days.
    #[oai(path = "/v1/lost-items", method = "post", operation_id = "reportLostItem")]
    async fn report_lost_item(
        &self,
        By(caller): By<Student>,
        report: JsonBody<LostItemReport>,
    ) -> Result<Reported, Failure<ReportLostItemError>> {
        let item = self.0.report(&caller, report.0.description).await?;
        Ok(Reported::Reported(Json(LostItemBody::from(&item))))
    }

    /// List lost items
    ///
    /// Students see the items that they have reported, newest first.
    #[oai(path = "/v1/lost-items", method = "get", operation_id = "listLostItems")]
    async fn list_lost_items(
        &self,
        By(caller): By<Student>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<LostItemBody>>, Failure<PageError>> {
        let (after, limit) = (cursor.0.0, limit.0.0);
        Ok(Json(self.0.list(&caller.account_id, after.as_ref(), limit).await?.into()))
    }
}

/// An id in the right format that no item has.
fn an_item() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}
