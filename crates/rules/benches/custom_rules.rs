//! Nanoseconds per rule of ordinary custom rules that do not match.

fn main() {}
