//! Where the test data is that nobody here wrote: `BARTIZAN_VECTORS`, or `../shared/vectors` beside the repository.

use std::path::PathBuf;

/// The folder of that name, or nothing after saying why the test is skipped.
pub fn folder(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("BARTIZAN_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"), PathBuf::from);
    let folder = root.join(name);
    if !folder.is_dir() {
        eprintln!("skipped: there are no vectors in {} (set BARTIZAN_VECTORS)", folder.display());
        return None;
    }
    Some(folder)
}
