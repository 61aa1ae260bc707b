//! TLS set-up.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// Installs the default TLS cryptography provider, which the connections to MongoDB and Redis use. Dependencies bring
/// two providers, and without a choice the first such connection would panic. May be called more than once.
pub fn choose_cryptography() {
    // An error means that a provider is already installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// TLS client settings that trust the same certificate authorities as browsers.
pub fn client() -> Arc<ClientConfig> {
    choose_cryptography();
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}
