//! Lists from the document into what expressions and redirects look up.
//!
//! Items go from the text straight into the list: a million of them never stand in memory as they are written. Only where
//! one cannot be read at all is the list read a second time, to say which.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rules::{Expiry, List, ListBuilder, ListKind, Lists, RedirectItem};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Policy;
use super::compile::{crashed, in_background};
use super::diagnostic::{Diagnostic, Place};
use super::digest::{self, Digest};
use super::document::{self, Document, Text};
use super::read::read_raw;
use super::redirect;

/// The longest comment, in characters.
const COMMENT_MAX: usize = 500;

/// A list and the digest of its source.
pub(super) type Entry = (Digest, Arc<List>);

/// The lists of a document by name: what was built, or of which kind the one was that could not be.
pub(super) type Built = BTreeMap<String, Result<Entry, ListKind>>;

/// Builds the lists that the policy before does not have, and gives the digests of all.
pub(super) fn build(
    document: &Document<'_>,
    previous: Option<&Policy>,
    found: &mut Vec<Diagnostic>,
) -> (Built, BTreeMap<String, Digest>) {
    let sources: Vec<_> = document.lists.iter().collect();
    let all = Place::Root.key("lists");
    let built = in_background(&sources, |(name, source)| {
        let digest = digest::plain(source.get());
        let before = previous.and_then(|previous| previous.lists.get(&***name)).filter(|(before, _)| *before == digest);
        if let Some((_, list)) = before {
            return (digest, Ok(Arc::clone(list)));
        }
        (digest, list(source, &all.key(name)).map(Arc::new))
    });
    let mut lists = Built::new();
    let mut digests = BTreeMap::new();
    for ((name, _), built) in sources.into_iter().zip(built) {
        let place = all.key(name);
        if !is_list_name(name) {
            found.push(place.error(format!("\"{name}\" is no name for a list; use up to 50 of a-z, 0-9 and _")));
        }
        let (digest, list) = built.unwrap_or_else(|| (Digest::default(), Err((ListKind::Ip, vec![crashed(&place)]))));
        digests.insert(name.clone().into_owned(), digest);
        let entry = list.map(|list| (digest, list)).map_err(|(kind, wrong)| {
            found.extend(wrong);
            kind
        });
        lists.insert(name.clone().into_owned(), entry);
    }
    (lists, digests)
}

/// The lists as expressions name them. One that could not be built stands in as an empty one of its kind, so that the rules
/// that use it are not blamed too.
pub(super) fn by_name(built: &Built) -> Lists {
    let mut by_name = Lists::default();
    for (name, entry) in built {
        match entry {
            Ok((_, list)) => by_name.insert(name, Arc::clone(list)),
            Err(kind) => {
                if let Ok(empty) = List::new(*kind, []) {
                    by_name.insert(name, Arc::new(empty));
                }
            }
        }
    }
    by_name
}

fn is_list_name(name: &str) -> bool {
    name.len() <= 50 && Lists::is_name(name)
}

fn list(source: &RawValue, place: &Place<'_>) -> Result<List, (ListKind, Vec<Diagnostic>)> {
    let mut wrong = Vec::new();
    let Some(source) = read_raw::<document::List<'_>>(source, place, &mut wrong) else {
        return Err((ListKind::Ip, wrong));
    };
    let Some(kind) = ListKind::by_name(&source.kind) else {
        let kinds = ListKind::ALL.map(ListKind::name).join(", ");
        let message = format!("unknown kind \"{}\"; the kinds of lists are {kinds}", source.kind);
        return Err((ListKind::Ip, vec![place.key("kind").error(message)]));
    };
    let mut builder = ListBuilder::new(kind);
    let items = place.key("items");
    let gathered = Gather(&mut builder).deserialize(&mut serde_json::Deserializer::from_str(source.items.get()));
    if gathered.is_err() {
        // Only to say which item it is.
        let _: Option<Vec<Item<'_>>> = read_raw(source.items, &items, &mut wrong);
        return Err((kind, wrong));
    }
    builder.build().map_err(|errors| {
        let diagnostic = |error: rules::ListError| {
            let item = items.index(error.index);
            error
                .key
                .map_or_else(|| item.error(error.message.clone()), |key| item.key(key).error(error.message.clone()))
        };
        (kind, errors.into_iter().map(diagnostic).collect())
    })
}

/// Puts the items of a JSON array into a list.
struct Gather<'b>(&'b mut ListBuilder);

impl<'de> DeserializeSeed<'de> for Gather<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Gather<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the items of a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<Item<'de>>()? {
            match item {
                Item::Text(text) => self.0.push(&text, Expiry::NEVER),
                Item::Table(table) => table.push(self.0),
            }
        }
        Ok(())
    }
}

/// How many items a list has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListCounts {
    /// As written, equal ones counted apart.
    pub items: usize,
    /// Those that expire or have.
    pub expiring: usize,
    /// Those that have.
    pub expired: usize,
}

