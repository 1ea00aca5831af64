"""The Core Rule Set's own regression suite, all of it, in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e import core_rules

from bartizan.waf import RuleSet, Verdict, ftw, regression

TESTS = 4_674
HEAD = b" HTTP/1.1\r\nHost: %s\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\r\n"
CLEAN = b"GET /search?q=red+shoes&page=2" + HEAD % b"shop.example"
SCORED = b"GET /" + HEAD % b"192.0.2.1"
"""A number for a host costs 3 points, and 5 are enough to be refused."""

REFUSED = b"GET /?id=1%27+UNION+SELECT+password+FROM+users--" + HEAD % b"shop.example"
SUMMED_UP = 980170


@pytest.fixture(scope="module")
def module() -> Path:
    """The folder of the module; skips the tests where there is no Go to fetch it."""
    return core_rules.module()


@pytest.fixture(scope="module")
def as_it_comes(module: Path) -> RuleSet:
    """The rules at paranoia level 1, blocking."""
    return RuleSet.load(module)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_test_passes_but_the_one_that_is_exempted(module: Path) -> None:
    outcomes = list(regression.run(regression.rule_set(module), list(ftw.read(module / "tests"))))
    assert [outcome for outcome in outcomes if outcome.result == "fail"] == []
    assert [outcome.title for outcome in outcomes if outcome.result == "skip"] == ["920620-1"]
    assert len(outcomes) == TESTS


def test_an_attack_is_blocked_by_its_score_and_a_search_is_not(as_it_comes: RuleSet) -> None:
    attack = as_it_comes.inspect(REFUSED)
    assert (attack.status, attack.rule) == (403, 949110)
    assert attack.scores["inbound"] >= attack.scores["sql_injection"] >= 5
    assert 942100 in [match.id for match in attack.matches]
    clean = as_it_comes.inspect(CLEAN)
    assert (clean.blocked, clean.scores["inbound"]) == (False, 0)


def logs_scores(verdict: Verdict) -> bool:
    return [match.logged for match in verdict.matches if match.id == SUMMED_UP] == [True]


@pytest.mark.parametrize(
    ("level", "told"), [(0, ""), (1, "R"), (2, "R"), (3, "SR"), (4, "SR"), (5, "CSR"), (None, "SR")]
)
def test_scores_are_summed_up_as_the_reporting_level_says_and_never_for_the_audit_log(
    module: Path, level: int | None, told: str
) -> None:
    audited = "SecAuditEngine RelevantOnly\nSecAuditLog audit.json\nSecAuditLogFormat JSON\n"
    chosen = "" if level is None else f'SecAction "id:1,phase:1,pass,nolog,setvar:tx.reporting_level={level}"\n'
    rules = RuleSet.load(module, setup=audited + chosen)
    verdicts = {"C": rules.inspect(CLEAN), "S": rules.inspect(SCORED), "R": rules.inspect(REFUSED)}
    assert "".join(name for name, verdict in verdicts.items() if logs_scores(verdict)) == told
    # A clean request that only this rule tells of leaves no entry, and no entry of another is about it.
    assert verdicts["C"].audit_entry is None
    refused = verdicts["R"].audit_entry
    assert refused is not None
    assert b'"ruleId":"949110"' in refused
    assert b"980170" not in refused


FORM = "application/x-www-form-urlencoded"
PARTS = b'--x\r\nContent-Disposition: form-data; name="a"\r\n%s\r\n\r\n%s\r\n--x--\r\n'


def asked(target: str) -> bytes:
    return b"GET %s" % target.encode() + HEAD % b"shop.example"


def posted(content_type: str, body: bytes, *lines: str) -> bytes:
    own = [f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *lines]
    head = (b"POST /" + HEAD % b"shop.example").removesuffix(b"\r\n")
    return head + "".join(f"{line}\r\n" for line in own).encode() + b"\r\n" + body


PATHS = {
    "slashes in percent encoding": ("/?f=..%2f..%2f..%2fetc%2fpasswd", 930110),
    "twice encoded": ("/?f=%252e%252e%252f%252e%252e%252fetc%252fpasswd", 930110),
    "slashes in overlong UTF-8": ("/?f=..%c0%af..%c0%afetc%c0%afpasswd", 930100),
    "backslashes, in the path": ("/static/..%5c..%5c..%5cwindows%5cwin.ini", 930110),
    "dots in the path, which a normal form would have taken out": ("/a/%2e%2e/%2e%2e/%2e%2e/etc/passwd", 930110),
    "a NUL in a name": ("/?f=/etc/pass%00wd", 920270),
    "quotes and backslashes that a shell takes out": ("/?c=;c%22a%22t%20/e't'c/p%5Casswd", 932160),
}
ENCODINGS = {
    "%u": asked("/?q=%u003cscript%u003ealert(1)%u003c/script%u003e"),
    "references of HTML": asked("/?q=%26lt;script%26gt;alert(1)%26lt;/script%26gt;"),
    "a reference by number": asked("/?q=%3Cimg%20src%3Dx%20onerror%3D%26%2397%3Blert(1)%3E"),
    "full width": asked("/?q=%ef%bc%9cscript%ef%bc%9ealert(1)%ef%bc%9c/script%ef%bc%9e"),
    "escapes of JSON": posted("application/json", rb'{"q": "\u003cscript\u003ealert(1)\u003c/script\u003e"}'),
    "a name in JSON": posted("application/json", b'{"<script>alert(1)</script>": 1}'),
}
CHARSETS = {
    "EBCDIC": (posted(f"{FORM}; charset=ibm037", b"\x89\x84=1"), 920480),
    "UTF-7": (posted(f"{FORM}; charset=utf-7", b"a=+ADw-script+AD4-"), 920480),
    "two": (posted(f"{FORM}; charset=utf-8; charset=utf-7", b"a=1"), 920530),
    "of a part": (
        posted(
            "multipart/form-data; boundary=x",
            PARTS % (b"Content-Type: text/plain; charset=utf-7", b"+ADw-script+AD4-alert(1)+ADw-/script+AD4-"),
        ),
        922110,
    ),
}
SPLIT = {
    "comments between words": (asked("/?id=1%27/**/UNION/*x*/SELECT/**/password/**/FROM/**/users--"), 942100),
    "an argument in two": (asked("/?id=1%27&id=UNION%20SELECT%20password%20FROM%20users--"), 942100),
    "two boundaries": (posted("multipart/form-data; boundary=x; boundary=y", PARTS % (b"", b"1")), 77_000_003),
    "a type that nobody reads": (posted("text/plain", b"a=<script>alert(1)</script>"), 920420),
}

TYPES = [
    f"{name}{end}"
    for name in ("application/json", "Application/JSON", "application/xml", "text/xml", "application/soap+xml")
    for end in ("", ";charset=utf-8", "; charset=utf-8", "\t; charset=utf-8", "\t;charset=utf-8", " ;charset=utf-8")
]
"""Spellings of types that the Core Rule Set allows, and that applications read as the type without more."""


def refused_for(rules: RuleSet, request: bytes) -> list[int]:
    verdict = rules.inspect(request)
    assert verdict.blocked
    return [match.id for match in verdict.matches if match.logged]


@pytest.mark.parametrize("spelling", PATHS)
def test_no_spelling_of_a_path_hides_it(as_it_comes: RuleSet, spelling: str) -> None:
    target, rule = PATHS[spelling]
    assert rule in refused_for(as_it_comes, asked(target))


@pytest.mark.parametrize("spelling", ENCODINGS)
def test_no_encoding_hides_a_script(as_it_comes: RuleSet, spelling: str) -> None:
    assert 941100 in refused_for(as_it_comes, ENCODINGS[spelling])


@pytest.mark.parametrize("content_type", TYPES)
def test_no_spelling_of_a_type_hides_what_a_document_holds(as_it_comes: RuleSet, content_type: str) -> None:
    is_json = "json" in content_type.lower()
    document = b'{"q": "<script>alert(1)</script>"}' if is_json else b"<q>&lt;script>alert(1)&lt;/script></q>"
    assert 941100 in refused_for(as_it_comes, posted(content_type, document))


@pytest.mark.parametrize("charset", CHARSETS)
def test_a_charset_that_rules_do_not_read_is_refused(as_it_comes: RuleSet, charset: str) -> None:
    request, rule = CHARSETS[charset]
    assert rule in refused_for(as_it_comes, request)


@pytest.mark.parametrize("way", SPLIT)
def test_an_attack_in_parts_is_one(as_it_comes: RuleSet, way: str) -> None:
    request, rule = SPLIT[way]
    assert rule in refused_for(as_it_comes, request)
