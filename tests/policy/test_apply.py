"""A site file becomes the policy in effect, and nothing that is refused ever does."""

from __future__ import annotations

import gc
import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.policy.conftest import SITE, accepting, running_edge

from bartizan.config.native import check_policy
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.apply import Applied, apply, author
from bartizan.policy.diff import diff
from bartizan.policy.effect import open_versions
from bartizan.policy.history import history
from bartizan.policy.rollback import rollback


def statuses(state: StateDirectory) -> list[tuple[int, str]]:
    return [(entry.id, entry.status) for entry in history(state)]


def test_without_an_edge_the_first_apply_makes_what_the_next_start_takes(site: Path, state: StateDirectory) -> None:
    assert apply(site, state, message="first", author="ana") == Applied("applied", 1, False, None, None, [])  # noqa: FBT003
    current = json.loads(state.current_policy.read_bytes())
    assert (current["version"], [zone["name"] for zone in current["zones"]]) == (1, ["shop"])
    assert state.current_policy.stat().st_mode & 0o777 == 0o600
    assert [(each.id, each.status, each.author, each.message) for each in history(state)] == [
        (1, "applied", "ana", "first")
    ]
    assert sorted(entry.name for entry in state.policy.iterdir()) == ["current.json", "lock", "transparency-1.json"]


def test_a_running_edge_takes_the_candidate_before_it_becomes_current(site: Path, state: StateDirectory) -> None:
    seen: list[bool] = []

    def reply(request: dict[str, Any]) -> bytes:
        seen.append(state.current_policy.exists())
        return accepting(request)

    with running_edge(state, reply) as edge:
        assert apply(site, state, author="ana") == Applied("applied", 1, True, 1, 3.1, [])  # noqa: FBT003
    request, document = edge.asked[0]
    assert seen == [False]
    assert request == {"command": "apply", "file": str(state.policy / "candidate-1.json")}
    assert document == json.loads(state.current_policy.read_bytes())


def test_an_edge_that_is_about_to_leave_is_not_asked(site: Path, state: StateDirectory) -> None:
    with running_edge(state) as edge:
        applied = apply(site, state, author="ana", ask_edge=False)
    assert (applied.outcome, applied.live, edge.asked) == ("applied", False, [])
    assert json.loads(state.current_policy.read_bytes())["version"] == 1


def test_the_same_site_again_is_no_new_version_but_reaches_the_edge(site: Path, state: StateDirectory) -> None:
    apply(site, state, author="ana")
    site.write_text("# a comment\n" + SITE)
    with running_edge(state) as edge:
        assert apply(site, state, author="ana") == Applied("unchanged", 1, True, 1, 3.1, [])  # noqa: FBT003
    assert [document["version"] for _, document in edge.asked] == [1]
    assert statuses(state) == [(1, "applied")]


def test_a_change_supersedes_the_version_before(site: Path, state: StateDirectory) -> None:
    apply(site, state, author="ana")
    site.write_text(SITE.replace("8001", "8002"))
    assert apply(site, state, author="ana").version == 2
    assert statuses(state) == [(2, "applied"), (1, "superseded")]


def test_a_site_file_with_mistakes_changes_nothing(site: Path, state: StateDirectory) -> None:
    apply(site, state, author="ana")
    before = state.current_policy.read_bytes()
    site.write_text(SITE.replace("hosts", "hots"))
    applied = apply(site, state, author="ana")
    assert (applied.outcome, applied.version) == ("invalid", None)
    assert [str(problem) for problem in applied.problems] == [
        f'{site}:2:1: zone "shop": unknown key "hots"; did you mean "hosts"?'
    ]
    assert (state.current_policy.read_bytes(), statuses(state)) == (before, [(1, "applied")])


