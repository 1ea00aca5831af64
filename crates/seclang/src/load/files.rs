//! Where rule files and the data beside them come from: the disk, or memory that was filled from it before.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::operator::DataFiles;

/// Files by their paths.
pub(super) trait Files {
    /// What a path leads to in the end, so that a file is known that includes itself.
    fn real(&self, path: &Path) -> Result<PathBuf, String>;

    /// What is in a file.
    fn read(&self, path: &Path) -> Result<Vec<u8>, String>;

    /// The files whose paths a pattern means, in the order of their names.
    fn meant(&self, pattern: &str) -> Result<Vec<Result<PathBuf, String>>, String>;
}

/// What is on the disk.
pub(super) struct Disk;

impl Files for Disk {
    fn real(&self, path: &Path) -> Result<PathBuf, String> {
        std::fs::canonicalize(path).map_err(|error| error.to_string())
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        // A device or a pipe could be read without an end.
        match std::fs::metadata(path) {
            Ok(known) if !known.is_file() => Err("it is no regular file".to_owned()),
            _ => std::fs::read(path).map_err(|error| error.to_string()),
        }
    }

    fn meant(&self, pattern: &str) -> Result<Vec<Result<PathBuf, String>>, String> {
        let found = glob::glob(pattern).map_err(|error| error.to_string())?;
        Ok(found.map(|path| path.map_err(|error| error.to_string())).collect())
    }
}

/// Files that are in memory, by the paths under which they were read.
pub type Held = BTreeMap<PathBuf, Vec<u8>>;

impl Files for Held {
    fn real(&self, path: &Path) -> Result<PathBuf, String> {
        self.get(path).map(|_| path.to_path_buf()).ok_or_else(not_held)
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.get(path).cloned().ok_or_else(not_held)
    }

    fn meant(&self, pattern: &str) -> Result<Vec<Result<PathBuf, String>>, String> {
        let pattern = Pattern::new(pattern).map_err(|error| error.to_string())?;
        // As on the disk, where a star means a part of one name.
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
        let meant = self.keys().filter(|path| pattern.matches_path_with(path, options));
        Ok(meant.map(|path| Ok(path.clone())).collect())
    }
}

fn not_held() -> String {
    "the file did not come with the rules".to_owned()
}

/// Data files beside the rule file, and data sets by name.
pub(super) struct Beside<'l> {
    pub folder: &'l Path,
    pub files: &'l dyn Files,
    pub datasets: &'l HashMap<Vec<u8>, Vec<Vec<u8>>>,
}

impl DataFiles for Beside<'_> {
    fn read(&self, name: &[u8]) -> Result<Vec<u8>, String> {
        let path = beside(self.folder, name);
        self.files.read(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn dataset(&self, name: &[u8]) -> Option<Vec<Vec<u8>>> {
        self.datasets.get(name).cloned()
    }
}

/// The path of a file that a rule names.
pub(super) fn beside(folder: &Path, name: &[u8]) -> PathBuf {
    folder.join(&*String::from_utf8_lossy(name.trim_ascii()))
}
