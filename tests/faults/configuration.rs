//! An invalid configuration is refused before anything is written, and the refusal names the key.

use std::path::Path;

use crate::program::{command, new_folder, run};

/// A key, an invalid value, and a part of the refusal.
const BAD: &[(&str, &str, &str)] = &[
    ("ORIENTATION_LISTEN", "everywhere", "not an IP address with a port"),
    ("ORIENTATION_LISTEN", "0.0.0.0:0", "or ORIENTATION_REHEARSAL=yes"),
    ("ORIENTATION_DATA", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "is a file"),
    ("ORIENTATION_EVENT", "nowhere.toml", "can't be read"),
    ("ORIENTATION_EVENT", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "Cargo.toml"),
    ("ORIENTATION_PUBLIC_URL", "example", "expected:"),
    ("ORIENTATION_PUBLIC_URL", "https://orientation.example.edu", "or ORIENTATION_REHEARSAL=yes"),
    ("ORIENTATION_FRONTEND_URL", "https://frontend.example.edu", "a different site"),
    ("ORIENTATION_KEYS", "1:ticket:short", "entry 1"),
    ("ORIENTATION_LOG", "orientation=loud", "not a log filter"),
    ("ORIENTATION_TRUSTED_PROXIES", "the proxy", "neither an IP address nor a network"),
    ("ORIENTATION_REHEARSAL", "perhaps", "must be yes or no"),
    ("ORIENTATION_LIMITS", "-1", "not a number"),
    ("STRIPE_WEBHOOK_SECRETS", "secret", "does not begin with whsec_"),
    ("STRIPE_SECRET_KEY", "pk_test_1", "must begin with sk_test_"),
    ("STRIPE_SECRET_KEY", "sk_test_1", "set ORIENTATION_MAIL_FROM"),
    ("STRIPE_API_BASE", "api.stripe.com", "expected:"),
    ("ORIENTATION_MONGODB_URI", "postgres://host/week", "must begin with mongodb://"),
    ("ORIENTATION_REDIS_URL", "127.0.0.1:6379", "must begin with redis://"),
    ("ORIENTATION_MAIL_FROM", "the committee", "expected:"),
    ("ORIENTATION_MAIL_FROM", "orientation@example.edu", "set STRIPE_SECRET_KEY"),
    ("ORIENTATION_MAIL_RATE", "none", "not a number"),
    ("ORIENTATION_SMTP_URL", "smtp.example.edu", "must begin with smtp://"),
    ("ORIENTATION_SES_TOPICS", "bounces", "not the ARN of an SNS topic"),
    ("ORIENTATION_METRICS_LISTEN", "9464", "not an IP address with a port"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "expected:"),
    ("ORIENTATION_LISTN", "127.0.0.1:0", "did you mean ORIENTATION_LISTEN?"),
];

#[tokio::test]
async fn a_bad_configuration_is_refused_with_the_key_and_the_reason() {
    for (key, value, reason) in BAD {
        for arguments in [&[][..], &["check"], &["admin", "create", "--email", "ana@example.org", "--link"]] {
            refused(arguments, key, value, reason).await;
        }
    }
}

async fn refused(arguments: &[&str], key: &str, value: &str, reason: &str) {
    let parent = new_folder();
    let folder = parent.path().join("data");
    let output = run(command(&folder).args(arguments).env(key, value), "").await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?} with {key}={value}: {output:?}");
    assert!(
        said.contains(key) && said.contains(reason) && !said.contains("panicked"),
        "{key}={value}: {said}"
    );
    assert!(!Path::new(&folder).exists(), "{arguments:?} with {key}={value} touched the folder");
}

#[tokio::test]
async fn all_invalid_keys_are_reported_together() {
    let folder = new_folder();
    let mut program = command(folder.path());
    let output = run(program.env("ORIENTATION_LISTEN", "x").env("ORIENTATION_LIMITS", "y"), "").await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("ORIENTATION_LISTEN:") && said.contains("ORIENTATION_LIMITS:"), "{said}");
}

#[tokio::test]
async fn an_address_in_use_is_reported() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let folder = new_folder();
    let output = run(command(folder.path()).env("ORIENTATION_LISTEN", &address), "").await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("ORIENTATION_LISTEN") && said.contains(&address),
        "{said}"
    );
}
