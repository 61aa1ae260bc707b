//! TLS set-up.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// Chooses the cryptography of connections that don't choose for themselves (those to MongoDB and Redis): two are built
/// in because dependencies bring both, and without a choice the first such connection would panic. May be called again.
pub fn choose_cryptography() {
    // An error means that a provider is already installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Settings of connections to servers whose certificates come from the authorities that browsers trust.
pub fn client() -> Arc<ClientConfig> {
    choose_cryptography();
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}
