"""The verification of an epoch of a key directory, measured beside crate akd."""
