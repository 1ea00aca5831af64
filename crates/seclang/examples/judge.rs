//! The engine as an embedding has it: batches of requests from standard input, verdicts to standard output.
//!
//! The protocol is described in `benches/waf/harness.py`. Each request is taken apart by the codec of the edge, and the
//! memory of a request serves the next one; nothing that was found out about a request is kept for another.

#[path = "../../../benches/load/batches.rs"]
mod batches;

use std::error::Error;
use std::io::{self, BufReader, BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use batches::read_batch;
use http1::{BodyDecoder, Decoded, Limits, RequestParser};
use rustix::time::{ClockId, clock_gettime};
use seclang::load;
use seclang::ruleset::RuleSet;
use seclang::transaction::{Interrupt, Interruption, Request, Transaction, Workspace};

type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(Default)]
struct Verdict {
    status: u16,
    ids: Vec<u64>,
}

struct Judge<'r> {
    rules: &'r RuleSet,
    limits: Limits,
    parser: RequestParser,
    work: Box<Workspace>,
    client: SocketAddr,
    server: SocketAddr,
}

fn main() -> Outcome<()> {
    let path = std::env::args().nth(1).ok_or("usage: judge RULES")?;
    let (begin, begin_cpu) = (Instant::now(), processor_time()?);
    let rules = load::file(Path::new(&path)).map_err(|problems| format!("{}: {}", problems.len(), problems[0]))?;
    let (load_s, load_cpu_s) =
        (begin.elapsed().as_secs_f64(), processor_time()?.saturating_sub(begin_cpu).as_secs_f64());
    let mut output = BufWriter::new(io::stdout());
    writeln!(output, "{{\"load_s\":{load_s},\"load_cpu_s\":{load_cpu_s}}}")?;
    output.flush()?;
    let mut input = BufReader::with_capacity(1 << 20, io::stdin());
    let mut judge = Judge {
        rules: &rules,
        limits: Limits::default(),
        parser: RequestParser::new(Limits::default()),
        work: Box::default(),
        client: "192.0.2.7:40000".parse()?,
        server: "198.51.100.1:443".parse()?,
    };
    while let Some(batch) = read_batch(&mut input)? {
        let mut verdicts = Vec::with_capacity(batch.len());
        let before = processor_time()?;
        for request in &batch {
            verdicts.push(judge.judge(request)?);
        }
        print(&mut output, processor_time()?.saturating_sub(before), &verdicts)?;
    }
    Ok(())
}

impl Judge<'_> {
    fn judge(&mut self, bytes: &[u8]) -> Outcome<Verdict> {
        let (head, end) = self.parser.parse(bytes)?.ok_or("the head of a request is cut off")?;
        let headers: Vec<(&[u8], &[u8])> = head.headers().iter().collect();
        let mut transaction = Transaction::new(self.rules, std::mem::take(&mut self.work));
        let refused = transaction.request_head(&Request {
            client: self.client,
            server: self.server,
            method: head.method(),
            target: head.target(),
            protocol: head.version().as_str().as_bytes(),
            headers: &headers,
            id: b"0123456789abcdef",
        });
        if refused.is_none() {
            let body = match BodyDecoder::new(head.framing(), &self.limits).decode(&bytes[end..])? {
                Decoded::Data { skip, len } => &bytes[end + skip..end + skip + len],
                Decoded::NeedMore { .. } | Decoded::End { .. } => &[],
            };
            transaction.request_body(body, false);
        }
        transaction.log();
        let verdict = Verdict {
            status: transaction.interruption().map_or(0, status),
            ids: transaction
                .matches()
                .iter()
                .map(|one| &self.rules.rules[one.rule])
                .filter_map(|rule| rule.log.then_some(rule.id))
                .collect(),
        };
        self.work = transaction.into_workspace();
        self.parser.recycle(head);
        Ok(verdict)
    }
}

fn status(interruption: &Interruption) -> u16 {
    match interruption.action {
        Interrupt::Deny(status) | Interrupt::Redirect(status, _) => status,
        Interrupt::Drop => 444,
    }
}

fn processor_time() -> Outcome<Duration> {
    Ok(Duration::try_from(clock_gettime(ClockId::ProcessCPUTime))?)
}

fn print(output: &mut impl Write, spent: Duration, verdicts: &[Verdict]) -> io::Result<()> {
    write!(output, "{{\"cpu_ns\":{},\"verdicts\":[", spent.as_nanos())?;
    for (at, verdict) in verdicts.iter().enumerate() {
        let between = if at == 0 { "" } else { "," };
        write!(output, "{between}[{},{:?}]", verdict.status, verdict.ids)?;
    }
    writeln!(output, "]}}")?;
    output.flush()
}