/// Counts the items of a list of the document.
pub fn list_counts(list: &[u8]) -> Result<ListCounts, String> {
    let source: document::List<'_> = serde_json::from_slice(list).map_err(|error| error.to_string())?;
    let items: Vec<Item<'_>> = serde_json::from_str(source.items.get()).map_err(|error| error.to_string())?;
    let expiries = items.iter().filter_map(|item| match item {
        Item::Table(Table { expires: Some(moment), .. }) => Expiry::parse(&moment.0).ok(),
        _ => None,
    });
    let (ahead, expired): (Vec<_>, Vec<_>) = expiries.partition(|expiry| expiry.is_ahead());
    Ok(ListCounts { items: items.len(), expiring: ahead.len() + expired.len(), expired: expired.len() })
}

/// What a list says of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListReading {
    /// Whether it is in it.
    Holds(bool),
    /// Where it leads.
    Redirects {
        /// The status.
        status: u16,
        /// The `Location`.
        location: String,
    },
}

/// What a list of the document says of a value now.
pub fn list_holds(source: &[u8], value: &str) -> Result<ListReading, String> {
    let source: &RawValue = serde_json::from_slice(source).map_err(|error| error.to_string())?;
    let list = list(source, &Place::Root).map_err(|(_, wrong)| {
        wrong.first().map_or_else(|| "the list cannot be read".to_owned(), ToString::to_string)
    })?;
    Ok(match list.kind() {
        ListKind::Ip => {
            let address = value.parse().map_err(|_| format!("{value:?} is no address such as 192.0.2.7"))?;
            ListReading::Holds(list.contains_ip(address))
        }
        ListKind::Asn => {
            let number = value.strip_prefix("AS").unwrap_or(value);
            let number = number.parse().map_err(|_| format!("{value:?} is no number such as 64496"))?;
            ListReading::Holds(list.contains_integer(number))
        }
        ListKind::Hostname => ListReading::Holds(list.contains_bytes(value.to_ascii_lowercase().as_bytes())),
        ListKind::String => ListReading::Holds(list.contains_bytes(value.as_bytes())),
        ListKind::Redirect if !value.contains("://") => {
            return Err(format!("{value:?} is no URL such as https://www.example.com/path"));
        }
        ListKind::Redirect => {
            let found = list.redirect(value.as_bytes());
            let led = found.and_then(|found| redirect::from_list(&found).map(|location| (found.status, location)));
            led.map_or(ListReading::Holds(false), |(status, location)| ListReading::Redirects { status, location })
        }
    })
}

/// An item of a list.
enum Item<'a> {
    Text(Cow<'a, str>),
    Table(Table<'a>),
}

/// An item of which more is said than what it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table<'a> {
    #[serde(borrow, default)]
    item: Option<Text<'a>>,
    #[serde(borrow, default)]
    source_url: Option<Text<'a>>,
    #[serde(borrow, default)]
    target_url: Option<Text<'a>>,
    #[serde(default)]
    status_code: Option<u16>,
    #[serde(default)]
    include_subdomains: Option<bool>,
    #[serde(default)]
    subpath_matching: Option<bool>,
    #[serde(default)]
    preserve_query_string: Option<bool>,
    #[serde(default)]
    preserve_path_suffix: Option<bool>,
    #[serde(borrow, default)]
    comment: Option<Text<'a>>,
    #[serde(borrow, default)]
    expires: Option<Text<'a>>,
}

impl Table<'_> {
    fn push(&self, builder: &mut ListBuilder) {
        let comment = self.comment.as_ref().map_or(0, |comment| comment.0.chars().count());
        if comment > COMMENT_MAX {
            let message = format!("the comment is {comment} characters long; at most {COMMENT_MAX} are accepted");
            return builder.push_wrong(Some("comment"), message);
        }
        let expiry = match self.expires.as_ref().map_or(Ok(Expiry::NEVER), |moment| Expiry::parse(&moment.0)) {
            Ok(expiry) => expiry,
            Err(message) => return builder.push_wrong(Some("expires"), message),
        };
        match (&self.item, self.redirect()) {
            (Some(item), None) if !self.has_redirect_keys() => builder.push(&item.0, expiry),
            (None, Some(redirect)) => builder.push_redirect(&redirect, expiry),
            _ => builder.push_wrong(None, NO_ITEM.to_owned()),
        }
    }

    fn redirect(&self) -> Option<RedirectItem<'_>> {
        let written = RedirectItem::new(&self.source_url.as_ref()?.0, &self.target_url.as_ref()?.0);
        Some(RedirectItem {
            status_code: self.status_code.unwrap_or(written.status_code),
            include_subdomains: self.include_subdomains.unwrap_or(written.include_subdomains),
            subpath_matching: self.subpath_matching.unwrap_or(written.subpath_matching),
            preserve_query_string: self.preserve_query_string.unwrap_or(written.preserve_query_string),
            preserve_path_suffix: self.preserve_path_suffix.unwrap_or(written.preserve_path_suffix),
            ..written
        })
    }

    fn has_redirect_keys(&self) -> bool {
        let flags =
            [self.include_subdomains, self.subpath_matching, self.preserve_query_string, self.preserve_path_suffix];
        self.source_url.is_some()
            || self.target_url.is_some()
            || self.status_code.is_some()
            || flags.iter().any(Option::is_some)
    }
}

