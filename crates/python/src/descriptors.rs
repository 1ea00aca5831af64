//! File descriptors that change hands between Rust and Python, as numbers: Python passes them on to another process.

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// Takes over a descriptor that Python gives away.
#[expect(unsafe_code, reason = "a number is all that Python has")]
pub(crate) fn taken(number: RawFd) -> OwnedFd {
    // SAFETY: `_native.pyi` says that the caller gives the descriptor away: it is open, and nobody else closes it.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// Gives a descriptor to Python, which closes it.
pub(crate) fn given(descriptor: impl Into<OwnedFd>) -> RawFd {
    descriptor.into().into_raw_fd()
}
