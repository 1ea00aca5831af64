//! What a rule looks at: `REQUEST_COOKIES|!REQUEST_COOKIES:/__utm/|&ARGS|XML:/*`.

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use crate::body::xml::Query;
use crate::names::Names;
use crate::place::{no_variable, shown};
use crate::rule::{Selector, Target};
use crate::variable::Variable;

/// Changes `targets` by what `text` names: variables are added, those with `!` are taken out. An exclusion by name holds for
/// all that is added, wherever it stands.
///
/// # Errors
///
/// What of it cannot be read.
pub fn change(text: &[u8], targets: &mut Vec<Target>, names: &mut Names) -> Result<(), String> {
    let mut rest = text.trim_ascii();
    if rest.is_empty() {
        return Err("no variable is named".to_owned());
    }
    let mut exclusions = Vec::new();
    while !rest.is_empty() {
        let (item, after) = next(rest, names)?;
        rest = after;
        if item.variable == Variable::Xml && item.selector == Selector::All && !item.count && !item.negated {
            return Err("XML is asked for with a path, as in XML:/*".to_owned());
        }
        if !item.negated {
            targets.push(Target {
                variable: item.variable,
                count: item.count,
                selector: item.selector,
                exclusions: Vec::new(),
            });
        } else if item.selector == Selector::All {
            targets.retain(|target| target.variable != item.variable);
        } else if let Selector::Path(..) = item.selector {
            targets.retain(|target| target.variable != item.variable || target.selector != item.selector);
        } else {
            exclusions.push((item.variable, item.selector));
        }
    }
    for (variable, selector) in exclusions {
        for target in targets.iter_mut().filter(|target| target.variable == variable) {
            #[cfg(feature = "planted")]
            assert!(
                !target.count || !matches!(selector, Selector::Pattern(..)),
                "planted: of what is counted, what a pattern chooses is left out"
            );
            target.exclusions.push(selector.clone());
        }
    }
    Ok(())
}

/// One variable with its selector, as `ctl:ruleRemoveTargetById` names it.
///
/// # Errors
///
/// What of it cannot be read.
pub fn one(text: &[u8], names: &mut Names) -> Result<(Variable, Selector), String> {
    let (item, rest) = next(text.trim_ascii(), names)?;
    if !rest.is_empty() || item.negated || item.count {
        return Err(format!("{}: give one variable, without ! and &", shown(text)));
    }
    Ok((item.variable, item.selector))
}

struct Item {
    negated: bool,
    count: bool,
    variable: Variable,
    selector: Selector,
}

/// The first item of a list, and what comes after it.
fn next<'t>(text: &'t [u8], names: &mut Names) -> Result<(Item, &'t [u8]), String> {
    let mut rest = text;
    let mut negated = false;
    let mut count = false;
    loop {
        match rest.first() {
            Some(b'!') => negated = true,
            Some(b'&') => count = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    let end = rest.iter().position(|byte| matches!(byte, b'|' | b':' | b',')).unwrap_or(rest.len());
    let name = rest[..end].trim_ascii();
    let variable = Variable::named(name).ok_or_else(|| no_variable(name))?;
    rest = &rest[end..];
    let selector = match rest.split_first() {
        Some((b':', after)) => {
            let (selector, after) = selector(variable, after, names)?;
            rest = after;
            selector
        }
        _ => Selector::All,
    };
    let rest = match rest.trim_ascii_start().split_first() {
        None => &rest[..0],
        Some((b'|' | b',', after)) if !after.trim_ascii().is_empty() => after.trim_ascii_start(),
        Some(_) => return Err(format!("{}: a variable or the end is expected after {}", shown(rest), variable.name())),
    };
    if variable == Variable::Rule {
        return Err("RULE is said in texts, as in %{rule.id}, and cannot be looked at".to_owned());
    }
    Ok((Item { negated, count, variable, selector }, rest))
}

fn selector<'t>(variable: Variable, text: &'t [u8], names: &mut Names) -> Result<(Selector, &'t [u8]), String> {
    if !variable.has_names() {
        return Err(format!("{} has one value, of which none can be chosen by name", variable.name()));
    }
    if variable == Variable::Xml {
        let end = memchr::memchr2(b'|', b',', text).unwrap_or(text.len());
        let query = Query::parse(&text[..end])?;
        return Ok((Selector::Path(query, text[..end].to_vec()), &text[end..]));
    }
    let (written, rest) = match text.first() {
        Some(b'\'') => {
            let end = memchr::memchr(b'\'', &text[1..])
                .ok_or_else(|| format!("{}: the quote of the selector is not closed", shown(text)))?;
            (&text[1..=end], &text[end + 2..])
        }
        Some(b'/') => {
            let end = closing_slash(text).ok_or_else(|| format!("{}: the pattern has no / at its end", shown(text)))?;
            (&text[..=end], &text[end + 1..])
        }
        _ => {
            let end = memchr::memchr2(b'|', b',', text).unwrap_or(text.len());
            (text[..end].trim_ascii_end(), &text[end..])
        }
    };
    if written.is_empty() {
        return Err(format!("{}: a name is expected after the colon", variable.name()));
    }
    let selector = match written.strip_prefix(b"/").and_then(|inner| inner.strip_suffix(b"/")) {
        Some(pattern) if !pattern.is_empty() => {
            Selector::Pattern(compiled(pattern)?, names.add_pattern(pattern), written.to_vec())
        }
        _ => Selector::Name(names.add(written), written.to_vec()),
    };
    Ok((selector, rest))
}

fn closing_slash(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'/' => return Some(at),
            _ => at += 1,
        }
    }
    None
}

