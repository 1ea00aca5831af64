"""Certificates from an ACME authority, proved over HTTP."""

from __future__ import annotations

import errno
import json
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from tests.certificates.conftest import Authority

from bartizan import durable
from bartizan.certificates import acme, development
from bartizan.certificates.acme import Attempt, ensure_placeholders, renew_due, renewal_loop
from bartizan.layout import StateDirectory

HOSTS = ["shop.example", "www.shop.example"]


def want(state: StateDirectory, authority: Authority, hosts: list[str] = HOSTS, **changes: Any) -> None:
    order = {
        "hosts": hosts,
        "email": "ops@shop.example",
        "directory_url": authority.directory_url,
        "ca_file": str(authority.ca_file),
    }
    (state.acme / "zones.json").write_bytes(msgspec.json.encode({"shop": {**order, **changes}}))


def chain(state: StateDirectory) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((state.acme / "certificates" / "shop.pem").read_bytes())


def names(certificate: x509.Certificate) -> list[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return sorted(found.get_values_for_type(x509.DNSName))


def status(state: StateDirectory) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((state.acme / "status.json").read_bytes())["shop"]
    return found


def test_a_certificate_is_issued_for_the_hosts_of_a_zone(state: StateDirectory, authority: Authority) -> None:
    want(state, authority)
    assert renew_due(state) == [Attempt("shop", HOSTS, None)]
    file = state.acme / "certificates" / "shop.pem"
    leaf, *intermediates = chain(state)
    key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    root = x509.load_pem_x509_certificate(authority.fetch("/roots/0"))
    leaf.verify_directly_issued_by(intermediates[0])
    intermediates[-1].verify_directly_issued_by(root)
    assert names(leaf) == HOSTS
    assert key.public_key() == leaf.public_key()
    assert file.stat().st_mode & 0o777 == 0o600
    assert list((state.acme / "challenges").iterdir()) == []
    found = status(state)
    lifetime = leaf.not_valid_after_utc.timestamp() - leaf.not_valid_before_utc.timestamp()
    assert (found["error"], found["failures"]) == (None, 0)
    assert found["not_after"] == leaf.not_valid_after_utc.timestamp()
    assert found["renew_at"] == pytest.approx(found["not_after"] - lifetime / 3)


def test_a_certificate_is_renewed_when_it_is_due_and_not_before(state: StateDirectory, authority: Authority) -> None:
    want(state, authority)
    renew_due(state)
    first = chain(state)[0]
    assert renew_due(state) == []
    found = json.loads((state.acme / "status.json").read_bytes())
    found["shop"]["renew_at"] = time.time() - 1
    (state.acme / "status.json").write_text(json.dumps(found))
    assert renew_due(state) == [Attempt("shop", HOSTS, None)]
    assert chain(state)[0].serial_number != first.serial_number
    assert len(list((state.acme / "accounts").iterdir())) == 1


def test_a_zone_with_other_hosts_gets_another_certificate(state: StateDirectory, authority: Authority) -> None:
    want(state, authority)
    renew_due(state)
    want(state, authority, ["shop.example"])
    assert renew_due(state) == [Attempt("shop", ["shop.example"], None)]
    assert names(chain(state)[0]) == ["shop.example"]


def test_an_account_whose_registration_was_lost_is_found_again(state: StateDirectory, authority: Authority) -> None:
    want(state, authority)
    renew_due(state)
    [account] = (state.acme / "accounts").iterdir()
    (account / "registration.json").unlink()
    want(state, authority, ["shop.example"])
    assert renew_due(state) == [Attempt("shop", ["shop.example"], None)]


def test_a_failed_proof_is_told_and_tried_later_and_the_old_certificate_stays(
    state: StateDirectory, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    development.ensure_certificates(state, {"shop": HOSTS})
    ensure_placeholders(state, ["shop"])
    before = (state.acme / "certificates" / "shop.pem").read_bytes()
    monkeypatch.setattr(acme, "replace", _unless_challenge(durable.replace))
    want(state, authority, ["unproved.example"])
    started = time.time()
    [attempt] = renew_due(state)
    assert attempt.zone == "shop"
    assert attempt.error is not None
    assert attempt.error.startswith("unproved.example: ")
    assert "404" in attempt.error
    assert (state.acme / "certificates" / "shop.pem").read_bytes() == before
    found = status(state)
    assert (found["error"], found["failures"]) == (attempt.error, 1)
    assert found["renew_at"] >= started + acme.RETRY_S[0]
    assert renew_due(state) == []


def _unless_challenge(replace: Any) -> Any:
    def replaced(file: Path, content: bytes, mode: int = 0o600) -> None:
        if file.parent.name != "challenges":
            replace(file, content, mode)

    return replaced


def test_an_authority_that_is_not_there_is_told(state: StateDirectory, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"")
    order = {
        "hosts": ["shop.example"],
        "email": "ops@shop.example",
        "directory_url": "https://127.0.0.1:1/dir",
        "ca_file": None,
    }
    (state.acme / "zones.json").write_text(json.dumps({"shop": order}))
    [attempt] = renew_due(state)
    assert attempt.error is not None
    assert "127.0.0.1" in attempt.error
    failures = []
    for _ in range(len(acme.RETRY_S) + 2):
        found = json.loads((state.acme / "status.json").read_bytes())
        found["shop"]["renew_at"] = 0
        (state.acme / "status.json").write_text(json.dumps(found))
        renew_due(state)
        failures.append(status(state)["failures"])
    assert failures == list(range(2, len(acme.RETRY_S) + 4))


def test_a_zone_that_wants_none_any_more_is_forgotten(state: StateDirectory, authority: Authority) -> None:
    want(state, authority)
    renew_due(state)
    changed = json.loads((state.acme / "zones.json").read_bytes())
    changed["blog"] = {**changed.pop("shop"), "hosts": ["blog.example"]}
    (state.acme / "zones.json").write_text(json.dumps(changed))
    assert renew_due(state) == [Attempt("blog", ["blog.example"], None)]
    assert list(json.loads((state.acme / "status.json").read_bytes())) == ["blog"]


def test_the_loop_issues_reports_and_stops(state: StateDirectory, authority: Authority) -> None:
    want(state, authority)
    stop = threading.Event()
    attempts: list[Attempt] = []

    def report(attempt: Attempt) -> None:
        attempts.append(attempt)
        stop.set()

    renewal_loop(state, stop, report, pytest.fail)
    assert attempts == [Attempt("shop", HOSTS, None)]


def test_the_loop_outlives_a_full_disk_and_says_so(
    state: StateDirectory, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    want(state, authority)
    monkeypatch.setattr(acme, "TROUBLE_S", 0.0)
    stop = threading.Event()
    attempts: list[Attempt] = []
    complaints: list[str] = []
    write = durable.replace
    refusals = iter([OSError(errno.ENOSPC, "No space left on device")])

    def replace(file: Path, content: bytes) -> None:
        for refusal in refusals:
            raise refusal
        write(file, content)

    def report(attempt: Attempt) -> None:
        attempts.append(attempt)
        stop.set()

    monkeypatch.setattr(acme, "replace", replace)
    renewal_loop(state, stop, report, complaints.append)
    assert attempts == [Attempt("shop", HOSTS, None)]
    assert complaints == [
        "certificates cannot be renewed: [Errno 28] No space left on device; next attempt in 0 s",
    ]


def test_what_cannot_be_noted_is_not_ordered(
    state: StateDirectory, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    want(state, authority)
    ordered: list[str] = []
    monkeypatch.setattr(acme, "_issue", lambda _, zone, __: ordered.append(zone))
    (state.acme / "status.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        renew_due(state)
    assert ordered == []


def test_no_order_is_begun_once_the_loop_is_told_to_stop(state: StateDirectory, authority: Authority) -> None:
    want(state, authority)
    stop = threading.Event()
    stop.set()
    assert renew_due(state, stop) == []
    assert not (state.acme / "status.json").exists()


def test_a_zone_is_served_with_the_development_certificate_until_its_own_is_there(state: StateDirectory) -> None:
    development.ensure_certificates(state, {"shop": HOSTS})
    ensure_placeholders(state, ["shop"])
    assert names(chain(state)[0]) == ["localhost", *HOSTS]
    (state.acme / "certificates" / "shop.pem").write_text("issued")
    ensure_placeholders(state, ["shop"])
    assert (state.acme / "certificates" / "shop.pem").read_text() == "issued"
