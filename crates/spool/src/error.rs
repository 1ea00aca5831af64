//! What can go wrong between a caller and a spool directory, said so that the reader knows the place and the way out.

use std::path::PathBuf;
use std::{fmt, io};

/// Why a spool could not be opened or read.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory could not be used.
    Io {
        /// What was attempted, as a verb phrase ("create the spool directory").
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process writes to this spool.
    Locked(PathBuf),
    /// The segment is of a version that this build does not know.
    NewerVersion {
        /// The segment.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The schema cannot be used: empty, too large, or a name twice.
    Schema(String),
}

impl Error {
    /// Whether there was no room left on the disk.
    pub(crate) fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Error::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { doing, path, source } => write!(f, "cannot {doing} {}: {source}", path.display()),
            Error::Locked(path) => write!(
                f,
                "spool {} is written by another process; stop that edge, or give this one its own spool directory",
                path.display()
            ),
            Error::NewerVersion { path, version } => write!(
                f,
                "segment {} has format version {version} and this build reads version {}; read it with the newer release that wrote it",
                path.display(),
                crate::segment::VERSION
            ),
            Error::Schema(why) => write!(f, "unusable spool schema: {why}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Adds the attempt and the path to an I/O error.
pub(crate) trait Context<T> {
    fn context(self, doing: &'static str, path: &std::path::Path) -> Result<T, Error>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, doing: &'static str, path: &std::path::Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { doing, path: path.to_path_buf(), source })
    }
}
