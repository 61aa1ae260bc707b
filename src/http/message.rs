//! Signed messages from other services: webhooks.

use std::marker::PhantomData;

use poem::{Request, RequestBody};
use poem_openapi::error::ContentTypeError;
use poem_openapi::registry::{MetaMediaType, MetaParamIn, MetaRequest, MetaSchema, MetaSchemaRef};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::spec::marker;

/// Extension of an operation that receives a [`Message`]. Its value is the maximum size of the body in bytes.
pub(super) const WEBHOOK: &str = "x-webhook";

/// A kind of message from another service. The feature's `controller.rs` declares it.
pub trait MessageKind: 'static {
    /// Content type without parameters.
    const CONTENT_TYPE: &'static str;

    /// Maximum size of a message in bytes.
    const MAX_BYTES: usize;

    /// Schema in the document, with an example.
    fn schema() -> MetaSchema;
}

/// The bytes of a message, which the signature covers. Its operation uses no session, so it accepts requests from any
/// origin.
pub struct Message<K>(pub Vec<u8>, PhantomData<fn() -> K>);

impl<'a, K: MessageKind> ApiExtractor<'a> for Message<K> {
    const TYPES: &'static [ApiExtractorType] =
        &[ApiExtractorType::RequestObject, ApiExtractorType::Parameter];
    type ParamType = ();
    type ParamRawType = ();

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(marker(WEBHOOK, &K::MAX_BYTES.to_string()))
    }

    fn request_meta() -> Option<MetaRequest> {
        let schema = MetaSchemaRef::Inline(Box::new(K::schema()));
        let content = vec![MetaMediaType { content_type: K::CONTENT_TYPE, schema }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let content_type = request.content_type().ok_or(ContentTypeError::ExpectContentType)?;
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case(K::CONTENT_TYPE) {
            return Err(ContentTypeError::NotSupported { content_type: content_type.to_owned() }.into());
        }
        Ok(Self(body.take()?.into_vec().await?, PhantomData))
    }
}
