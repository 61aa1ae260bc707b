use super::*;

fn env(keys: &[(&str, &str)]) -> BTreeMap<String, String> {
    keys.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

fn config(keys: &[(&str, &str)]) -> Config {
    Config::from_env(&env(keys)).unwrap()
}

fn bad_keys(keys: &[(&str, &str)]) -> Vec<String> {
    Config::from_env(&env(keys)).unwrap_err().0.into_iter().map(|bad| bad.key).collect()
}

#[test]
fn the_defaults_serve_this_machine_only() {
    let config = config(&[("PATH", "/bin"), ("ORIENTATION_KEYS", "")]);
    assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.public_url.as_str(), "http://127.0.0.1:3000/");
    assert_eq!(config.pages_url(), &config.public_url);
    assert_eq!((config.limits, config.rehearsal, config.log.as_str()), (1.0, false, "info"));
}

#[test]
fn the_public_url_is_the_address_listened_on_unless_it_is_set() {
    let addr = "127.0.0.1:4321".parse().unwrap();
    let derived = config(&[("ORIENTATION_LISTEN", "127.0.0.1:0")]).with_listen_addr(addr);
    assert_eq!(derived.public_url.as_str(), "http://127.0.0.1:4321/");
    let given = config(&[("ORIENTATION_PUBLIC_URL", "http://localhost:8080")]).with_listen_addr(addr);
    assert_eq!(given.public_url.as_str(), "http://localhost:8080/");
}

