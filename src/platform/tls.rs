//! Encrypted connections.

/// Chooses the cryptography of connections that don't choose for themselves (those to MongoDB and Redis): two are built
/// in because dependencies bring both, and without a choice the first such connection would panic. May be called again.
pub fn choose_cryptography() {
    // An error means that the choice has been made.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
