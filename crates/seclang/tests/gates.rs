//! Gates, folding and all that spares work: with them rules say what they say without them, whatever the rules are and
//! whatever they look at.
//!
//! Rules are made by chance, of every operator behind transformations, over what each phase looks at. So are requests, of
//! what the rules look for, in texts of a few bytes and of many hundred, since those are looked at in other ways. Each
//! request is judged both ways, and all that can be told of it must be equal. `proofs/gates.py` does the same with the Core
//! Rule Set.

#[path = "../examples/made/mod.rs"]
#[expect(dead_code, reason = "what examples make by chance beside this is made by proptest here")]
mod made;
#[path = "support/outcome.rs"]
mod outcome;
mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;

use made::{Chance, Sought};
use outcome::Outcome;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{TestCaseError, TestRunner};
use seclang::load;
use seclang::rule::Engine;
use seclang::ruleset::RuleSet;
use seclang::transaction::{Response, Transaction, Workspace};
use seclang::transform::Transformation;

/// Words of patterns, phrases and texts alike, so that much is nearly matched.
const WORDS: &[&str] = &[
    "secret",
    "case",
    "from",
    "when",
    "select",
    "union",
    "eval",
    "as",
    "or",
    "script",
    "cat",
    "etc/passwd",
    "x",
    "nohup",
];

/// What is looked at, phase by phase as it comes; all may be asked for at any time.
const VARIABLES: &[&str] = &[
    "ARGS",
    "ARGS:a",
    "ARGS:/^[ab]/",
    "ARGS|!ARGS:b",
    "ARGS_NAMES",
    "ARGS_GET",
    "ARGS_GET:b",
    "ARGS_POST",
    "&ARGS",
    "ARGS_POST_NAMES",
    "REQUEST_LINE",
    "REQUEST_URI",
    "REQUEST_URI_RAW",
    "REQUEST_FILENAME",
    "REQUEST_BASENAME",
    "QUERY_STRING",
    "REQUEST_METHOD",
    "REMOTE_ADDR",
    "REQUEST_HEADERS",
    "REQUEST_HEADERS:User-Agent",
    "REQUEST_HEADERS:/^x-/",
    "REQUEST_HEADERS_NAMES",
    "REQUEST_COOKIES",
    "REQUEST_COOKIES:/^[ab]/",
    "REQUEST_COOKIES_NAMES",
    "&REQUEST_COOKIES",
    "REQUEST_BODY",
    "REQUEST_BODY_LENGTH",
    "FULL_REQUEST",
    "XML:/*",
    "XML://@*",
    "FILES",
    "FILES_NAMES",
    "FILES_TMP_CONTENT",
    "MULTIPART_PART_HEADERS",
    "REQBODY_ERROR_MSG",
    "REQBODY_PROCESSOR",
    "RESPONSE_STATUS",
    "STATUS_LINE",
    "RESPONSE_HEADERS",
    "RESPONSE_HEADERS:Location",
    "RESPONSE_HEADERS_NAMES",
    "RESPONSE_CONTENT_TYPE",
    "RESPONSE_BODY",
    "MATCHED_VAR",
    "MATCHED_VARS",
    "MATCHED_VARS_NAMES",
    "TX:0",
    "TX:1",
    "TX:/[0-9]/",
    "TX:seen",
    "&TX:/^s/",
    "UNIQUE_ID",
];

/// What is there in most requests.
const POPULAR: &[&str] = &[
    "ARGS",
    "ARGS_NAMES",
    "REQUEST_URI",
    "REQUEST_HEADERS",
    "REQUEST_COOKIES",
    "REQUEST_BODY",
    "RESPONSE_HEADERS",
    "RESPONSE_BODY",
];

/// The names of what rules set.
const SET: [&str; 3] = ["seen", "times", "said"];