#[test]
fn all_invalid_keys_are_reported_together() {
    let bad = bad_keys(&[
        ("ORIENTATION_LISTEN", "localhost"),
        ("ORIENTATION_DATA", "Cargo.toml"),
        ("ORIENTATION_EVENT", "no-such-file.toml"),
        ("ORIENTATION_FONTS", "fonts, no-such-folder"),
        ("ORIENTATION_PUBLIC_URL", "example.edu/path"),
        ("ORIENTATION_FRONTEND_URL", "ftp://example.edu"),
        ("ORIENTATION_KEYS", "a:ticket:AAAA"),
        ("ORIENTATION_LOG", "orientation=loud"),
        ("ORIENTATION_TRUSTED_PROXIES", "10.0.0.0/8, proxy"),
        ("ORIENTATION_REHEARSAL", "maybe"),
        ("ORIENTATION_LIMITS", "NaN"),
        ("STRIPE_WEBHOOK_SECRETS", "secret"),
        ("STRIPE_SECRET_KEY", "pk_test_1"),
        ("STRIPE_API_BASE", "api.stripe.com"),
        ("ORIENTATION_MONGODB_URI", "postgres://host"),
        ("ORIENTATION_REDIS_URL", "http://host"),
        ("ORIENTATION_MAIL_FROM", "nobody"),
        ("ORIENTATION_MAIL_RATE", "0"),
        ("ORIENTATION_SMTP_URL", "smtp.example.edu"),
        ("ORIENTATION_SES_TOPICS", "bounces"),
        ("AWS_ENDPOINT_URL_SESV2", "localhost"),
        ("ORIENTATION_METRICS_LISTEN", "9464"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
        ("ORIENTATION_LISTN", "127.0.0.1:3000"),
    ]);
    // AWS defines the syntax of its own variables. `AWS_REGION` is tested below.
    let of_aws = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
    let keys = KEYS.iter().filter(|key| !of_aws.contains(&key.name));
    let mut wanted: Vec<_> = keys.map(|key| key.name.to_owned()).collect();
    wanted.push("ORIENTATION_LISTN".into());
    let sorted = |mut keys: Vec<String>| {
        keys.sort();
        keys
    };
    assert_eq!(sorted(bad), sorted(wanted));
}

#[test]
fn an_unknown_key_suggests_the_nearest_one() {
    let told = Config::from_env(&env(&[("ORIENTATION_LISTNE", "x")])).unwrap_err().to_string();
    assert!(told.contains("ORIENTATION_LISTNE: unknown key"), "{told}");
    assert!(told.contains("did you mean ORIENTATION_LISTEN?"), "{told}");
}

#[test]
fn no_refusal_repeats_a_secret() {
    let told = Config::from_env(&env(&[
        ("STRIPE_SECRET_KEY", "sk_live_hidden"),
        ("STRIPE_WEBHOOK_SECRETS", "whsec_sandbox_hidden"),
        ("ORIENTATION_MONGODB_URI", "hidden://user:hidden@host"),
        ("ORIENTATION_REDIS_URL", "hidden"),
        ("ORIENTATION_SMTP_URL", "hidden"),
        ("ORIENTATION_MAIL_FROM", "orientation@example.edu"),
        ("AWS_SECRET_ACCESS_KEY", "hidden"),
        ("ORIENTATION_KEYS", "a:ticket:hidden"),
        ("ORIENTATION_LIMITS", "0"),
        ("ORIENTATION_SES_TOPICS", "whsec_hidden"),
        ("ORIENTATION_TRUSTED_PROXIES", "http://user:hidden@proxy"),
        ("ORIENTATION_EVENT", "https://user:hidden@host/event.toml"),
        ("ORIENTATION_DATA", "mongodb://user:hidden@host/orientation"),
        ("ORIENTATION_LOG", "http://user:hidden@host"),
        ("ORIENTATION_PUBLIC_URL", "http://user:hidden@127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:hidden@127.0.0.1:1"),
    ]))
    .unwrap_err()
    .to_string();
    assert!(!told.contains("hidden"), "{told}");
    // Secrets under the keys of paths.
    for key in ["ORIENTATION_EVENT", "ORIENTATION_FONTS", "ORIENTATION_DATA"] {
        for secret in ["sk_live_hidden", "whsec_hidden", "mongodb://user:hidden@host"] {
            let told = Config::from_env(&env(&[(key, secret)])).unwrap_err().to_string();
            assert!(told.starts_with(&format!("{key}: ")) && !told.contains("hidden"), "{told}");
        }
    }
    let told = Config::from_env(&env(&[("ORIENTATION_EVENT", "hidden")])).unwrap_err().to_string();
    assert!(told.contains("the file can't be read") && !told.contains("hidden"), "{told}");
}

#[test]
fn no_key_shows_a_password_or_a_secret_in_the_wrong_place() {
    let shown = |name: &str, value| KEYS.iter().find(|key| key.name == name).unwrap().shown(value).to_owned();
    for Key { name, .. } in KEYS {
        for address in
            ["http://user:hidden@127.0.0.1:1", " HTTPS://hidden@host", "sk_live_hidden", "whsec_hidden"]
        {
            let shown = shown(name, address);
            assert!(shown.starts_with("set") && !shown.contains("hidden"), "{name}: {shown}");
        }
    }
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http:user:hidden@127.0.0.1:1"),
        ("STRIPE_API_BASE", "sk_live_hidden"),
        ("ORIENTATION_SES_TOPICS", "whsec_hidden"),
        ("ORIENTATION_SES_TOPICS", "arn:aws:sns:ca-central-1:123456789012:bounces,whsec_hidden"),
        ("AWS_ACCESS_KEY_ID", "hiddenhiddenhiddenhiddenhiddenhiddenhidd"),
    ] {
        assert!(!shown(name, value).contains("hidden"), "{name}: {value}");
    }
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
        ("ORIENTATION_SES_TOPICS", "arn:aws:sns:ca-central-1:123456789012:bounces"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("ORIENTATION_LISTEN", "127.0.0.1:3000"),
        FROM,
    ] {
        assert_eq!(shown(name, value), value);
    }
}

#[test]
fn metrics_and_the_service_listen_on_different_addresses() {
    let both = |listen, metrics| [("ORIENTATION_LISTEN", listen), ("ORIENTATION_METRICS_LISTEN", metrics)];
    for (listen, metrics) in [
        ("127.0.0.1:9464", "127.0.0.1:9464"),
        ("[::1]:9464", "[::1]:9464"),
        ("127.0.0.1:9464", "0.0.0.0:9464"),
        ("127.0.0.1:9464", "[::]:9464"),
    ] {
        assert_eq!(bad_keys(&both(listen, metrics)), ["ORIENTATION_METRICS_LISTEN"], "{listen} {metrics}");
    }
    assert_eq!(bad_keys(&[("ORIENTATION_METRICS_LISTEN", "127.0.0.1:3000")]), ["ORIENTATION_METRICS_LISTEN"]);
    for (listen, metrics) in [
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:3000", "127.0.0.1:9464"),
        ("127.0.0.1:9464", "127.0.0.2:9464"),
    ] {
        assert!(config(&both(listen, metrics)).metrics_listen.is_some(), "{listen} {metrics}");
    }
}

