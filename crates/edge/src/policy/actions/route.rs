//! `route`: another origin, or another name for the same one.

use std::sync::Arc;

use rules::Phase;
use serde::Deserialize;

use super::{ActionRow, ParameterRow, Reading};
use crate::origin::Route;
use crate::origin::settings::{Key, Settings};
use crate::policy::run::Act;

pub(super) const ROW: ActionRow = ActionRow {
    name: "route",
    phases: &[Phase::RequestOrigin],
    terminating: false,
    summary: "Sends the request to another origin, or under another name. Rules add up key by key, and of several that give \
              one key the last has its way. `http.host` stays what the client asked for. The servers that come of it have a health and \
              connections of their own, and no probes.",
    parameters: &[
        ParameterRow::new(
            "host_header",
            "What `Host` says to the origin; also the name for TLS, unless `sni` gives one.",
        ),
        ParameterRow::new("sni.value", "The name that TLS asks the origin for and verifies."),
        ParameterRow::new("origin.host", "The host in the place of those of the zone's servers: a name or an address."),
        ParameterRow::new(
            "origin.port",
            "The port in the place of those of the zone's servers; a Unix socket has none and stays as it is.",
        ),
    ],
    read,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    #[serde(default)]
    host_header: Option<String>,
    #[serde(default)]
    sni: Option<Sni>,
    #[serde(default)]
    origin: Option<Origin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sni {
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Origin {
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    port: Option<u16>,
}

const NEEDED: &str = "action route does not say where to; add \"host_header\", \"sni\" or \"origin\"";

fn read(reading: &mut Reading<'_, '_>) -> Option<Act> {
    let given: Parameters = reading.needed(NEEDED)?;
    let (place, wrong) = (reading.place, &mut *reading.wrong);
    let before = wrong.len();
    let Origin { host, port } = given.origin.unwrap_or(Origin { host: None, port: None });
    let route = Route {
        host_header: given.host_header.map(Into::into),
        sni: given.sni.map(|sni| sni.value.into()),
        host: host.map(Into::into),
        port,
        scheme: None,
    };
    if route == Route::default() {
        wrong.push(place.error(NEEDED));
    }
    let (origin, sni) = (place.key("origin"), place.key("sni"));
    if route.port == Some(0) {
        wrong.push(origin.key("port").error("port 0 is none; use 1 to 65535"));
    }
    if let Some(host) = route.host.as_deref().filter(|host| !crate::origin::is_host(host)) {
        let message = format!("\"{host}\" is no host; write a name or an address, without scheme and port");
        wrong.push(origin.key("host").error(message));
    }
    // The zone's own servers do not matter here: an account's rule is for all zones.
    let named =
        Settings { host_header: route.host_header.as_deref().map(str::to_owned), ..Settings::single("http://a") };
    let named = Settings { tls: route.tls(&named.tls), ..named };
    for fault in named.check() {
        let is_header = fault.path == [Key::Name("host_header")];
        wrong.push(if is_header { place.key("host_header") } else { sni.key("value") }.error(fault.message));
    }
    (wrong.len() == before).then(|| Act::Route(Arc::new(route)))
}
