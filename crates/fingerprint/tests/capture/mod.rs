//! Packet captures for tests: pcap and pcapng files, and what each TCP client sent, in order.

use std::{collections::BTreeMap, net::IpAddr};

/// One direction of a TCP connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    pub source: IpAddr,
    pub source_port: u16,
    pub destination: IpAddr,
    pub destination_port: u16,
}

/// What one side sent.
pub struct Stream {
    pub bytes: Vec<u8>,
    /// Where in `bytes` each segment began.
    pub segments: Vec<usize>,
}

/// One TCP segment.
struct Segment<'a> {
    sequence: u32,
    is_syn: bool,
    payload: &'a [u8],
}

/// The TCP streams of a capture file.
pub fn read(file: &[u8]) -> BTreeMap<Flow, Stream> {
    let packets = if file.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) { pcapng(file) } else { pcap(file) };
    let mut segments: BTreeMap<Flow, Vec<Segment<'_>>> = BTreeMap::new();
    for (link, frame) in packets {
        if let Some((flow, segment)) = ip_packet(link, frame).and_then(tcp_segment) {
            segments.entry(flow).or_default().push(segment);
        }
    }
    segments.into_iter().map(|(flow, segments)| (flow, reassemble(&segments))).collect()
}

/// Puts segments in the order of their sequence numbers. What overlaps is taken once, what is missing ends the stream.
fn reassemble(segments: &[Segment<'_>]) -> Stream {
    let start = segments.iter().find(|segment| segment.is_syn).map(|segment| segment.sequence.wrapping_add(1));
    let first_with_data = segments.iter().find(|segment| !segment.payload.is_empty()).map(|segment| segment.sequence);
    let mut stream = Stream { bytes: Vec::new(), segments: Vec::new() };
    let Some(start) = start.or(first_with_data) else { return stream };
    let mut ordered: Vec<(i32, &[u8])> = segments
        .iter()
        .filter(|segment| !segment.payload.is_empty())
        .map(|segment| (segment.sequence.wrapping_sub(start) as i32, segment.payload))
        .collect();
    ordered.sort_by_key(|(offset, _)| *offset);
    for (offset, payload) in ordered {
        let Some(overlap) = stream.bytes.len().checked_sub(offset.max(0) as usize) else { break };
        if let Some(new) = payload.get(overlap..).filter(|new| !new.is_empty() && offset >= 0) {
            stream.segments.push(stream.bytes.len());
            stream.bytes.extend_from_slice(new);
        }
    }
    stream
}

fn pcap(file: &[u8]) -> Vec<(u32, &[u8])> {
    assert!([0xa1b2_c3d4, 0xa1b2_3c4d].contains(&u32_le(file, 0)), "a little-endian pcap file");
    let link = u32_le(file, 20);
    let mut packets = Vec::new();
    let mut at = 24;
    while at + 16 <= file.len() {
        let captured = u32_le(file, at + 8) as usize;
        packets.push((link, &file[at + 16..at + 16 + captured]));
        at += 16 + captured;
    }
    packets
}

fn pcapng(file: &[u8]) -> Vec<(u32, &[u8])> {
    let mut links = Vec::new();
    let mut packets = Vec::new();
    let mut at = 0;
    while at + 12 <= file.len() {
        let length = u32_le(file, at + 4) as usize;
        let body = &file[at + 8..at + length - 4];
        match u32_le(file, at) {
            0x0a0d_0d0a => assert_eq!(u32_le(body, 0), 0x1a2b_3c4d, "a little-endian pcapng section"),
            1 => links.push(u32_le(body, 0) & 0xffff),
            6 => {
                let captured = u32_le(body, 12) as usize;
                packets.push((links[u32_le(body, 0) as usize], &body[20..20 + captured]));
            }
            _ => {}
        }
        at += length;
    }
    packets
}

/// The IP packet of a frame: null/loopback (0), Ethernet (1) with VLAN tags, or raw (101).
fn ip_packet(link: u32, frame: &[u8]) -> Option<&[u8]> {
    match link {
        0 => frame.get(4..),
        1 => {
            let mut at = 12;
            while frame.get(at..at + 2)? == [0x81, 0x00] {
                at += 4;
            }
            frame.get(at + 2..)
        }
        101 => Some(frame),
        other => panic!("link type {other} is not read here"),
    }
}

fn tcp_segment(packet: &[u8]) -> Option<(Flow, Segment<'_>)> {
    const TCP: u8 = 6;
    let (protocol, source, destination, segment) = match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet[0] & 0x0f) * 4;
            let total = usize::from(u16_be(packet, 2));
            let address = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).unwrap());
            // A total of zero is segmentation offload; what was captured is what there is.
            let end = if total == 0 { packet.len() } else { total.min(packet.len()) };
            (packet[9], address(12), address(16), &packet[header..end])
        }
        6 => {
            let end = (40 + usize::from(u16_be(packet, 4))).min(packet.len());
            let address = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap());
            (packet[6], address(8), address(24), &packet[40..end])
        }
        _ => return None,
    };
    if protocol != TCP {
        return None;
    }
    let header = usize::from(segment[12] >> 4) * 4;
    let flow = Flow { source, source_port: u16_be(segment, 0), destination, destination_port: u16_be(segment, 2) };
    let sequence = u32::from_be_bytes(segment[4..8].try_into().unwrap());
    Some((flow, Segment { sequence, is_syn: segment[13] & 2 != 0, payload: &segment[header..] }))
}

fn u32_le(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u16_be(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap())
}
