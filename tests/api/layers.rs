//! Who may name what: the rules of `docs/architecture.md`, checked against the sources without their unit tests.
//!
//! Each rule is shown to find what breaks it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Crates that belong to one adapter. A name that ends in `_` stands for all that begin with it.
const ADAPTERS: &[(&str, &[&str])] = &[
    ("rusqlite", &["src/platform/store/sqlite/"]),
    ("mongodb", &["src/platform/store/mongo/"]),
    ("redis", &["src/platform/signals/redis/"]),
    ("stripe", &["src/features/payments/gateway/"]),
    ("stripe_", &["src/features/payments/gateway/"]),
    // AWS's cryptography (`aws_lc_rs`) verifies the signatures of SNS and encrypts secrets.
    ("aws_", &["src/platform/keys/encrypt.rs", "src/platform/mail/ses/", "src/platform/mail/sns/"]),
    ("totp_rs", &["src/features/second_factor/model.rs"]),
    ("lettre", &["src/platform/mail/message.rs"]),
    ("prometheus", &["src/platform/metrics/", "src/platform/monitoring/"]),
    ("opentelemetry", &["src/platform/traces/"]),
    ("opentelemetry_", &["src/platform/traces/"]),
    ("tracing_opentelemetry", &["src/platform/traces/"]),
];

/// Who may name `platform::metrics`: what is measured, the page that shows it, and the wiring.
const MEASURED: &[&str] = &[
    "src/app/",
    "src/base.rs",
    "src/features/payments/gateway/",
    "src/http/",
    "src/platform/jobs/",
    "src/platform/mail/",
    "src/platform/metrics/",
    "src/platform/monitoring/",
];

/// A rule: the sentence in `docs/architecture.md`, and whether a source breaks it by naming a path.
struct Rule {
    sentence: &'static str,
    is_broken: fn(&Source, &str) -> bool,
}

const RULES: &[Rule] = &[
    Rule {
        sentence: "A driver is named by its one adapter.",
        is_broken: |source, path| {
            let is = |driver: &str| {
                let name = root(path);
                name == driver || driver.ends_with('_') && name.starts_with(driver)
            };
            ADAPTERS.iter().any(|(driver, homes)| is(driver) && !source.is_in(homes))
        },
    },
    Rule {
        sentence: "poem is named by `http`, controllers, pages and the wiring.",
        is_broken: |source, path| {
            let wired = source.is_in(&["src/http/", "src/app/", "src/features/feature.rs"]);
            ["poem", "poem_openapi"].contains(&root(path)) && !wired && !source.is_facing_clients()
        },
    },
    Rule {
        sentence: "Services, models, subscribers and emails don't name `http`.",
        is_broken: |source, path| {
            let wired = source.is_in(&["src/features/feature.rs"]) || source.file() == "mod.rs";
            let feature = source.is_in(&["src/features/"]);
            feature && below(path, "crate::http") && !wired && !source.is_facing_clients()
        },
    },
    Rule {
        sentence: "A feature uses other features through their `mod.rs`.",
        is_broken: |source, path| {
            let Some(rest) = path.strip_prefix("crate::features::") else { return false };
            let (feature, inner) = rest.split_once("::").unwrap_or((rest, ""));
            let inner = inner.split("::").next().unwrap_or_default();
            let is_module = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join(format!("src/features/{feature}/{inner}.rs"))
                .exists();
            source.feature() != Some(feature) && is_module
        },
    },
    Rule {
        sentence: "The payment gateway doesn't know orders.",
        is_broken: |source, path| {
            let above = ["model", "service", "events", "refunds", "subscribers", "sale"];
            let named = |module: &&str| below(path, &format!("crate::features::payments::{module}"));
            source.is_in(&["src/features/payments/gateway/"]) && above.iter().any(named)
        },
    },
    Rule {
        sentence: "`platform` names neither features nor `http`.",
        is_broken: |source, path| {
            let above = ["crate::app", "crate::base", "crate::cli", "crate::features", "crate::http"];
            source.is_in(&["src/platform/"]) && above.iter().any(|module| below(path, module))
        },
    },
    Rule {
        sentence: "`http` names no features.",
        is_broken: |source, path| source.is_in(&["src/http/"]) && below(path, "crate::features"),
    },
    Rule {
        sentence: "`kernel` names nothing else of ours, and no framework.",
        is_broken: |source, path| {
            let ours = below(path, "crate") && !below(path, "crate::kernel");
            // The switches of the test build are local to a task.
            let framework = ["poem", "poem_openapi", "hyper", "tokio"].contains(&root(path))
                && source.path != "src/kernel/faults.rs";
            source.is_in(&["src/kernel/"]) && (ours || framework)
        },
    },
    Rule {
        sentence: "Metrics are named by what is measured and by the wiring.",
        is_broken: |source, path| below(path, "crate::platform::metrics") && !source.is_in(MEASURED),
    },
    Rule {
        sentence: "Metrics are below jobs and emails; only monitoring, which counts stored documents, is above them.",
        is_broken: |source, path| {
            let above = ["jobs", "mail", "monitoring"].map(|name| format!("crate::platform::{name}"));
            let is_above = |path| above.iter().any(|module| below(path, module));
            let upwards = source.is_in(&["src/platform/metrics/"]) && is_above(path);
            let wiring = ["src/app/", "src/base.rs", "src/http/", "src/platform/monitoring/"];
            upwards || below(path, "crate::platform::monitoring") && !source.is_in(&wiring)
        },
    },
    Rule {
        sentence: "The command line reads the environment.",
        is_broken: |source, path| {
            let allowed = source.is_in(&["src/cli/run.rs", "src/kernel/faults.rs"]);
            !allowed && ["env::var", "env::var_os", "env::vars"].iter().any(|name| path.ends_with(name))
        },
    },
];

