//! Injections as libinjection 3.9.2 sees them: in SQL (`@detectSQLi`) and in HTML (`@detectXSS`).
//!
//! What a value is taken for must be what libinjection takes it for, byte for byte, or rules written for it misfire. So this
//! follows its tokens and its folding, with its ways: a zero byte counts as a member of most of its sets, because it looks
//! them up with functions for C strings, and an attribute is an event if it begins with `on`. `proofs/libinjection.py`
//! compares the two. The words and fingerprints are those of the crate `libinjectionrs`, which are libinjection's; the
//! crate's own verdicts differ where there are zero bytes, and by its list of events.

mod markup;
mod names;
mod script;
mod sql;

pub(super) use script::is_script;
pub(super) use sql::{Folds, fingerprint};
