"""The rules language for people: its reference. Parsing, checking and running it is in `crates/rules`."""
