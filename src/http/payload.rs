//! What people write: JSON bodies with all faults at once.

use poem::{FromRequest, Request, RequestBody};
use poem_openapi::payload::{ParsePayload, Payload};
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{ParseFromJSON, Type};

use super::problem::invalid;
use crate::kernel::Fault;

/// A JSON body, checked as a whole against the schema that the document shows.
pub struct Written<T>(pub T);

poem_openapi::impl_apirequest_for_payload!(Written<T>, T: ParseFromJSON);

impl<T: Type> Payload for Written<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: ParseFromJSON> ParsePayload for Written<T> {
    const IS_REQUIRED: bool = true;

    async fn from_request(request: &Request, body: &mut RequestBody) -> poem::Result<Self> {
        let data = Vec::<u8>::from_request(request, body).await?;
        let value =
            serde_json::from_slice(&data).map_err(|_| invalid([Fault::new("", "json", "not JSON")]))?;
        T::parse_from_json(Some(value))
            .map(Self)
            .map_err(|e| invalid([Fault::new("", "wrong", e.into_message())]))
    }
}
