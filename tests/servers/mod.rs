//! Where the servers are that tests of the real parts stand on: `scripts/test` and `scripts/servers` start them.

#![allow(dead_code, reason = "each test binary asks for some")]

/// Such as `mongodb://127.0.0.1:27017/?directConnection=true`: a server on which each test makes databases of its own.
pub fn mongodb() -> String {
    address("ORIENTATION_TEST_MONGODB")
}

/// The same server with this database in the address's path.
pub fn mongodb_database(name: &str) -> String {
    let mut address = url::Url::parse(&mongodb()).expect("ORIENTATION_TEST_MONGODB is a URL");
    address.set_path(name);
    address.into()
}

/// Such as `redis://127.0.0.1:6379`: each test uses keys and channels of its own.
pub fn redis() -> String {
    address("ORIENTATION_TEST_REDIS")
}

/// Such as `http://127.0.0.1:8005`: aws-ses-v2-local, which keeps what it is sent. Each test sends from an address of
/// its own.
pub fn ses() -> String {
    address("ORIENTATION_TEST_SES")
}

/// Such as `http://127.0.0.1:12111`: stripe-mock, which knows the shapes of requests and remembers nothing.
pub fn stripe_mock() -> String {
    address("ORIENTATION_TEST_STRIPE_MOCK")
}

#[expect(clippy::disallowed_methods, reason = "how scripts/servers tells the tests where the servers are")]
fn address(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} isn't set: run this test by `./scripts/servers cargo test …`, or start a server and set it")
    })
}