/// The sentence of the rule that is not about paths.
const WRITES: &str = "A document is written by its own feature only; other features may read it.";

/// The first name of a path.
fn root(path: &str) -> &str {
    path.split("::").next().unwrap_or_default()
}

/// Whether the path is `module` or something in it.
fn below(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

struct Source {
    path: String,
    /// Without comments and without the unit tests at the foot.
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let product = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let lines = product.lines().map(|line| match line.trim_start().starts_with("//") {
            true => "",
            false => line.split(" // ").next().unwrap_or_default(),
        });
        Self { path: path.to_owned(), code: lines.collect::<Vec<_>>().join("\n") }
    }

    fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }

    fn is_test(&self) -> bool {
        let file = self.file();
        ["testing.rs", "tests.rs"].contains(&file)
            || file.ends_with("_tests.rs")
            || self.path.contains("/tests/")
    }

    /// The layer of a feature that talks to clients.
    fn is_facing_clients(&self) -> bool {
        self.feature().is_some()
            && ["bodies.rs", "browser.rs", "controller.rs", "pages.rs"].contains(&self.file())
    }

    /// The feature that the file belongs to.
    fn feature(&self) -> Option<&str> {
        self.path.strip_prefix("src/features/")?.split_once('/').map(|(feature, _)| feature)
    }

    /// The paths that the code names, from the crate's root.
    fn paths(&self) -> BTreeSet<String> {
        let word = |c: char| !c.is_alphanumeric() && c != '_' && c != ':';
        let written = self.code.split(word).map(|run| run.trim_matches(':')).filter(|run| run.contains("::"));
        let imported = self.imports().into_iter().flat_map(|tree| expanded("", tree));
        written.map(str::to_owned).chain(imported).map(|path| self.resolved(&path)).collect()
    }

    /// What `use` is followed by.
    fn imports(&self) -> Vec<&str> {
        let statements = self.code.split(';').filter_map(|statement| {
            let (before, tree) = statement.rsplit_once("use ")?;
            let line = before.rsplit('\n').next().unwrap_or_default().trim();
            (line.is_empty() || line.starts_with("pub")).then_some(tree)
        });
        statements.collect()
    }

    /// The path without `self` and `super`.
    fn resolved(&self, path: &str) -> String {
        let file = self.path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        let mut module: Vec<_> = file.split('/').filter(|name| !["lib", "main"].contains(name)).collect();
        let mut rest = path;
        while let Some(of_parent) = rest.strip_prefix("super::") {
            module.pop();
            rest = of_parent;
        }
        let of_self = rest.strip_prefix("self::");
        if rest == path && of_self.is_none() {
            return path.to_owned();
        }
        let names = ["crate"].into_iter().chain(module).chain([of_self.unwrap_or(rest)]);
        names.collect::<Vec<_>>().join("::")
    }

    /// Names of the variables that are written to the store: `tx.put(&order)` writes an `order`.
    fn written(&self) -> BTreeSet<&str> {
        let calls = [".put(&", ".insert(&"].into_iter().flat_map(|call| self.code.split(call).skip(1));
        calls.filter_map(|argument| argument.split([')', ',']).next()).collect()
    }

    /// The documents that it declares, as variables are named after them.
    fn documents(&self) -> BTreeSet<String> {
        let declared = self.code.split("impl Document for ").skip(1);
        declared.filter_map(|rest| rest.split(' ').next()).map(snake_case).collect()
    }
}

