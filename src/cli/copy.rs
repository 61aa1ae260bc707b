//! `orientation copy`: copies a store into an empty one and compares both.

use std::path::{Path, PathBuf};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Failed, run};
use crate::app::{STORE_FILE, make_folder, schemas};
use crate::kernel::{Actor, Clock, Secret, SystemClock};
use crate::platform::audit::{Action, Subject};
use crate::platform::store::{Access, Copied, Store, StoreError};

/// The store was made by copying another one.
const STORE_COPIED: Action = Action::new("store.copied");

/// Number of checksum digits that are printed.
const DIGITS: usize = 16;

/// Location of a store.
enum Place {
    File(PathBuf),
    Mongo(Secret<String>),
}

/// Copies one store into another and prints what was copied.
///
/// # Errors
/// If a store can't be opened or is in use, the target isn't empty, or the two differ at the end.
pub(super) async fn run(from: Option<String>, to: Option<String>) -> Result<(), Failed> {
    let (source, target) = (source(from)?, target(to)?);
    let source = open_source(source).await?;
    let target = open_target(target).await?;
    let schemas = schemas();
    let documents = source.documents(&schemas).await.map_err(Failed::because)?;
    let bar = ProgressBar::new(documents).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} documents, {per_sec}, {eta} left")
            .expect("the template is right"),
    );
    let copied = source.copy_to(&target, &schemas, |done| bar.set_position(done)).await;
    bar.finish_and_clear();
    let copied = copied.map_err(Failed::because)?;
    let recorded = record(&target, documents).await;
    recorded.map_err(|error| {
        Failed(format!("everything is copied, but the audit log of the copy failed: {error}"))
    })?;
    println!("{}", table(&copied));
    println!(
        "Copied {documents} documents. The number of documents and the checksum of every collection match."
    );
    Ok(())
}

/// Records the copy in the audit log of the target.
async fn record(target: &Store, documents: u64) -> Result<(), StoreError> {
    let documents = documents.to_string();
    let (detail, now) = ([("documents", documents.as_str())], SystemClock.now());
    let store = || Subject { collection: "store".into(), id: None };
    target.transact(async |tx| tx.audit(&Actor::Operator, STORE_COPIED, store(), &detail, now).await).await
}

fn table(copied: &[Copied]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["collection", "documents", "checksum"]);
    for one in copied {
        table.add_row([one.collection, &one.documents.to_string(), &one.checksum[..DIGITS]]);
    }
    if let Some(documents) = table.column_mut(1) {
        documents.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn source(from: Option<String>) -> Result<Place, Failed> {
    match from {
        Some(from) => place("--from", from),
        None => Ok(Place::File(run::configuration()?.data.join(STORE_FILE))),
    }
}

fn target(to: Option<String>) -> Result<Place, Failed> {
    let missing = || Failed("no target: use --to, or set ORIENTATION_MONGODB_URI".into());
    match to {
        Some(to) => place("--to", to),
        None => run::configuration()?.mongodb.map(Place::Mongo).ok_or_else(missing),
    }
}

/// Parses an address, a file that ends in `.db`, or a folder. A mistyped address is refused without being quoted,
/// because it may contain a password.
fn place(option: &str, written: String) -> Result<Place, Failed> {
    if let Some(address) = mongo(&written) {
        return Ok(Place::Mongo(Secret::new(address)));
    }
    if is_address(&written) {
        return Err(Failed(format!(
            "{option} is not an address of MongoDB: it must begin with mongodb:// or mongodb+srv://"
        )));
    }
    let path = PathBuf::from(written);
    match path.extension() {
        Some(extension) if extension == "db" => Ok(Place::File(path)),
        _ => Ok(Place::File(path.join(STORE_FILE))),
    }
}

/// Address of MongoDB, with the scheme in lower case as the driver expects it.
fn mongo(written: &str) -> Option<String> {
    let (scheme, rest) = written.trim_start().split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    matches!(&*scheme, "mongodb" | "mongodb+srv").then(|| format!("{scheme}://{rest}"))
}

/// Whether the text is meant as an address, even a mistyped one.
fn is_address(written: &str) -> bool {
    let scheme = written.trim_start().split(':').next().unwrap_or_default().to_ascii_lowercase();
    let has_password = written.split_once('@').is_some_and(|(before, _)| before.contains(':'));
    has_password
        || written.contains("://")
        || (written.contains(':') && matches!(&*scheme, "mongodb" | "mongodb+srv"))
}

async fn open_source(place: Place) -> Result<Store, Failed> {
    match place {
        Place::File(path) if !path.exists() => {
            Err(Failed(format!("there is no store at {}", path.display())))
        }
        other => open(other).await,
    }
}

async fn open_target(place: Place) -> Result<Store, Failed> {
    if let Place::File(path) = &place {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        make_folder(folder).map_err(|error| Failed(format!("{}: {error}", folder.display())))?;
    }
    open(place).await
}

/// Opens a store. A file is opened as for serving, so that no other process can use it meanwhile.
async fn open(place: Place) -> Result<Store, Failed> {
    match place {
        Place::File(path) => Store::sqlite(&path, Access::Serving),
        Place::Mongo(address) => Store::mongo(address.expose(), Access::Beside).await,
    }
    .map_err(Failed::because)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_an_address_a_file_or_a_folder() {
        let file = |written: &str| match place("--from", written.to_owned()) {
            Ok(Place::File(path)) => path,
            _ => panic!("{written}"),
        };
        assert_eq!(file("data"), Path::new("data").join("orientation.db"));
        assert_eq!(file("backup/monday.db"), Path::new("backup/monday.db"));
        assert_eq!(file("monday: mongodb"), Path::new("monday: mongodb").join("orientation.db"));
        for address in
            ["mongodb://127.0.0.1/x", "mongodb+srv://cluster0.example.net/x", "MongoDB://u:P@host/X"]
        {
            let Ok(Place::Mongo(read)) = place("--to", address.to_owned()) else { panic!("{address}") };
            let (_, rest) = address.split_once("://").unwrap();
            assert!(read.expose().starts_with("mongodb") && read.expose().ends_with(rest), "{address}");
        }
    }

    #[test]
    fn a_mistyped_address_is_not_a_folder_and_is_not_quoted() {
        for written in [
            "mongo://u:HUNTER2@127.0.0.1/x",
            "mongodb+srv ://u:HUNTER2@127.0.0.1/x",
            "mongodb:/u:HUNTER2@127.0.0.1/x",
            "MongoDB:u:HUNTER2@127.0.0.1/x",
            "://u:HUNTER2@127.0.0.1/x.db",
            "u:HUNTER2@cluster0.example.net/x",
        ] {
            let Err(Failed(why)) = place("--to", written.to_owned()) else { panic!("{written}") };
            assert!(why.contains("--to") && why.contains("mongodb://") && !why.contains("HUNTER2"), "{why}");
        }
    }
}
