//! HTTP/2 from clients (being built).

use crate::deadlines::TimerGuard;
use crate::exchange::Client;
use crate::wire::Io;

/// Serves a connection to its end.
pub async fn serve<IO: Io>(_client: Client, _io: IO, _timer: TimerGuard) {}