/// The paths of an import, with its braces taken apart.
fn expanded(prefix: &str, tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((path, inner)) = tree.split_once('{') else {
        let path = tree.split_whitespace().next().unwrap_or_default();
        return vec![format!("{prefix}{path}").trim_end_matches("::self").to_owned()];
    };
    let (prefix, inner) = (format!("{prefix}{path}"), inner.trim_end().trim_end_matches(','));
    let mut depth = 0;
    let parts = inner.strip_suffix('}').unwrap_or(inner).split(move |c| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.filter(|part| !part.trim().is_empty()).flat_map(|part| expanded(&prefix, part)).collect()
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

/// The sources of the product.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut sources, mut folders) = (vec![], vec![root.join("src")]);
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).expect("readable").flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("readable");
                let path = path.strip_prefix(root).expect("below it").to_string_lossy().replace('\\', "/");
                sources.push(Source::new(&path, &text));
            }
        }
    }
    sources.retain(|source| !source.is_test());
    assert!(sources.len() > 50, "the sources are where this test looks for them");
    sources
}

/// Where a rule is broken: file and path.
fn broken(rule: &Rule, sources: &[Source]) -> Vec<(String, String)> {
    let found = sources.iter().flat_map(|source| {
        let paths = source.paths().into_iter().filter(|path| (rule.is_broken)(source, path));
        paths.map(|path| (source.path.clone(), path))
    });
    found.collect()
}

/// Documents of other features that a feature writes: file and document.
fn foreign_writes(sources: &[Source]) -> Vec<(String, String)> {
    let mut owners = BTreeMap::new();
    for source in sources {
        owners.extend(source.documents().into_iter().map(|document| (document, source.feature())));
    }
    let found = sources.iter().filter(|source| source.feature().is_some()).flat_map(|source| {
        let foreign = |name: &&str| owners.get(*name).is_some_and(|owner| *owner != source.feature());
        source.written().into_iter().filter(foreign).map(|name| (source.path.clone(), name.to_owned()))
    });
    found.collect()
}

#[test]
fn the_sources_keep_every_rule() {
    let sources = sources();
    for rule in RULES {
        assert_eq!(broken(rule, &sources), [], "{}", rule.sentence);
    }
    assert_eq!(foreign_writes(&sources), [], "{WRITES}");
}

#[test]
fn the_architecture_page_lists_every_rule() {
    let page = include_str!("../../docs/architecture.md");
    for sentence in RULES.iter().map(|rule| rule.sentence).chain([WRITES]) {
        assert!(page.contains(&format!("- {sentence}\n")), "{sentence}");
    }
}

