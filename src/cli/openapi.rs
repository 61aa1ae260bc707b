//! `orientation openapi`: writes the OpenAPI document.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Failed, run};
use crate::config::Config;
use crate::kernel::{Ids, RandomIds};
use crate::platform::store::Access;

/// Writes `orientation.json` and `operations.txt` to the folder. With `check`, compares them with the files instead.
///
/// # Errors
/// If a file can't be written or, with `check`, differs.
pub(super) async fn write(folder: &Path, check: bool) -> Result<(), Failed> {
    // The document doesn't depend on the configuration, so a temporary store with the defaults will do.
    let mut config = Config::from_env(&BTreeMap::new()).map_err(Failed::because)?;
    config.data = std::env::temp_dir().join(format!("orientation-openapi-{}", RandomIds.next()));
    let data = config.data.clone();
    let app = run::assemble(config, Access::Serving).await?;
    let files = [
        ("orientation.json", app.document().json().to_owned()),
        ("operations.txt", app.document().operations_text()),
    ];
    drop(app);
    let _ = std::fs::remove_dir_all(data);
    files.iter().try_for_each(|(name, text)| match check {
        true => compare(&folder.join(name), text),
        false => std::fs::write(folder.join(name), text).map_err(|error| Failed(format!("{name}: {error}"))),
    })
}

fn compare(file: &Path, served: &str) -> Result<(), Failed> {
    match std::fs::read_to_string(file) {
        Ok(committed) if committed == served => Ok(()),
        Ok(_) => Err(Failed(format!(
            "{} is out of date: run `just generate` and commit the result",
            file.display()
        ))),
        Err(error) => Err(Failed(format!("{}: {error}", file.display()))),
    }
}
