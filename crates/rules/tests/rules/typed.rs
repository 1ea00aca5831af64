//! The typed tree says of each part what the checker found out.

use std::fmt::Write;
use std::sync::Arc;

use rules::typed::{Part, TypedNode};
use rules::{Cache, Context, List, ListKind, Lists, Phase, Typed, Use, inspect};

fn inspected(source: &str, phase: Phase, used_as: Use) -> Result<Typed, rules::Error> {
    let (mut lists, cache) = (Lists::default(), Cache::default());
    lists.insert("office", Arc::new(List::new(ListKind::Ip, ["192.0.2.0/24"]).unwrap()));
    inspect(source, &Context { phase, used_as, lists: &lists, cache: &cache })
}

fn filter(source: &str) -> Typed {
    inspected(source, Phase::RequestFirewallCustom, Use::Filter).unwrap_or_else(|error| panic!("{error}"))
}

/// A line for each part: the source of it, its type, and a star where it is one for each element.
fn outline(source: &str, node: &TypedNode, depth: usize, out: &mut String) {
    let each = if node.each { "*" } else { "" };
    writeln!(out, "{:depth$}{} -- {}{each}", "", &source[node.span.clone()], node.kind, depth = 2 * depth).unwrap();
    node.parts.iter().for_each(|part| outline(source, part, depth + 1, out));
}

#[test]
fn every_part_has_the_type_that_the_checker_found() {
    let source = "any(lower(http.request.headers.names[*])[*] == \"x\") and len(http.host) > 3";
    let typed = filter(source);
    let mut lines = String::new();
    outline(source, &typed.root, 0, &mut lines);
    assert_eq!(
        lines,
        "any(lower(http.request.headers.names[*])[*] == \"x\") and len(http.host) > 3 -- Boolean
  any(lower(http.request.headers.names[*])[*] == \"x\") -- Boolean
    lower(http.request.headers.names[*])[*] == \"x\" -- Boolean*
      lower(http.request.headers.names[*])[*] -- String*
        lower(http.request.headers.names[*]) -- Array<String>
          http.request.headers.names[*] -- String*
            http.request.headers.names -- Array<String>
      \"x\" -- String
  len(http.host) > 3 -- Boolean
    len(http.host) -- Integer
      http.host -- String
    3 -- Integer
"
    );
    assert_eq!(typed.to_string(), source.replace("==", "eq").replace('>', "gt"));
    assert_eq!(typed.root.walk().count(), 12);
    let functions: Vec<_> = typed
        .root
        .walk()
        .filter_map(|node| if let Part::Call(function) = node.part { Some(function.name) } else { None })
        .collect();
    assert_eq!(functions, ["any", "lower", "len"]);
}

#[test]
fn a_tree_names_its_fields_and_lists() {
    let typed = filter("ip.geoip.country eq \"GB\" or ip.src in $office");
    assert_eq!(typed.fields.iter().map(fields::FieldId::name).collect::<Vec<_>>(), ["ip.src", "ip.src.country"]);
    assert_eq!(typed.list("office").map(|list| list.kind()), Some(ListKind::Ip));
    assert!(typed.list("other").is_none());
}

#[test]
fn what_folding_throws_away_is_not_read() {
    for (source, read) in [
        ("http.request.body.raw contains \"a\" and false", &[][..]),
        ("ssl or http.request.body.raw contains \"a\" or true", &[]),
        ("false and len(http.request.body.raw) gt 1 or ssl", &["ssl"]),
        ("any(http.request.uri.args.values[*] contains \"a\")", &["http.request.uri.args.values"]),
        ("len(http.request.body.raw) gt 1 and true", &["http.request.body.raw"]),
    ] {
        let (lists, cache) = (Lists::default(), Cache::default());
        let phase = Phase::RequestFirewallCustom;
        let context = Context { phase, used_as: Use::Filter, lists: &lists, cache: &cache };
        let compiled = rules::compile(source, &context).unwrap();
        assert_eq!(compiled.fields().iter().map(fields::FieldId::name).collect::<Vec<_>>(), read, "{source}");
        assert_eq!(compiled.fields(), filter(source).fields, "{source}");
        assert_eq!(compiled.needs_body(), read.contains(&"http.request.body.raw"), "{source}");
    }
}

#[test]
fn what_is_refused_is_refused_alike() {
    for (source, used_as) in [
        ("http.hots eq \"a\"", Use::Filter),
        ("http.host", Use::Filter),
        ("ssl and ssl", Use::RedirectTarget),
        ("uuidv4(http.host)", Use::RedirectTarget),
    ] {
        let (lists, cache) = (Lists::default(), Cache::default());
        let context = Context { phase: Phase::RequestDynamicRedirect, used_as, lists: &lists, cache: &cache };
        let refusal = match used_as {
            Use::Filter => rules::compile(source, &context).unwrap_err(),
            _ => rules::compile_value(source, &context).unwrap_err(),
        };
        assert_eq!(inspect(source, &context).unwrap_err(), refusal, "{source}");
    }
    let value = inspected("concat(http.host, \"/\")", Phase::RequestDynamicRedirect, Use::RedirectTarget).unwrap();
    assert_eq!((value.root.kind, value.root.parts.len()), (fields::Type::String, 2));
}
