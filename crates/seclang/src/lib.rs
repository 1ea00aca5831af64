//! The ModSecurity rule language (`SecLang`), as CRS v4 uses it and as users have it in files of their own.
//!
//! Files become directives ([`source`]), directives become rules ([`rule`]) and a rule set ([`ruleset`]). A request
//! becomes a [`transaction`]: collections of values, each text held once. Rules run over it phase by phase and leave
//! matches, scores and a verdict.
//!
//! Bytes throughout: no value of a request is taken for text in an encoding. What is not supported is refused at load, with
//! file, line and reason; nothing is ignored. Matching takes linear time: there is no backtracking engine.

pub mod audit;
pub mod body;
pub mod bytes;
mod clock;
pub mod collections;
mod decimal;
mod finder;
mod fold;
mod gates;
pub mod load;
pub mod message;
pub mod names;
pub mod operator;
pub mod overrides;
pub mod pairs;
pub mod paranoia;
pub mod place;
mod plan;
mod prelude;
pub mod rule;
pub mod ruleset;
mod run;
mod sieve;
pub mod source;
pub mod text;
pub mod texts;
pub mod transaction;
pub mod transform;
mod tx;
pub mod variable;
pub mod words;