const NO_ITEM: &str =
    "an item is a text, or has an \"item\", or as a redirect has a \"source_url\" and a \"target_url\"";

impl<'de: 'a, 'a> Deserialize<'de> for Item<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Item<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or an object")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Item<'de>, E> {
                Ok(Item::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Item<'de>, E> {
                Ok(Item::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Item<'de>, A::Error> {
                Table::deserialize(MapAccessDeserializer::new(map)).map(Item::Table)
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(source: &str) -> Vec<String> {
        let source: &RawValue = serde_json::from_str(source).unwrap();
        list(source, &Place::Root.key("l")).unwrap_err().1.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_wrong_with_items_is_told_of_each() {
        let long = "x".repeat(501);
        let source = format!(
            r#"{{"kind":"ip","items":["192.0.2.1",{{"item":"x"}},{{"item":"192.0.2.2","expires":"soon"}},{{"comment":"{long}","item":"192.0.2.3"}},{{"item":"192.0.2.4","status_code":301}},{{"source_url":"a.b","target_url":"/"}},{{}}]}}"#
        );
        assert_eq!(
            wrong(&source),
            [
                "l.items[1]: x is not an IP address".to_owned(),
                "l.items[2].expires: \"soon\" is no date and time of RFC 3339 such as 2026-12-01T00:00:00Z".to_owned(),
                "l.items[3].comment: the comment is 501 characters long; at most 500 are accepted".to_owned(),
                format!("l.items[4]: {NO_ITEM}"),
                "l.items[5].source_url: a list of kind ip holds no redirects".to_owned(),
                format!("l.items[6]: {NO_ITEM}"),
            ]
        );
        let source =
            r#"{"kind":"redirect","items":["a.b",{"source_url":"a.b"},{"source_url":"a.b","target_url":"x"}]}"#;
        assert_eq!(
            wrong(source),
            [
                "l.items[0]: a.b is no redirect, which has a source_url and a target_url".to_owned(),
                format!("l.items[1]: {NO_ITEM}"),
                "l.items[2].target_url: \"x\" is no target; write an http or https URL, or a path that begins with one /"
                    .to_owned(),
            ]
        );
    }

    #[test]
    fn an_item_that_cannot_be_read_is_named() {
        for (items, message) in [
            ("[\"192.0.2.1\", 7]", "l.items[1]: invalid type: integer `7`, expected a text or an object"),
            ("{}", "l.items: invalid type: map, expected a sequence"),
            (r#"[{"items": "a"}]"#, "l.items[0].items: unknown field `items`, expected one of `item`, `source_url`"),
            (r#"[{"status_code": 70000}]"#, "l.items[0].status_code: invalid value: integer `70000`, expected u16"),
        ] {
            let said = wrong(&format!("{{\"kind\":\"ip\",\"items\":{items}}}"));
            assert!(said.len() == 1 && said[0].starts_with(message), "{said:?}");
        }
        let said = wrong(r#"{"kind":"ips","items":[]}"#);
        assert_eq!(said, ["l.kind: unknown kind \"ips\"; the kinds of lists are ip, hostname, asn, string, redirect"]);
    }

    #[test]
    fn a_list_is_counted_and_asked_for_people() {
        let list = br#"{"kind":"ip","items":["192.0.2.1",{"item":"192.0.2.2","expires":"2020-01-01T00:00:00Z"},{"item":"192.0.2.3","comment":"c","expires":"9999-01-01T00:00:00+01:00"}]}"#;
        assert_eq!(list_counts(list), Ok(ListCounts { items: 3, expiring: 2, expired: 1 }));
        let holds = |value| list_holds(list, value);
        assert_eq!(holds("::ffff:192.0.2.1"), Ok(ListReading::Holds(true)));
        assert_eq!(holds("192.0.2.2"), Ok(ListReading::Holds(false)));
        assert_eq!(holds("192.0.2.3"), Ok(ListReading::Holds(true)));
        assert_eq!(holds("x"), Err("\"x\" is no address such as 192.0.2.7".to_owned()));
        let list = br#"{"kind":"redirect","items":[{"source_url":"a.b/c","target_url":"/d","subpath_matching":true}]}"#;
        let redirects = ListReading::Redirects { status: 301, location: "/d/e".to_owned() };
        assert_eq!(list_holds(list, "http://a.b/c/e?f"), Ok(redirects));
        assert_eq!(list_holds(list, "http://a.b/"), Ok(ListReading::Holds(false)));
        assert_eq!(
            list_holds(list, "a.b/c"),
            Err("\"a.b/c\" is no URL such as https://www.example.com/path".to_owned())
        );
        assert_eq!(list_holds(br#"{"kind":"hostname","items":["A.b"]}"#, "a.B"), Ok(ListReading::Holds(true)));
        assert_eq!(list_holds(br#"{"kind":"asn","items":["1"]}"#, "AS1"), Ok(ListReading::Holds(true)));
    }
}
