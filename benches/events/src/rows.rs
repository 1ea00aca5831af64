//! The rows of one request, with every column that such a request has.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fields::columns::{FirewallEvents, HttpRequests, firewall_events as event, http_requests as column};
use spool::{Producer, RowWriter};

use crate::chance::{Chance, mix};
use crate::world::{Browser, Host, Kind, Place, Resource, World};

/// What a rule did, and how often of ten thousand requests.
struct Rule {
    of_ten_thousand: u64,
    action: &'static str,
    source: &'static str,
    identifier: &'static str,
    description: &'static str,
}

const RULES: [Rule; 5] = [
    Rule {
        of_ten_thousand: 140,
        action: "block",
        source: "firewallCustom",
        identifier: "8c7f1d0e5b6a4c3f9e2d1a0b7c6d5e4f",
        description: "no requests for files of other people's software",
    },
    Rule {
        of_ten_thousand: 60,
        action: "block",
        source: "ratelimit",
        identifier: "1f2e3d4c5b6a79880716253443526170",
        description: "at most 20 requests in 10 seconds for an address",
    },
    Rule {
        of_ten_thousand: 30,
        action: "block",
        source: "firewallCustom",
        identifier: "a0b1c2d3e4f5061728394a5b6c7d8e9f",
        description: "networks that have attacked before",
    },
    Rule {
        of_ten_thousand: 130,
        action: "log",
        source: "firewallCustom",
        identifier: "00112233445566778899aabbccddeeff",
        description: "requests without a Referer for a form",
    },
    Rule {
        of_ten_thousand: 50,
        action: "skip",
        source: "firewallCustom",
        identifier: "f0e1d2c3b4a5968778695a4b3c2d1e0f",
        description: "our own monitoring",
    },
];

/// What a request came to.
struct Verdict {
    rule: Option<&'static Rule>,
    method: &'static str,
    status: u16,
    origin_error: Option<&'static str>,
}

impl Verdict {
    fn of(resource: &Resource, chance: &mut Chance) -> Self {
        let mut drawn = chance.below(10_000);
        let rule = RULES.iter().find(|rule| {
            let found = drawn < rule.of_ten_thousand;
            drawn = drawn.wrapping_sub(rule.of_ten_thousand);
            found
        });
        let method = match (resource.kind, chance.below(100)) {
            (Kind::Api, 0..=24) => "POST",
            (Kind::Api, 25..=29) => "PUT",
            (Kind::Api, 30..=31) => "DELETE",
            (Kind::Page, 0..=4) => "POST",
            (_, 97) => "HEAD",
            (Kind::Api, 98..=99) => "OPTIONS",
            _ => "GET",
        };
        let (status, origin_error) = match rule {
            Some(Rule { action: "block", source: "ratelimit", .. }) => (429, None),
            Some(Rule { action: "block", .. }) => (403, None),
            _ => match (method, chance.below(1000)) {
                (_, 0..=2) => (502, Some("the origin closed the connection before its response head was complete")),
                (_, 3) => (504, Some("the origin did not answer within 60 s")),
                (_, 4..=8) => (500, None),
                (_, 9..=48) => (404, None),
                ("GET", 49..=118) if resource.kind == Kind::Asset => (304, None),
                ("GET", 49..=88) => (if drawn & 1 == 0 { 301 } else { 302 }, None),
                ("POST", 49..=148) => (201, None),
                ("OPTIONS" | "DELETE", _) => (204, None),
                ("GET", 119..=128) if resource.kind == Kind::Asset => (206, None),
                _ => (200, None),
            },
        };
        Self { rule, method, status, origin_error }
    }

    fn blocked(&self) -> bool {
        self.rule.is_some_and(|rule| rule.action == "block")
    }
}

/// Buffers that are used for one row after the other.
#[derive(Debug, Default)]
pub struct Rows {
    record: Vec<u8>,
    uri: String,
    referer: String,
    request_headers: String,
    response_headers: String,
    cookies: String,
    expires: String,
}

/// What was made.
#[derive(Debug, Default)]
pub struct Made {
    pub requests: u64,
    pub request_bytes: u64,
    pub firewall_events: u64,
    pub firewall_bytes: u64,
}

