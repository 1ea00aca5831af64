"""Rule sets are loaded from files and folders, and say of a request what their rules say."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bartizan.failure import Failure
from bartizan.rules import Request, Response
from bartizan.waf import Problem, RuleSet, RulesRefused

SQL = """\
SecRequestBodyAccess On
SecAction "id:1,phase:1,pass,nolog,setvar:tx.sql_injection_score=0"
SecRule ARGS|REQUEST_HEADERS "@rx (?i:union\\s+select)" "id:2,phase:2,deny,status:406,capture,t:urlDecodeUni,\\
    msg:'SQL in %{MATCHED_VAR_NAME}',logdata:'found %{TX.0}',severity:CRITICAL,tag:'attack-sqli',\\
    setvar:tx.sql_injection_score=+5,setvar:tx.anomaly_score=+5"
"""

ATTACK = b"GET /?q=1%2520UNION%20SELECT HTTP/1.1\r\nHost: shop.example\r\n\r\n"
CLEAN = b"GET /?q=shoes HTTP/1.1\r\nHost: shop.example\r\n\r\n"


def rule_file(directory: Path, text: str, name: str = "main.conf") -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def core_rule_set(directory: Path, setup: str, name: str = "crs-setup.conf.example", rules: str = "rules") -> None:
    """A folder that is laid out as a Core Rule Set is."""
    rule_file(directory, setup, name)
    rule_file(
        directory,
        'SecRule &TX:blocking_paranoia_level "@eq 0"'
        ' "id:901120,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level=1"',
        f"{rules}/REQUEST-901-INITIALIZATION.conf",
    )
    rule_file(
        directory,
        'SecRule TX:blocking_paranoia_level "@ge 3" "id:942000,phase:2,deny,msg:\'%{TX.threshold}\'"\n'
        'SecRule ARGS_POST:a.b "@streq c" "id:942001,phase:2,pass"',
        f"{rules}/REQUEST-942-SQLI.conf",
    )


def test_a_verdict_says_which_rule_saw_what_and_where(tmp_path: Path) -> None:
    path = rule_file(tmp_path, SQL)
    verdict = RuleSet.load(path).inspect(ATTACK)
    assert (verdict.blocked, verdict.status, verdict.action, verdict.rule) == (True, 406, "deny", 2)
    assert verdict.scores == {"inbound": 5, "outbound": 0, "sql_injection": 5}
    assert [(match.id, match.logged, match.variable) for match in verdict.matches] == [
        (1, False, None),
        (2, True, "ARGS:q"),
    ]
    match = verdict.matches[1]
    assert (match.message, match.logdata) == ("SQL in ARGS:q", "found UNION SELECT")
    assert (match.value, match.severity, match.phase) == ("1%20UNION SELECT", "CRITICAL", 2)
    assert (match.tags, match.file, match.line) == (["attack-sqli"], str(path), 3)
    hit = match.hits[0]
    assert (hit.transformed, hit.range, hit.link) == ("1 UNION SELECT", (2, 14), 0)


def test_a_clean_request_passes_and_detection_blocks_nothing(tmp_path: Path) -> None:
    path = rule_file(tmp_path, SQL)
    passed = RuleSet.load(path).inspect(CLEAN)
    assert (passed.blocked, passed.status, passed.action, passed.rule) == (False, None, None, None)
    assert passed.scores == {"inbound": 0, "outbound": 0, "sql_injection": 0}
    seen = RuleSet.load(path, mode="detect").inspect(ATTACK)
    assert (seen.blocked, seen.status, seen.action, seen.rule) == (False, None, "deny", 2)
    assert [match.id for match in seen.matches] == [1, 2]


def test_requests_and_responses_are_bytes_or_objects(tmp_path: Path) -> None:
    text = (
        "SecRequestBodyAccess On\nSecResponseBodyAccess On\nSecResponseBodyMimeType text/plain\n"
        'SecRule REQUEST_PROTOCOL "@streq HTTP/2.0" "id:1,phase:1,pass"\n'
        'SecRule REMOTE_ADDR "@ipMatch 2001:db8::/32" "id:2,phase:1,pass"\n'
        'SecRule ARGS_POST:a "@streq b" "id:3,phase:2,pass"\n'
        'SecRule RESPONSE_STATUS "@streq 500" "id:4,phase:3,pass"\n'
        'SecRule RESPONSE_BODY "@contains secret" "id:5,phase:4,deny,status:502"\n'
        'SecRule UNIQUE_ID "@streq 9a1b" "id:6,phase:5,pass"'
    )
    rules = RuleSet.load(rule_file(tmp_path, text))
    form = Request(
        method="POST",
        url="http://shop.example/",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=b"a=b",
        version="HTTP/2",
        client_ip="2001:db8::7",
        ray_id="9a1b",
    )
    answer = b"HTTP/1.1 500 Oh\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nthe secret"
    assert [match.id for match in rules.inspect(form).matches] == [1, 2, 3, 6]
    assert [match.id for match in rules.inspect(form, Response(status=500)).matches] == [1, 2, 3, 4, 6]
    ended = rules.inspect(form, answer)
    assert ([match.id for match in ended.matches], ended.status) == ([1, 2, 3, 4, 5, 6], 502)
    assert [match.id for match in rules.inspect(CLEAN, answer, client=("2001:db8::1", 9)).matches] == [2, 4, 5]
    assert [match.id for match in rules.inspect(CLEAN, Response(status=500)).matches] == [4]


def test_what_is_neither_bytes_nor_an_object_is_refused_by_name() -> None:
    rules = RuleSet.parse("SecRuleEngine On")
    wrong: Any = "GET / HTTP/1.1"
    with pytest.raises(
        TypeError, match=r"request is of type str; it is bytes of HTTP/1\.1 or a bartizan\.rules\.Request"
    ):
        rules.inspect(wrong)
    with pytest.raises(TypeError, match="response is of type str; it is bytes"):
        rules.inspect(CLEAN, wrong)


def test_what_is_no_text_is_shown_as_escapes(tmp_path: Path) -> None:
    rules = RuleSet.load(rule_file(tmp_path, 'SecRule ARGS "@rx \\xff" "id:1,pass"'))
    match = rules.inspect(b"GET /?a=%FFo%C3%A4 HTTP/1.1\r\n\r\n").matches[0]
    assert match.value == "\\xffoä"


def test_everything_that_is_wrong_is_said_with_its_place(tmp_path: Path) -> None:
    inner = rule_file(tmp_path, 'SecRule ARGS "@rx (" "id:1"\nSecRule ARGS "@geoLookup" "id:2"', "inner.conf")
    outer = rule_file(tmp_path, "Include inner.conf\nSecNothing On")
    with pytest.raises(RulesRefused) as refused:
        RuleSet.load(outer)
    places = [(problem.file, problem.line) for problem in refused.value.problems]
    assert places == [(str(inner), 1), (str(inner), 2), (str(outer), 2)]
    assert str(refused.value).splitlines()[-1] == f"{outer}:2: SecNothing: there is no such directive"
    with pytest.raises(Failure, match="there is no such file or folder"):
        RuleSet.load(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Failure, match=r"neither a Core Rule Set .* nor a \*.conf file"):
        RuleSet.load(tmp_path / "empty")


def test_a_setting_without_effect_is_noted(tmp_path: Path) -> None:
    path = rule_file(tmp_path, "SecPcreMatchLimit 1000\n" + SQL)
    rules = RuleSet.load(path, paranoia_level=None)
    assert rules.ids == (1, 2)
    assert [(note.file, note.line) for note in rules.notes] == [(str(path), 1)]


@pytest.mark.parametrize(("setup", "rules"), [("crs-setup.conf", "rules"), ("@crs-setup.conf.example", "@owasp_crs")])
def test_a_core_rule_set_is_read_after_its_setup_with_an_engine_that_reads_bodies(
    tmp_path: Path, setup: str, rules: str
) -> None:
    core = tmp_path / "crs [4] with space"
    core_rule_set(core, 'SecAction "id:900000,phase:1,pass,nolog,setvar:tx.threshold=7"', setup, rules)
    body = b'{"a": {"b": "c"}}'
    head = f"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    loaded = RuleSet.load(core)
    assert loaded.ids == (900000, 901120, 942000, 942001)
    assert [match.id for match in loaded.inspect(head + body).matches if match.phase == 2] == []
    third = RuleSet.load(core, 3).inspect(head + body)
    assert [(match.id, match.message) for match in third.matches if match.logged] == [(942000, "7")]
    higher = RuleSet.load(core, setup='SecAction "id:1,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level=4"')
    assert higher.inspect(head + body).status == 403
    broken = loaded.inspect(head.replace(b": 17", b": 2") + b"{x")
    assert (broken.status, [match.message for match in broken.matches if match.logged]) == (
        400,
        ["The body of the request cannot be read"],
    )


def test_what_debian_has_in_etc_belongs_to_its_rule_set(tmp_path: Path) -> None:
    share, etc = tmp_path / "usr" / "share" / "modsecurity-crs", tmp_path / "etc" / "modsecurity" / "crs"
    core_rule_set(share, "", "owasp-crs.load")
    rule_file(etc, 'SecAction "id:900990,phase:1,pass,nolog"', "crs-setup.conf")
    rule_file(etc, 'SecAction "id:900100,phase:1,pass"', "REQUEST-900-EXCLUSION-RULES-BEFORE-CRS.conf")
    rule_file(etc, 'SecAction "id:999100,phase:1,pass"', "RESPONSE-999-EXCLUSION-RULES-AFTER-CRS.conf")
    assert RuleSet.load(share).ids == (900990, 900100, 901120, 942000, 942001, 999100)
    assert RuleSet.load(share / "rules").ids == (900990, 900100, 901120, 942000, 942001, 999100)


def test_reputation_in_version_3_is_left_out_with_a_note(tmp_path: Path) -> None:
    core_rule_set(tmp_path, "")
    path = rule_file(
        tmp_path, 'SecRule REMOTE_ADDR "@rbl dnsbl.example" "id:910140"', "rules/REQUEST-910-IP-REPUTATION.conf"
    )
    rules = RuleSet.load(tmp_path)
    assert rules.ids == (901120, 942000, 942001)
    assert [note.file for note in rules.notes] == [str(path)]
    assert rules.notes[0].message.startswith("left out: its rules ask")


def test_json_becomes_arguments_in_a_core_rule_set(tmp_path: Path) -> None:
    core_rule_set(tmp_path, "")
    body = b'{"a": {"b": "c"}}'
    head = f"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    seen = RuleSet.load(tmp_path, setup='SecRule ARGS:json.a.b "@streq c" "id:1,phase:2,pass"').inspect(head + body)
    assert [(match.id, match.variable) for match in seen.matches if match.logged] == [(1, "ARGS:json.a.b")]


@pytest.mark.parametrize(
    ("named", "invalid"),
    [('"it\'s.txt"', None), ("'it.txt'", "1"), ("it's.txt", "1"), ('"a\\"; filename=\'b.php"', "1")],
)
def test_an_apostrophe_in_a_file_name_is_refused_where_it_may_be_a_quote(
    tmp_path: Path, named: str, invalid: str | None
) -> None:
    core_rule_set(tmp_path, "")
    part = f'--b\r\nContent-Disposition: form-data; name="f"; filename={named}\r\n\r\nok\r\n--b--\r\n'
    head = f"POST / HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(part)}\r\n\r\n"
    seen = RuleSet.load(tmp_path).inspect((head + part).encode())
    told = {match.id: match for match in seen.matches if match.logged}
    if invalid is None:
        assert (seen.blocked, told) == (False, {})
        return
    assert (seen.status, seen.rule) == (400, 77000004)
    assert told[77000004].message == "Readers may take the multipart body of the request for different ones"
    flags = dict(flag.rsplit(" ", 1) for flag in told[77000004].logdata.split(", "))
    assert {name for name, value in flags.items() if value != "0"} == {"invalid quoting"}


def test_plugins_are_read_before_and_after_the_rules(tmp_path: Path) -> None:
    core_rule_set(tmp_path, "")
    for number, name in ((11, "shop-config"), (12, "shop-before"), (13, "shop-after")):
        rule_file(tmp_path, f'SecAction "id:{number},phase:1,pass"', f"plugins/{name}.conf")
    assert RuleSet.load(tmp_path).ids == (11, 12, 901120, 942000, 942001, 13)


def test_another_folder_is_its_files_by_their_names(tmp_path: Path) -> None:
    rule_file(tmp_path, 'SecAction "id:2,phase:1,pass"', "b.conf")
    rule_file(tmp_path, 'SecAction "id:1,phase:1,pass"', "a.conf")
    rule_file(tmp_path, "no rules", "notes.txt")
    assert RuleSet.load(tmp_path).ids == (1, 2)


def test_threads_share_a_rule_set(tmp_path: Path) -> None:
    rules = RuleSet.load(rule_file(tmp_path, SQL))
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(rules.inspect, [ATTACK, CLEAN] * 200))
    assert [verdict.status for verdict in verdicts] == [406, None] * 200


def test_the_package_has_the_settings_of_the_engine(tmp_path: Path) -> None:
    import bartizan.config

    base = Path(bartizan.config.__file__).with_name("base.conf")
    shutil.copy(base, tmp_path / "base.conf")
    assert RuleSet.load(tmp_path / "base.conf", None).notes == ()


def test_levels_and_modes_that_are_none_are_refused(tmp_path: Path) -> None:
    path = rule_file(tmp_path, SQL)
    with pytest.raises(ValueError, match="from 1 to 4"):
        RuleSet.load(path, 5)
    with pytest.raises(ValueError, match="'block' or 'detect'"):
        RuleSet.load(path, mode="blok")  # type: ignore[arg-type]


def test_nothing_of_a_request_is_left_for_the_next(tmp_path: Path) -> None:
    text = 'SecRule ARGS "@rx ^(a+)$" "id:1,phase:1,pass,capture,setvar:tx.anomaly_score=+1"'
    rules = RuleSet.load(rule_file(tmp_path, text))
    scores = [rules.inspect(f"GET /?x={value} HTTP/1.1\r\n\r\n".encode()).scores["inbound"] for value in "aba"]
    assert scores == [1, 0, 1]


def test_problems_are_shown_with_file_and_line() -> None:
    assert str(Problem("a.conf", 3, "wrong")) == "a.conf:3: wrong"


def test_rules_count_over_requests_of_the_same_object_and_no_other() -> None:
    text = """\
