//! Operations on API keys, and who is behind one.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object, OpenApi, Tags};

use super::model::ApiKey;
use super::service::{
    ApiKeyRequest, ApiKeys, CreateApiKeyError, CreatedKey, RevokeApiKeyError, UseApiKeyError,
};
use crate::http::rights::Administer;
use crate::http::{
    By, Examples, Failure, JsonBody, KeyError, Kind, MachineCallers, PageBody, PageCursor, PageLimit,
    Problem, Refusal, TimeText,
};
use crate::kernel::{Actor, Invalid, Principal, Timestamp};
use crate::platform::store::{PageError, StoreError};

#[derive(Tags)]
enum Tag {
    /// Keys with which machines call operations: chat bot, scanners, scripts.
    #[oai(rename = "API keys")]
    ApiKeys,
}

const NAME: &str = "Chat bot";
const START: &str = "ori_ljnfuw";

// ---- requests ----

/// A key to create.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
pub struct CreateApiKeyBody {
    /// What the key is for. 1 to 100 characters.
    #[oai(validator(min_length = 1, max_length = 100))]
    name: String,
    /// Scopes, such as `scanner:food`. Never `admin:all`. At least one.
    #[oai(validator(min_items = 1, max_items = 100))]
    scopes: Vec<String>,
    /// Properties of registration forms that the machine may read, such as `dietary`. None by default.
    #[oai(validator(max_items = 100))]
    student_fields: Option<Vec<String>>,
    /// Students about whom the machine may read: `group:all`, `group:` and a group's name, or `hunt-team:` and a number.
    /// Nobody by default.
    #[oai(validator(max_items = 200))]
    reach: Option<Vec<String>>,
    /// Time when the key expires (RFC 3339), at most 400 days from now.
    expires_at: TimeText,
}

impl Example for CreateApiKeyBody {
    fn example() -> Self {
        Self {
            name: NAME.into(),
            scopes: vec!["scanner:food".into()],
            student_fields: Some(vec!["dietary".into()]),
            reach: Some(vec!["group:all".into()]),
            expires_at: "2027-09-30T04:00:00Z".into(),
        }
    }
}

impl From<CreateApiKeyBody> for ApiKeyRequest {
    fn from(body: CreateApiKeyBody) -> Self {
        Self {
            name: body.name,
            scopes: body.scopes,
            student_fields: body.student_fields.unwrap_or_default(),
            reach: body.reach.unwrap_or_default(),
            // The schema admits times only.
            expires_at: Timestamp::parse(body.expires_at.as_ref()).unwrap_or(Timestamp::from_millis(0)),
        }
    }
}

// ---- responses ----

/// An API key, without the key itself.
#[derive(Clone, Debug, Object)]
#[oai(rename = "ApiKey", rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct ApiKeyBody {
    /// Id of the key, in lists and in the audit log. It is not secret.
    id: String,
    /// What the key is for.
    name: String,
    /// First characters of the key.
    start: String,
    /// Scopes.
    scopes: Vec<String>,
    /// Properties of registration forms that the machine may read.
    student_fields: Vec<String>,
    /// Students about whom the machine may read.
    reach: Vec<String>,
    /// Account id of the administrator who created it.
    created_by: Option<String>,
    /// Time when it was created (RFC 3339, UTC).
    created_at: String,
    /// Time when it expires (RFC 3339, UTC).
    expires_at: String,
    /// Time when it was revoked (RFC 3339, UTC). Absent if it was not.
    revoked_at: Option<String>,
    /// Minute of its latest request (RFC 3339, UTC). Absent before the first.
    last_used_at: Option<String>,
}

impl From<&ApiKey> for ApiKeyBody {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.key_id.clone(),
            name: key.name.clone(),
            start: key.start.clone(),
            scopes: texts(&key.scopes),
            student_fields: texts(&key.student_fields),
            reach: texts(&key.reach),
            created_by: match &key.created_by {
                Actor::Account(id) => Some(id.clone()),
                _ => None,
            },
            created_at: key.created_at.rfc3339(),
            expires_at: key.expires_at.rfc3339(),
            revoked_at: key.revoked_at.map(Timestamp::rfc3339),
            last_used_at: key.last_used_at.map(Timestamp::rfc3339),
        }
    }
}

fn texts<T: ToString>(rights: &BTreeSet<T>) -> Vec<String> {
    rights.iter().map(T::to_string).collect()
}

impl Example for ApiKeyBody {
    fn example() -> Self {
        Self {
            id: a_key(),
            name: NAME.into(),
            start: START.into(),
            scopes: vec!["scanner:food".into()],
            student_fields: vec!["dietary".into()],
            reach: vec!["group:all".into()],
            created_by: Some("0199a0b1-3c4d-7e5f-8a6b-9c0d1e2f3a4b".into()),
            created_at: "2027-06-01T14:03:00.000Z".into(),
            expires_at: "2027-09-30T04:00:00.000Z".into(),
            revoked_at: None,
            last_used_at: Some("2027-06-02T09:41:00.000Z".into()),
        }
    }
}

