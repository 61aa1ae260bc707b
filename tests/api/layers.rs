//! What each layer may import: the rules of `docs/architecture.md`, checked in the sources.

use std::path::{Path, PathBuf};

/// Crates that belong to one adapter, and its folder.
const ADAPTERS: &[(&str, &[&str])] = &[
    ("rusqlite", &["src/platform/store/sqlite/"]),
    ("mongodb", &["src/platform/store/mongo/"]),
    ("redis", &["src/platform/signals/redis/"]),
    ("stripe", &["src/features/payments/gateway/"]),
    ("stripe_", &["src/features/payments/gateway/"]),
    // AWS's cryptography (`aws_lc_rs`) verifies the signatures of SNS.
    ("aws_", &["src/platform/mail/ses/", "src/platform/mail/sns/"]),
    ("lettre", &["src/platform/mail/message.rs"]),
    ("prometheus", &["src/platform/metrics/"]),
    ("opentelemetry", &["src/platform/traces/"]),
    ("opentelemetry_", &["src/platform/traces/"]),
    ("tracing_opentelemetry", &["src/platform/traces/"]),
];

struct Source {
    path: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut sources, mut folders) = (vec![], vec![root.join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable").flatten() {
            let path: PathBuf = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("readable");
                let path = path.strip_prefix(root).expect("below it").to_string_lossy().replace('\\', "/");
                sources.push(Source { path, text });
            }
        }
    }
    assert!(sources.len() > 50, "the sources are where this test looks for them");
    sources
}

impl Source {
    /// Lines of code with their numbers; comments don't count.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
        lines.filter(|(_, line)| !line.starts_with("//"))
    }

    /// The feature that the file belongs to.
    fn feature(&self) -> Option<&str> {
        self.path.strip_prefix("src/features/")?.split_once('/').map(|(feature, _)| feature)
    }
}

/// Whether `crate_` (a name, or the beginning of several that end in `_`) is used by its path in this line.
fn uses(line: &str, crate_: &str) -> bool {
    line.match_indices(crate_).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let rest = line[at + crate_.len()..].trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        let whole = crate_.ends_with('_') || line[at + crate_.len()..].len() == rest.len();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '.')
            && whole
            && rest.starts_with("::")
    })
}

#[test]
fn a_driver_is_imported_by_its_one_adapter_only() {
    for source in sources() {
        for &(driver, homes) in ADAPTERS {
            let home = homes.iter().any(|home| source.path.starts_with(home));
            let found = source.code().find(|(_, line)| !home && uses(line, driver));
            assert_eq!(found, None, "{}: {driver} belongs to {homes:?}", source.path);
        }
    }
}

#[test]
fn poem_is_imported_by_http_controllers_pages_and_the_composition_root_only() {
    for source in sources() {
        let file = source.path.rsplit('/').next().expect("a name");
        let allowed = source.path.starts_with("src/http/")
            || source.path.starts_with("src/app/")
            || source.path == "src/features/feature.rs"
            || (source.feature().is_some()
                && ["controller.rs", "controller_tests.rs", "pages.rs", "tests.rs"].contains(&file));
        let found =
            source.code().find(|(_, line)| !allowed && (uses(line, "poem") || uses(line, "poem_openapi")));
        assert_eq!(found, None, "{}: poem belongs to http, controllers and pages", source.path);
    }
}

#[test]
fn features_meet_through_their_public_face() {
    for source in sources() {
        for (number, line) in source.code() {
            for (at, _) in line.match_indices("features::") {
                let mut names = line[at + "features::".len()..].split("::");
                let feature = names.next().unwrap_or_default();
                let inner = names.next().unwrap_or_default();
                let inside =
                    ["controller", "service", "model", "subscribers", "mails", "pages"].contains(&inner);
                let own = source.feature() == Some(feature);
                assert!(own || !inside, "{}:{number}: {feature} is used by its mod.rs only", source.path);
            }
        }
    }
}

#[test]
fn only_the_command_line_reads_the_environment() {
    for source in sources() {
        let found = source.code().find(|(_, line)| line.contains("env::var"));
        let allowed = ["src/cli/run.rs", "src/kernel/faults.rs"].contains(&source.path.as_str());
        assert!(allowed || found.is_none(), "{}: {found:?}", source.path);
    }
}

#[test]
fn the_payment_gateway_does_not_know_orders() {
    for source in
        sources().into_iter().filter(|source| source.path.starts_with("src/features/payments/gateway/"))
    {
        for (number, line) in
            source.code().filter(|(_, line)| line.contains("use ") || line.contains("crate::"))
        {
            let known =
                ["model", "service", "events", "refunds", "subscribers", "sale"].iter().find(|module| {
                    [format!("payments::{module}"), format!("super::super::{module}")]
                        .iter()
                        .any(|path| line.contains(path))
                });
            assert_eq!(
                known, None,
                "{}:{number}: orders import the gateway, never the other way round",
                source.path
            );
        }
    }
}