def test_what_the_edge_refuses_is_stored_as_refused_and_the_good_policy_stays(
    site: Path, state: StateDirectory
) -> None:
    apply(site, state, author="ana")
    before = state.current_policy.read_bytes()
    site.write_text(SITE.replace('"/admin"', '"/login"'))
    path = ["zones", 0, "phases", "http_request_firewall_custom", 0, "expression"]
    said = {"path": path, "message": "unknown field", "column": 6, "suggestion": "http.host", "severity": "error"}
    with running_edge(state, lambda _: json.dumps({"ok": False, "diagnostics": [said]}).encode() + b"\n"):
        applied = apply(site, state, author="ana")
    assert (applied.outcome, applied.version) == ("refused", 2)
    assert [str(problem) for problem in applied.problems] == [
        f'{site}:7:20: zone "shop" rule 1: unknown field at column 6; did you mean "http.host"?'
    ]
    assert (state.current_policy.read_bytes(), statuses(state)) == (before, [(2, "refused"), (1, "applied")])
    assert [each["message"] for each in history(state)[0].diagnostics] == ["unknown field"]
    assert sorted(entry.name for entry in state.policy.iterdir()) == ["current.json", "lock", "transparency-1.json"]


def test_without_an_edge_its_compiler_refuses(site: Path, state: StateDirectory) -> None:
    apply(site, state, author="ana")
    before = state.current_policy.read_bytes()
    site.write_text(SITE.replace("http.request.uri.path", "http.request.uri.pth"))
    applied = apply(site, state, author="ana")
    assert (applied.outcome, applied.version, applied.live) == ("refused", 2, False)
    assert [(problem.line, problem.where) for problem in applied.problems] == [(7, 'zone "shop" rule 1')]
    assert "http.request.uri.path" in applied.problems[0].message
    assert (state.current_policy.read_bytes(), statuses(state)) == (before, [(2, "refused"), (1, "applied")])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "gives no answer"),
        (b"not json\n", "gives an answer of another Bartizan"),
        (b'{"ok": "yes"}\n', "gives an answer of another Bartizan"),
        (b'{"ok": false, "error": "out of memory"}\n', "cannot apply the policy: out of memory"),
        (b'{"ok": true, "version": 99}\n', "has taken version 99, not 2"),
    ],
)
def test_an_edge_that_does_not_say_what_it_did_leaves_the_good_policy(
    answer: bytes, message: str, site: Path, state: StateDirectory
) -> None:
    apply(site, state, author="ana")
    before = state.current_policy.read_bytes()
    site.write_text(SITE.replace("8001", "8002"))
    with running_edge(state, lambda _: answer), pytest.raises(Failure, match=message):
        apply(site, state, author="ana")
    assert (state.current_policy.read_bytes(), statuses(state)) == (before, [(2, "pending"), (1, "applied")])


def test_a_version_whose_apply_was_cut_short_after_the_rename_is_noted_by_the_next(
    site: Path, state: StateDirectory
) -> None:
    apply(site, state, author="ana")
    site.write_text(SITE.replace("8001", "8002"))
    apply(site, state, author="ana")
    with open_versions(state) as versions:
        versions._engine.connect().exec_driver_sql("SELECT 1").close()
        _set_status(versions, {1: "applied", 2: "pending"})
    site.write_text(SITE.replace("8001", "8003"))
    apply(site, state, author="ana")
    assert statuses(state) == [(3, "applied"), (2, "superseded"), (1, "superseded")]


def _set_status(versions: Any, statuses: dict[int, str]) -> None:
    with versions._engine.begin() as connection:
        for version, status in statuses.items():
            connection.exec_driver_sql("UPDATE policy_versions SET status = ? WHERE id = ?", (status, version))


def test_applies_at_the_same_time_come_one_after_the_other(state: StateDirectory, tmp_path: Path) -> None:
    outcomes: list[str] = []

    def run(number: int) -> None:
        file = tmp_path / f"site{number}.toml"
        file.write_text(SITE.replace("8001", str(8100 + number)))
        outcomes.append(apply(file, state, author="ana").outcome)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["applied"] * 4
    assert statuses(state) == [(4, "applied"), (3, "superseded"), (2, "superseded"), (1, "superseded")]
    assert json.loads(state.current_policy.read_bytes())["version"] == 4


