"""The development CA and the certificates that it signs."""

from __future__ import annotations

import json
import ssl
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509

from bartizan.certificates import development
from bartizan.certificates.development import ca_file, ensure_certificates, leaf_file, renew
from bartizan.layout import StateDirectory

HOSTS = ["shop.example", "*.shop.example", "192.0.2.1"]


def leaf(state: StateDirectory, zone: str = "shop") -> x509.Certificate:
    return x509.load_pem_x509_certificate(leaf_file(state, zone).read_bytes())


def test_a_client_that_trusts_the_ca_accepts_the_leaf_for_each_host(state: StateDirectory) -> None:
    ensure_certificates(state, {"shop": HOSTS})
    for host in ("shop.example", "www.shop.example", "192.0.2.1", "localhost", "127.0.0.1", "::1"):
        assert _handshake(state, host) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for .blog\.example"):
        _handshake(state, "blog.example")


def _handshake(state: StateDirectory, host: str) -> str | None:
    """TLS between two memory buffers, the client trusting the development CA only."""
    file = str(leaf_file(state, "shop"))
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(file)
    client_side = ssl.create_default_context(cafile=str(ca_file(state)))
    client_side.verify_flags |= ssl.VERIFY_X509_STRICT
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(down, up, server_hostname=host)
    server = server_side.wrap_bio(up, down, server_side=True)
    done = 0
    while done < 2:
        done = 0
        for end in (client, server):
            try:
                end.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                continue
    return client.version()


def test_keys_are_for_their_owner_only_and_the_ca_certificate_for_all(state: StateDirectory) -> None:
    ensure_certificates(state, {"shop": HOSTS})
    modes = {file: (state.ca / file).stat().st_mode & 0o777 for file in ("ca.key", "leaves/shop.pem", "ca.pem")}
    assert modes == {"ca.key": 0o600, "leaves/shop.pem": 0o600, "ca.pem": 0o644}


def test_what_is_in_order_is_left_alone(state: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_certificates(state, {"shop": HOSTS})
    monkeypatch.setattr(development, "_make", None)
    ensure_certificates(state, {"shop": HOSTS})
    assert renew(state) == []


def test_another_zone_other_hosts_or_a_lost_file_are_made_and_nothing_else(state: StateDirectory) -> None:
    ensure_certificates(state, {"shop": HOSTS, "blog": ["blog.example"], "wiki": ["wiki.example"]})
    before = {zone: leaf(state, zone).serial_number for zone in ("shop", "blog", "wiki")}
    leaf_file(state, "wiki").unlink()
    ensure_certificates(state, {"shop": HOSTS, "blog": ["blog.example", "b.example"], "wiki": ["wiki.example"]})
    after = {zone: leaf(state, zone).serial_number for zone in ("shop", "blog", "wiki")}
    assert {zone: before[zone] == after[zone] for zone in before} == {"shop": True, "blog": False, "wiki": False}


def test_a_leaf_is_renewed_thirty_days_before_it_ends(state: StateDirectory) -> None:
    ensure_certificates(state, {"shop": HOSTS, "blog": ["blog.example"]})
    before = leaf(state).serial_number
    index = state.ca / "leaves.json"
    known = json.loads(index.read_bytes())
    known["shop"]["not_after"] = int(time.time()) + 29 * 86_400
    index.write_text(json.dumps(known))
    assert renew(state) == ["shop"]
    assert leaf(state).serial_number != before
    assert json.loads(index.read_bytes())["shop"]["not_after"] == int(leaf(state).not_valid_after_utc.timestamp())


def test_the_ca_stays_while_its_leaves_change(state: StateDirectory) -> None:
    ensure_certificates(state, {"shop": HOSTS})
    before = ca_file(state).read_bytes()
    ensure_certificates(state, {"shop": ["shop.example"]})
    assert ca_file(state).read_bytes() == before


def test_a_ca_that_was_lost_or_broken_is_made_again_with_all_leaves(state: StateDirectory) -> None:
    ensure_certificates(state, {"shop": HOSTS})
    ca_file(state).unlink()
    ensure_certificates(state, {"shop": HOSTS})
    assert _handshake(state, "shop.example") == "TLSv1.3"
    ca_file(state).write_text("not PEM")
    leaf_file(state, "shop").unlink()
    ensure_certificates(state, {"shop": HOSTS})
    assert _handshake(state, "shop.example") == "TLSv1.3"


def test_the_certificate_follows_the_profile(state: StateDirectory) -> None:
    ensure_certificates(state, {"shop": HOSTS})
    authority = x509.load_pem_x509_certificate(ca_file(state).read_bytes())
    found = leaf(state)
    found.verify_directly_issued_by(authority)
    usage = found.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign) == (True, False)
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    assert (found.not_valid_after_utc - found.not_valid_before_utc).days == development.LEAF_DAYS


def test_a_directory_that_cannot_be_written_is_an_error_and_leaves_no_index(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the directory should be")
    with pytest.raises(OSError, match="state"):
        ensure_certificates(StateDirectory(tmp_path / "state"), {"shop": HOSTS})


def test_two_that_make_certificates_at_the_same_time_leave_whole_ones(state: StateDirectory) -> None:
    threads = [
        threading.Thread(target=ensure_certificates, args=(state, {f"zone{number}": ["a.example"]}))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        assert leaf_file(state, f"zone{number}").read_bytes().endswith(b"-----END CERTIFICATE-----\n")


def test_a_leaf_whose_zone_is_gone_is_removed_when_it_would_be_renewed(state: StateDirectory) -> None:
    ensure_certificates(state, {"shop": HOSTS, "gone": ["gone.example"], "later": ["later.example"]})
    index = state.ca / "leaves.json"
    known = json.loads(index.read_bytes())
    for zone in ("shop", "gone"):
        known[zone]["not_after"] = int(time.time())
    index.write_text(json.dumps(known))
    state.policy.mkdir(parents=True, exist_ok=True)
    state.current_policy.write_text('{"zones": [{"name": "shop", "hosts": []}]}')
    assert renew(state) == ["shop"]
    assert sorted(json.loads(index.read_bytes())) == ["later", "shop"]
    assert [leaf_file(state, zone).exists() for zone in ("shop", "gone", "later")] == [True, False, True]
