"""`bartizan doctor` finds what stands in the way and says how to mend it."""

from __future__ import annotations

import json
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bartizan.cli.doctor import doctor
from bartizan.cli.init import init
from bartizan.control import ControlServer
from bartizan.layout import StateDirectory
from bartizan.lock import sole
from bartizan.supervisor.examination import Finding, _certificates, _descriptors, _state_directory, examine


@pytest.fixture
def site(tmp_path: Path) -> Path:
    file = tmp_path / "bartizan.toml"
    init(origin="http://127.0.0.1:1", host=[], file=file, force=False)
    text = file.read_text().replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:8443", "127.0.0.1:0")
    file.write_text(text)
    return file


def findings(site: Path) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(site, StateDirectory(site.parent / ".bartizan"))}


def _state_and_certificates(state: StateDirectory) -> Iterator[Finding]:
    yield _state_directory(state)
    yield from _certificates(state)


def test_a_new_installation_is_healthy(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(site=site, state=None, json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is True
    assert {finding["subject"] for finding in report["findings"]} >= {
        "python",
        "native module",
        "state",
        "disk",
        "site file",
    }


def test_every_problem_has_a_way_out(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = site.parent / ".bartizan"
    state.mkdir(mode=0o755)
    state.chmod(0o755)
    site.write_text(site.read_text().replace('action = "log"', 'action = "lgo"'))
    assert doctor(site=site, state=None, json=False) == 1
    shown = capsys.readouterr().out
    assert f"chmod 700 {state}" in shown
    assert f"`bartizan check {site}` lists them" in shown
    assert all(finding.way_out for finding in findings(site).values() if finding.verdict == "problem")


def test_a_port_in_use_is_found(site: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        site.write_text(site.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}", 1))
        examined = examine(site, StateDirectory(site.parent / ".bartizan"))
    (problem,) = [finding for finding in examined if finding.verdict == "problem"]
    assert problem == Finding(
        "address", "problem", f"127.0.0.1:{port} is in use", f"`ss -ltnp 'sport = :{port}'` says by whom"
    )


def test_a_missing_site_file_is_found(tmp_path: Path) -> None:
    finding = findings(tmp_path / "bartizan.toml")["site file"]
    assert (finding.verdict, finding.way_out) == ("problem", "`bartizan init ORIGIN` writes one")


def test_an_expired_certificate_is_found(site: Path) -> None:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    end = datetime.now(UTC) - timedelta(days=1)
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, end - timedelta(days=9), end)
    certificate = site.parent / "old.pem"
    certificate.write_bytes(built.sign(key, SHA256()).public_bytes(Encoding.PEM))
    state = StateDirectory(site.parent / ".bartizan")
    state.create()
    zones = [{"tls": {"certificates": [{"certificate_file": str(certificate), "key_file": "x"}]}}]
    state.current_policy.write_text(json.dumps({"zones": zones}))
    finding = findings(site)["certificate"]
    assert finding.verdict == "problem"
    assert finding.text == f"{certificate} expired on {end:%Y-%m-%d}"


def test_a_state_directory_that_cannot_be_is_found(site: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, text in ((tmp_path / "file", "is no directory"), (tmp_path / "file" / "x", "file is no directory")):
        found = {finding.subject: finding for finding in examine(site, StateDirectory(path))}
        assert found["state"].verdict == "problem"
        assert text in found["state"].text
        assert not {"edge", "events"} & set(found)


def test_the_state_of_another_user_is_found(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = StateDirectory(site.parent / ".bartizan")
    state.create()
    state.current_policy.write_text("{}")
    really = os.access

    def refuse(path: Path, mode: int) -> bool:
        return path != state.path and really(path, mode)

    def denied(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "access", refuse)
    monkeypatch.setattr(Path, "read_bytes", denied)
    found = {finding.subject: finding for finding in _state_and_certificates(state)}
    assert found["state"].text == f"no right to use {state.path}"
    assert found["policy"].text.startswith(f"{state.current_policy} cannot be read: ")


def test_a_low_limit_of_open_files_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    (finding,) = _descriptors({})
    assert finding.verdict == "note"
    assert "4,096 open files are allowed here" in finding.text
    assert list(_descriptors({"connections": 2000})) == []


def test_an_edge_that_is_not_there_beside_a_supervisor_is_found(site: Path) -> None:
    state = StateDirectory(site.parent / ".bartizan")
    state.create()
    with (
        sole(state.supervisor_lock, "Bartizan", "stop it"),
        ControlServer(state.supervisor_socket, lambda _: {"ok": True, "processes": []}),
    ):
        found = findings(site)
    assert (found["edge"].verdict, found["edge"].text) == ("problem", "not running, though the supervisor is")


def edge_that_counted(**counted: int) -> dict[str, object]:
    samples = [{"name": f"bartizan_spool_{name}_total", "label": None, "value": n} for name, n in counted.items()]
    return {"ok": True, "policy_version": 3, "connections": 0, "spool_disk_error": "disk full", "metrics": samples}


@pytest.mark.parametrize(
    ("counted", "verdict", "text", "way_out"),
    [
        ({}, "ok", "no event was lost or sampled away", ""),
        ({"sampled_rows": 900}, "note", "900 events were sampled away", "max_bytes"),
        ({"removed_rows": 3}, "problem", "3 events were removed unshipped", "max_bytes"),
        (
            {"refused_rows": 7},
            "problem",
            "the disk refused 7 events since the edge was started: disk full",
            "make room",
        ),
        ({"held_up_rows": 5}, "note", "5 events waited in memory for the disk", "fsync"),
        ({"held_up_rows": 5, "dropped": 2}, "problem", "2 events came faster than the disk takes them", "fsync"),
    ],
)
def test_what_became_of_events_is_told(
    site: Path, counted: dict[str, int], verdict: str, text: str, way_out: str
) -> None:
    state = StateDirectory(site.parent / ".bartizan")
    state.create()
    with ControlServer(state.edge_socket, lambda _: edge_that_counted(**counted)):
        finding = findings(site)["spool"]
    assert finding.verdict == verdict
    assert finding.text.startswith(text)
    assert way_out in finding.way_out


def test_a_sink_that_takes_no_events_is_named_with_the_way_out(site: Path) -> None:
    state = StateDirectory(site.parent / ".bartizan")
    state.create()
    well = {"name": "chdb", "rows": 5, "rows_refused": 0, "problem": "", "way_out": ""}
    full = well | {"name": "copy", "problem": "cannot write in /copy: No space left on device", "way_out": "make room"}
    picky = well | {"name": "siem", "rows_refused": 2}
    status = {"problem": "", "sinks": [well, full, picky]}
    with ControlServer(state.events_socket, lambda _: {"ok": True, "status": status}):
        found = findings(site)
    assert found["events"].verdict == "ok"
    assert (found["sink chdb"].verdict, found["sink chdb"].text) == ("ok", "has 5 events")
    assert found["sink copy"] == Finding(
        "sink copy",
        "problem",
        "takes no events: cannot write in /copy: No space left on device",
        "make room; events wait in the spool",
    )
    assert found["sink siem"].verdict == "note"
    assert "sinks/siem/dead-letter.ndjson" in found["sink siem"].way_out
