//! The queries of `XML:` in rules: a part of `XPath` 1.0, those paths that need one pass over a document.
//!
//! `/a/b`, `//a`, `//a/b//c`, `/*`, `//*` select elements, of which the value is all text in them; `//@a`, `//@*`, `/a/@b` select
//! attributes, `//text()` and `/a/text()` texts. A name may have a prefix, for which the rule gives a namespace by
//! `xmlns`; one without a prefix is a name in no namespace. All else (predicates, functions, axes, relative paths) is refused.

/// Steps of a path.
const STEPS: usize = 30;

/// A path through a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub(super) steps: Vec<Step>,
    pub(super) target: Target,
    /// Whether the target may stand at any depth under the last step.
    pub(super) is_deep: bool,
}

/// From an element to those in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Whether they may stand at any depth.
    pub(super) is_deep: bool,
    pub(super) test: Test,
}

/// What is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The elements of the last step.
    Elements,
    Attributes(Test),
    Texts,
}

/// Which names match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Any,
    Name {
        prefix: Vec<u8>,
        local: Vec<u8>,
        /// Empty for none, unknown for a prefix that was not bound.
        namespace: Option<Vec<u8>>,
    },
}

impl Test {
    pub(super) fn matches(&self, name: &[u8], space: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Name { local, namespace, .. } => local == name && namespace.as_deref() == Some(space),
        }
    }

    /// Reads the name at the beginning of a text. Returns what follows it.
    fn parse(text: &[u8]) -> Result<(Self, &[u8]), String> {
        if let Some(rest) = text.strip_prefix(b"*") {
            return Ok((Self::Any, rest));
        }
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:".contains(byte) || !byte.is_ascii();
        let end = text.iter().position(|byte| !is_part(byte)).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        if name.windows(2).any(|pair| pair == b"::") {
            return Err("axes are not supported".to_owned());
        }
        if name.starts_with(b".") {
            return Err("`.` and `..` are not supported".to_owned());
        }
        if name.ends_with(b":") && rest.starts_with(b"*") {
            return Err("a prefix with `*` is not supported".to_owned());
        }
        let (prefix, local) = match name.iter().position(|byte| *byte == b':') {
            Some(colon) => (&name[..colon], &name[colon + 1..]),
            None => (&[][..], name),
        };
        let is_name =
            |part: &[u8]| !part.contains(&b':') && part.first().is_some_and(|byte| !b"-.0123456789".contains(byte));
        if !is_name(local) || !(prefix.is_empty() || is_name(prefix)) || name.starts_with(b":") {
            return Err(format!("`{}` does not begin with a name", String::from_utf8_lossy(text)));
        }
        let namespace = prefix.is_empty().then(Vec::new);
        Ok((Self::Name { prefix: prefix.to_vec(), local: local.to_vec(), namespace }, rest))
    }
}

