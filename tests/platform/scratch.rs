//! Folders that a test has to itself.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use orientation::kernel::{Ids, RandomIds};

/// A new, empty folder, removed with all that is in it when the test ends.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("orientation-{}", RandomIds.next()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Deref for Scratch {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed is left to the operating system's own cleaning.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