SecAction "id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.count=+1"
SecRule IP:count "@gt 8" "id:2,phase:1,deny,status:429,msg:'%{ip.count} requests'"
"""
    rules, other = RuleSet.parse(text), RuleSet.parse(text)
    with ThreadPoolExecutor(4) as threads:
        verdicts = list(threads.map(lambda _: rules.inspect(CLEAN, client=("192.0.2.1", 1)), range(40)))
    blocked = sorted(verdict.matches[1].message for verdict in verdicts if verdict.blocked)
    assert blocked == sorted(f"{count} requests" for count in range(9, 41))
    assert not rules.inspect(CLEAN, client=("192.0.2.2", 1)).blocked
    assert not other.inspect(CLEAN, client=("192.0.2.1", 1)).blocked
    assert rules.notes == ()


def test_the_audit_log_has_an_entry_where_its_directives_ask_for_one() -> None:
    text = SQL + "SecAuditEngine RelevantOnly\nSecAuditLogParts ABHZ\n"
    rules = RuleSet.parse(text)
    assert rules.inspect(CLEAN).audit_entry is None
    entry = rules.inspect(ATTACK, request_id="ray", client=("192.0.2.9", 7)).audit_entry
    assert entry is not None
    assert b"] ray 192.0.2.9 7 127.0.0.1 80\n" in entry
    assert b"ModSecurity: Access denied with code 406 (phase 2). Matched \"Operator `Rx' with parameter" in entry
    assert rules.notes == ()
    with pytest.raises(ValueError, match="it is 'redacted' or 'whole'"):
        RuleSet.load(".", audit="none")  # type: ignore[arg-type]
