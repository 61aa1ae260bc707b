//! `orientation privacy`: whose personal data is kept, in which fields and for how long, as the documents declare.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::Failed;
use crate::app;
use crate::platform::store::{Class, Owner, Personal, PersonalField, Retention, Schema, Since, Until};

/// The head of the page: what a declaration means, and what nothing does yet.
const HEAD: &str = "\
# What is kept

Every collection of the store: whose personal data it holds, in which fields, how long it is kept and why. `orientation
privacy` prints this page from the declarations in the code, `orientation privacy --json` prints them for programs, and a
test compares this file with them.

Registrations have the answers to the questions of `event.toml` in `form.answers`. The file says of each question which
class its answers are of and whether they stay for statistics; this page has the strictest of each.

Sweeps delete documents whose time is over. Deleting an account and the disposal at the end of the school year are not
implemented yet: until they are, what waits for them stays.
";

/// Prints the page, or the declarations as JSON.
///
/// # Errors
/// If the JSON can't be written.
pub(super) fn print(as_json: bool) -> Result<(), Failed> {
    let schemas = app::schemas();
    if as_json {
        let collections: Vec<Value> = schemas.iter().map(to_json).collect();
        println!("{}", serde_json::to_string_pretty(&collections).map_err(Failed::because)?);
    } else {
        print!("{}", page(&schemas));
    }
    Ok(())
}

/// The declarations as Markdown that reads well in a terminal too.
fn page(schemas: &[Schema]) -> String {
    let mut page = HEAD.to_owned();
    for schema in schemas {
        let _ = write!(page, "\n## {}\n\n", schema.collection);
        if let Personal::Of(owner, fields) = schema.personal {
            let _ = writeln!(page, "- Whose: {}", whose(owner));
            for (class, names) in by_class(fields) {
                let _ = writeln!(page, "- {}: `{}`", capitalised(class.as_str()), names.join("`, `"));
            }
            for (retention, stays) in [
                (Retention::Counted, "Stays for statistics after the disposal"),
                (Retention::Lasting, "Stays after the disposal"),
            ] {
                let paths = with_retention(fields, retention);
                if !paths.is_empty() {
                    let _ = writeln!(page, "- {stays}: `{}`", paths.join("`, `"));
                }
            }
        } else {
            page.push_str("- No personal data\n");
        }
        let _ = writeln!(page, "- Kept {}: {}", until(schema.keep.until), schema.keep.why);
    }
    page
}

fn to_json(schema: &Schema) -> Value {
    let (owner, fields) = match schema.personal {
        Personal::None => (None, &[][..]),
        Personal::Of(owner, fields) => (Some(owner), fields),
    };
    let seconds = match schema.keep.until {
        Until::After(time, _) => Some(time.as_secs()),
        _ => None,
    };
    json!({
        "collection": schema.collection,
        "owner": owner,
        "fields": fields,
        "keep": { "until": until_code(schema.keep.until), "seconds": seconds, "why": schema.keep.why },
    })
}

fn whose(owner: Owner) -> String {
    match owner {
        Owner::Account(field) => format!("the account with the id in `{field}`"),
        Owner::Address(field) => format!("the owner of the email address in `{field}`"),
        Owner::Through { field, collection } => {
            format!("the owner of the document in `{collection}` with the id in `{field}`")
        }
        Owner::PartOf(collection) => format!("the owner of the document in `{collection}` that names it"),
    }
}

/// The fields of each class, in the order of the classes.
fn by_class(fields: &[PersonalField]) -> Vec<(Class, Vec<&'static str>)> {
    let mut classes: Vec<Class> = fields.iter().map(|field| field.class).collect();
    classes.sort_unstable();
    classes.dedup();
    let names = |class| fields.iter().filter(move |field| field.class == class).map(|field| field.path);
    classes.into_iter().map(|class| (class, names(class).collect())).collect()
}

/// The fields with which the disposal does this.
fn with_retention(fields: &[PersonalField], retention: Retention) -> Vec<&'static str> {
    fields.iter().filter(|field| field.retention == retention).map(|field| field.path).collect()
}

fn until(until: Until) -> String {
    match until {
        Until::StoreEnds => "as long as the store".into(),
        Until::AccountEnds => "as long as the account".into(),
        Until::Disposal => "until the disposal at the end of the school year".into(),
        Until::Removal => "until somebody removes it".into(),
        Until::After(time, Since::Made) => format!("for {}", in_words(time)),
        Until::After(time, Since::Ended) => format!("for {} after it has ended", in_words(time)),
    }
}

fn until_code(until: Until) -> &'static str {
    match until {
        Until::StoreEnds => "storeEnds",
        Until::AccountEnds => "accountEnds",
        Until::Disposal => "disposal",
        Until::Removal => "removal",
        Until::After(_, Since::Made) => "afterMade",
        Until::After(_, Since::Ended) => "afterEnded",
    }
}

/// Days where they are whole and more than one, else hours.
fn in_words(time: Duration) -> String {
    match time.as_secs() / 3600 {
        hours if hours > 24 && hours % 24 == 0 => format!("{} days", hours / 24),
        hours => format!("{hours} hours"),
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_page_in_docs_is_what_the_documents_declare() {
        let page = page(&app::schemas());
        let kept = include_str!("../../docs/what-is-kept.md");
        assert!(kept == page, "run `cargo run -- privacy > docs/what-is-kept.md`:\n{page}");
    }

    #[test]
    fn owners_are_found_through_collections_that_exist() {
        let schemas = app::schemas();
        let collections: BTreeSet<_> = schemas.iter().map(|schema| schema.collection).collect();
        for schema in &schemas {
            let Personal::Of(owner, fields) = schema.personal else { continue };
            if let Owner::Through { collection, .. } | Owner::PartOf(collection) = owner {
                assert!(collections.contains(collection), "{}: {collection}", schema.collection);
            }
            let paths: BTreeSet<_> = fields.iter().map(|field| field.path).collect();
            assert!(!fields.is_empty() && paths.len() == fields.len(), "{}", schema.collection);
        }
    }

    #[test]
    fn health_data_is_in_registrations_and_in_mailings_by_it_only() {
        // A filter of a mailing, and who matched it, can say something about somebody's health.
        let known = ["mailing_recipients", "mailings", "registrations"];
        for schema in app::schemas() {
            let Personal::Of(_, fields) = schema.personal else { continue };
            let health = fields.iter().any(|field| field.class == Class::Health);
            assert_eq!(health, known.contains(&schema.collection), "{}", schema.collection);
        }
    }
}
