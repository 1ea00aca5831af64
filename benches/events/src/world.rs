//! Whom the traffic is of: places, browsers, zones with their hosts, resources. Made once, the same in every run.

use crate::chance::{Chance, Zipf, mix};

/// Where clients are.
#[derive(Debug)]
pub struct Place {
    pub asn: u32,
    pub network: &'static str,
    pub country: &'static str,
    pub region: String,
    pub city: String,
    pub latitude: String,
    pub longitude: String,
    pub language: &'static str,
}

/// What clients use.
#[derive(Debug)]
pub struct Browser {
    pub user_agent: String,
    pub hints: String,
    pub ja3: String,
    pub ja4: String,
    pub http2: &'static str,
    pub automatic: bool,
}

/// What is asked for.
#[derive(Debug)]
pub struct Resource {
    pub path: String,
    pub content_type: &'static str,
    pub bytes: u64,
    pub kind: Kind,
    /// When it was changed, as an HTTP date.
    pub modified: String,
}

/// What kind of thing a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Page,
    Asset,
    Api,
}

/// A host, its zone, and how long its origin takes.
#[derive(Debug)]
pub struct Host {
    pub zone: &'static str,
    pub name: String,
    pub typical_ms: f64,
}

/// All of it, with how often each comes.
#[derive(Debug)]
pub struct World {
    pub places: Vec<Place>,
    pub place: Zipf,
    pub browsers: Vec<Browser>,
    pub browser: Zipf,
    pub hosts: Vec<Host>,
    pub host: Zipf,
    pub resources: Vec<Resource>,
    pub resource: Zipf,
    pub client: Zipf,
}

const COUNTRIES: [(&str, &str, &str); 24] = [
    ("us", "en-US,en;q=0.9", "COMCAST-7922"),
    ("gb", "en-GB,en;q=0.9", "BT-UK-AS"),
    ("de", "de-DE,de;q=0.9,en;q=0.6", "DTAG"),
    ("fr", "fr-FR,fr;q=0.9,en;q=0.7", "ORANGE"),
    ("in", "en-IN,en;q=0.9,hi;q=0.8", "RELIANCEJIO-IN"),
    ("br", "pt-BR,pt;q=0.9,en;q=0.5", "CLARO"),
    ("jp", "ja,en-US;q=0.7", "KDDI"),
    ("nl", "nl-NL,nl;q=0.9,en;q=0.8", "KPN"),
    ("es", "es-ES,es;q=0.9,en;q=0.6", "TELEFONICA"),
    ("it", "it-IT,it;q=0.9,en;q=0.5", "TIM"),
    ("pl", "pl-PL,pl;q=0.9,en;q=0.7", "TPNET"),
    ("se", "sv-SE,sv;q=0.9,en;q=0.8", "TELIANET"),
    ("ca", "en-CA,en;q=0.9,fr;q=0.6", "ROGERS"),
    ("au", "en-AU,en;q=0.9", "TELSTRA"),
    ("mx", "es-MX,es;q=0.9,en;q=0.6", "UNINET"),
    ("tr", "tr-TR,tr;q=0.9,en;q=0.6", "TTNET"),
    ("ua", "uk-UA,uk;q=0.9,en;q=0.6", "KYIVSTAR"),
    ("id", "id-ID,id;q=0.9,en;q=0.7", "TELKOMNET"),
    ("vn", "vi-VN,vi;q=0.9,en;q=0.5", "VNPT"),
    ("ar", "es-AR,es;q=0.9", "TELECOM-AR"),
    ("za", "en-ZA,en;q=0.9", "MTN-SA"),
    ("kr", "ko-KR,ko;q=0.9,en;q=0.6", "KIXS"),
    ("ch", "de-CH,de;q=0.9,fr;q=0.7", "SWISSCOM"),
    ("sg", "en-SG,en;q=0.9,zh;q=0.7", "SINGTEL"),
];
const ZONES: [(&str, &[&str]); 12] = [
    ("shop", &["www", "m", "static", "img", "api", "checkout", "search", "account"]),
    ("news", &["www", "amp", "cdn", "live", "api"]),
    ("travel", &["www", "book", "api", "img"]),
    ("bank", &["www", "online", "api"]),
    ("games", &["www", "play", "forum", "assets", "api"]),
    ("music", &["www", "listen", "api", "covers"]),
    ("docs", &["www", "search"]),
    ("mail", &["www", "app", "api"]),
    ("maps", &["www", "tiles", "api"]),
    ("health", &["www", "portal", "api"]),
    ("school", &["www", "learn", "files"]),
    ("city", &["www", "forms", "open-data"]),
];
const SYLLABLES: [&str; 16] = [
    "ber", "lin", "ham", "ton", "ville", "san", "new", "port", "wal", "den", "mor", "gat", "field", "stan", "bri", "os",
];
const WORDS: [&str; 24] = [
    "running", "summer", "garden", "kitchen", "weather", "football", "camera", "guide", "review", "leather", "travel",
    "winter", "classic", "wireless", "organic", "history", "science", "budget", "family", "mountain", "coffee",
    "vintage", "training", "electric",
];
const HTTP2: [&str; 6] = [
    "1:65536;2:0;4:6291456;6:262144|15663105|0|m,a,s,p",
    "1:65536;2:0;4:131072;5:16384|12517377|0|m,p,a,s",
    "2:0;3:100;4:2097152|10420225|0|m,s,a,p",
    "1:65536;4:131072;5:16384|12517377|3:0:0:201,5:0:0:101|m,p,a,s",
    "3:100;4:10485760;2:0|1048510465|0|m,s,a,p",
    "2:0;4:4194304;6:10485760|1073741824|0|a,m,p,s",
];
const MONTHS: [&str; 6] = ["May", "Jun", "Jul", "Aug", "Sep", "Oct"];