fn compiled(pattern: &[u8]) -> Result<Regex, String> {
    let text =
        std::str::from_utf8(pattern).map_err(|_| format!("/{}/: write bytes above 127 as \\xhh", shown(pattern)))?;
    Regex::builder()
        .syntax(syntax::Config::new().unicode(false).utf8(false).case_insensitive(true))
        .configure(Regex::config().utf8_empty(false))
        .build(&text.replace("\\/", "/"))
        .map_err(|error| format!("/{text}/: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let mut targets = Vec::new();
        change(text.as_bytes(), &mut targets, &mut Names::default())?;
        Ok(targets
            .iter()
            .map(|target| {
                let count = if target.count { "&" } else { "" };
                format!("{count}{}:{:?} -{:?}", target.variable.name(), target.selector, target.exclusions)
            })
            .collect())
    }

    #[test]
    fn variables_have_selectors_counts_and_exclusions() {
        assert_eq!(
            read("REQUEST_COOKIES|!REQUEST_COOKIES:/__utm|a\\/b/|&args:x|ARGS_NAMES|XML:/*|TX:'/^a b$/'|!ARGS_NAMES")
                .unwrap(),
            ["REQUEST_COOKIES: -[/__utm|a\\/b/]", "&ARGS:x -[]", "XML:/* -[]", "TX:/^a b$/ -[]",]
        );
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (text, error) in [
            ("", "no variable is named"),
            ("ARG", "there is no variable ARG; did you mean ARGS?"),
            ("NOTHING_LIKE_IT_AT_ALL", "there is no variable NOTHING_LIKE_IT_AT_ALL"),
            (
                "GEO:COUNTRY_CODE",
                "GEO is not supported: there is no @geoLookup: use a rule of the edge with ip.src.country",
            ),
            ("REQUEST_URI:x", "REQUEST_URI has one value, of which none can be chosen by name"),
            ("ARGS:", "ARGS: a name is expected after the colon"),
            ("ARGS:/a", "/a: the pattern has no / at its end"),
            ("ARGS:'a", "'a: the quote of the selector is not closed"),
            ("ARGS|", "|: a variable or the end is expected after ARGS"),
            ("RULE:id", "RULE is said in texts, as in %{rule.id}, and cannot be looked at"),
            ("XML", "XML is asked for with a path, as in XML:/*"),
        ] {
            assert_eq!(read(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn one_variable_is_one() {
        let mut names = Names::default();
        assert!(matches!(one(b"ARGS:a", &mut names), Ok((Variable::Args, Selector::Name(..)))));
        assert!(one(b"ARGS|FILES", &mut names).is_err());
        assert!(one(b"!ARGS", &mut names).is_err());
    }
}
