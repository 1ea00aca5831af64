//! Writes small databases in the `MaxMind` DB format (version 2.0 of its specification), so that no test needs somebody's
//! data.

use std::net::{IpAddr, Ipv4Addr};

/// A value in the data section.
#[derive(Clone, Debug)]
pub enum Data {
    Text(&'static str),
    Double(f64),
    Short(u16),
    Number(u32),
    Long(u64),
    Flag(bool),
    Array(Vec<Data>),
    Map(Vec<(&'static str, Data)>),
}

impl Data {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                head(2, text.len(), out);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Double(number) => {
                head(3, 8, out);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Short(number) => {
                head(5, 2, out);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Number(number) => {
                head(6, 4, out);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Long(number) => {
                head(9, 8, out);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Flag(flag) => head(14, usize::from(*flag), out),
            Self::Array(elements) => {
                head(11, elements.len(), out);
                for element in elements {
                    element.write(out);
                }
            }
            Self::Map(members) => {
                head(7, members.len(), out);
                for (key, value) in members {
                    Self::Text(key).write(out);
                    value.write(out);
                }
            }
        }
    }
}

/// The control byte of a value with what belongs to it.
fn head(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (short, long) = if size < 29 { (size as u8, None) } else { (29, Some((size - 29) as u8)) };
    match kind {
        1..=7 => out.push(kind << 5 | short),
        _ => out.extend([short, kind - 7]),
    }
    out.extend(long);
}

/// A database of that type, which has a record for each network.
pub fn database(kind: &'static str, networks: &[(&str, Data)]) -> Vec<u8> {
    // An entry is a node, nothing (0, which is the root and so no other's child) or a place in the data, negative.
    let mut nodes = vec![[0i64; 2]];
    let mut data = Vec::new();
    for (network, record) in networks {
        let (address, length) = network.split_once('/').expect("a network with its length");
        let (bits, length) = match address.parse().expect("an address") {
            IpAddr::V4(address) => (v4_bits(address), length.parse::<usize>().expect("a length") + 96),
            IpAddr::V6(address) => (address.to_bits(), length.parse().expect("a length")),
        };
        let mut node = 0;
        for depth in 0..length {
            let side = (bits >> (127 - depth) & 1) as usize;
            if depth + 1 == length {
                nodes[node][side] = -1 - data.len() as i64;
            } else {
                if nodes[node][side] == 0 {
                    nodes.push([0; 2]);
                    nodes[node][side] = nodes.len() as i64 - 1;
                }
                node = nodes[node][side] as usize;
            }
        }
        record.write(&mut data);
    }
    let count = nodes.len() as u32;
    let entry = |entry: i64| match entry {
        0 => count,
        1.. => entry as u32,
        _ => count + 16 + (-1 - entry) as u32,
    };
    let mut file: Vec<u8> = nodes.iter().flatten().flat_map(|value| entry(*value).to_be_bytes()).collect();
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xAB\xCD\xEFMaxMind.com");
    Data::Map(vec![
        ("node_count", Data::Number(count)),
        ("record_size", Data::Short(32)),
        ("ip_version", Data::Short(6)),
        ("database_type", Data::Text(kind)),
        ("languages", Data::Array(vec![Data::Text("en")])),
        ("binary_format_major_version", Data::Short(2)),
        ("binary_format_minor_version", Data::Short(0)),
        ("build_epoch", Data::Long(1_700_000_000)),
        ("description", Data::Map(vec![("en", Data::Text("made by a test"))])),
    ])
    .write(&mut file);
    file
}

/// IPv4 stands at `::/96`.
fn v4_bits(address: Ipv4Addr) -> u128 {
    u128::from(u32::from(address))
}

/// What a database of cities has of one.
pub fn city(country: &'static str, is_in_european_union: bool, city: &'static str) -> Data {
    let named = |name| ("names", Data::Map(vec![("de", Data::Text("anders")), ("en", Data::Text(name))]));
    let region = |code, name| Data::Map(vec![("iso_code", Data::Text(code)), named(name)]);
    Data::Map(vec![
        ("city", Data::Map(vec![("geoname_id", Data::Number(1)), named(city)])),
        ("continent", Data::Map(vec![("code", Data::Text("EU")), named("Europe")])),
        (
            "country",
            Data::Map(vec![
                ("is_in_european_union", Data::Flag(is_in_european_union)),
                ("iso_code", Data::Text(country)),
            ]),
        ),
        (
            "location",
            Data::Map(vec![
                ("accuracy_radius", Data::Short(20)),
                ("latitude", Data::Double(51.5142)),
                ("longitude", Data::Double(-0.0931)),
                ("metro_code", Data::Short(635)),
                ("time_zone", Data::Text("Europe/London")),
            ]),
        ),
        ("postal", Data::Map(vec![("code", Data::Text("EC2V"))])),
        ("subdivisions", Data::Array(vec![region("ENG", "England"), region("SWK", "Southwark")])),
    ])
}

/// What a database of autonomous systems has of one.
pub fn autonomous_system(number: u32) -> Data {
    Data::Map(vec![
        ("autonomous_system_number", Data::Number(number)),
        ("autonomous_system_organization", Data::Text("Example Networks")),
    ])
}