def test_a_warning_is_shown_and_the_policy_applied(site: Path, state: StateDirectory) -> None:
    said = {"path": ["zones", 0, "hosts", 0], "message": "rarely used", "severity": "warning"}
    reply = {"ok": True, "version": 1, "diagnostics": [said]}
    with running_edge(state, lambda _: json.dumps(reply).encode() + b"\n"):
        applied = apply(site, state, author="ana")
    assert applied.outcome == "applied"
    assert [str(problem) for problem in applied.problems] == [f'{site}:2:10: warning: zone "shop" host 1: rarely used']


def test_zones_with_tls_get_a_certificate_of_the_development_ca(site: Path, state: StateDirectory) -> None:
    site.write_text('[edge]\nlisten_tls = ["127.0.0.1:8443"]\n' + SITE)
    apply(site, state, author="ana")
    [zone] = json.loads(state.current_policy.read_bytes())["zones"]
    leaf = str(state.ca / "leaves" / "shop.pem")
    assert zone["tls"]["certificates"] == [{"certificate_file": leaf, "key_file": leaf}]
    assert Path(leaf).stat().st_mode & 0o777 == 0o600


def test_acme_zones_are_named_for_the_renewal_and_served_with_a_placeholder(site: Path, state: StateDirectory) -> None:
    tls = '[edge]\nlisten = ["127.0.0.1:8080"]\nlisten_tls = ["127.0.0.1:8443"]\n'
    site.write_text(tls + SITE + '[zones.shop.tls.acme]\nemail = "ops@shop.example"\n')
    apply(site, state, author="ana")
    [zone] = json.loads(state.current_policy.read_bytes())["zones"]
    file = state.acme / "certificates" / "shop.pem"
    assert zone["tls"]["certificates"] == [{"certificate_file": str(file), "key_file": str(file)}]
    assert file.read_bytes() == (state.ca / "leaves" / "shop.pem").read_bytes()
    assert json.loads((state.acme / "zones.json").read_bytes()) == {
        "shop": {
            "hosts": ["shop.example"],
            "email": "ops@shop.example",
            "directory_url": "https://acme-v02.api.letsencrypt.org/directory",
            "ca_file": None,
        }
    }


def test_the_author_is_whoever_runs_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ana")
    assert author() == "ana"


class _CutShort(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(
    "step",
    [
        "bartizan.policy.effect.replace",
        "bartizan.policy.effect.check_policy",
        "pathlib.Path.rename",
        "bartizan.policy.effect.sync_directory",
        "bartizan.store.versions.Versions.add",
        "bartizan.store.versions.Versions.applied",
    ],
)
def test_wherever_an_apply_is_cut_short_a_good_policy_stays_and_the_next_succeeds(
    step: str, site: Path, state: StateDirectory
) -> None:
    apply(site, state, author="ana")
    site.write_text(SITE.replace("8001", "8002"))

    def cut_short(*_: Any, **__: Any) -> None:
        raise _CutShort

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, cut_short)
        with pytest.raises(_CutShort):
            apply(site, state, author="ana")
    left = state.current_policy.read_bytes()
    assert json.loads(left)["version"] in (1, 2)
    assert check_policy(left) == []
    site.write_text(SITE.replace("8001", "8003"))
    assert apply(site, state, author="ana").outcome == "applied"
    found = statuses(state)
    assert found[0] == (json.loads(state.current_policy.read_bytes())["version"], "applied")
    assert "applied" not in [status for _, status in found[1:]]


def test_what_a_killed_apply_left_is_removed_by_the_next(site: Path, state: StateDirectory) -> None:
    state.create()
    (state.policy / "candidate-7.json").write_text("{}")
    (state.policy / ".candidate-7.json.4194399.1").write_text("{}")
    apply(site, state, author="ana")
    assert sorted(entry.name for entry in state.policy.iterdir()) == ["current.json", "lock", "transparency-1.json"]


def test_what_the_database_reports_is_a_failure(state: StateDirectory) -> None:
    def ask() -> None:
        with open_versions(state) as versions:
            with sqlite3.connect(state.store) as store:
                store.execute("ALTER TABLE policy_versions RENAME TO gone")
            versions.all()

    with pytest.raises(Failure, match=r"store\.sqlite3 cannot be used: no such table: policy_versions; see"):
        ask()


