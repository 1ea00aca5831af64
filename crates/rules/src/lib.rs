//! The rules language: expressions over the fields of a request, as Cloudflare documents them
//! (`cloudflare/cloudflare-docs`, `ruleset-engine/rules-language`).
//!
//! ```text
//! text ─► parse ─► tree (Ast) ─► check types, resolve names ─► plan ─► Expression
//!                    └─► print                                          └─► matches(&View) -> bool
//! ```
//!
//! * [`parse`] knows the grammar and nothing of fields; the tree prints itself in canonical form.
//! * [`compile`] and [`compile_value`] know fields, functions and lists, and make a plan that runs without
//!   allocation as long as nothing must be built.
//! * [`diagnose()`] tells an editor all that is wrong, and [`complete()`] what could come next.
//! * [`inspect`] gives the tree with the type of each part, for explanations and translations; [`Typed::trace`] what each
//!   part comes to for a request.
//! * [`explain`](explain::explain) says it to people, [`sql`](sql::sql) to the event store.
//! * [`estimate`](cost::estimate) says what it costs before it has seen a request.
//! * [`Gate`] tells for many expressions at once which of them a request can match at all.
//! * [`Cache`] lets equal expressions and equal regular expressions of many zones and versions be one in memory.
//!
//! ```
//! use rules::{Cache, Context, Lists, Phase, Use};
//!
//! let lists = Lists::default();
//! let cache = Cache::default();
//! let phase = Phase::RequestFirewallCustom;
//! let context = Context { phase, used_as: Use::Filter, lists: &lists, cache: &cache };
//! let expression = rules::compile("http.host == \"shop.example\" && !ssl", &context).unwrap();
//! assert_eq!(expression.to_string(), "http.host eq \"shop.example\" and not ssl");
//!
//! let error = rules::compile("http.hots eq \"shop.example\"", &context).unwrap_err();
//! assert_eq!(error.column, 1);
//! assert_eq!(error.suggestion.as_deref(), Some("http.host"));
//! ```

pub mod ast;
pub mod complete;
pub mod cost;
pub mod diagnose;
pub mod error;
pub mod explain;
pub mod expression;
pub mod functions;
pub mod gate;
pub mod list;
pub mod list_expiry;
pub mod list_redirects;
pub mod parse;
pub mod phase;
pub mod sql;
pub mod typed;
pub mod walk;

mod check;
mod ip_set;
mod ip_set_expiry;
mod pattern;
mod plan;
mod secret;

pub use ast::Ast;
pub use complete::{Completion, CompletionKind, complete};
pub use cost::{Cost, Nanoseconds};
pub use diagnose::diagnose;
pub use error::Error;
pub use expression::{Cache, Context, Expression, ValueExpression, compile, compile_value};
pub use functions::{FUNCTIONS, Function, Use};
pub use gate::Gate;
pub use list::{List, ListBuilder, ListError, ListKind, Lists};
pub use list_expiry::Expiry;
pub use list_redirects::{Redirect, RedirectItem};
pub use parse::parse;
pub use phase::Phase;
pub use typed::{Typed, inspect};
pub use walk::{Owned, Trace};