/// Sources that break the rules, in the order of the rules.
const BREAKING: &[&[(&str, &str)]] = &[
    &[
        ("src/platform/jobs/queue.rs", "use mongodb::Client;"),
        ("src/features/tickets/service.rs", "let client = aws_sdk_sesv2::Client::new();"),
    ],
    &[
        ("src/features/tickets/service.rs", "use poem::Request;"),
        ("src/platform/mail/mod.rs", "fn a() -> poem_openapi::Tags {}"),
    ],
    &[
        ("src/features/tickets/service.rs", "use crate::http::Problem;"),
        ("src/features/tickets/model.rs", "use crate::{http::{Problem, Kind}, kernel::Id};"),
        ("src/features/tickets/mails.rs", "use crate::{\n    kernel,\n    http,\n};"),
        ("src/features/tickets/subscribers.rs", "use super::super::super::http::Kind;"),
        ("src/features/tickets/drawing/text.rs", "fn a(_: crate::http::Kind) {}"),
    ],
    &[
        ("src/features/tickets/service.rs", "use crate::features::accounts::model::Account;"),
        ("src/features/tickets/service.rs", "use crate::features::{accounts::{self, model::Account}};"),
        ("src/features/tickets/service.rs", "use super::super::payments::service::Payments;"),
        ("src/app/mod.rs", "pub use crate::features::payments::service::Payments as P;"),
    ],
    &[
        ("src/features/payments/gateway/stripe/mod.rs", "use crate::features::payments::model::Order;"),
        ("src/features/payments/gateway/mod.rs", "use super::{model::Order, jobs};"),
    ],
    &[
        ("src/platform/jobs/workers.rs", "use crate::{features::accounts::Accounts};"),
        ("src/platform/jobs/workers.rs", "use crate::http::Kind;"),
        ("src/platform/mail/pace.rs", "use crate::base::Base;"),
    ],
    &[("src/http/limits.rs", "use crate::{kernel::Id, features::accounts};")],
    &[
        ("src/kernel/id.rs", "use crate::platform::store::Store;"),
        ("src/kernel/time.rs", "use tokio::time::Instant;"),
        ("src/kernel/time.rs", "use super::super::{config::Event};"),
    ],
    &[
        ("src/features/accounts/service.rs", "use crate::platform::metrics::Metrics;"),
        ("src/platform/store/mod.rs", "use super::{metrics::{JobRuns}};"),
    ],
    &[
        ("src/platform/metrics/work.rs", "use crate::platform::{jobs::Jobs, store::Store};"),
        ("src/platform/metrics/mod.rs", "use super::mail::Mail;"),
    ],
    &[
        ("src/config/mod.rs", "let home = std::env::var(\"HOME\");"),
        ("src/features/accounts/service.rs", "use std::env::var;"),
    ],
];

#[test]
fn every_rule_finds_what_breaks_it() {
    assert_eq!(BREAKING.len(), RULES.len());
    for (rule, sources) in RULES.iter().zip(BREAKING) {
        for (path, text) in *sources {
            let found = broken(rule, &[Source::new(path, text)]);
            assert!(!found.is_empty(), "{}\n{path}: {text}", rule.sentence);
        }
    }
    let order = Source::new("src/features/payments/model.rs", "impl Document for StripeEvent {");
    let foreign = Source::new("src/features/tickets/service.rs", "tx.put(&stripe_event).await?;");
    let own = Source::new("src/features/payments/events.rs", "tx.insert(&stripe_event).await?;");
    let found = foreign_writes(&[order, foreign, own]);
    assert_eq!(found, [("src/features/tickets/service.rs".to_owned(), "stripe_event".to_owned())]);
}

#[test]
fn comments_and_unit_tests_break_no_rule() {
    let text = "// use crate::http::Kind;\nlet a = 1; // crate::http::Kind\n#[cfg(test)]\nmod tests {\n    use crate::http::Kind;\n}";
    let source = Source::new("src/features/tickets/service.rs", text);
    assert_eq!(source.paths(), BTreeSet::new());
}
