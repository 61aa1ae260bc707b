//! `orientation check`: what is configured, and what is wrong with it.

use comfy_table::{ContentArrangement, Table, presets};

use super::{Failed, run};
use crate::config::KEYS;
use crate::platform::store::Access;

/// Prints every key with its value, and which part serves what; tries to open the store beside a service that runs.
///
/// # Errors
/// If a key is bad, or the store can't be opened.
pub(super) async fn run() -> Result<(), Failed> {
    let environment = run::environment();
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["key", "value", "meaning"]);
    for key in KEYS {
        let value = match environment.get(key.name).filter(|value| !value.is_empty()) {
            Some(_) if key.is_secret() => "set".to_owned(),
            Some(value) => value.clone(),
            None => format!("{} (default)", key.default),
        };
        table.add_row([key.name, &value, key.meaning]);
    }
    println!("{table}");
    let config = run::configuration()?;
    let (folder, event) = (config.data.display().to_string(), config.event.name.clone());
    println!("event     {event}, as the file says");
    if config.data.join("orientation.db").exists() {
        run::assemble(config, Access::Beside).await?;
        println!("store     SQLite in {folder}: opens, and its schema is known");
    } else {
        println!("store     SQLite in {folder}: made at the first start");
    }
    println!("signals   within the process");
    println!("mail      the outbox, at /outbox");
    println!("payments  the sandbox");
    println!("Nothing is wrong.");
    Ok(())
}
