//! Tests against real listeners on loopback.