const FROM: (&str, &str) = ("ORIENTATION_MAIL_FROM", "Orientation Week <orientation@example.edu>");
const REGION: (&str, &str) = ("AWS_REGION", "ca-central-1");
const SECRETS: (&str, &str) = ("STRIPE_WEBHOOK_SECRETS", "whsec_a, whsec_b");
const REHEARSAL: (&str, &str) = ("ORIENTATION_REHEARSAL", "yes");

#[test]
fn a_stripe_key_excludes_the_secrets_of_the_sandbox() {
    let test = ("STRIPE_SECRET_KEY", "sk_test_1");
    let bad = bad_keys(&[FROM, REGION, test, ("STRIPE_WEBHOOK_SECRETS", "whsec_a,whsec_sandbox_b")]);
    assert_eq!(bad, ["STRIPE_WEBHOOK_SECRETS"]);
    assert_eq!(bad_keys(&[FROM, REGION, test]), ["STRIPE_WEBHOOK_SECRETS"]);
    assert_eq!(
        config(&[("STRIPE_WEBHOOK_SECRETS", "whsec_a, whsec_sandbox_b")]).stripe_webhook_secrets.len(),
        2
    );
}

#[test]
fn a_live_key_needs_rate_limits_and_stripes_own_api() {
    let (live, public) =
        (("STRIPE_SECRET_KEY", "rk_live_1"), ("ORIENTATION_PUBLIC_URL", "https://api.example.edu"));
    let with = |other| bad_keys(&[FROM, REGION, SECRETS, live, public, other]);
    assert_eq!(with(("ORIENTATION_LIMITS", "0")), ["ORIENTATION_LIMITS"]);
    assert_eq!(with(("STRIPE_API_BASE", "http://127.0.0.1:1")), ["STRIPE_API_BASE"]);
    assert_eq!(with(REHEARSAL), ["ORIENTATION_REHEARSAL"]);
    assert_eq!(bad_keys(&[FROM, REGION, SECRETS, live]), ["ORIENTATION_PUBLIC_URL"]);
    assert!(config(&[FROM, REGION, SECRETS, live, public]).stripe.unwrap().live);
}

#[test]
fn a_real_part_and_an_embedded_one_are_mixed_only_in_a_rehearsal() {
    let test = ("STRIPE_SECRET_KEY", "sk_test_1");
    assert_eq!(bad_keys(&[SECRETS, test]), ["STRIPE_SECRET_KEY"]);
    assert_eq!(bad_keys(&[FROM, REGION]), ["ORIENTATION_MAIL_FROM"]);
    assert!(matches!(config(&[SECRETS, test, REHEARSAL]).mail, MailConfig::Outbox));
    assert!(config(&[FROM, REGION, REHEARSAL]).stripe.is_none());
}

#[test]
fn emails_are_sent_by_smtp_if_it_is_set_and_otherwise_by_ses() {
    let smtp = ("ORIENTATION_SMTP_URL", "smtp://127.0.0.1:25");
    let MailConfig::Smtp(by_smtp) = config(&[FROM, smtp, REHEARSAL]).mail else { panic!("SMTP") };
    assert_eq!(by_smtp.sender.name.as_deref(), Some("Orientation Week"));
    assert_eq!((by_smtp.sender.address.as_str(), by_smtp.sender.rate), ("orientation@example.edu", 10.0));
    let topic = ("ORIENTATION_SES_TOPICS", "arn:aws:sns:ca-central-1:123456789012:bounces");
    let MailConfig::Ses(by_ses) = config(&[FROM, REGION, topic, REHEARSAL]).mail else { panic!("SES") };
    assert_eq!((by_ses.topics.len(), by_ses.credentials.is_none()), (1, true));
    assert_eq!(bad_keys(&[smtp]), ["ORIENTATION_MAIL_FROM"]);
    let outside_ascii = ("ORIENTATION_MAIL_FROM", "jörg@example.edu");
    assert_eq!(bad_keys(&[outside_ascii, smtp, REHEARSAL]), ["ORIENTATION_MAIL_FROM"]);
    assert_eq!(by_smtp.sender.contact, config(&[]).event.contact);
    assert_eq!(bad_keys(&[FROM, REHEARSAL]), ["AWS_REGION"]);
    let half = ("AWS_SECRET_ACCESS_KEY", "x");
    assert_eq!(bad_keys(&[FROM, REGION, half, REHEARSAL]), ["AWS_ACCESS_KEY_ID"]);
}

