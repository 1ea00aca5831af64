//! Secrets that are written out in an expression: the key of a token's HMAC. The canonical print keeps them, since it is
//! what is stored; what people are shown has [`SHOWN`] in their place.

use std::ops::Range;

use crate::ast::{Ast, Kind, Literal, Node};
use crate::functions;
use crate::typed::{Part, TypedNode};

/// What is shown in the place of a secret, quotes included.
const SHOWN: &str = "\"***\"";

/// The tree with its secrets taken out.
pub(crate) fn taken_out(ast: &Ast) -> Ast {
    let mut shown = ast.clone();
    take_out(&mut shown.root);
    shown
}

fn take_out(node: &mut Node) {
    match &mut node.kind {
        Kind::Logical(_, parts) => parts.iter_mut().for_each(take_out),
        Kind::Not(part) | Kind::In(part, _) | Kind::Index(part, _) => take_out(part),
        Kind::Compare(left, _, right) => {
            take_out(left);
            take_out(right);
        }
        Kind::Call(name, arguments) => {
            let function = functions::by_name(&name.text);
            for (place, argument) in arguments.iter_mut().enumerate() {
                let is_secret = function.and_then(|function| function.parameter(place)).is_some_and(|one| one.secret);
                match &mut argument.kind {
                    Kind::Literal(literal) if is_secret => *literal = Literal::String(b"***".to_vec()),
                    _ => take_out(argument),
                }
            }
        }
        Kind::Field(_) | Kind::Literal(_) => {}
    }
}

/// Where secrets stand in the source of a checked expression, in its order.
pub(crate) fn places(root: &TypedNode) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    for node in root.walk() {
        let Part::Call(function) = node.part else { continue };
        let secret = |(place, part): (usize, &TypedNode)| {
            let is_secret = function.parameter(place).is_some_and(|parameter| parameter.secret);
            (is_secret && matches!(part.part, Part::Literal(_))).then(|| part.span.clone())
        };
        places.extend(node.parts.iter().enumerate().filter_map(secret));
    }
    places.sort_unstable_by_key(|place| place.start);
    places
}

/// A part of a source as it was written, but for the secrets in it.
pub(crate) fn shown(source: &str, part: &Range<usize>, secrets: &[Range<usize>]) -> String {
    let (mut shown, mut at) = (String::new(), part.start);
    for secret in secrets.iter().filter(|secret| part.start <= secret.start && secret.end <= part.end) {
        shown.push_str(source.get(at..secret.start).unwrap_or_default());
        shown.push_str(SHOWN);
        at = secret.end;
    }
    shown.push_str(source.get(at..part.end).unwrap_or_default());
    shown
}

#[cfg(test)]
mod tests {
    use crate::expression::{Cache, Context};
    use crate::functions::Use;
    use crate::list::Lists;
    use crate::phase::Phase;

    #[test]
    fn a_key_is_shown_to_nobody_and_stored_whole() {
        let (lists, cache) = (Lists::default(), Cache::default());
        let context =
            Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists: &lists, cache: &cache };
        let source = "(not is_timed_hmac_valid_v0(r#\"my\"key\"#, http.request.uri, 60, http.request.timestamp.sec) and \
                      (is_timed_hmac_valid_v0(\"other\", http.cookie, 60, 1) or http.host eq \"other\"))";
        let explanation = crate::explain::explain(source, &context).unwrap();
        let said = format!("{explanation} {:?}", explanation.lines);
        assert!(!said.contains("my"), "{said}");
        assert_eq!(explanation.canonical.matches("\"***\"").count(), 2);
        assert!(explanation.canonical.ends_with("http.host eq \"other\")"), "{}", explanation.canonical);
        let whole = &explanation.lines[0].source;
        assert!(whole.starts_with("(not is_timed_hmac_valid_v0(\"***\", http.request.uri, 60,"), "{whole}");
        let compiled = crate::compile(source, &context).unwrap().to_string();
        assert!(compiled.contains("is_timed_hmac_valid_v0(\"my\\\"key\","), "{compiled}");
    }
}