@pytest.mark.parametrize("site_text", [SITE, SITE.replace('action = "block"', 'action = "blokc"')])
def test_the_search_for_garbage_goes_on_after_an_apply(site: Path, state: StateDirectory, site_text: str) -> None:
    site.write_text(site_text)
    apply(site, state, author="ana")
    assert gc.isenabled()


def test_a_certificate_file_that_cannot_be_read_is_told(site: Path, state: StateDirectory) -> None:
    (site.parent / "directory").mkdir()
    site.write_text(
        f'{SITE}[[zones.shop.tls.certificates]]\ncertificate_file = "directory"\nkey_file = "missing.pem"\n'
    )
    said = [problem.message for problem in apply(site, state, author="ana").problems]
    assert [message.partition("cannot be read ")[2].partition(";")[0] for message in said] == [
        "(is a directory)",
        "(no such file or directory)",
    ]


@pytest.mark.parametrize("step", ["pathlib.Path.rename", "bartizan.policy.effect.sync_directory"])
def test_sinks_and_policy_change_at_once_wherever_an_apply_is_cut_short(
    step: str, site: Path, state: StateDirectory
) -> None:
    text = site.read_text()

    def in_effect() -> tuple[object, list[str]]:
        policy = json.loads(state.current_policy.read_bytes())
        return policy["version"], list(json.loads(state.current_sinks.read_bytes()))

    site.write_text(f'{text}\n[sinks.one]\ntype = "files"\ndir = "events"\n')
    apply(site, state, author="ana")
    assert in_effect() == (1, ["one"])
    site.write_text(f'{text}\n[sinks.two]\ntype = "files"\ndir = "events"\n')

    real = Path.rename

    def cut_short(*arguments: Any) -> None:
        # Each file is put in place by renaming; it is that of the policy which counts.
        if step.endswith("rename") and arguments[1] != state.current_policy:
            real(*arguments)
            return
        raise _CutShort

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, cut_short)
        with pytest.raises(_CutShort):
            apply(site, state, author="ana")
    assert in_effect() == ((1, ["one"]) if step.endswith("rename") else (2, ["two"]))
    site.write_text(f'{text}\n[sinks.three]\ntype = "files"\ndir = "events"\n')
    applied = apply(site, state, author="ana")
    assert in_effect() == (applied.version, ["three"])
    assert [file.name for file in state.sinks.glob("sinks*")] == [f"sinks-{applied.version}.json"]


def test_sinks_take_effect_with_the_policy_and_go_back_with_it(site: Path, state: StateDirectory) -> None:
    text = site.read_text()
    site.write_text(f'{text}\n[sinks.copy]\ntype = "files"\ndir = "events"\n')
    assert apply(site, state, author="test").version == 1
    (written,) = json.loads(state.current_sinks.read_bytes()).items()
    assert written[0] == "copy"
    assert (written[1]["type"], written[1]["dir"]) == ("files", str(site.parent / "events"))
    assert state.current_sinks.stat().st_mode & 0o777 == 0o600
    assert "sinks" not in json.loads(state.current_policy.read_bytes()), "the edge has no use for them"
    site.write_text(f'{text}\n[sinks.copy]\ntype = "files"\ndir = "events"\ncompression = "gzip"\n')
    assert apply(site, state, author="test").version == 2
    (change,) = diff(state, 1, 2).changes
    assert (change.what, change.field, change.before, change.after) == ('sink "copy"', "compression", "none", "gzip")
    site.write_text(text)
    assert apply(site, state, author="test").version == 3
    assert json.loads(state.current_sinks.read_bytes()) == {}
    assert [(change.kind, change.what) for change in diff(state, 2, 3).changes] == [("removed", 'sink "copy"')]
    assert [(change.kind, change.what) for change in diff(state, 3, 2).changes] == [("added", 'sink "copy"')]
    rollback(1, state, author="test")
    assert json.loads(state.current_sinks.read_bytes())["copy"]["compression"] == "none"