impl World {
    pub fn new() -> Self {
        let places: Vec<_> = (0..1500).map(place).collect();
        let browsers: Vec<_> = (0..2500).map(browser).collect();
        let hosts: Vec<_> = ZONES
            .iter()
            .flat_map(|&(zone, names)| names.iter().map(move |name| (zone, format!("{name}.{zone}.example"))))
            .enumerate()
            .map(|(number, (zone, name))| Host { zone, name, typical_ms: 6.0 + (mix(number as u64) % 90) as f64 })
            .collect();
        let resources: Vec<_> = (0..30_000).map(resource).collect();
        Self {
            place: Zipf::new(places.len(), 0.9),
            browser: Zipf::new(browsers.len(), 1.0),
            host: Zipf::new(hosts.len(), 0.8),
            resource: Zipf::new(resources.len(), 0.95),
            client: Zipf::new(400_000, 0.75),
            places,
            browsers,
            hosts,
            resources,
        }
    }
}

fn place(number: usize) -> Place {
    let chance = &mut Chance::of(0x01_0000_0000 + number as u64);
    let (country, language, network) = COUNTRIES[Zipf::new(COUNTRIES.len(), 0.9).draw(chance)];
    let city: String = (0..2 + chance.below(2)).map(|_| SYLLABLES[chance.below(16) as usize]).collect();
    Place {
        asn: 1_000 + chance.below(60_000) as u32,
        network,
        country,
        region: format!("{:02X}", chance.below(90)),
        city: city[..1].to_uppercase() + &city[1..],
        latitude: format!("{:.4}", chance.fraction() * 120.0 - 55.0),
        longitude: format!("{:.4}", chance.fraction() * 340.0 - 170.0),
        language,
    }
}

fn browser(number: usize) -> Browser {
    let chance = &mut Chance::of(0x02_0000_0000 + number as u64);
    let version = 120 + chance.below(23);
    let build = chance.below(7000);
    let family = chance.below(20);
    let (user_agent, hints) = match family {
        0..=8 => (
            format!(
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.{build}.{} Safari/537.36",
                build % 200
            ),
            format!(
                r#""sec-ch-ua":"\"Chromium\";v=\"{version}\", \"Google Chrome\";v=\"{version}\", \"Not?A_Brand\";v=\"24\"","sec-ch-ua-mobile":"?0","sec-ch-ua-platform":"\"Windows\"","#
            ),
        ),
        9..=12 => (
            format!(
                "Mozilla/5.0 (Linux; Android {}; SM-A{}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Mobile Safari/537.36",
                10 + build % 6,
                100 + build % 500
            ),
            format!(
                r#""sec-ch-ua":"\"Chromium\";v=\"{version}\", \"Google Chrome\";v=\"{version}\", \"Not?A_Brand\";v=\"24\"","sec-ch-ua-mobile":"?1","sec-ch-ua-platform":"\"Android\"","#
            ),
        ),
        13..=15 => (
            format!(
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.{} Mobile/15E{} Safari/604.1",
                build % 7,
                build % 6,
                build % 400
            ),
            String::new(),
        ),
        16..=17 => (
            format!("Mozilla/5.0 (X11; Linux x86_64; rv:{version}.0) Gecko/20100101 Firefox/{version}.{}", build % 4),
            String::new(),
        ),
        18 => (
            format!("ExampleBot/{}.{} (+https://bot-{}.example/about)", version % 9, build % 20, build % 90),
            String::new(),
        ),
        _ => (format!("okhttp/4.{}.{} shop-app/{version}.{}", build % 12, build % 3, build % 60), String::new()),
    };
    let hello = mix(family * 10 + build % 9);
    Browser {
        user_agent,
        hints,
        ja3: format!("{hello:016x}{:016x}", mix(hello)),
        ja4: format!("t13d15{:02}h2_{:012x}_{:012x}", 10 + build % 9, hello >> 16, mix(hello) >> 16),
        http2: HTTP2[(family % 6) as usize],
        automatic: family >= 18,
    }
}

fn resource(number: usize) -> Resource {
    let chance = &mut Chance::of(0x03_0000_0000 + number as u64);
    let mut word = || WORDS[chance.below(24) as usize];
    let (a, b, c) = (word(), word(), word());
    let (kind, path, content_type, typical) = match number % 10 {
        0..=3 => (Kind::Page, format!("/{a}/{b}-{c}-{number}"), "text/html; charset=utf-8", 24_000.0),
        4 => (
            Kind::Asset,
            format!("/assets/js/{a}-{b}.{:08x}.js", mix(number as u64) as u32),
            "text/javascript",
            61_000.0,
        ),
        5 => (Kind::Asset, format!("/assets/css/{a}.{:08x}.css", mix(number as u64) as u32), "text/css", 18_000.0),
        6 => (Kind::Asset, format!("/images/{a}/{b}/{number}-800x600.webp"), "image/webp", 48_000.0),
        7 => (Kind::Asset, format!("/images/{a}/{number}.jpg"), "image/jpeg", 90_000.0),
        _ => (Kind::Api, format!("/api/v{}/{a}/{b}", 1 + number % 3), "application/json", 2_400.0),
    };
    Resource {
        path,
        content_type,
        bytes: (typical * (chance.normal() * 0.7).exp()) as u64,
        kind,
        modified: format!(
            "{} {} 2026 {:02}:{:02}:{:02} GMT",
            ["Mon, 04", "Tue, 12", "Wed, 20", "Thu, 28"][number % 4],
            MONTHS[number % 6],
            number % 24,
            number / 7 % 60,
            number / 11 % 60
        ),
    }
}
