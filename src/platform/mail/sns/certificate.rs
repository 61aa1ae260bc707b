//! The certificate of the key that SNS signs with.

use aws_lc_rs::signature::{
    RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use url::Url;
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::parse_x509_pem;

use super::Message;
use super::message::SignatureVersion;
use crate::kernel::Timestamp;

/// The name in SNS's certificates; in China it is the host of the region.
const NAME: &str = "sns.amazonaws.com";

/// The parts of a certificate that matter. That it is SNS's own follows from the host that it was fetched from by TLS.
#[derive(Clone)]
pub(super) struct Certificate {
    /// An RSA key (PKCS#1).
    key: Vec<u8>,
    from: Timestamp,
    to: Timestamp,
}

impl Certificate {
    /// Parses the PEM from this URL. `None` if it is not a certificate, or has another name.
    pub(super) fn parse(pem: &[u8], address: &Url) -> Option<Self> {
        let (_, pem) = parse_x509_pem(pem).ok()?;
        let certificate = pem.parse_x509().ok()?;
        if !is_for_sns(&certificate, address) {
            return None;
        }
        let time = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
        let validity = certificate.validity();
        Some(Self {
            key: certificate.public_key().subject_public_key.data.to_vec(),
            from: time(validity.not_before.timestamp()),
            to: time(validity.not_after.timestamp()),
        })
    }

    pub(super) fn is_valid(&self, now: Timestamp) -> bool {
        (self.from..=self.to).contains(&now)
    }

    pub(super) fn has_signed(&self, message: &Message) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match message.version {
            SignatureVersion::One => &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
            SignatureVersion::Two => &RSA_PKCS1_2048_8192_SHA256,
        };
        UnparsedPublicKey::new(algorithm, &self.key)
            .verify(message.canonical.as_bytes(), &message.signature)
            .is_ok()
    }
}

fn is_for_sns(certificate: &X509Certificate<'_>, address: &Url) -> bool {
    let mut names = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    names.any(|name| name == NAME || Some(name) == address.host_str())
}
