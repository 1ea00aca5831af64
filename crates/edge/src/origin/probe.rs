//! Probes: asking each server by ourselves whether it is well, once per process.

use super::connect;
use super::http2;
use super::server::Server;
use super::settings::ActiveHealth;
use super::stream::Stream;
use std::sync::Weak;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The largest response head that a probe reads.
const HEAD_MAX: usize = 16 * 1024;

/// The statuses that count as good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet(Vec<(u16, u16)>);

impl StatusSet {
    /// Reads `200`, `200-399` or a list as in `200-299,404`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no set of statuses: write 200, 200-399 or 200-299,404");
        let status = |text: &str| {
            let number = text.trim().parse::<u16>().ok()?;
            (100..600).contains(&number).then_some(number)
        };
        let range = |part: &str| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let (from, to) = (status(from)?, status(to)?);
            (from <= to).then_some((from, to))
        };
        text.split(',').map(|part| range(part).ok_or_else(wrong)).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the status counts as good.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

/// Probes a server until nobody holds it any more. Runs on the background thread.
pub(super) async fn run(server: Weak<Server>, settings: ActiveHealth, host: Option<String>) {
    let Ok(good) = StatusSet::parse(&settings.status) else { return };
    let timeout = Duration::from_secs_f64(settings.timeout_s);
    let interval = Duration::from_secs_f64(settings.interval_s);
    let (mut good_in_a_row, mut bad_in_a_row) = (0_u32, 0_u32);
    loop {
        let Some(strong) = server.upgrade() else { return };
        let host = host.as_deref().unwrap_or(strong.authority());
        let outcome = match tokio::time::timeout(timeout, ask(&strong, &settings.path, host)).await {
            Ok(Ok(status)) if good.contains(status) => Ok(()),
            Ok(Ok(status)) => Err(format!("the probe was answered {status}")),
            Ok(Err(message)) => Err(message),
            Err(_) => Err(format!("the probe took longer than {timeout:?}")),
        };
        match outcome {
            Ok(()) => {
                (good_in_a_row, bad_in_a_row) = (good_in_a_row.saturating_add(1), 0);
                if good_in_a_row >= settings.healthy {
                    strong.health.probed(true);
                }
            }
            Err(message) => {
                (good_in_a_row, bad_in_a_row) = (0, bad_in_a_row.saturating_add(1));
                strong.health.remember(message);
                if bad_in_a_row >= settings.unhealthy {
                    strong.health.probed(false);
                }
            }
        }
        drop(strong);
        tokio::time::sleep(interval).await;
    }
}

/// The status that the server answers with.
async fn ask(server: &Server, path: &str, host: &str) -> Result<u16, String> {
    let connected = connect::connect(server, false).await.map_err(|(_, message)| message)?;
    if connected.http2 {
        let scheme = if server.is_tls() { "https" } else { "http" };
        let request = http::Request::get(format!("{scheme}://{host}{path}")).header("user-agent", AGENT).body(());
        let request = request.map_err(|error| error.to_string())?;
        return http2::status_of(connected.stream, request).await.map_err(|error| error.to_string());
    }
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\nConnection: close\r\n\r\n");
    http1_status(connected.stream, request.as_bytes()).await
}

/// How a probe calls itself.
const AGENT: &str = concat!("bartizan-health/", env!("CARGO_PKG_VERSION"));

async fn http1_status(mut stream: Stream, request: &[u8]) -> Result<u16, String> {
    stream.write_all(request).await.map_err(|error| error.to_string())?;
    let mut parser = http1::ResponseParser::new(http1::Limits::default());
    let mut head = Vec::with_capacity(1024);
    loop {
        // Interim responses come first and are passed over.
        while let Some((response, consumed)) = parser.parse(&head, b"GET").map_err(|refusal| refusal.to_string())? {
            if response.status() >= 200 {
                return Ok(response.status());
            }
            head.drain(..consumed);
        }
        if head.len() > HEAD_MAX {
            return Err(format!("the response head is larger than {HEAD_MAX} bytes"));
        }
        if stream.read_buf(&mut head).await.map_err(|error| error.to_string())? == 0 {
            return Err("the connection was closed without an answer".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_statuses_are_read_and_asked() {
        let set = StatusSet::parse("200-299, 404").expect("a set");
        let contained: Vec<u16> =
            [199, 200, 250, 299, 300, 404, 405].into_iter().filter(|s| set.contains(*s)).collect();
        assert_eq!(contained, [200, 250, 299, 404]);
    }

    #[test]
    fn what_is_no_set_of_statuses_is_refused() {
        for text in ["", "abc", "200-", "-200", "300-200", "99", "600", "200,,300"] {
            let expected = format!("\"{text}\" is no set of statuses: write 200, 200-399 or 200-299,404");
            assert_eq!(StatusSet::parse(text), Err(expected));
        }
    }
}