#[test]
fn with_real_parts_the_public_url_uses_tls() {
    let real =
        [FROM, REGION, SECRETS, ("STRIPE_SECRET_KEY", "sk_test_1"), ("ORIENTATION_LISTEN", "0.0.0.0:80")];
    let with = |public| Config::from_env(&env(&[&real[..], &[("ORIENTATION_PUBLIC_URL", public)]].concat()));
    assert!(with("https://example.edu").is_ok());
    let keys = |bad: BadConfig| bad.0.into_iter().map(|bad| bad.key).collect::<Vec<_>>();
    assert_eq!(keys(with("http://example.edu").unwrap_err()), ["ORIENTATION_PUBLIC_URL"]);
    assert_eq!(keys(with("").unwrap_err()), ["ORIENTATION_PUBLIC_URL"]);
    assert_eq!(keys(with("http://localhost:3000").unwrap_err()), ["ORIENTATION_PUBLIC_URL"]);
}

#[test]
fn other_machines_reach_embedded_parts_only_in_a_rehearsal() {
    let (anywhere, public) =
        (("ORIENTATION_LISTEN", "0.0.0.0:80"), ("ORIENTATION_PUBLIC_URL", "https://example.edu"));
    assert_eq!(bad_keys(&[anywhere]), ["ORIENTATION_LISTEN"]);
    assert_eq!(bad_keys(&[public]), ["ORIENTATION_PUBLIC_URL"]);
    let rehearsal = ("ORIENTATION_REHEARSAL", "yes");
    assert!(config(&[anywhere, public, rehearsal]).rehearsal);
    assert_eq!(bad_keys(&[anywhere, rehearsal]), ["ORIENTATION_PUBLIC_URL"]);
}

#[test]
fn the_frontend_is_on_the_same_site() {
    let frontend = |url| ("ORIENTATION_FRONTEND_URL", url);
    let config = config(&[frontend("http://127.0.0.1:5173")]);
    assert_eq!(config.pages_url().as_str(), "http://127.0.0.1:5173/");
    assert_eq!(bad_keys(&[frontend("http://localhost:5173")]), ["ORIENTATION_FRONTEND_URL"]);
    assert_eq!(bad_keys(&[frontend("https://example.edu")]), ["ORIENTATION_FRONTEND_URL"]);
}

#[test]
fn a_key_ring_has_a_key_for_each_purpose() {
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let ring = |purposes: &[&str]| {
        let entries: Vec<_> = purposes.iter().map(|purpose| format!("k1:{purpose}:{key}")).collect();
        Config::from_env(&env(&[("ORIENTATION_KEYS", &entries.join(","))]))
    };
    let keys = ring(&["ticket", "email", "unsubscribe", "second-factor"]).unwrap().keys;
    assert_eq!(keys.iter().map(|key| key.purpose).collect::<Vec<_>>(), KeyPurpose::ALL);
    assert!(!format!("{keys:?}").contains("[0"));
    assert!(ring(&["ticket", "email", "unsubscribe"]).is_err());
    assert!(ring(&["ticket", "email", "unsubscribe", "second-factor", "email"]).is_err());
    let former = ring(&["ticket", "letter", "unsubscribe", "second-factor"]).unwrap();
    assert_eq!(former.keys[1].purpose, KeyPurpose::Email);
    let capital = Config::from_env(&env(&[("ORIENTATION_KEYS", &format!("K1:ticket:{key}"))])).unwrap_err();
    assert!(capital.to_string().contains("lower-case letters"), "{capital}");
}

#[test]
fn the_page_on_configuration_shows_the_table_of_keys() {
    let page = include_str!("../../docs/configuration.md");
    for Key { name, default, form, meaning } in KEYS {
        let default = if default.is_empty() { "—".to_owned() } else { format!("`{default}`") };
        let row = format!("| `{name}` | {default} | {meaning} | {form} |");
        assert!(page.contains(&row), "docs/configuration.md needs this row:\n{row}");
    }
    let rows = page.lines().filter(|line| line.starts_with("| `ORIENTATION_")).count();
    let ours = KEYS.iter().filter(|key| key.name.starts_with("ORIENTATION_")).count();
    assert_eq!(rows, ours, "docs/configuration.md has a row for an unknown key");
}
