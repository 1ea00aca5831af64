//! Every documented example expression that reads what is here compiles: `documented.txt`.

use std::sync::Arc;

use rules::{Cache, Context, Error, List, ListKind, Lists, Phase, Use, compile, compile_value};

/// So many compile at least; fields that are added make it more.
const COMPILED_MIN: usize = 162;

/// Where an example of that kind stands; `None` for one that cannot be meant as it stands.
fn place(kind: &str) -> Option<(Phase, Use)> {
    Some(match kind {
        "filter" => (Phase::RequestFirewallCustom, Use::Filter),
        "response" => (Phase::ResponseHeadersTransform, Use::Filter),
        "header" => (Phase::RequestLateTransform, Use::HeaderValue),
        "uri" => (Phase::RequestTransform, Use::UriValue),
        "redirect" => (Phase::RequestDynamicRedirect, Use::RedirectTarget),
        "slip" => return None,
        other => panic!("no kind of example: {other}"),
    })
}

fn refusal(source: &str, (phase, used_as): (Phase, Use), lists: &Lists, cache: &Cache) -> Option<Error> {
    let context = Context { phase, used_as, lists, cache };
    match used_as {
        Use::Filter => compile(source, &context).err(),
        _ => compile_value(source, &context).err(),
    }
}

#[test]
fn every_documented_example_of_what_is_here_compiles() {
    let (mut lists, cache) = (Lists::default(), Cache::default());
    lists.insert("asnumbers", Arc::new(List::new(ListKind::Asn, ["64496"]).unwrap()));
    lists.insert("office_network", Arc::new(List::new(ListKind::Ip, ["192.0.2.0/24"]).unwrap()));
    let (mut compiled, mut absent, mut slips, mut wrong) = (0, 0, 0, Vec::new());
    for line in include_str!("documented.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (kind, source) = line.split_once(' ').unwrap();
        let place = place(kind);
        match refusal(source, place.unwrap_or((Phase::RequestFirewallCustom, Use::Filter)), &lists, &cache) {
            None if place.is_some() => compiled += 1,
            Some(error) if place.is_some() && error.message.contains(" is not here: ") => absent += 1,
            Some(_) if place.is_none() => slips += 1,
            _ => wrong.push(line),
        }
    }
    println!("{compiled} documented examples compile, {absent} read what is absent, {slips} are slips");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compiled >= COMPILED_MIN, "{compiled} examples");
}