/// A key that was just created.
#[derive(Clone, Debug, Object)]
#[oai(rename = "CreatedApiKey", rename_all = "camelCase", example)]
pub struct CreatedApiKeyBody {
    /// The key, to be sent as `Authorization: Bearer`. It is shown only now. It matches `ori_[a-z2-7]{59}`, by which secret
    /// scanners find it.
    key: String,
    /// What `listApiKeys` shows of it.
    api_key: ApiKeyBody,
}

impl From<CreatedKey> for CreatedApiKeyBody {
    fn from(created: CreatedKey) -> Self {
        Self { key: created.key.expose().to_owned(), api_key: ApiKeyBody::from(&created.document) }
    }
}

impl Example for CreatedApiKeyBody {
    fn example() -> Self {
        // With a wrong checksum, so that secret scanners and people see that it is no key.
        Self { key: format!("{START}{}", "x".repeat(53)), api_key: ApiKeyBody::example() }
    }
}

/// The key was created.
#[derive(ApiResponse)]
pub enum Created {
    /// The key was created.
    #[oai(status = 201)]
    Created(Json<CreatedApiKeyBody>),
}

/// The key is revoked.
#[derive(ApiResponse)]
pub enum Revoked {
    /// The key is revoked.
    #[oai(status = 204)]
    Revoked,
}

// ---- refusals ----

const NO_SUCH_API_KEY: Kind = Kind::new(404, "no-such-api-key", "No such API key");

impl Refusal for CreateApiKeyError {
    fn examples() -> Examples<Self> {
        Examples::of([]).and::<Invalid>().and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Invalid(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}

impl Refusal for RevokeApiKeyError {
    fn examples() -> Examples<Self> {
        Examples::of([Self::NotFound]).and::<StoreError>()
    }

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => NO_SUCH_API_KEY.says("`listApiKeys` lists all keys with their ids."),
            Self::Store(error) => error.problem(),
        }
    }
}

impl From<UseApiKeyError> for KeyError {
    fn from(error: UseApiKeyError) -> Self {
        match error {
            UseApiKeyError::Invalid => Self::Invalid,
            UseApiKeyError::TooMany(error) => Self::TooMany(error),
            UseApiKeyError::Store(error) => Self::Store(error),
        }
    }
}

// ---- operations ----

/// The operations on API keys.
pub struct ApiKeysController(Arc<ApiKeys>);

impl ApiKeysController {
    /// The operations on `keys`.
    pub fn new(keys: Arc<ApiKeys>) -> Self {
        Self(keys)
    }
}

#[async_trait]
impl MachineCallers for ApiKeys {
    async fn by_key(&self, key: &str, client: IpAddr) -> Result<Principal, KeyError> {
        Ok(self.machine(key, client).await?)
    }
}

#[OpenApi(tag = "Tag::ApiKeys")]
impl ApiKeysController {
    /// Create an API key
    ///
    /// The response shows the key, which can't be read again. A machine has the scopes, student fields and reach of its
    /// key; it can't be an administrator, and it has no account (`/v1/me`).
    #[oai(path = "/v1/api-keys", method = "post", operation_id = "createApiKey")]
    async fn create_api_key(
        &self,
        caller: By<Administer>,
        body: JsonBody<CreateApiKeyBody>,
    ) -> Result<Created, Failure<CreateApiKeyError>> {
        let created = self.0.create(&caller.0.actor, body.0.into()).await?;
        Ok(Created::Created(Json(created.into())))
    }

    /// List API keys
    ///
    /// Newest first, with those that have expired or were revoked.
    #[oai(path = "/v1/api-keys", method = "get", operation_id = "listApiKeys")]
    async fn list_api_keys(
        &self,
        _caller: By<Administer>,
        /// Maximum number of items per page.
        limit: Query<PageLimit>,
        /// `nextCursor` of the previous page.
        cursor: Query<PageCursor>,
    ) -> Result<Json<PageBody<ApiKeyBody>>, Failure<PageError>> {
        Ok(Json(self.0.list(cursor.0.0.as_ref(), limit.0.0).await?.into()))
    }

    /// Revoke an API key
    ///
    /// Its next request is refused. Revoking a key again changes nothing.
    #[oai(path = "/v1/api-keys/:apiKeyId", method = "delete", operation_id = "revokeApiKey")]
    async fn revoke_api_key(
        &self,
        caller: By<Administer>,
        /// Id of the key, from `listApiKeys`.
        #[oai(name = "apiKeyId", example = "a_key")]
        api_key_id: Path<String>,
    ) -> Result<Revoked, Failure<RevokeApiKeyError>> {
        self.0.revoke(&caller.0.actor, &api_key_id.0).await?;
        Ok(Revoked::Revoked)
    }
}

/// A well-formed id of no key.
fn a_key() -> String {
    "019f0000-0000-7000-8000-000000000000".into()
}