/// What is set once for a request, and read by both its rows.
struct Visit<'a> {
    ray: [u8; 16],
    start_ns: u64,
    client: IpAddr,
    place: &'a Place,
    browser: &'a Browser,
    host: &'a Host,
    resource: &'a Resource,
    verdict: &'a Verdict,
    protocol: &'static str,
    basket: u64,
}

impl Rows {
    /// Pushes the rows of request `number`, which began at `start_ns`.
    pub fn push(
        &mut self,
        world: &World,
        number: u64,
        start_ns: u64,
        producer: &mut Producer,
        made: &mut Made,
    ) -> bool {
        let chance = &mut Chance::of(number);
        let visitor = world.client.draw(chance) as u64;
        let of_visitor = &mut Chance::of(0x04_0000_0000 + visitor);
        let browser = &world.browsers[world.browser.draw(of_visitor)];
        let resource = &world.resources[world.resource.draw(chance)];
        let verdict = Verdict::of(resource, chance);
        let visit = Visit {
            ray: hexadecimal(mix(number.wrapping_add(0x00AB_CDEF_0000_0000))),
            start_ns,
            client: address(of_visitor),
            place: &world.places[world.place.draw(of_visitor)],
            browser,
            host: &world.hosts[world.host.draw(chance)],
            resource,
            verdict: &verdict,
            basket: mix(visitor.wrapping_add(0x0BA5_0000_0000)),
            protocol: if browser.automatic || visitor.is_multiple_of(9) { "HTTP/1.1" } else { "HTTP/2" },
        };
        self.texts(&visit, chance);
        let bytes = self.request(&visit, chance, of_visitor, producer);
        made.requests += 1;
        made.request_bytes += bytes.unwrap_or_default() as u64;
        let Some(rule) = verdict.rule else { return bytes.is_some() };
        let more = self.event(&visit, rule, producer);
        made.firewall_events += 1;
        made.firewall_bytes += more.unwrap_or_default() as u64;
        bytes.is_some() && more.is_some()
    }

    /// Writing to a String cannot fail.
    fn texts(&mut self, visit: &Visit<'_>, chance: &mut Chance) {
        let Visit { place, browser, host, resource, .. } = visit;
        self.uri.clear();
        self.uri.push_str(&resource.path);
        match (resource.kind, chance.below(10)) {
            (Kind::Page, 0..=2) => {
                let campaign = chance.below(60);
                let _ = write!(
                    self.uri,
                    "?utm_source=newsletter&utm_medium=email&utm_campaign=autumn-{campaign}&position={}",
                    chance.below(40)
                );
            }
            (Kind::Page, 3) => {
                let _ = write!(self.uri, "?page={}&sort=price", chance.below(30));
            }
            (Kind::Api, 0..=6) => {
                let _ = write!(
                    self.uri,
                    "?cursor={:016x}&limit={}&fields=id,name,price,stock",
                    chance.next(),
                    20 + chance.below(4) * 20
                );
            }
            (Kind::Asset, 0) => {
                let _ = write!(self.uri, "?v={}", chance.below(50));
            }
            _ => {}
        }
        self.referer.clear();
        if !browser.automatic && !chance.one_in(6) {
            let from = &WORDS_OF_REFERERS[chance.below(6) as usize];
            let _ = write!(
                self.referer,
                "https://{}/{from}/{}",
                host.name,
                resource.path.split('/').nth(1).unwrap_or_default()
            );
        }
        self.request_headers.clear();
        let accept = match resource.kind {
            Kind::Page => "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            Kind::Asset => "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
            Kind::Api => "application/json, text/plain, */*",
        };
        let _ = write!(
            self.request_headers,
            r#"{{"accept":"{accept}","accept-encoding":"gzip, deflate, br, zstd","accept-language":"{}",{}"priority":"u=1, i","sec-fetch-dest":"empty","sec-fetch-mode":"cors","sec-fetch-site":"same-origin"}}"#,
            place.language, browser.hints
        );
        self.response_headers.clear();
        let _ = write!(
            self.response_headers,
            r#"{{"cache-control":"{}","etag":"\"{:x}-{:x}\"","referrer-policy":"strict-origin","strict-transport-security":"max-age=31536000; includeSubDomains","vary":"accept-encoding","x-request-id":"{:016x}"}}"#,
            if resource.kind == Kind::Asset { "public, max-age=86400" } else { "private, no-cache" },
            resource.bytes,
            mix(resource.bytes),
            chance.next()
        );
        self.cookies.clear();
        let _ = write!(
            self.cookies,
            r#"{{"locale":"{}","basket":"{:016x}","consent":"analytics,preferences","variant":"{}"}}"#,
            &place.language[..2],
            visit.basket,
            chance.below(8)
        );
        self.expires.clear();
        if resource.kind == Kind::Asset {
            let second = visit.start_ns / 1_000_000_000 % 86_400;
            let _ = write!(
                self.expires,
                "Sun, 22 Nov 2026 {:02}:{:02}:{:02} GMT",
                second / 3600,
                second / 60 % 60,
                second % 60
            );
        }
    }

