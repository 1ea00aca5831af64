//! What a running edge writes of where its clients are.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../fields/tests/support/mmdb.rs"]
mod mmdb;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use edge::service::{Edge, Options};
use serde_json::{Value, json};
use spool::{Position, Reader};

/// Longer than anything here takes, shorter than anybody waits.
const PATIENCE: Duration = Duration::from_secs(60);

fn policy(folder: &Path) -> Value {
    let file = |name: &str, database: Vec<u8>| {
        let path = folder.join(name);
        std::fs::write(&path, database).expect("written");
        path
    };
    let city = mmdb::database("GeoLite2-City", &[("198.51.100.0/24", mmdb::city("GB", false, "London"))]);
    let system = mmdb::database("GeoLite2-ASN", &[("198.51.100.0/24", mmdb::autonomous_system(64_496))]);
    json!({
        "format": 1, "version": 1,
        "edge": {
            "listen": [{"address": "127.0.0.1:0"}],
            "trusted_proxies": ["127.0.0.1"],
            "threads": 1,
            "geo": {"location_file": file("city.mmdb", city), "asn_file": file("asn.mmdb", system)},
            "spool": {"dir": folder.join("spool")},
        },
        "zones": [{
            "name": "shop", "hosts": ["shop.example"],
            "origin": {"servers": [{"url": "http://127.0.0.1:9"}]},
            "phases": {"http_request_firewall_custom": [
                {"id": "00000000000000000000000000000001", "expression": "true", "action": "block"},
            ]},
        }],
    })
}

/// The values of columns in each row; where a row has none, `-`.
fn rows(folder: &Path, columns: &[&str]) -> Vec<String> {
    let mut reader = Reader::open(&folder.join("spool"), Position::Oldest).expect("a spool");
    let mut found = Vec::new();
    while let Some(batch) = reader.next_batch(1000, 1 << 20).expect("a batch") {
        for row in batch.rows() {
            let value = |column: &&str| match row.get(column) {
                Some(spool::Value::Text(text)) => String::from_utf8_lossy(text).into_owned(),
                Some(spool::Value::UInt(number)) => number.to_string(),
                Some(other) => panic!("{column} is {other:?}"),
                None => "-".to_owned(),
            };
            found.push(columns.iter().map(value).collect::<Vec<_>>().join(" "));
        }
    }
    found
}

#[test]
fn a_client_is_where_the_databases_have_its_address_one_request_after_the_other() {
    let folder = tempfile::tempdir().expect("a directory");
    let options: Options = serde_json::from_str("{}").expect("options");
    let edge = Edge::start(&options, policy(folder.path()).to_string().as_bytes()).expect("the edge starts");
    let mut client = TcpStream::connect(edge.listening()[0].0).expect("a connection");
    client.set_read_timeout(Some(PATIENCE)).expect("set");
    for (address, last) in [("198.51.100.8", ""), ("203.0.113.9", ""), ("198.51.100.9", "Connection: close\r\n")] {
        write!(client, "GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: {address}\r\n{last}\r\n")
            .expect("written");
    }
    let mut answers = Vec::new();
    client.read_to_end(&mut answers).expect("three answers");
    edge.shutdown(PATIENCE);

    let columns = ["ClientASN", "ClientCountry", "ClientRegionCode", "ClientCity", "ClientLatitude", "ClientLongitude"];
    let (there, nowhere) = ("64496 gb ENG London 51.5142 -0.0931", "- - - - - -");
    let event = "64496 gb - - - -";
    assert_eq!(rows(folder.path(), &columns), [there, event, nowhere, nowhere, there, event]);
    let runs = "Example Networks";
    assert_eq!(rows(folder.path(), &["ClientASNDescription"]), ["-", runs, "-", "-", "-", runs]);
}
