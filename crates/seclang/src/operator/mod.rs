//! Operators: the question that a rule asks of a value.
