//! What the edge remembers between requests.
//!
//! So far that is the bounded [`cache`], which the persistent collections of the WAF stand on. A product keeps no store of
//! its own: what it remembers is bounded here, counted here, and forgotten here by a rule that is written down.

pub mod cache;
