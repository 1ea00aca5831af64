//! What a request costs a rule set, all of it: taking it apart, its rules, what they leave.
//!
//! `RULES=crs/all.conf cargo bench -p seclang --bench requests` prints for each shape of request the mean and the median of
//! processor time, in microseconds. Every request is seen once. Before anything is measured, it is checked that each
//! request gives the same with gates as without. The rules are not in this repository: `bartizan crs install` brings them.
//!
//! A word behind `--` chooses shapes by their names. Where the machine is not quiet, instructions say more than time: with
//! `--untimed` no clock is read, and those of the requests that are measured are written to a file for each shape by
//! `valgrind --tool=callgrind --toggle-collect=requests::measured --dump-after=requests::of_shape BENCH --untimed`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a measurement talks to its user")]

use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use seclang::load;
use seclang::rule::Engine;
use seclang::ruleset::RuleSet;
use seclang::transaction::{Request, Transaction, Workspace};

const WARM_UP: usize = 200;

fn main() {
    let Ok(path) = std::env::var("RULES") else {
        println!("nothing is measured: RULES names no rule file");
        return;
    };
    let rules = load::file(Path::new(&path)).unwrap_or_else(|problems| panic!("{}: {}", problems.len(), problems[0]));
    let wanted: Vec<String> = std::env::args().skip(1).filter(|one| !one.starts_with('-')).collect();
    let clock = if std::env::args().any(|one| one == "--untimed") { || Duration::ZERO } else { processor_time };
    for shape in SHAPES.iter().filter(|(name, ..)| wanted.is_empty() || wanted.iter().any(|one| name.contains(one))) {
        of_shape(&rules, shape, clock);
    }
}

#[inline(never)]
fn of_shape(rules: &RuleSet, (name, count, shape): &Shape, clock: Clock) {
    let mut chance = Chance(88_172_645_463_325_252);
    let requests: Vec<Made> = (0..WARM_UP + count).map(|_| shape(&mut chance)).collect();
    let [mut work, mut other]: [Box<Workspace>; 2] = Default::default();
    for request in requests.iter().take(WARM_UP / 4) {
        let (gated, plain);
        (gated, work) = judged(rules, work, request, true);
        (plain, other) = judged(rules, other, request, false);
        assert_eq!(gated, plain, "{name}");
    }
    let mut times = Vec::with_capacity(*count);
    for (at, request) in requests.iter().enumerate() {
        let spent;
        let inspected = if at < WARM_UP { inspected } else { measured };
        (work, spent) = inspected(rules, work, request, clock);
        if at >= WARM_UP {
            times.push(spent);
        }
    }
    times.sort_unstable();
    let mean = times.iter().sum::<Duration>().as_secs_f64() / times.len() as f64;
    let median = times[times.len() / 2].as_secs_f64();
    println!("{name:<24} mean {:9.1} us   median {:9.1} us", mean * 1e6, median * 1e6);
}

/// A request that is measured, by a name that callgrind is told.
#[inline(never)]
fn measured(rules: &RuleSet, work: Box<Workspace>, made: &Made, clock: Clock) -> (Box<Workspace>, Duration) {
    inspected(rules, work, made, clock)
}

#[inline(never)]
fn inspected(rules: &RuleSet, work: Box<Workspace>, made: &Made, clock: Clock) -> (Box<Workspace>, Duration) {
    let begin = clock();
    let mut transaction = Transaction::new(rules, work).with_engine(Engine::On);
    run(&mut transaction, made);
    let spent = clock().saturating_sub(begin);
    (transaction.into_workspace(), spent)
}

type Clock = fn() -> Duration;

fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

