//! The language from outside: text and a request go in, a verdict or a refusal comes out.

mod allocation;
mod refusals;
mod round_trip;
mod sharing;
mod support;
mod verdicts;