impl Query {
    /// Reads a path.
    ///
    /// # Errors
    ///
    /// Why it cannot be run.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        Self::parse_path(text).map_err(|reason| {
            let known = "known are paths such as /*, //a/b, //@*, //a/@b and //a/text()";
            format!("XPath `{}`: {reason}; {known}", String::from_utf8_lossy(text))
        })
    }

    fn parse_path(text: &[u8]) -> Result<Self, String> {
        let (mut steps, mut rest) = (Vec::new(), text);
        loop {
            let Some(after) = rest.strip_prefix(b"/") else {
                return Err(match rest.first() {
                    None => "it has no step".to_owned(),
                    Some(b'[') => "predicates are not supported".to_owned(),
                    Some(b'(') => "functions other than text() are not supported".to_owned(),
                    Some(b'|') => "unions are not supported".to_owned(),
                    Some(_) if steps.is_empty() => "a path begins with / or //".to_owned(),
                    Some(_) => format!("`{}` is not understood", String::from_utf8_lossy(rest)),
                });
            };
            let (is_deep, step) = after.strip_prefix(b"/").map_or((false, after), |step| (true, step));
            let target = if let Some(name) = step.strip_prefix(b"@") {
                let (test, after) = Test::parse(name)?;
                rest = after;
                Target::Attributes(test)
            } else if let Some(after) = step.strip_prefix(b"text()") {
                rest = after;
                Target::Texts
            } else {
                let (test, after) = Test::parse(step)?;
                steps.push(Step { is_deep, test });
                rest = after;
                Target::Elements
            };
            if steps.len() > STEPS {
                return Err(format!("it has more than {STEPS} steps"));
            }
            if target != Target::Elements && steps.is_empty() && !is_deep {
                return Err("a document has no attributes or texts outside its elements".to_owned());
            }
            match rest.first() {
                None => return Ok(Self { steps, target, is_deep }),
                Some(b'/') if target != Target::Elements => {
                    return Err("nothing is in an attribute or a text".to_owned());
                }
                Some(_) => {}
            }
        }
    }

    /// The prefixes of its names.
    pub fn prefixes(&self) -> impl Iterator<Item = &[u8]> {
        self.tests().filter_map(|test| match test {
            Test::Name { prefix, .. } if !prefix.is_empty() => Some(&**prefix),
            _ => None,
        })
    }

    /// Says which namespace a prefix stands for. Names whose prefix was not bound match nothing.
    pub fn bind(&mut self, known: &[u8], space: &[u8]) {
        let target = match &mut self.target {
            Target::Attributes(test) => Some(test),
            Target::Elements | Target::Texts => None,
        };
        for test in self.steps.iter_mut().map(|step| &mut step.test).chain(target) {
            if let Test::Name { prefix, namespace, .. } = test
                && prefix == known
            {
                *namespace = Some(space.to_vec());
            }
        }
    }

    fn tests(&self) -> impl Iterator<Item = &Test> {
        let target = match &self.target {
            Target::Attributes(test) => Some(test),
            Target::Elements | Target::Texts => None,
        };
        self.steps.iter().map(|step| &step.test).chain(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read() {
        let name = |prefix: &str, local: &str| Test::Name {
            prefix: prefix.into(),
            local: local.into(),
            namespace: prefix.is_empty().then(Vec::new),
        };
        let step = |is_deep, test| Step { is_deep, test };
        for (text, steps, target, is_deep) in [
            ("/*", vec![step(false, Test::Any)], Target::Elements, false),
            ("//*", vec![step(true, Test::Any)], Target::Elements, true),
            ("//@*", vec![], Target::Attributes(Test::Any), true),
            ("//text()", vec![], Target::Texts, true),
            ("/a/s:b-c", vec![step(false, name("", "a")), step(false, name("s", "b-c"))], Target::Elements, false),
            ("//a/@b", vec![step(true, name("", "a"))], Target::Attributes(name("", "b")), false),
            ("/a//text()", vec![step(false, name("", "a"))], Target::Texts, true),
        ] {
            assert_eq!(Query::parse(text.as_bytes()), Ok(Query { steps, target, is_deep }), "{text}");
        }
    }

    #[test]
    fn prefixes_are_bound_to_namespaces() {
        let mut query = Query::parse(b"//s:a/b/@t:c").unwrap();
        assert_eq!(query.prefixes().collect::<Vec<_>>(), [&b"s"[..], b"t"]);
        assert!(!query.steps[0].test.matches(b"a", b""), "not before it is bound");
        query.bind(b"s", b"urn:s");
        assert!(query.steps[0].test.matches(b"a", b"urn:s"));
        assert!(!query.steps[0].test.matches(b"a", b""));
        assert!(query.steps[1].test.matches(b"b", b""));
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "it has no step"),
            ("a/b", "a path begins with / or //"),
            ("/", "does not begin with a name"),
            ("///a", "does not begin with a name"),
            ("/a/", "does not begin with a name"),
            ("/a[1]", "predicates are not supported"),
            ("//a[@b='c']", "predicates are not supported"),
            ("count(//a)", "a path begins with / or //"),
            ("/a/string()", "functions other than text() are not supported"),
            ("/a|/b", "unions are not supported"),
            ("/a/..", "`.` and `..` are not supported"),
            ("/child::a", "axes are not supported"),
            ("/s:*", "a prefix with `*` is not supported"),
            ("/@a", "a document has no attributes"),
            ("/text()", "a document has no attributes or texts"),
            ("//@a/b", "nothing is in an attribute"),
            ("/a b", "is not understood"),
            ("/:a", "does not begin with a name"),
            ("/1a", "does not begin with a name"),
        ] {
            let error = Query::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(error.contains(&format!("XPath `{text}`")), "{error}");
        }
        assert!(Query::parse("/a".repeat(31).as_bytes()).unwrap_err().contains("more than 30 steps"));
    }
}
