//! The addresses of the servers for tests of the real adapters. `scripts/test` and `scripts/servers` start the servers.

#![allow(dead_code, reason = "each test binary asks for some")]

/// Such as `mongodb://127.0.0.1:27017/?directConnection=true`. Each test creates its own databases.
pub fn mongodb() -> String {
    address("ORIENTATION_TEST_MONGODB")
}

/// The same server, with this database in the path.
pub fn mongodb_database(name: &str) -> String {
    let mut address = url::Url::parse(&mongodb()).expect("ORIENTATION_TEST_MONGODB is a URL");
    address.set_path(name);
    address.into()
}

/// Such as `redis://127.0.0.1:6379`. Each test uses its own keys and channels.
pub fn redis() -> String {
    address("ORIENTATION_TEST_REDIS")
}

/// Such as `http://127.0.0.1:8005`: aws-ses-v2-local, which keeps all emails. Each test sends from its own address.
pub fn ses() -> String {
    address("ORIENTATION_TEST_SES")
}

/// Such as `http://127.0.0.1:12111`: stripe-mock, which validates requests and stores nothing.
pub fn stripe_mock() -> String {
    address("ORIENTATION_TEST_STRIPE_MOCK")
}

#[expect(clippy::disallowed_methods, reason = "how scripts/servers passes the addresses")]
fn address(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} isn't set: run this test by `./scripts/servers cargo test …`, or start a server and set it")
    })
}
