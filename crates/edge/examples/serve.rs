//! The data plane without Python, to profile it: `serve POLICY.json` runs until its standard input ends.

use std::io::Read;

use edge::service::{Edge, Options};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: serve POLICY.json [OPTIONS.json]")?;
    let options = std::env::args().nth(2).map_or_else(|| Ok(Options::default()), |json| serde_json::from_str(&json))?;
    let edge = Edge::start(&options, &std::fs::read(path)?)?;
    for (address, tls) in edge.listening() {
        eprintln!("listening on {address}{}", if *tls { " (TLS)" } else { "" });
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    edge.shutdown(edge.drain_timeout());
    Ok(())
}
