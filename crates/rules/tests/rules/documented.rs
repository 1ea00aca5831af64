//! Every documented example expression that reads what is here compiles: `documented.txt`. Every documented field and function
//! is here, or is refused with the reason: `documented_fields.txt`.

use std::sync::Arc;

use fields::Presence;

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

/// So many fields are documented: those of the reference, and those of its other pages.
const FIELDS: usize = 173;
const OTHER_FIELDS: usize = 46;

/// What became of documented names.
#[derive(Debug, Default, PartialEq, Eq)]
struct Coverage {
    present: usize,
    partial: usize,
    absent: usize,
}

/// The documented type as this edge names it.
fn documented_type(text: &str) -> String {
    text.replace("Number", "Integer")
}

/// Counts a documented field; the error says how the tables differ from what is documented of it.
fn count_field(coverage: &mut Coverage, name: &str, kind: &str) -> Result<(), String> {
    let here = if let Some(id) = fields::by_name(name) {
        match id.field().presence {
            Presence::Present => coverage.present += 1,
            Presence::Partial(_) => coverage.partial += 1,
        }
        id.kind()
    } else if let Some(absent) = fields::absent(name) {
        assert!(!absent.lack.reason.is_empty());
        coverage.absent += 1;
        absent.kind
    } else {
        return Err(format!("{name} is neither here nor said to be absent"));
    };
    if here.to_string() == documented_type(kind) {
        Ok(())
    } else {
        Err(format!("{name} is {here}, documented as {kind}"))
    }
}

#[test]
fn every_documented_field_and_function_is_here_or_said_to_be_absent() {
    let (mut of_reference, mut of_others, mut functions) =
        (Coverage::default(), Coverage::default(), Coverage::default());
    let (mut section, mut wrong) = (0, Vec::new());
    for line in include_str!("documented_fields.txt").lines() {
        if line.is_empty() {
            section += 1;
        } else if let Some(name) = line.strip_prefix("function ") {
            let is_here = rules::FUNCTIONS.iter().any(|function| function.name == name);
            let is_absent = rules::functions::ABSENT.iter().any(|absent| absent.name == name);
            match (is_here, is_absent) {
                (true, false) => functions.present += 1,
                (false, true) => functions.absent += 1,
                _ => wrong.push(format!("{name}() is here: {is_here}, and absent: {is_absent}")),
            }
        } else if let Some((name, kind)) = line.split_once(' ').filter(|_| !line.starts_with('#')) {
            let coverage = if section == 1 { &mut of_reference } else { &mut of_others };
            wrong.extend(count_field(coverage, name, kind).err());
        }
    }
    println!("fields of the reference: {of_reference:?}; of other pages: {of_others:?}; functions: {functions:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let count = |coverage: &Coverage| coverage.present + coverage.partial + coverage.absent;
    assert_eq!((count(&of_reference), count(&of_others)), (FIELDS, OTHER_FIELDS));
    assert_eq!(functions, Coverage { present: 28, partial: 0, absent: 3 });
}

/// A name below `cf.`, `http.`, `ip.`, `raw.` or `tcp.` that no page documents would be an invention.
#[test]
fn no_field_is_invented_where_names_are_documented() {
    let documented: Vec<&str> =
        include_str!("documented_fields.txt").lines().filter_map(|line| line.split(' ').next()).collect();
    let here = fields::TABLE.iter().map(|field| field.name).filter(|name| !name.starts_with("bartizan."));
    let named = here.chain(fields::ALIASES.iter().map(|(alias, _)| *alias));
    let invented: Vec<_> = named
        .chain(fields::ABSENT.iter().map(|absent| absent.name))
        .filter(|name| !documented.contains(name))
        .collect();
    assert_eq!(invented, [""; 0]);
}
