//! Functions on addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fields::Type;

use super::place::Place;
use super::{Accepts, Example, Function, INTEGER, Limits, Literal, Parameter, Places};
use crate::phase::Phase;
use crate::plan::{Arguments, Cell};

const ADDRESS: Parameter = Parameter::new("address", &[Accepts::Type(Type::Ip)], Literal::Refused);
const IPV4_BITS: Parameter = Parameter::new("ipv4_bits", INTEGER, Literal::Allowed).limited(Limits::Between(1, 32));
const IPV6_BITS: Parameter = Parameter::new("ipv6_bits", INTEGER, Literal::Allowed).limited(Limits::Between(1, 128));
const PLACES: Places =
    Places::Only(&[Place::FilterOf(Phase::RequestFirewallCustom), Place::FilterOf(Phase::RateLimit)]);
const IPV6: &str = "2001:0000:130f:0000:0000:09c0:876a:130b";

pub(super) const CIDR: Function = Function {
    places: PLACES,
    examples: &[
        Example::new("cidr(ip.src, 24, 24)", "GET /", "113.10.0.0").from("113.10.0.2"),
        Example::new("cidr(ip.src, 24, 24)", "GET /", "2001::").from(IPV6),
    ],
    ..Function::new(
        "cidr",
        &[ADDRESS, IPV4_BITS, IPV6_BITS],
        Type::Ip,
        "The first address of the network of that many bits that the address is in.",
        cidr,
    )
};

pub(super) const CIDR6: Function = Function {
    places: PLACES,
    examples: &[
        Example::new("cidr6(ip.src, 24)", "GET /", "2001::").from(IPV6),
        Example::new("cidr6(ip.src, 24)", "GET /", "113.10.0.2").from("113.10.0.2"),
    ],
    ..Function::new(
        "cidr6",
        &[ADDRESS, IPV6_BITS],
        Type::Ip,
        "The first address of the network of that many bits that an IPv6 address is in. An IPv4 address stays.",
        cidr6,
    )
};

fn cidr<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let Cell::Ip(address) = arguments.cell(0)? else { return None };
    network(address, arguments.integer(1)?, arguments.integer(2)?)
}

fn cidr6<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let Cell::Ip(address) = arguments.cell(0)? else { return None };
    network(address, 32, arguments.integer(1)?)
}

/// Missing where a number that was computed is none of those that may be written out.
fn network<'v>(address: IpAddr, ipv4_bits: i64, ipv6_bits: i64) -> Option<Cell<'v>> {
    if !(1..=32).contains(&ipv4_bits) || !(1..=128).contains(&ipv6_bits) {
        return None;
    }
    Some(Cell::Ip(match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & u32::MAX << (32 - ipv4_bits))),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & u128::MAX << (128 - ipv6_bits))),
    }))
}
