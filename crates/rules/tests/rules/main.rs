//! The language from outside: text and a request go in, a verdict or a refusal comes out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what a test builds on is part of the test")]

mod allocation;
mod cases;
mod documented;
mod editor;
mod gates;
mod random;
mod refusals;
mod round_trip;
mod sharing;
mod support;
mod typed;
mod verdicts;
mod walk;