/// What texts are lengthened with: of each alphabet that gates know, and of what is in none.
const FILLERS: [&[u8]; 9] = [
    b"word AND 42 more of them ",
    b"snake_case, 3.14 and-so-on. ",
    b"https://a.example/b?c=d+e;f@g:h*! ",
    b"Mozilla/5.0 (X11; any) like (that) ",
    b"It's \"so\" #1 (100% of it)\r\n\tand a line: ",
    b"<p class='a'>{[|]}\\ ^~`$& ",
    b"%41%2f%u0042&#x43;&lt;\\x44\\u0045/*F*/+ ",
    b"caf\xc3\xa9\xc2\xa0\xe2\x80\x83\x80\xff ",
    b"\0a\0\x0b\x0c ",
];

/// What an operator asks, and what it says yes to, where a pattern does not say that.
#[derive(Debug, Clone)]
struct Asked {
    operator: &'static str,
    argument: String,
    yes: Option<String>,
}

#[derive(Debug, Clone)]
struct MadeLink {
    targets: Vec<&'static str>,
    negated: bool,
    asked: Asked,
    transformations: Vec<Transformation>,
    actions: Vec<&'static str>,
}

#[derive(Debug, Clone)]
struct MadeRule {
    phase: u8,
    disruption: &'static str,
    told: &'static str,
    links: Vec<MadeLink>,
}

