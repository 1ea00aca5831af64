"""check, apply, versions, rollback and diff as a person types them: what is printed where, and the exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bartizan.cli.app import run

SITE = """\
[zones.shop]
hosts = ["shop.example"]
origins = ["http://127.0.0.1:8001"]

[[zones.shop.rules]]
ref = "admin"
expression = 'http.request.uri.path eq "/admin"'
action = "block"
"""


class Shell:
    """Runs commands in the directory of a site file."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *words: str) -> tuple[int, str, str]:
        code = run(words)
        said = self._capture.readouterr()
        return code, said.out, said.err

    def json(self, *words: str) -> tuple[int, Any]:
        code, out, err = self(*words, "--json")
        assert err == ""
        return code, json.loads(out)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    for name in ("BARTIZAN_STATE", "BARTIZAN_STORE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "ana")
    Path("bartizan.toml").write_text(SITE)
    return Shell(capsys)


def change(before: str, after: str) -> None:
    file = Path("bartizan.toml")
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))


def test_check_of_a_site_file_in_order(shell: Shell) -> None:
    assert shell("check") == (0, "bartizan.toml: in order: 1 zone, 1 rule, 0 lists\n", "")
    assert shell.json("check") == (0, {"ok": True, "problems": [], "zones": 1, "rules": 1, "lists": 0})
    assert not Path(".bartizan").exists()


def test_check_warns_of_a_rule_that_costs_too_much(shell: Shell) -> None:
    change('http.request.uri.path eq "/admin"', 'http.request.body.raw matches "[0-9]{6}[a-f]{6}"')
    code, found = shell.json("check")
    [problem] = found["problems"]
    assert (code, problem["severity"], problem["where"]) == (0, "warning", 'zone "shop" rule 1')
    assert "most for matches over http.request.body.raw, " in problem["message"]


def test_check_prints_each_mistake_on_a_line_and_counts_them(shell: Shell) -> None:
    change("hosts", "hots")
    change('"block"', '"blok"')
    assert shell("check") == (
        1,
        "",
        (
            'bartizan.toml:2:1: zone "shop": unknown key "hots"; did you mean "hosts"?\n'
            'bartizan.toml:8:10: zone "shop" rule 1: "action" is "blok", which is unknown; did you mean "block"?\n'
            "bartizan.toml: 2 errors; nothing was changed\n"
        ),
    )
    code, found = shell.json("check")
    assert (code, found["ok"], found["problems"][0]) == (
        1,
        False,
        {
            "file": "bartizan.toml",
            "line": 2,
            "column": 1,
            "where": 'zone "shop"',
            "message": 'unknown key "hots"; did you mean "hosts"?',
            "severity": "error",
        },
    )


def test_a_warning_does_not_stand_in_the_way(shell: Shell) -> None:
    change("[zones.shop]", '[edge]\ntrusted_proxies = ["10.0.0.0/8"]\n[zones.shop]')
    change("\n[[", "[zones.shop.tls]\nhttps_redirect = true\n\n[[")
    code, out, err = shell("check")
    assert (code, out) == (0, "bartizan.toml: in order (1 warning): 1 zone, 1 rule, 0 lists\n")
    assert err.startswith('bartizan.toml:7:18: warning: zone "shop" tls: ')


def test_apply_says_which_version_is_in_place(shell: Shell) -> None:
    where = "no edge is running, the next start takes it"
    assert shell("apply", "--message", "first") == (0, f"bartizan.toml: version 1 is ready; {where}\n", "")
    assert shell("apply") == (0, f"bartizan.toml: nothing to change; version 1 is ready; {where}\n", "")
    change("8001", "8002")
    assert shell.json("apply") == (
        0,
        {
            "ok": True,
            "outcome": "applied",
            "version": 2,
            "live": False,
            "changed_zones": None,
            "compile_ms": None,
            "problems": [],
        },
    )


def test_apply_of_mistakes_leaves_the_policy(shell: Shell) -> None:
    shell("apply")
    change("hosts", "hots")
    assert shell("apply") == (
        1,
        "",
        (
            'bartizan.toml:2:1: zone "shop": unknown key "hots"; did you mean "hosts"?\n'
            "bartizan.toml: 1 error; the policy in effect stays\n"
        ),
    )


def test_apply_of_what_the_edge_refuses_leaves_the_policy(shell: Shell) -> None:
    shell("apply")
    change("http.request.uri.path", "http.request.uri.pth")
    code, out, err = shell("apply")
    assert (code, out) == (1, "")
    assert err.startswith('bartizan.toml:7:15: zone "shop" rule 1: unknown field "http.request.uri.pth" at column 1')
    assert err.endswith("bartizan.toml: the edge refused version 2; the policy in effect stays\n")


