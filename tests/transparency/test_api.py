"""The requests and answers that Plexi's client and Cloudflare's documentation have, and all that is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import text
from tests.transparency.conftest import ADMINISTRATOR, LOG, PUBLISHER, Parts, digest

from bartizan._native import AuditorKey
from bartizan.transparency.api import Answer, Request
from bartizan.transparency.namespaces import NewNamespace
from bartizan.transparency.refusal import REASONS

STRANGER = "stranger.example"


def ask(parts: Parts, method: str, target: str, body: object = None, name: str | None = None) -> Answer:
    names = frozenset([name] if name else [])
    return parts.api.answer(Request(method, target, b"" if body is None else json.dumps(body).encode(), names))


def get(parts: Parts, target: str) -> Any:
    answer = ask(parts, "GET", target)
    assert (answer.status, answer.content_type) == (200, "application/json")
    return json.loads(answer.body)


def publish(parts: Parts, epoch: int, name: str | None = PUBLISHER) -> Answer:
    return ask(parts, "POST", f"/namespaces/{LOG}/audits", {"epoch": epoch, "digest": digest(epoch)}, name)


def test_info_has_every_key_and_the_keys_of_the_logs(parts: Parts) -> None:
    parts.namespaces.add(NewNamespace(name=LOG, ciphersuite=1, log_keys=("ab" * 32,)))
    (key,) = parts.keys.all()
    assert get(parts, "/info") == {
        "keys": [{"public_key": key.public_key, "not_before": key.not_before}],
        "logs": ["ab" * 32],
    }


def test_a_namespace_is_added_by_an_administrator_and_described_as_documented(parts: Parts) -> None:
    root = f"1/{digest(1)}"
    asked = {"name": LOG, "root": root, "log_directory": "https://log.example/proofs", "signature_version": 1}
    answer = ask(parts, "POST", "/namespaces", asked, ADMINISTRATOR)
    described = {
        "name": LOG,
        "log_directory": "https://log.example/proofs",
        "root": root,
        "status": "Initialization",
        "reports_uri": f"/namespaces/{LOG}/reports",
        "audits_uri": f"/namespaces/{LOG}/audits",
        "signature_version": 1,
        "ciphersuite": 1,
    }
    assert (answer.status, json.loads(answer.body)) == (201, described)
    assert get(parts, f"/namespaces/{LOG}") == described
    assert get(parts, "/namespaces") == {"namespaces": [described]}


def test_a_namespace_that_is_not_public_is_not_listed(parts: Parts) -> None:
    ask(parts, "POST", "/namespaces", {"name": LOG, "public": False, "ciphersuite": 2}, ADMINISTRATOR)
    assert get(parts, "/namespaces") == {"namespaces": []}
    assert get(parts, f"/namespaces/{LOG}")["ciphersuite"] == 2


@pytest.mark.parametrize("ciphersuite", [1, 2])
def test_a_published_epoch_is_answered_with_its_signature_and_so_is_whoever_asks_later(
    parts: Parts, ciphersuite: int
) -> None:
    parts.namespaces.add(NewNamespace(name=LOG, ciphersuite=ciphersuite, publishers=(PUBLISHER,)))
    answer = publish(parts, 1)
    row, (key,) = parts.epochs.find(LOG, 1), parts.keys.all()
    signed = {
        "version": ciphersuite,
        "ciphersuite": ciphersuite,
        "namespace": LOG,
        "timestamp": row.signed_ms,
        "epoch": 1,
        "digest": digest(1),
        "signature": row.signature,
        "key_id": key.key_id,
    }
    assert (answer.status, json.loads(answer.body)) == (201, signed)
    assert get(parts, f"/namespaces/{LOG}/audits/1") == signed


def test_the_last_verified_epoch_is_the_root_until_a_proof_is_good(audited: Parts) -> None:
    assert ask(audited, "GET", f"/namespaces/{LOG}/last-verified-epoch").status == 404
    publish(audited, 1)
    publish(audited, 2)
    found = get(audited, f"/namespaces/{LOG}/last-verified-epoch")
    assert {name: found[name] for name in ("epoch", "start_hash", "end_hash")} == {
        "epoch": 1,
        "start_hash": digest(1),
        "end_hash": digest(1),
    }
    assert found["job_id"] == get(audited, f"/namespaces/{LOG}/last-verified-epoch")["job_id"]
    with audited.engine.begin() as connection:
        job = "'0b0e7e9c-8f2d-4a52-9d3f-0d9f5f0b1a11'"
        connection.execute(
            text(f"UPDATE transparency_epochs SET proof = 'verified', job = {job}, judged_ms = 5 WHERE epoch = 2")  # noqa: S608
        )
    assert get(audited, f"/namespaces/{LOG}/last-verified-epoch") == {
        "job_id": "0b0e7e9c-8f2d-4a52-9d3f-0d9f5f0b1a11",
        "epoch": 2,
        "start_hash": digest(1),
        "end_hash": digest(2),
        "timestamp": 5,
    }
    assert get(audited, f"/namespaces/{LOG}")["last_verified_epoch"] == 2


@pytest.mark.parametrize(
    ("method", "target", "name", "status", "said"),
    [
        ("POST", f"/namespaces/{LOG}/audits", None, 403, "this needs a client certificate"),
        ("POST", f"/namespaces/{LOG}/audits", STRANGER, 403, f"a certificate of {STRANGER} may not do this"),
        ("POST", "/namespaces", PUBLISHER, 403, f"a certificate of {PUBLISHER} may not do this"),
        ("POST", "/namespaces", None, 403, "this needs a client certificate"),
        ("PATCH", f"/namespaces/{LOG}", STRANGER, 403, "may not do this"),
        ("POST", "/namespaces/other.example/audits", PUBLISHER, 404, 'there is no namespace "other.example"'),
        ("GET", f"/namespaces/{LOG}/audits/9", None, 404, f"{LOG} has no epoch 9"),
        ("GET", f"/namespaces/{LOG}/audits/-1", None, 400, '"-1" is not a whole number'),
        ("GET", f"/namespaces/{LOG}/audits/{2**63}", None, 400, "is not a whole number"),
        ("GET", f"/namespaces/{LOG}/reports/none", None, 404, f"{LOG} has no report none"),
        ("DELETE", f"/namespaces/{LOG}", ADMINISTRATOR, 404, f"there is no DELETE /namespaces/{LOG}"),
        ("GET", "/../etc/passwd", None, 404, "there is no GET"),
    ],
)
def test_what_may_not_be_done_or_is_not_there_is_said_in_words(
    audited: Parts, method: str, target: str, name: str | None, status: int, said: str
) -> None:
    body = {"name": LOG, "ciphersuite": 1, "epoch": 1, "digest": digest(1), "status": "Disabled"}
    answer = ask(audited, method, target, body, name)
    assert (answer.status, answer.content_type) == (status, "text/plain; charset=utf-8")
    assert said in answer.body.decode()
    assert sum(audited.api.refused.values()) == 1
    assert set(audited.api.refused) <= set(REASONS)
    assert audited.namespaces.find(LOG).last_epoch is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"epoch":1}',
        b'{"epoch":"1","digest":"%s"}' % (b"1" * 64),
        b'{"epoch":1.5,"digest":""}',
        b"\xff",
    ],
)
def test_a_body_that_is_not_understood_is_refused(audited: Parts, body: bytes) -> None:
    answer = audited.api.answer(Request("POST", f"/namespaces/{LOG}/audits", body, frozenset([PUBLISHER])))
    assert (answer.status, audited.api.refused) == (400, {"malformed": 1})


@pytest.mark.parametrize(
    "changed",
    [
        {"name": ""},
        {"name": "a/b"},
        {"name": "../x"},
        {"name": "x" * 256},
        {"ciphersuite": 3},
        {"root": "1"},
        {"root": f"01/{digest(1)}"},
        {"root": "1/" + "A" * 64},
        {"log_directory": "file:///etc"},
        {"log_directory": "https://user@log.example"},
        {"log_directory": "https://log.example/?x"},
        {"log_directory": "https://log.example:99999/"},
        {"log_directory": "https://log.example/\r\nX: y"},
    ],
)
def test_a_namespace_that_is_not_well_formed_is_refused(parts: Parts, changed: dict[str, Any]) -> None:
    answer = ask(parts, "POST", "/namespaces", {"name": LOG, "ciphersuite": 1} | changed, ADMINISTRATOR)
    assert (answer.status, parts.namespaces.all()) == (400, [])


def test_a_name_is_taken_once(audited: Parts) -> None:
    assert ask(audited, "POST", "/namespaces", {"name": LOG, "ciphersuite": 1}, ADMINISTRATOR).status == 409


def test_its_publisher_disables_a_namespace_and_only_an_administrator_brings_it_back(audited: Parts) -> None:
    publish(audited, 1)
    target = f"/namespaces/{LOG}"
    answer = ask(audited, "PATCH", target, {"status": "Disabled"}, PUBLISHER)
    assert (answer.status, json.loads(answer.body)["status"]) == (200, "Disabled")
    refused = publish(audited, 2)
    assert (refused.status, refused.body) == (400, b"Namespace is disabled and read-only.\n")
    assert get(audited, f"/namespaces/{LOG}/audits/1")["epoch"] == 1
    assert ask(audited, "PATCH", target, {"status": "Online"}, PUBLISHER).status == 403
    assert ask(audited, "PATCH", target, {"status": "Initialization"}, ADMINISTRATOR).status == 400
    assert ask(audited, "PATCH", target, {"status": "Offline"}, ADMINISTRATOR).status == 400
    assert ask(audited, "PATCH", target, {}, ADMINISTRATOR).status == 400
    assert ask(audited, "PATCH", target, {"status": "Online"}, ADMINISTRATOR).status == 200
    assert publish(audited, 2).status == 201


def test_where_proofs_are_fetched_from_is_for_administrators_to_say(audited: Parts) -> None:
    """The auditor asks there from inside of its network."""
    publish(audited, 1)
    publish(audited, 2)
    change = {"log_directory": "http://127.0.0.1:9/"}
    assert ask(audited, "PATCH", f"/namespaces/{LOG}", change, PUBLISHER).status == 403
    assert audited.epochs.find(LOG, 2).proof == "signed"
    assert ask(audited, "PATCH", f"/namespaces/{LOG}", change, ADMINISTRATOR).status == 200
    assert audited.epochs.find(LOG, 2).proof == "waiting"


def seen(key: AuditorKey, epoch: int, of: str, name: str = LOG) -> dict[str, Any]:
    signature = key.sign(1, name, 1000, epoch, bytes.fromhex(of))
    return {
        "ciphersuite": 1,
        "namespace": name,
        "timestamp": 1000,
        "epoch": epoch,
        "digest": of,
        "signature": signature.hex(),
    }


def test_a_report_of_another_digest_is_a_split_view_and_is_kept_once(parts: Parts) -> None:
    key = AuditorKey.generate()
    parts.namespaces.add(
        NewNamespace(name=LOG, ciphersuite=1, publishers=(PUBLISHER,), log_keys=(key.public_key.hex(),))
    )
    publish(parts, 1)
    reports = f"/namespaces/{LOG}/reports"
    same = json.loads(ask(parts, "POST", reports, seen(key, 1, digest(1))).body)
    assert (same["conflict"], parts.complaints) == (False, [])
    other = json.loads(ask(parts, "POST", reports, seen(key, 1, digest(2))).body)
    assert other["conflict"]
    assert "the log shows two views" in parts.complaints[0]
    again = json.loads(ask(parts, "POST", reports, seen(key, 1, digest(2))).body)
    assert again["id"] == other["id"]
    assert get(parts, f"{reports}/{other['id']}") == other
    assert get(parts, reports)["reports"] == [other, same]
    assert other["report"]["signature"] == seen(key, 1, digest(2))["signature"]


def test_a_report_that_nobody_signed_is_not_kept(audited: Parts) -> None:
    made_up = seen(AuditorKey.generate(), 1, digest(1))
    for body, status in (
        (made_up, 400),
        (made_up | {"namespace": "other.example"}, 400),
        (made_up | {"signature": "00"}, 400),
        (made_up | {"digest": "x"}, 400),
        (made_up | {"ciphersuite": None}, 400),
        (made_up | {"ciphersuite": 7}, 400),
    ):
        assert ask(audited, "POST", f"/namespaces/{LOG}/reports", body).status == status
    assert get(audited, f"/namespaces/{LOG}/reports") == {"reports": []}


def test_what_is_wrong_inside_is_said_in_the_log_and_not_to_who_asks(audited: Parts) -> None:
    for file in (audited.state.transparency / "keys").iterdir():
        file.unlink()
    answer = publish(audited, 1)
    assert (answer.status, answer.body) == (503, b"the auditor cannot answer now; try again later\n")
    assert "cannot be used" in audited.complaints[0]
    assert audited.namespaces.find(LOG).last_epoch is None


def test_the_history_is_browsed_page_by_page_and_has_a_twin_in_json(audited: Parts) -> None:
    for epoch in range(1, 6):
        publish(audited, epoch)
    target = f"/namespaces/{LOG}/history?limit=2&before=5"
    assert [epoch["epoch"] for epoch in get(audited, target)["epochs"]] == [4, 3]
    page = audited.api.answer(Request("GET", target, accepts_html=True))
    assert page.content_type == "text/html; charset=utf-8"
    text = page.body.decode()
    assert text.count(digest(4)) == text.count(digest(3)) == 1
    assert '<a href="?before=3&amp;limit=2">older epochs</a>' in text
    assert (
        f'<a href="/namespaces/{LOG}/history">'
        in audited.api.answer(Request("GET", "/", accepts_html=True)).body.decode()
    )


def test_nothing_that_a_log_says_becomes_markup(audited: Parts) -> None:
    publish(audited, 1)
    with audited.engine.begin() as connection:
        script = "'<script>alert(1)</script>'"
        connection.execute(text(f"UPDATE transparency_epochs SET problem = {script}"))  # noqa: S608
        connection.execute(text(f"UPDATE transparency_namespaces SET log_directory = {script}"))  # noqa: S608
    for target in ("/namespaces", f"/namespaces/{LOG}/history"):
        page = audited.api.answer(Request("GET", target, accepts_html=True)).body.decode()
        assert "<script" not in page
        assert "&lt;script&gt;" in page
