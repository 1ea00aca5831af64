//! The names of tags and attributes that a browser runs something for.

/// What an attribute of this name can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Danger {
    None,
    Always,
    /// If its value is an address that runs.
    Address,
    /// If its value is the name of an attribute that is dangerous.
    Name,
}

/// The names of what can do something, with a function that tells them: compared in place they are told apart by their length
/// and whole words, where each look into a list would be a call.
macro_rules! known {
    ($names:ident, $told:ident: $type:ty, $none:expr; $($name:literal => $what:expr,)*) => {
        pub(super) const $names: &[&[u8]] = &[$($name),*];

        fn $told(name: &[u8]) -> $type {
            match name {
                $($name => $what,)*
                _ => $none,
            }
        }
    };
}

known! { TAGS, is_known_tag: bool, false;
    b"APPLET" => true,
    b"BASE" => true,
    b"COMMENT" => true,
    b"EMBED" => true,
    b"FRAME" => true,
    b"FRAMESET" => true,
    b"HANDLER" => true,
    b"IFRAME" => true,
    b"IMPORT" => true,
    b"ISINDEX" => true,
    b"LINK" => true,
    b"LISTENER" => true,
    b"META" => true,
    b"NOSCRIPT" => true,
    b"OBJECT" => true,
    b"SCRIPT" => true,
    b"STYLE" => true,
    b"VMLFRAME" => true,
    b"XML" => true,
    b"XSS" => true,
}

/// Tags are dangerous whose names begin so.
pub(super) const TAGS_OF: [&[u8]; 2] = [b"SVG", b"XSL"];

known! { ATTRIBUTES, of_known_attribute: Danger, Danger::None;
    b"ACTION" => Danger::Address,
    b"ATTRIBUTENAME" => Danger::Name,
    b"BACKGROUND" => Danger::Address,
    b"BY" => Danger::Address,
    b"DATAFORMATAS" => Danger::Always,
    b"DATASRC" => Danger::Always,
    b"DYNSRC" => Danger::Address,
    b"FILTER" => Danger::Always,
    b"FOLDER" => Danger::Address,
    b"FORMACTION" => Danger::Address,
    b"FROM" => Danger::Address,
    b"HANDLER" => Danger::Address,
    b"HREF" => Danger::Address,
    b"LOWSRC" => Danger::Address,
    b"POSTER" => Danger::Address,
    b"SRC" => Danger::Address,
    b"STYLE" => Danger::Always,
    b"TO" => Danger::Address,
    b"VALUES" => Danger::Address,
    b"XLINK:HREF" => Danger::Address,
}

/// Attributes whose names begin so are dangerous whatever their value is, where these have so many letters or more.
pub(super) const ATTRIBUTES_OF: [&[u8]; 3] = [b"ON", b"XMLNS", b"XLINK"];
pub(super) const LEAST_OF: usize = 5;

/// Comments that begin so are dangerous, where they have so many bytes or more.
pub(super) const COMMENTS: [&[u8]; 4] = [b"[IF", b"XML", b"IMPORT", b"ENTITY"];
pub(super) const LEAST_COMMENT: usize = 4;

/// Of addresses that run.
pub(super) const SCHEMES: [&[u8]; 4] = [b"DATA", b"VIEW-SOURCE", b"JAVA", b"VBSCRIPT"];

/// The longest of all these.
pub(super) const LONGEST: usize = b"ATTRIBUTENAME".len();

pub(super) fn is_tag(name: &[u8]) -> bool {
    name.len() >= 3
        && (TAGS_OF.iter().any(|known| name[..known.len()].eq_ignore_ascii_case(known))
            || is_known_tag(in_capitals(name, &mut [0; LONGEST])))
}

pub(super) fn of_attribute(name: &[u8]) -> Danger {
    if name.len() < 2 || !(name[0].is_ascii_alphabetic() || name[0] == 0) {
        return Danger::None;
    }
    if name.len() >= LEAST_OF && ATTRIBUTES_OF.iter().any(|known| name[..known.len()].eq_ignore_ascii_case(known)) {
        return Danger::Always;
    }
    of_known_attribute(in_capitals(name, &mut [0; LONGEST]))
}

/// Whether one of these names begins so, where what it begins with are the same capitals.
pub(super) fn any_begins(names: &[&[u8]], beginning: &[u8]) -> bool {
    let begins = |name: &&[u8]| name.len() >= beginning.len() && name.iter().zip(beginning).all(|(a, b)| a == b);
    names.iter().any(begins)
}

/// A name without its zero bytes and in capitals, as the names that are known; of a longer one nothing.
fn in_capitals<'a>(name: &[u8], to: &'a mut [u8; LONGEST]) -> &'a [u8] {
    let mut length = 0;
    for &byte in name.iter().filter(|&&byte| byte != 0) {
        let Some(place) = to.get_mut(length) else { return b"" };
        *place = byte.to_ascii_uppercase();
        length += 1;
    }
    &to[..length]
}
