//! Properties of parser, printer and compiler over generated trees and arbitrary text.

use std::net::IpAddr;

use proptest::prelude::*;
use rules::ast::{Ast, Index, Item, ItemValue, Kind, Literal, Logical, Name, Node, Operator, Set};
use rules::{Cache, Context, Lists, Phase, Use, parse};

fn node(kind: Kind) -> Node {
    Node { kind, span: 0..0 }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(fields::TABLE).prop_map(|field| field.name.to_owned()),
        "z[a-z_][a-z0-9_]{0,6}(\\.[a-z0-9_]{1,5}){0,3}",
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        any::<String>().prop_map(String::into_bytes),
        "[\"\\\\#r*é]{0,6}".prop_map(String::into_bytes)
    ]
}

fn index() -> impl Strategy<Value = Index> {
    prop_oneof![Just(Index::Each), any::<u32>().prop_map(Index::Position), bytes().prop_map(Index::Key)]
}

fn address() -> impl Strategy<Value = IpAddr> {
    any::<IpAddr>()
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        any::<bool>().prop_map(Literal::Boolean),
        any::<i64>().prop_map(Literal::Integer),
        address().prop_map(Literal::Ip),
        bytes().prop_map(Literal::String),
    ]
}

/// A regular expression that does not end in a lone backslash, which no quoted string could hold.
fn pattern() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z\"#\\\\.*()]{0,10}", any::<String>(), "\"#{0,300}x"]
        .prop_filter("a lone backslash at the end", |pattern| {
            pattern.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 0
        })
        .prop_filter("a backslash before a quote beyond the hashes of a raw string", |pattern| {
            !(pattern.contains(&format!("\"{}", "#".repeat(255))) && pattern.contains('\\'))
        })
}

fn item() -> impl Strategy<Value = Item> {
    let ordered = |first: i64, last: i64| ItemValue::IntegerRange(first.min(last), first.max(last));
    prop_oneof![
        bytes().prop_map(ItemValue::String),
        any::<i64>().prop_map(ItemValue::Integer),
        (any::<i64>(), any::<i64>()).prop_map(move |(first, last)| ordered(first, last)),
        address().prop_map(ItemValue::Ip),
        (any::<[u8; 4]>(), any::<[u8; 4]>()).prop_map(|(a, b)| ItemValue::IpRange(a.min(b).into(), a.max(b).into())),
        (any::<[u8; 16]>(), any::<[u8; 16]>()).prop_map(|(a, b)| ItemValue::IpRange(a.min(b).into(), a.max(b).into())),
        (any::<[u8; 4]>(), 0..=32u8).prop_map(|(address, bits)| ItemValue::Network(address.into(), bits)),
        (any::<[u8; 16]>(), 0..=128u8).prop_map(|(address, bits)| ItemValue::Network(address.into(), bits)),
    ]
    .prop_map(|value| Item { value, span: 0..0 })
}

fn set() -> impl Strategy<Value = Set> {
    prop_oneof![
        proptest::collection::vec(item(), 1..5).prop_map(Set::Items),
        "[a-z0-9_]{1,8}".prop_map(|text| Set::List(Name { text, span: 0..0 })),
    ]
}

fn indexed(base: impl Strategy<Value = Node> + 'static) -> BoxedStrategy<Node> {
    (base, proptest::collection::vec(index(), 0..3))
        .prop_map(|(base, indexes)| {
            indexes.into_iter().fold(base, |base, index| node(Kind::Index(Box::new(base), index)))
        })
        .boxed()
}

fn operand(arguments: impl Strategy<Value = Node> + 'static) -> BoxedStrategy<Node> {
    prop_oneof![
        3 => indexed(name().prop_map(|name| node(Kind::Field(name)))),
        1 => indexed((name(), proptest::collection::vec(arguments, 0..3)).prop_map(|(text, arguments)| {
            node(Kind::Call(Name { text, span: 0..0 }, arguments))
        })),
        1 => literal().prop_map(|literal| node(Kind::Literal(literal))),
    ]
    .boxed()
}

fn comparison(left: BoxedStrategy<Node>) -> BoxedStrategy<Node> {
    let ordinary = proptest::sample::select(&Operator::ALL[..6]);
    let textual = proptest::sample::select(vec![Operator::Contains, Operator::Wildcard, Operator::StrictWildcard]);
    prop_oneof![
        2 => left.clone(),
        3 => (left.clone(), ordinary, literal()).prop_map(|(left, operator, right)| {
            node(Kind::Compare(Box::new(left), operator, Box::new(node(Kind::Literal(right)))))
        }),
        1 => (left.clone(), textual, bytes()).prop_map(|(left, operator, right)| {
            node(Kind::Compare(Box::new(left), operator, Box::new(node(Kind::Literal(Literal::String(right))))))
        }),
        1 => (left.clone(), pattern()).prop_map(|(left, right)| {
            node(Kind::Compare(Box::new(left), Operator::Matches, Box::new(node(Kind::Literal(Literal::Pattern(right))))))
        }),
        2 => (left, set()).prop_map(|(left, set)| node(Kind::In(Box::new(left), set))),
    ]
    .boxed()
}