def test_versions_are_listed_newest_first(shell: Shell) -> None:
    assert shell("versions") == (0, "no versions yet; `bartizan apply` makes the first\n", "")
    assert not Path(".bartizan").exists()
    shell("apply", "--message", "first")
    change("8001", "8002")
    shell("apply", "--message", "[second] with a message that is longer than a terminal of eighty columns is wide")
    code, out, _ = shell("versions")
    head, newest, oldest = out.splitlines()
    assert (code, head.split()) == (0, ["version", "when", "by", "status", "message", "digest"])
    assert re.fullmatch(
        r"2 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +ana +applied +\[second\] with a message .* is wide +[0-9a-f]{12} *", newest
    )
    assert re.fullmatch(r"1 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +ana +superseded +first +[0-9a-f]{12} *", oldest)
    _, listed = shell.json("versions")
    assert [(each["id"], each["status"], each["author"], each["diagnostics"]) for each in listed] == [
        (2, "applied", "ana", []),
        (1, "superseded", "ana", []),
    ]


def test_rollback_makes_a_new_version(shell: Shell) -> None:
    shell("apply")
    change("8001", "8002")
    shell("apply")
    assert shell("rollback", "1") == (
        0,
        "rollback to version 1: version 3 is ready; no edge is running, the next start takes it\n",
        "",
    )
    assert shell("rollback", "9") == (
        1,
        "",
        "bartizan rollback: there is no version 9; `bartizan versions` lists those that there are\n",
    )


def test_diff_shows_what_apply_would_change(shell: Shell) -> None:
    shell("apply")
    assert shell("diff") == (0, "version 1 and bartizan.toml say the same\n", "")
    change('"block"', '"log"')
    Path("bartizan.toml").write_text(
        Path("bartizan.toml").read_text()
        + '[[zones.shop.rules]]\nref = "new"\nexpression = "ssl"\naction = "log"\n'
        + '[lists.office]\nkind = "ip"\nitems = ["192.0.2.1"]\n'
    )
    phase = 'zone "shop" http_request_firewall_custom'
    assert shell("diff") == (
        0,
        (
            "from version 1 to bartizan.toml:\n"
            '+ list "office"\n'
            f'~ {phase} rule "admin" action: block -> log\n'
            f'+ {phase} rule "new": log ssl\n'
        ),
        "",
    )
    shell("apply")
    change('"192.0.2.1"', '"192.0.2.2"')
    shell("apply")
    assert shell("diff", "2", "3") == (
        0,
        'from version 2 to version 3:\n- list "office" 1 items: 192.0.2.1\n+ list "office" 1 items: 192.0.2.2\n',
        "",
    )
    code, found = shell.json("diff", "3", "2")
    assert (code, [(each["kind"], each["what"], each["field"]) for each in found["changes"]]) == (
        0,
        [("removed", 'list "office"', "1 items"), ("added", 'list "office"', "1 items")],
    )


def test_diff_as_text(shell: Shell) -> None:
    shell("apply")
    assert shell("diff", "--text") == (0, "", "")
    change("8001", "8002")
    code, out, _ = shell("diff", "--text")
    assert (code, out.splitlines()[:2]) == (0, ["--- version 1", "+++ bartizan.toml"])
    assert '+origins = ["http://127.0.0.1:8002"]' in out.splitlines()


def test_diff_of_mistakes_shows_them(shell: Shell) -> None:
    shell("apply")
    change("hosts", "hots")
    assert shell("diff") == (
        1,
        "",
        (
            'bartizan.toml:2:1: zone "shop": unknown key "hots"; did you mean "hosts"?\n'
            "bartizan.toml: 1 error; there is nothing to compare until they are mended\n"
        ),
    )


def test_a_store_that_cannot_be_used_is_one_message(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARTIZAN_STORE_URL", "mysql://db/bartizan")
    code, out, err = shell("apply")
    assert (code, out) == (1, "")
    assert err == (
        'bartizan apply: BARTIZAN_STORE_URL names "mysql"; the store can be sqlite:///FILE or postgresql+psycopg://\n'
    )


def test_diff_makes_nothing_by_asking(shell: Shell) -> None:
    code, out, said = shell("diff")
    assert (code, out) == (1, "")
    assert "no version has been applied yet" in said
    assert not Path(".bartizan").exists()