    fn request(
        &mut self,
        visit: &Visit<'_>,
        chance: &mut Chance,
        of_visitor: &mut Chance,
        producer: &mut Producer,
    ) -> Option<usize> {
        let Visit { place, browser, host, resource, verdict, .. } = *visit;
        let blocked = verdict.blocked();
        let origin_us =
            (host.typical_ms * 1000.0 * (chance.normal() * 0.6).exp()) as u64 * if chance.one_in(150) { 12 } else { 1 };
        let first_byte_ms = if blocked { 0 } else { (origin_us / 1000) as u32 + chance.below(2) as u32 };
        let round_trip_ms = 4 + of_visitor.below(180) as u32;
        let pooled = !chance.one_in(25);
        let body = match verdict.status {
            204 | 304 => 0,
            _ if verdict.method == "HEAD" => 0,
            200 | 201 | 206 => resource.bytes,
            _ => 4_100,
        };
        let compressed = resource.kind != Kind::Asset || resource.content_type.starts_with("text");
        let ratio = if compressed && body > 0 && !blocked { 2.5 + chance.below(300) as f64 / 100.0 } else { 0.0 };
        let sent = if ratio > 0.0 { (body as f64 / ratio) as u64 } else { body };
        let origin =
            IpAddr::V4(Ipv4Addr::from(0x0A00_0100 + mix(host.name.len() as u64) as u32 % 4 + chance.below(3) as u32));
        let end_ns = visit.start_ns + origin_us * 1000 + u64::from(round_trip_ms) * 500_000 + sent * 90;

        let mut row = RowWriter::<HttpRequests>::new(&mut self.record);
        row.set(column::EDGE_START_TIMESTAMP, visit.start_ns);
        row.set(column::EDGE_END_TIMESTAMP, end_ns);
        row.set(column::RAY_ID, visit.ray.as_slice());
        row.set(column::ZONE_NAME, host.zone);
        row.set(column::CLIENT_IP, visit.client);
        row.set(column::CLIENT_ASN, place.asn);
        row.set(column::CLIENT_COUNTRY, place.country);
        row.set(column::CLIENT_REGION_CODE, &place.region);
        row.set(column::CLIENT_CITY, &place.city);
        row.set(column::CLIENT_LATITUDE, &place.latitude);
        row.set(column::CLIENT_LONGITUDE, &place.longitude);
        row.set(column::CLIENT_SRC_PORT, 1024 + chance.below(64_000) as u16);
        row.set(column::CLIENT_TCP_RTT_MS, round_trip_ms);
        row.set(column::CLIENT_REQUEST_SOURCE, "eyeball");
        row.set(column::CLIENT_REQUEST_METHOD, verdict.method);
        row.set(column::CLIENT_REQUEST_HOST, &host.name);
        row.set(column::CLIENT_REQUEST_PATH, &resource.path);
        row.set(column::CLIENT_REQUEST_URI, &self.uri);
        row.set(column::CLIENT_REQUEST_SCHEME, "https");
        row.set(column::CLIENT_REQUEST_PROTOCOL, visit.protocol);
        row.set_some(column::CLIENT_REQUEST_REFERER, (!self.referer.is_empty()).then_some(&self.referer));
        row.set(column::CLIENT_REQUEST_USER_AGENT, &browser.user_agent);
        row.set_some(column::CLIENT_X_REQUESTED_WITH, (resource.kind == Kind::Api).then_some("XMLHttpRequest"));
        row.set(
            column::CLIENT_REQUEST_BYTES,
            400 + self.uri.len() as u64 + self.request_headers.len() as u64 + chance.below(200),
        );
        row.set(column::CLIENT_SSL_PROTOCOL, "TLSv1.3");
        row.set(
            column::CLIENT_SSL_CIPHER,
            if browser.automatic { "AEAD-AES256-GCM-SHA384" } else { "AEAD-AES128-GCM-SHA256" },
        );
        row.set(column::JA3_HASH, &browser.ja3);
        row.set(column::JA4, &browser.ja4);
        row.set(column::EDGE_SERVER_PORT, 443u16);
        row.set(column::EDGE_COLO_CODE, "LOC");
        row.set(column::EDGE_PATHING_OP, if blocked { "ban" } else { "wl" });
        row.set(column::EDGE_PATHING_SRC, if blocked { "filterBasedFirewall" } else { "macro" });
        row.set(column::EDGE_PATHING_STATUS, "nr");
        if !blocked {
            row.set(column::EDGE_REQUEST_HOST, &host.name);
            row.set(column::EDGE_SERVER_IP, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7)));
        }
        row.set(column::EDGE_RESPONSE_STATUS, verdict.status);
        row.set(column::EDGE_RESPONSE_BYTES, sent + 420);
        row.set(column::EDGE_RESPONSE_BODY_BYTES, sent);
        row.set(column::EDGE_RESPONSE_CONTENT_TYPE, resource.content_type);
        row.set_some(column::EDGE_RESPONSE_COMPRESSION_RATIO, (ratio > 0.0).then_some(ratio));
        row.set(column::EDGE_TIME_TO_FIRST_BYTE_MS, first_byte_ms);
        if !blocked {
            let connecting_ms = if pooled { 0 } else { 1 + chance.below(4) as u32 };
            row.set(column::ORIGIN_IP, origin);
            row.set(column::ORIGIN_RESPONSE_STATUS, if verdict.origin_error.is_some() { 0 } else { verdict.status });
            row.set(column::ORIGIN_RESPONSE_BYTES, body + 310);
            row.set_some(column::ORIGIN_RESPONSE_HTTP_EXPIRES, (!self.expires.is_empty()).then_some(&self.expires));
            row.set_some(
                column::ORIGIN_RESPONSE_HTTP_LAST_MODIFIED,
                (resource.kind != Kind::Api).then_some(&resource.modified),
            );
            row.set(column::ORIGIN_RESPONSE_TIME, origin_us * 1000 + chance.below(1000));
            row.set(column::ORIGIN_RESPONSE_DURATION_MS, (origin_us / 1000) as u32);
            row.set(
                column::ORIGIN_RESPONSE_HEADER_RECEIVE_DURATION_MS,
                (origin_us / 1000) as u32 - connecting_ms.min((origin_us / 1000) as u32),
            );
            row.set(column::ORIGIN_REQUEST_HEADER_SEND_DURATION_MS, 0u32);
            row.set(column::ORIGIN_TCP_HANDSHAKE_DURATION_MS, connecting_ms);
            row.set(column::ORIGIN_TLS_HANDSHAKE_DURATION_MS, connecting_ms * 2);
            row.set(column::ORIGIN_DNS_RESPONSE_TIME_MS, connecting_ms / 3);
            row.set(column::ORIGIN_SSL_PROTOCOL, "TLSv1.3");
        }
        if let Some(rule) = verdict.rule {
            row.set_some(column::SECURITY_ACTION, blocked.then_some(rule.action));
            row.set(column::SECURITY_ACTIONS, [rule.action].as_slice());
            row.set_some(column::SECURITY_RULE_ID, blocked.then_some(rule.identifier));
            row.set(column::SECURITY_RULE_IDS, [rule.identifier].as_slice());
            row.set_some(column::SECURITY_RULE_DESCRIPTION, blocked.then_some(rule.description));
            row.set(column::SECURITY_SOURCES, [rule.source].as_slice());
        }
        row.set(column::SAMPLE_INTERVAL, 1u32);
        row.set_some(column::HTTP2_FINGERPRINT, (visit.protocol == "HTTP/2").then_some(browser.http2));
        row.set(column::POLICY_VERSION, 12u64);
        row.set(
            column::OUTCOME,
            if blocked {
                "blocked"
            } else if verdict.origin_error.is_some() {
                "origin_error"
            } else {
                "ok"
            },
        );
        row.set_some(column::ORIGIN_ERROR, verdict.origin_error);
        row.set(column::ORIGIN_TRIES, u16::from(!blocked));
        let mut trace = [0; 32];
        trace[..16].copy_from_slice(&hexadecimal(chance.next()));
        trace[16..].copy_from_slice(&hexadecimal(chance.next()));
        row.set(column::TRACE_ID, trace.as_slice());
        row.set(column::REQUEST_HEADERS, &self.request_headers);
        row.set_some(column::RESPONSE_HEADERS, (!blocked).then_some(&self.response_headers));
        row.set(column::COOKIES, &self.cookies);
        let row = row.finish();
        let bytes = row.record().len();
        producer.push(row).then_some(bytes)
    }

    fn event(&mut self, visit: &Visit<'_>, rule: &Rule, producer: &mut Producer) -> Option<usize> {
        let Visit { place, browser, host, resource, verdict, .. } = *visit;
        let mut row = RowWriter::<FirewallEvents>::new(&mut self.record);
        row.set(event::DATETIME, visit.start_ns);
        row.set(event::RAY_ID, visit.ray.as_slice());
        row.set(event::ZONE_NAME, host.zone);
        row.set(event::ACTION, rule.action);
        row.set(event::SOURCE, rule.source);
        row.set(event::KIND, "firewall");
        row.set(event::RULE_ID, rule.identifier);
        row.set(event::REF, rule.identifier);
        row.set(event::DESCRIPTION, rule.description);
        row.set(event::MATCH_INDEX, 0u32);
        row.set(event::CLIENT_IP, visit.client);
        row.set(event::CLIENT_ASN, place.asn);
        row.set(event::CLIENT_ASN_DESCRIPTION, place.network);
        row.set(event::CLIENT_COUNTRY, place.country);
        row.set(event::CLIENT_REQUEST_METHOD, verdict.method);
        row.set(event::CLIENT_REQUEST_HOST, &host.name);
        row.set(event::CLIENT_REQUEST_PATH, &resource.path);
        row.set(event::CLIENT_REQUEST_QUERY, &self.uri[resource.path.len()..]);
        row.set(event::CLIENT_REQUEST_SCHEME, "https");
        row.set(event::CLIENT_REQUEST_PROTOCOL, visit.protocol);
        row.set(event::CLIENT_REQUEST_USER_AGENT, &browser.user_agent);
        row.set(event::EDGE_COLO_CODE, "LOC");
        row.set(event::EDGE_RESPONSE_STATUS, if verdict.blocked() { verdict.status } else { 0 });
        row.set(event::SAMPLE_INTERVAL, 1u32);
        row.set(event::POLICY_VERSION, 12u64);
        let row = row.finish();
        let bytes = row.record().len();
        producer.push(row).then_some(bytes)
    }
}

const WORDS_OF_REFERERS: [&str; 6] = ["products", "articles", "search", "offers", "topics", "account"];

fn address(of_visitor: &mut Chance) -> IpAddr {
    let drawn = of_visitor.next();
    if drawn.is_multiple_of(4) {
        IpAddr::V6(Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(drawn) << 32 | u128::from(drawn >> 40)))
    } else {
        // Of the documentation's and the shared address space, and the private: nobody's.
        IpAddr::V4(Ipv4Addr::from(0x0A00_0000 | (drawn >> 16) as u32 & 0x00FF_FFFF))
    }
}

fn hexadecimal(number: u64) -> [u8; 16] {
    let mut text = [0; 16];
    for (place, shift) in text.iter_mut().zip((0..16).rev()) {
        *place = b"0123456789abcdef"[(number >> (4 * shift)) as usize & 15];
    }
    text
}
