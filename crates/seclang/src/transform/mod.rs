//! Transformations: what is done to a value before an operator sees it.
