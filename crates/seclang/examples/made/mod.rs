//! Texts made by chance of what rules look for: what a pattern matches, or nearly.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};
use seclang::rule::Question;

/// How long what is made of one pattern becomes, about.
const LONGEST: usize = 400;

/// Numbers by chance (xorshift64*), the same for the same seed.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.number() >> 33) as usize % end.max(1)
    }

    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A piece of a text, none of it at times.
    pub fn piece<'a>(&mut self, of: &'a [u8], longest: usize) -> &'a [u8] {
        let start = self.below(of.len() + 1);
        &of[start..start + self.below((of.len() - start).min(longest) + 1)]
    }
}

/// What `@detectSQLi` reads: tokens of SQL, and what begins and ends them.
#[rustfmt::skip]
const SQL: &[&[u8]] = &[
    b"'", b"\"", b"`", b"''", b"\\", b"\\'", b"--", b"-- ", b"#", b"\n", b"/*", b"*/", b"/**/", b"/*!", b" ", b"\0", b"\xa0", b"1",
    b"0", b"1.", b".5", b"1e", b"1d", b"0x1f", b"0b1", b"x'1f'", b"b'01", b"n'", b"e'", b"nq'", b"q'(", b")'", b"u&'", b"$",
    b"$1,0", b"$$", b"$a$", b"$ab$", b"@", b"@@", b"@`", b"[", b"]", b"a", b"a_b", b"_", b"a.", b".", b"(", b")", b",", b";", b"{", b"}",
    b"=", b"<=>", b"<>", b">=", b"||", b"&&", b"::", b":", b"!", b"!=", b"~", b"+", b"-", b"*", b"/", b"%", b"^", b"|", b"?", b"not ",
    b"and ", b"or ", b"in ", b"not in(", b"like ", b"is ", b"div ", b"select ", b"union ", b"union all ", b"distinct ", b"from ",
    b"where ", b"into ", b"outfile ", b"group by ", b"order by ", b"having ", b"create ", b"user", b"user(", b"database(", b"if",
    b"if(", b"sleep(", b"int ", b"collate ", b"null", b"natural join ", b"sp_password",
];

/// What `@detectXSS` reads: what begins and ends tags, attributes, comments and values.
#[rustfmt::skip]
const HTML: &[&[u8]] = &[
    b"<", b"</", b"</>", b"<a", b"<a ", b"<a/", b"</a", b"<!", b"<!--", b"-->", b"--!>", b"-", b"<![CDATA[", b"]]>", b"]", b"<?", b"<%",
    b"%>", b"/", b"/>", b">", b"=", b"==", b"'", b"\"", b"`", b"='", b"=\"", b"=`", b" ", b"\0", b"\n", b"\xff", b"a", b"a=", b"src=",
    b"href= ", b"style", b"on", b"onx ", b"xmlns ", b"xlink", b"to=", b"values=", b"attributename=", b"&", b"&#", b"&#x", b"&#x6a;",
    b"&#106", b"j", b"java", b"dat", b"vbs", b"import", b"xml", b"[if", b"svg", b"xsl",
];

/// Something that a rule looks for.
pub enum Sought {
    Pattern(Hir),
    Words(Vec<Vec<u8>>),
}

impl Sought {
    /// What an operator looks for, where that can be said.
    pub fn of(question: &Question) -> Option<Self> {
        let operator = &question.operator;
        if operator.takes_macros() {
            return None;
        }
        if operator.name().starts_with("rx") {
            // What only our own spelling reads is known by its words.
            if let Some(pattern) = parsed(operator.argument()) {
                return Some(Self::Pattern(pattern));
            }
        }
        let parts = match operator.name() {
            "detectSQLi" => SQL,
            "detectXSS" => HTML,
            _ => &[],
        };
        if !parts.is_empty() {
            return Some(Self::Words(parts.iter().map(|part| part.to_vec()).collect()));
        }
        let words: Vec<Vec<u8>> = operator.gate().literals.iter().map(|word| word.to_vec()).collect();
        (!words.is_empty()).then_some(Self::Words(words))
    }

    /// A text that matches, or would if places that ask for what is around them allow it.
    pub fn make(&self, chance: &mut Chance, to: &mut Vec<u8>) {
        match self {
            Self::Pattern(pattern) => make(pattern, chance, to),
            Self::Words(words) => to.extend_from_slice(chance.one::<Vec<u8>>(words)),
        }
    }
}

fn parsed(pattern: &[u8]) -> Option<Hir> {
    let pattern = std::str::from_utf8(pattern).ok()?;
    ParserBuilder::new().unicode(false).utf8(false).dot_matches_new_line(true).build().parse(pattern).ok()
}

fn make(pattern: &Hir, chance: &mut Chance, to: &mut Vec<u8>) {
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => to.extend_from_slice(&literal.0),
        HirKind::Class(class) => to.push(member(class, chance)),
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(repetition.min + 6).min(repetition.min + 6);
            let times = repetition.min as usize + chance.below((most - repetition.min) as usize + 1);
            for _ in 0..times {
                if to.len() < LONGEST {
                    make(&repetition.sub, chance, to);
                }
            }
        }
        HirKind::Capture(capture) => make(&capture.sub, chance, to),
        HirKind::Concat(parts) => parts.iter().for_each(|part| make(part, chance, to)),
        HirKind::Alternation(branches) => make(chance.one(branches), chance, to),
    }
}

/// A byte of a class, more often one that can be read.
fn member(class: &Class, chance: &mut Chance) -> u8 {
    let Class::Bytes(class) = class else { return b'?' };
    let ranges = class.ranges();
    if ranges.is_empty() {
        return b'?';
    }
    let mut byte = b'?';
    for _ in 0..4 {
        let range = chance.one(ranges);
        byte = range.start() + chance.below(usize::from(range.end() - range.start()) + 1) as u8;
        if matches!(byte, b' '..=b'~') {
            break;
        }
    }
    byte
}