fn tree() -> impl Strategy<Value = Ast> {
    let leaf = comparison(operand(name().prop_map(|name| node(Kind::Field(name)))));
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            3 => (proptest::sample::select(&Logical::ALL[..]), proptest::collection::vec(inner.clone(), 2..4))
                .prop_map(|(operator, operands)| node(Kind::Logical(operator, operands))),
            1 => inner.clone().prop_map(|operand| node(Kind::Not(Box::new(operand)))),
            1 => comparison(operand(inner)),
        ]
    })
    .prop_map(|root| Ast { root })
}

/// Text that is almost an expression: pieces of the language in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "http.host",
        "ip.src",
        "ssl",
        "http.request.headers",
        "lower",
        "any",
        "concat",
        "(",
        ")",
        "[",
        "]",
        "*",
        "[*]",
        "[0]",
        "[\"a\"]",
        "{",
        "}",
        ",",
        "eq",
        "==",
        "in",
        "$office",
        "matches",
        "~",
        "\"a\"",
        "\"(\"",
        "r#\"x\"#",
        "r#",
        "\"",
        "\\",
        "5",
        "-1",
        "1..2",
        "10.0.0.0/8",
        "::1",
        "not",
        "!",
        "and",
        "&&",
        "or",
        "xor",
        "wildcard",
        "strict",
        "true",
        " ",
        "é",
        "\u{0}",
    ]);
    proptest::collection::vec((piece, prop_oneof![Just(""), Just(" ")]), 0..24)
        .prop_map(|pieces| pieces.into_iter().flat_map(|(piece, blank)| [piece, blank]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_printed_tree_parses_to_an_equal_tree(tree in tree()) {
        let printed = tree.to_string();
        prop_assume!(printed.chars().count() <= rules::parse::MAX_CHARACTERS);
        let again = parse(&printed).unwrap_or_else(|error| panic!("{printed}\n{error}"));
        prop_assert_eq!(&again, &tree, "{}", printed);
        prop_assert_eq!(again.to_string(), printed);
    }

    #[test]
    fn no_text_makes_the_compiler_panic(text in prop_oneof![any::<String>(), pieces(), "[ -~]{0,60}"]) {
        let (lists, cache) = (Lists::default(), Cache::default());
        let context = Context { phase: Phase::LogCustomFields, used_as: Use::Filter, lists: &lists, cache: &cache };
        let sample = crate::support::login();
        match rules::compile(&text, &context) {
            Ok(compiled) => {
                let canonical = rules::compile(&compiled.to_string(), &context).unwrap();
                let view = sample.view();
                prop_assert_eq!(compiled.matches(&view), canonical.matches(&view));
            }
            Err(error) => {
                prop_assert!(error.span.start <= error.span.end.max(error.span.start));
                prop_assert!(error.line >= 1 && error.column >= 1);
                prop_assert!(!error.to_string().is_empty());
            }
        }
        // Whatever is refused as a condition may be a value.
        if let Ok(value) = rules::compile_value(&text, &context) {
            value.evaluate(&sample.view());
        }
    }
}

#[test]
fn both_spellings_print_as_one() {
    for (written, printed) in [
        ("ip.src==1.2.3.4&&!ssl", "ip.src eq 1.2.3.4 and not ssl"),
        ("(((ssl)))or((ssl))", "ssl or ssl"),
        ("ssl||ssl&&ssl^^ssl", "ssl or ssl and ssl xor ssl"),
        ("(ssl or ssl) and ssl", "(ssl or ssl) and ssl"),
        ("ssl and (ssl and ssl)", "ssl and (ssl and ssl)"),
        ("not (ssl or ssl)", "not (ssl or ssl)"),
        ("!(ip.src in {1.2.3.4  10.0.0.0/8})", "not ip.src in {1.2.3.4 10.0.0.0/8}"),
        ("http.host~\"a\\.b\"", "http.host matches r\"a\\.b\""),
        ("http.host matches \"a\\\"b\"", "http.host matches r#\"a\"b\"#"),
        ("http.host eq r\"a\\b\"", "http.host eq \"a\\\\b\""),
        ("http.host eq \"\\x0aé\\xff\"", "http.host eq \"\\x0Aé\\xFF\""),
        ("to_string(FE80::1) eq \"fe80::1\"", "to_string(fe80::1) eq \"fe80::1\""),
        ("ip.src eq 2001:0DB8:0:0::1", "ip.src eq 2001:db8::1"),
        ("any(http.request.headers [ \"a\" ] [*] eq \"x\")", "any(http.request.headers[\"a\"][*] eq \"x\")"),
    ] {
        match parse(written) {
            Ok(tree) => assert_eq!(tree.to_string(), printed),
            Err(error) => panic!("{written}\n{error}"),
        }
    }
}