/// A part of a text.
#[derive(Debug, Clone)]
enum Piece {
    /// What one of the questions looks for.
    Sought(Index, u64),
    Word(&'static str),
    Filler(usize, usize),
    Bytes(Vec<u8>),
}

/// Another spelling of a text, which a transformation may read.
#[derive(Debug, Clone, Copy)]
enum Spelling {
    Percent,
    Upper,
    Base64,
    Hex,
    Entities,
    Escapes,
    Broken(u8),
}

#[derive(Debug, Clone)]
struct MadeText {
    pieces: Vec<Piece>,
    spelling: Option<Spelling>,
}

#[derive(Debug, Clone)]
enum MadeBody {
    None,
    Form(Vec<(&'static str, MadeText)>),
    Json(MadeText),
    Xml(MadeText, MadeText),
    Multipart(MadeText, MadeText),
    Plain(MadeText),
}

#[derive(Debug, Clone)]
struct MadeRequest {
    method: &'static str,
    path: MadeText,
    query: Vec<(&'static str, MadeText)>,
    is_encoded: bool,
    headers: Vec<(&'static str, MadeText)>,
    body: MadeBody,
    is_cut: bool,
    response_headers: Vec<(&'static str, MadeText)>,
    kind: &'static str,
    response: MadeText,
}

fn pattern() -> impl Strategy<Value = String> {
    let classes = [r"[a-z]", r"\w", r"\W", r"\s", r"\d", "[^>]", ".", "[\"'`]", "[;|&(]", "[^a-z]"];
    let leaf = prop_oneof![
        12 => select(WORDS).prop_map(str::to_owned),
        1 => select(WORDS).prop_map(|word| format!("(?i:{word})")),
        1 => select(WORDS).prop_map(|word| format!("({word})")),
        5 => (select(classes.to_vec()), select(&["", "?", "*", "+", "{2,4}", "*?"])).prop_map(|(class, times)| format!("{class}{times}")),
        2 => select(&[r"\b", "$", r"\B", "(?:or|and|x)", "c[\"']*a[\"']*t", "(?!from)", "(?<!a)", r"\.\./"])
            .prop_map(str::to_owned),
    ];
    let branch = (select(&["", "^"]), vec(leaf, 1..5), select(&["", "", "", "$"]))
        .prop_map(|(start, leaves, end)| format!("{start}{}{end}", leaves.concat()));
    (select(&["", "", "(?i)"]), vec(branch, 1..4), any::<bool>()).prop_map(|(flags, branches, is_grouped)| {
        let branches = branches.join("|");
        if is_grouped { format!("{flags}({branches})") } else { format!("{flags}{branches}") }
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let word = || select(WORDS);
    let text = prop_oneof![
        word().prop_map(str::to_owned),
        (word(), select(&[" ", "=", "' ", "", "\t"]), word())
            .prop_map(|(one, between, two)| format!("{one}{between}{two}")),
    ];
    let text_operators = select(&["contains", "containsWord", "strmatch", "streq", "beginsWith", "endsWith"]);
    let macros = select(&["%{ARGS.a}", "%{tx.0}", "sec%{tx.seen}ret", "%{MATCHED_VAR}"]);
    let macro_operators = select(&["contains", "streq", "beginsWith", "endsWith", "within", "rx", "rxGlobal", "eq"]);
    let fixed = select(&[
        ("ipMatch", "192.0.2.0/24,2001:db8::/32", "192.0.2.77"),
        ("validateByteRange", "32-126,10", "\u{7f}"),
        ("validateUrlEncoding", "", "%4x"),
        ("validateUtf8Encoding", "", ""),
        ("verifyCC", r"\d{13,16}", "4111111111111111"),
        ("verifyCPF", r"\d{11}", "52998224725"),
        ("verifySSN", r"\d{3}-?\d{2}-?\d{4}", "078-05-1120"),
        ("verifySVNR", r"\d{10}", "1237010180"),
        ("validateNid", r"cl \d{1,8}-[\dk]", "12345678-5"),
        ("detectSQLi", "", "1' or '1'='1"),
        ("detectXSS", "", "<script>alert(1)</script>"),
        ("restpath", "/api/{id}/{name}", "/api/42/secret"),
        ("noMatch", "", ""),
        ("unconditionalMatch", "", ""),
        ("within", "secret case from", "case"),
    ]);
    prop_oneof![
        9 => (select(&["rx", "rx", "rx", "rxGlobal"]), pattern())
            .prop_map(|(operator, argument)| Asked { operator, argument, yes: None }),
        2 => vec(word(), 1..5).prop_map(|words| {
            Asked { operator: "pm", yes: Some(words[0].to_owned()), argument: words.join(" ") }
        }),
        3 => (text_operators, text).prop_map(|(operator, text)| Asked { operator, yes: Some(text.clone()), argument: text }),
        1 => (macro_operators, macros)
            .prop_map(|(operator, text)| Asked { operator, yes: Some("secret".to_owned()), argument: text.to_owned() }),
        1 => (select(&["eq", "ge", "gt", "le", "lt"]), 0..9_u32).prop_map(|(operator, number)| {
            Asked { operator, yes: Some(number.to_string()), argument: number.to_string() }
        }),
        5 => fixed.prop_map(|(operator, argument, yes)| {
            Asked { operator, argument: argument.to_owned(), yes: Some(yes.to_owned()) }
        }),
    ]
}

fn link() -> impl Strategy<Value = MadeLink> {
    let usual = [
        Transformation::Lowercase,
        Transformation::UrlDecodeUni,
        Transformation::HtmlEntityDecode,
        Transformation::CmdLine,
        Transformation::Base64Decode,
        Transformation::NormalizePath,
        Transformation::CompressWhitespace,
    ];
    let transformations = prop_oneof![
        4 => Just(Vec::new()),
        3 => vec(select(usual.to_vec()), 1..4),
        2 => vec(select(Transformation::ALL.to_vec()), 1..4),
    ];
    let target = prop_oneof![select(POPULAR), select(VARIABLES)];
    let actions = [
        "capture",
        "capture",
        "multiMatch",
        "setvar:tx.times=+1",
        "setvar:'tx.said=%{MATCHED_VAR}'",
        "setvar:tx.seen=2",
        "setvar:'tx.seen=%{tx.0}'",
    ];
    (
        vec(target, 1..4),
        prop::bool::weighted(0.15),
        asked(),
        transformations,
        proptest::sample::subsequence(actions.to_vec(), 0..3),
    )
        .prop_map(|(targets, negated, asked, transformations, actions)| MadeLink {
            targets,
            negated,
            asked,
            transformations,
            actions,
        })
}

fn rule() -> impl Strategy<Value = MadeRule> {
    let told =
        ["", "msg:'%{MATCHED_VAR_NAME}',logdata:'%{MATCHED_VAR}',", "severity:2,nolog,", "logdata:'%{tx.1}',log,"];
    let disruption = prop_oneof![
        20 => Just("pass"),
        1 => select(&["deny", "drop", "allow:phase", "pass,skip:1", "pass,ctl:ruleRemoveTargetById=2;ARGS:a"]),
    ];
    let links = prop_oneof![4 => vec(link(), 1..2), 1 => vec(link(), 2..4)];
    (1..6_u8, disruption, select(told.to_vec()), links).prop_map(|(phase, disruption, told, links)| MadeRule {
        phase,
        disruption,
        told,
        links,
    })
}

fn text() -> impl Strategy<Value = MadeText> {
    let sought = || (any::<Index>(), any::<u64>()).prop_map(|(question, seed)| Piece::Sought(question, seed));
    let filler = |length| (0..FILLERS.len(), length).prop_map(|(filler, length)| Piece::Filler(filler, length));
    let piece = prop_oneof![
        4 => sought(),
        2 => select(WORDS).prop_map(Piece::Word),
        2 => filler(0..30_usize),
        1 => filler(240..700_usize),
        1 => vec(prop_oneof![any::<u8>(), select(b" .,;'\"()<>/\\%&=+-\n\0".to_vec())], 1..4).prop_map(Piece::Bytes),
    ];
    let spelling = prop_oneof![
        Just(Spelling::Percent),
        Just(Spelling::Upper),
        Just(Spelling::Base64),
        Just(Spelling::Hex),
        Just(Spelling::Entities),
        Just(Spelling::Escapes),
        select(b"\0\\'\"^ \t/+".to_vec()).prop_map(Spelling::Broken),
    ];
    let pieces = prop_oneof![
        3 => vec(piece, 0..4),
        // Where in a long text it is that matters most.
        1 => (sought(), filler(240..700)).prop_map(|(first, then)| vec![first, then]),
        1 => (filler(240..700), sought()).prop_map(|(first, then)| vec![first, then]),
    ];
    (pieces, proptest::option::weighted(0.25, spelling)).prop_map(|(pieces, spelling)| MadeText { pieces, spelling })
}

fn request() -> impl Strategy<Value = MadeRequest> {
    let pairs = || vec((select(&["a", "b", "B", "other"]), text()), 0..4);
    let headers = vec((select(&["User-Agent", "Referer", "X-Any", "x-any", "Cookie"]), text()), 0..4);
    let body = prop_oneof![
        Just(MadeBody::None),
        pairs().prop_map(MadeBody::Form),
        text().prop_map(MadeBody::Json),
        (text(), text()).prop_map(|(one, two)| MadeBody::Xml(one, two)),
        (text(), text()).prop_map(|(one, two)| MadeBody::Multipart(one, two)),
        text().prop_map(MadeBody::Plain),
    ];
    let response = (
        vec((select(&["Location", "Server", "Set-Cookie"]), text()), 0..3),
        select(&["text/html", "text/plain; charset=utf-8", "text/html", "image/png"]),
        text(),
    );
    (
        select(&["GET", "POST", "cat"]),
        text(),
        pairs(),
        any::<bool>(),
        headers,
        body,
        prop::bool::weighted(0.1),
        response,
    )
        .prop_map(
            |(method, path, query, is_encoded, headers, body, is_cut, (response_headers, kind, response))| {
                MadeRequest { method, path, query, is_encoded, headers, body, is_cut, response_headers, kind, response }
            },
        )
}

fn directives(rules: &[MadeRule]) -> String {
    let mut text = "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n\
         SecResponseBodyMimeType text/plain text/html\nSecAuditEngine RelevantOnly\n\
         SecRule REQUEST_HEADERS:Content-Type \"@beginsWith text/xml\" \"id:901,phase:1,pass,nolog,ctl:requestBodyProcessor=XML\"\n\
         SecRule REQUEST_HEADERS:Content-Type \"@beginsWith application/json\" \
         \"id:902,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"\n"
        .to_owned();
    for (rule, id) in rules.iter().zip(1..) {
        for (at, link) in rule.links.iter().enumerate() {
            let not = if link.negated { "!" } else { "" };
            let argument = link.asked.argument.replace('"', "\\\"");
            let head = format!("SecRule {} \"{not}@{} {argument}\" \"", link.targets.join("|"), link.asked.operator);
            let of_rule = format!("id:{id},phase:{},{},{}", rule.phase, rule.disruption, rule.told);
            let actions = link.actions.iter().map(|action| (*action).to_owned());
            let all: Vec<String> = (at + 1 < rule.links.len())
                .then(|| "chain".to_owned())
                .into_iter()
                .chain(["t:none".to_owned()])
                .chain(link.transformations.iter().map(|one| format!("t:{}", one.name())))
                .chain(actions)
                .collect();
            text.extend([head.as_str(), if at == 0 { of_rule.as_str() } else { "" }, &all.join(","), "\"\n"]);
        }
    }
    text
}

/// What the questions of rules look for.
enum Wanted {
    Pattern(Sought),
    Text(Vec<u8>),
}

fn wanted(rules: &RuleSet, made: &[MadeRule]) -> Vec<Wanted> {
    let questions = rules.rules.iter().filter(|rule| rule.id < 900).flat_map(|rule| &rule.links);
    let asked = made.iter().flat_map(|rule| &rule.links).map(|link| &link.asked);
    questions
        .zip(asked)
        .filter_map(|(link, asked)| match &asked.yes {
            Some(yes) => Some(Wanted::Text(yes.as_bytes().to_vec())),
            None => link.question.as_ref().and_then(Sought::of).map(Wanted::Pattern),
        })
        .collect()
}

impl MadeText {
    fn bytes(&self, wanted: &[Wanted]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Sought(_, _) if wanted.is_empty() => {}
                Piece::Sought(question, seed) => match question.get(wanted) {
                    Wanted::Pattern(sought) => sought.make(&mut Chance::new(*seed), &mut bytes),
                    Wanted::Text(text) => bytes.extend_from_slice(text),
                },
                Piece::Word(word) => bytes.extend_from_slice(word.as_bytes()),
                Piece::Filler(filler, length) => bytes.extend(FILLERS[*filler].iter().cycle().take(*length)),
                Piece::Bytes(some) => bytes.extend_from_slice(some),
            }
        }
        self.spelling.map_or_else(|| bytes.clone(), |spelling| spelling.of(&bytes))
    }
}

impl Spelling {
    fn of(self, bytes: &[u8]) -> Vec<u8> {
        let applied = |transformation: Transformation| {
            let mut made = Vec::new();
            if transformation.apply(bytes, &mut made) { made } else { bytes.to_vec() }
        };
        let each = |spelled: fn(u8) -> String| bytes.iter().flat_map(|byte| spelled(*byte).into_bytes()).collect();
        match self {
            Self::Percent => each(|byte| format!("%{byte:02x}")),
            Self::Upper => applied(Transformation::Uppercase),
            Self::Base64 => applied(Transformation::Base64Encode),
            Self::Hex => applied(Transformation::HexEncode),
            Self::Entities => each(|byte| format!("&#x{byte:x};")),
            Self::Escapes => each(|byte| format!("\\x{byte:02x}")),
            Self::Broken(by) => bytes.iter().flat_map(|byte| [*byte, by]).collect(),
        }
    }
}

impl MadeBody {
    /// Its type, and its bytes.
    fn bytes(&self, wanted: &[Wanted]) -> (&'static str, Vec<u8>) {
        match self {
            Self::None => ("", Vec::new()),
            Self::Form(pairs) => ("application/x-www-form-urlencoded", form(pairs, true, wanted)),
            Self::Json(text) => {
                let text: Vec<String> = text.bytes(wanted).iter().map(|byte| format!("\\u{byte:04x}")).collect();
                let text = text.concat();
                let (name, rest) = text.split_at(text.len().min(30));
                ("application/json", format!("{{\"a\": [\"{name}{rest}\"], \"{name}\": 1}}").into_bytes())
            }
            Self::Xml(attribute, content) => {
                let plain = |text: &MadeText| {
                    let printable = |byte: &u8| if *byte < b' ' { b' ' } else { *byte };
                    let bytes = text.bytes(wanted);
                    bytes.iter().map(|byte| format!("&#x{:x};", printable(byte))).collect::<Vec<_>>().concat()
                };
                ("text/xml", format!("<a b='{}'><c>{}</c></a>", plain(attribute), plain(content)).into_bytes())
            }
            Self::Multipart(name, content) => {
                let head = b"--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"";
                let name: Vec<u8> = name.bytes(wanted).into_iter().filter(|byte| !b"\r\n\"\\".contains(byte)).collect();
                let body = [&head[..], &name, b"\"\r\n\r\n", &content.bytes(wanted), b"\r\n--x--\r\n"].concat();
                ("multipart/form-data; boundary=x", body)
            }
            Self::Plain(text) => ("text/plain", text.bytes(wanted)),
        }
    }
}

/// Names and values of a form, or of a query.
fn form(pairs: &[(&str, MadeText)], is_encoded: bool, wanted: &[Wanted]) -> Vec<u8> {
    let pair = |(name, text): &(&str, MadeText)| {
        let text = text.bytes(wanted);
        let value: Vec<u8> =
            if is_encoded {
                text.iter()
                    .flat_map(|byte| {
                        if byte.is_ascii_alphanumeric() { vec![*byte] } else { format!("%{byte:02X}").into_bytes() }
                    })
                    .collect()
            } else {
                text.into_iter().filter(|byte| !b" #\0\r\n".contains(byte)).collect()
            };
        [name.as_bytes(), b"=", &value].concat()
    };
    pairs.iter().map(pair).collect::<Vec<_>>().join(&b"&"[..])
}

impl MadeRequest {
    /// What comes of it, with gates or without.
    fn judged(
        &self,
        rules: &RuleSet,
        wanted: &[Wanted],
        work: Workspace,
        engine: Engine,
        gates: bool,
    ) -> (Outcome, Workspace) {
        let mut transaction = Transaction::new(rules, work).with_engine(engine);
        if !gates {
            transaction = transaction.without_gates();
        }
        let path = self.path.bytes(wanted).into_iter().filter(|byte| !b" ?#\0\r\n".contains(byte)).collect::<Vec<_>>();
        let target = [b"/", path.as_slice(), b"?", &form(&self.query, self.is_encoded, wanted)].concat();
        let (kind, body) = self.body.bytes(wanted);
        let values = |headers: &[(&'static str, MadeText)]| -> Vec<(&'static str, Vec<u8>)> {
            headers.iter().map(|(name, text)| (*name, text.bytes(wanted))).collect()
        };
        let mut headers = values(&self.headers);
        for (name, value) in &mut headers {
            if *name == "Cookie" {
                *value = [b"a=", value.as_slice(), b"; b=", value.get(..9).unwrap_or_default()].concat();
            }
        }
        headers.push(("Content-Type", kind.as_bytes().to_vec()));
        let mut response_headers = values(&self.response_headers);
        response_headers.push(("Content-Type", self.kind.as_bytes().to_vec()));
        let headers: Vec<(&[u8], &[u8])> = headers.iter().map(|(name, value)| (name.as_bytes(), &value[..])).collect();
        let response_headers: Vec<(&[u8], &[u8])> =
            response_headers.iter().map(|(name, value)| (name.as_bytes(), &value[..])).collect();
        transaction.request_head(&support::request([self.method.as_bytes(), &target, b"HTTP/1.1"], &headers));
        transaction.request_body(&body, self.is_cut);
        transaction.response_head(&Response { status: 302, protocol: b"HTTP/1.1", headers: &response_headers });
        transaction.response_body(&self.response.bytes(wanted), false);
        transaction.log();
        (Outcome::of(&transaction, &SET), *transaction.into_workspace())
    }
}

/// How often something held, so that a search that finds nothing is known to have looked.
#[derive(Default)]
struct Seen {
    requests: Cell<usize>,
    matched: Cell<usize>,
    operators: RefCell<BTreeSet<&'static str>>,
    phases: RefCell<BTreeSet<u8>>,
}

impl Seen {
    fn note(&self, outcome: &Outcome, made: &[MadeRule]) {
        let ids = outcome.matches.iter().map(|told| told.id as usize);
        let matched: Vec<&MadeRule> = ids.filter_map(|id| made.get(id - 1)).collect();
        self.requests.set(self.requests.get() + 1);
        self.matched.set(self.matched.get() + usize::from(!matched.is_empty()));
        for rule in matched {
            self.phases.borrow_mut().insert(rule.phase);
            let asked = rule.links.iter().filter(|link| !link.negated).map(|link| link.asked.operator);
            self.operators.borrow_mut().extend(asked);
        }
    }
}

#[test]
fn gates_make_no_difference_to_any_rules() {
    /// Most sets of rules need a text that fits them before anything could be different.
    const TIMES: u32 = 6;

    let usual = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let config = ProptestConfig { cases: TIMES * usual.cases, ..usual };
    let mut runner = TestRunner::new(config);
    let seen = Seen::default();
    let engine = prop_oneof![3 => Just(Engine::DetectionOnly), 1 => Just(Engine::On)];
    let ran = runner.run(&(vec(rule(), 1..7), vec(request(), 2..5), engine), |(made, requests, engine)| {
        let directives = directives(&made);
        let rules = load::text(directives.as_bytes(), "made.conf", Path::new("."))
            .map_err(|problems| TestCaseError::fail(format!("{}\n{directives}", problems[0])))?;
        let wanted = wanted(&rules, &made);
        // The memory of requests goes from one to the next.
        let (mut gated, mut plain) = (Workspace::default(), Workspace::default());
        for request in &requests {
            let (with, without);
            (with, gated) = request.judged(&rules, &wanted, gated, engine, true);
            (without, plain) = request.judged(&rules, &wanted, plain, engine, false);
            seen.note(&without, &made);
            prop_assert_eq!(with, without, "with gates, and without:\n{}", directives);
        }
        Ok(())
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
    assert!(2 * seen.matched.get() > seen.requests.get(), "of {:?} {:?} matched", seen.requests, seen.matched);
    assert_eq!(seen.operators.borrow().len(), 28, "all but one that never says yes: {:?}", seen.operators);
    assert_eq!(*seen.phases.borrow(), BTreeSet::from([1, 2, 3, 4, 5]));
}

/// A text that a transformation made is known to have bytes at most, one that came has those that it has: they are judged by
/// different words, though they may differ in the case of letters alone.
#[test]
fn words_of_a_text_are_not_those_of_one_that_is_judged_by_others() {
    let long = "a".repeat(300);
    for (transformation, lost, kept) in [
        ("compressWhitespace", format!("secret%c2%a0{long}"), format!("SEcret+{long}")),
        ("trim", format!("secret+{long}%0a"), format!("SEcret+{long}")),
        ("removeCommentsChar", format!("secret+{long}%23"), format!("SEcret+{long}")),
    ] {
        // So many words are looked for together.
        let many =
            (0..9).map(|number| format!("SecRule ARGS \"@rx nohup{number}\" \"id:{},phase:2,pass\"\n", 20 + number));
        let directives = many.collect::<String>()
            + &format!("SecRule ARGS:a \"@rx secret\" \"id:1,phase:2,pass,t:{transformation}\"\n")
            + "SecRule ARGS:b \"@rx ^secret[a-z ]+$\" \"id:2,phase:2,pass,t:lowercase\"\n";
        let rules = load::text(directives.as_bytes(), "made.conf", Path::new(".")).unwrap();
        for gates in [true, false] {
            let mut transaction = Transaction::new(&rules, Workspace::default()).with_engine(Engine::DetectionOnly);
            if !gates {
                transaction = transaction.without_gates();
            }
            let target = format!("/?a={lost}&b={kept}");
            transaction.request_head(&support::request([b"GET", target.as_bytes(), b"HTTP/1.1"], &[]));
            transaction.request_body(b"", false);
            let ids: Vec<u64> = transaction.matches().iter().map(|one| rules.rules[one.rule].id).collect();
            assert_eq!(ids, [1, 2], "{transformation}, gates: {gates}");
        }
    }
}
