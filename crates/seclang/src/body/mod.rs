//! Bodies become arguments, files and documents.