struct Made {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

fn run(transaction: &mut Transaction<'_>, made: &Made) {
    let headers: Vec<(&[u8], &[u8])> =
        made.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    transaction.request_head(&Request {
        client: "192.0.2.7:40000".parse().unwrap(),
        server: "198.51.100.1:443".parse().unwrap(),
        method: made.method.as_bytes(),
        target: made.target.as_bytes(),
        protocol: b"HTTP/1.1",
        headers: &headers,
        id: b"0123456789abcdef",
    });
    transaction.request_body(made.body.as_bytes(), false);
    transaction.log();
}

/// The rules that match, and whether the request is refused.
fn judged(rules: &RuleSet, work: Box<Workspace>, made: &Made, gated: bool) -> ((Vec<u64>, bool), Box<Workspace>) {
    let mut transaction = Transaction::new(rules, work).with_engine(Engine::On);
    if !gated {
        transaction = transaction.without_gates();
    }
    run(&mut transaction, made);
    let ids = transaction.matches().iter().map(|one| rules.rules[one.rule].id).collect();
    ((ids, transaction.interruption().is_some()), transaction.into_workspace())
}

type Shape = (&'static str, usize, fn(&mut Chance) -> Made);

const SHAPES: [Shape; 9] = [
    ("GET, 3 args, 3 cookies", 2_000, |chance| {
        let cookies = format!("session={:x}; theme={}; lang={}", chance.next(), chance.word(), chance.word());
        let target = format!(
            "/catalog/{}?q={}&page={}&sort={}",
            chance.word(),
            chance.word(),
            chance.next() % 100,
            chance.word()
        );
        let mut made = get(target, chance);
        made.headers.push(("Cookie", cookies));
        made
    }),
    ("GET, static", 2_000, |chance| {
        let target = format!("/static/{}.css", chance.word());
        get(target, chance)
    }),
    ("form of 5 fields", 2_000, |chance| {
        let body = format!(
            "name={}&email={}%40example.com&city={}&age={}&note={}",
            chance.word(),
            chance.word(),
            chance.word(),
            chance.next() % 90,
            chance.words(20)
        );
        post("/form", FORM, body, chance)
    }),
    ("JSON, 300 B", 2_000, |chance| {
        let item = |chance: &mut Chance| {
            format!(
                "{{\"id\":{},\"title\":\"{} {}\",\"price\":9.5}}",
                chance.next() % 1000,
                chance.word(),
                chance.word()
            )
        };
        let body = format!(
            "{{\"user\":{{\"name\":\"{}\",\"mail\":\"{}@example.com\",\"tags\":[\"{}\",\"{}\"]}},\"items\":[{},{}],\"note\":\"{}\"}}",
            chance.word(),
            chance.word(),
            chance.word(),
            chance.word(),
            item(chance),
            item(chance),
            chance.words(60).replace('+', " ")
        );
        post("/api/order", "application/json", body, chance)
    }),
    ("form of text, 1 kB", 2_000, |chance| text_form(1_000, chance)),
    ("form of text, 10 kB", 500, |chance| text_form(10_000, chance)),
    ("form of text, 100 kB", 100, |chance| text_form(100_000, chance)),
    ("multipart, 2 kB", 2_000, |chance| {
        let body = format!(
            "--XX\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\n{}\r\n--XX\r\nContent-Disposition: form-data; \
             name=\"file\"; filename=\"{}.txt\"\r\nContent-Type: text/plain\r\n\r\n{}\r\n--XX--\r\n",
            chance.word(),
            chance.word(),
            chance.words(1_800)
        );
        post("/upload", "multipart/form-data; boundary=XX", body, chance)
    }),
    ("GET, SQL injection", 2_000, |chance| {
        let target = format!(
            "/item?id={}%27%20UNION%20SELECT%20{}%2C{}%20FROM%20users--%20",
            chance.next() % 100,
            chance.word(),
            chance.word()
        );
        get(target, chance)
    }),
];

const FORM: &str = "application/x-www-form-urlencoded";

fn text_form(bytes: usize, chance: &mut Chance) -> Made {
    let body = format!("text={}", chance.words(bytes));
    post("/form", FORM, body, chance)
}

fn get(target: String, chance: &mut Chance) -> Made {
    let version = chance.next() % 9_000;
    let agent = format!(
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.{version}.0 Safari/537.36"
    );
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
    let headers = vec![
        ("Host", "shop.example".to_owned()),
        ("User-Agent", agent),
        ("Accept", accept.to_owned()),
        ("Accept-Language", "en-US,en;q=0.5".to_owned()),
        ("Accept-Encoding", "gzip, deflate, br".to_owned()),
    ];
    Made { method: "GET", target, headers, body: String::new() }
}

fn post(target: &str, content_type: &str, body: String, chance: &mut Chance) -> Made {
    let mut made = get(target.to_owned(), chance);
    made.method = "POST";
    made.headers.push(("Content-Type", content_type.to_owned()));
    made.headers.push(("Content-Length", body.len().to_string()));
    made.body = body;
    made
}

/// Numbers and words by chance, the same in every run (xorshift).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn word(&mut self) -> String {
        (0..3 + self.next() % 7).map(|_| char::from(b'a' + (self.next() % 26) as u8)).collect()
    }

    /// Words with `+` between, so many bytes.
    fn words(&mut self, bytes: usize) -> String {
        let mut text = String::new();
        while text.len() < bytes {
            text += &self.word();
            text.push('+');
        }
        text.truncate(bytes);
        text
    }
}
