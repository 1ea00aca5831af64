"""Certificates from an ACME authority (RFC 8555), proved by HTTP-01 (§8.3), issued and renewed beside the running edge.

`apply` writes which zones want one (`acme/zones.json`); the supervisor runs `renewal_loop`. A zone is served with the
development CA's certificate until the authority's has arrived, and with the old one while a renewal fails: a failure is
noted, logged and tried again later, and never takes a site down.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import msgspec

from bartizan.certificates import development
from bartizan.config.document import AcmeZone
from bartizan.config.site import CertificateFiles
from bartizan.durable import replace
from bartizan.layout import StateDirectory

if TYPE_CHECKING:
    from acme.client import ClientV2

__all__ = ["Attempt", "certificate_files", "ensure_placeholders", "renew_due", "renewal_loop"]

CHECK_S = 10.0
"""How often the loop looks whether the zones have changed or a renewal is due."""

TROUBLE_S = 60.0
"""How long the loop waits after it could not do its work at all."""

ISSUE_S = 120
"""How long one order may take."""

RETRY_S = (60, 300, 1800, 7200, 43_200)
"""Waits after the first, second, … failure in a row; authorities limit failed orders per hour."""


class Attempt(msgspec.Struct, frozen=True):
    """What became of one order. `error` is None where the certificate was issued."""

    zone: str
    hosts: list[str]
    error: str | None


class Status(msgspec.Struct):
    """What is known of a zone's certificate. Times are in seconds since 1970."""

    wanted: AcmeZone
    renew_at: float
    not_after: float | None = None
    failures: int = 0
    error: str | None = None


def certificate_files(state: StateDirectory, zone: str) -> CertificateFiles:
    """The file of a zone's key, certificate and chain, issued or not."""
    file = str(_certificate(state, zone))
    return CertificateFiles(certificate_file=file, key_file=file)


def ensure_placeholders(state: StateDirectory, zones: list[str]) -> None:
    """Gives zones that have no certificate yet that of the development CA, which must be there."""
    for zone in zones:
        file = _certificate(state, zone)
        if not file.exists():
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(file, development.leaf_file(state, zone).read_bytes())


def renewal_loop(
    state: StateDirectory, stop: Event, report: Callable[[Attempt], None], complain: Callable[[str], None]
) -> None:
    """Has certificates issued and renewed until `stop` is set; tells `report` of every attempt. Blocks its thread.

    Leaves of the development CA are renewed too. What keeps all of it from being done, as a full disk, goes to
    `complain`, and all of it is tried again: certificates that silently run out are noticed by visitors.
    """
    while not stop.is_set():
        wait_s = CHECK_S
        try:
            for attempt in renew_due(state, stop):
                report(attempt)
            development.renew(state)
        except Exception as error:  # noqa: BLE001  whatever it is, the next attempt may succeed
            complain(f"certificates cannot be renewed: {_reason(error)}; next attempt in {TROUBLE_S:.0f} s")
            wait_s = TROUBLE_S
        stop.wait(wait_s)


def renew_due(state: StateDirectory, stop: Event | None = None) -> list[Attempt]:
    """Orders a certificate for each zone that needs one now: new, changed, or in the last third of its life.

    Begins no further order once `stop` is set. Raises OSError where the state directory cannot be written.
    """
    wanted = _read(state.acme / "zones.json", dict[str, AcmeZone])
    known = _read(state.acme / "status.json", dict[str, Status])
    attempts = []
    for zone, order in wanted.items():
        if stop is not None and stop.is_set():
            break
        status = known.get(zone)
        if status is not None and status.wanted == order and time.time() < status.renew_at:
            continue
        failures = 0 if status is None or status.wanted != order else status.failures
        # Noted before the order: what cannot be noted would be ordered again and again, which authorities limit.
        known[zone] = _failed(order, failures, "the order was cut short")
        _note(state, known, wanted)
        known[zone], attempt = _attempt(state, zone, order, failures)
        attempts.append(attempt)
        _note(state, known, wanted)
    return attempts


def _note(state: StateDirectory, known: dict[str, Status], wanted: dict[str, AcmeZone]) -> None:
    kept = {name: each for name, each in known.items() if name in wanted}
    replace(state.acme / "status.json", msgspec.json.encode(kept, order="deterministic"))


def _failed(order: AcmeZone, failures: int, reason: str) -> Status:
    """The status after one more failure in a row."""
    wait_s = RETRY_S[min(failures, len(RETRY_S) - 1)]
    return Status(order, time.time() + wait_s, failures=failures + 1, error=reason)


def _attempt(state: StateDirectory, zone: str, order: AcmeZone, failures: int) -> tuple[Status, Attempt]:
    try:
        not_before, not_after = _issue(state, zone, order)
    except Exception as error:  # noqa: BLE001  whatever an authority or the network does must not end the renewals of others
        reason = _reason(error)
        return _failed(order, failures, reason), Attempt(zone, order.hosts, reason)
    renew_at = not_after - (not_after - not_before) / 3
    return Status(order, renew_at.timestamp(), not_after.timestamp()), Attempt(zone, order.hosts, None)


def _issue(state: StateDirectory, zone: str, order: AcmeZone) -> tuple[datetime, datetime]:
    """Has a certificate issued and puts it in place; returns its validity."""
    from acme import crypto_util, messages
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    client = _client(state, order)
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pending = client.new_order(crypto_util.make_csr(key, order.hosts))
    challenges = state.acme / "challenges"
    challenges.mkdir(mode=0o700, parents=True, exist_ok=True)
    tokens: list[Path] = []
    try:
        for authorization in pending.authorizations:
            if authorization.body.status != messages.STATUS_VALID:  # an authority may remember an earlier proof
                token = _answer(client, authorization, challenges)
                tokens.append(token)
        deadline = datetime.now() + timedelta(seconds=ISSUE_S)  # noqa: DTZ005  what the library compares it with
        chain = client.poll_and_finalize(pending, deadline).fullchain_pem
    finally:
        for token in tokens:
            token.unlink(missing_ok=True)
    file = _certificate(state, zone)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace(file, key + chain.encode())
    leaf = x509.load_pem_x509_certificate(chain.encode())
    return leaf.not_valid_before_utc, leaf.not_valid_after_utc


def _answer(client: ClientV2, authorization: Any, challenges: Path) -> Path:
    """Puts the answer to an authorization's HTTP-01 challenge where the edge serves it, and says that it is there."""
    from acme import challenges as kinds

    offered = [each for each in authorization.body.challenges if isinstance(each.chall, kinds.HTTP01)]
    if not offered:
        name = authorization.body.identifier.value
        raise ValueError(f"the authority offers no HTTP-01 challenge for {name}; use certificates by file")
    response, answer = offered[0].response_and_validation(client.net.key)
    token = challenges / str(offered[0].chall.encode("token"))
    replace(token, answer.encode())
    client.answer_challenge(offered[0], response)
    return token


def _client(state: StateDirectory, order: AcmeZone) -> ClientV2:
    """A client with the account of this installation at the authority, which is registered where it is not yet."""
    from acme import client, errors, messages
    from cryptography.hazmat.primitives import serialization
    from josepy.jwa import ES256
    from josepy.jwk import JWKEC

    account = state.acme / "accounts" / sha256(order.directory_url.encode()).hexdigest()[:32]
    account.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_file, registration_file = account / "account.key", account / "registration.json"
    if not key_file.exists():
        replace(key_file, _account_key())
    key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    # The library hands this to requests, which takes a file of authorities as well as True.
    trusted: Any = order.ca_file or True
    network = client.ClientNetwork(JWKEC(key=key), alg=ES256, verify_ssl=trusted, user_agent="bartizan", timeout=30)
    acme = client.ClientV2(client.ClientV2.get_directory(order.directory_url, network), network)
    if registration_file.exists():
        network.account = messages.RegistrationResource.from_json(msgspec.json.decode(registration_file.read_bytes()))
        return acme
    request = messages.NewRegistration.from_data(email=order.email, terms_of_service_agreed=True)
    try:
        registration = acme.new_account(request)
    except errors.ConflictError as conflict:
        known = messages.RegistrationResource(uri=conflict.location, body=messages.Registration())
        registration = acme.query_registration(known)
    replace(registration_file, registration.json_dumps().encode())
    return acme


def _account_key() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate(state: StateDirectory, zone: str) -> Path:
    return state.acme / "certificates" / f"{zone}.pem"


def _read(file: Path, kind: type[dict[str, Any]]) -> Any:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.MsgspecError):
        return {}


def _reason(error: Exception) -> str:
    """An error of the `acme` library in one line: for failed challenges what the authority saw."""
    failed = getattr(error, "failed_authzrs", None)
    if failed:
        seen = [
            f"{authorization.body.identifier.value}: {challenge.error.detail}"
            for authorization in failed
            for challenge in authorization.body.challenges
            if challenge.error is not None
        ]
        return "; ".join(seen) or "the authority could not verify the hosts"
    return " ".join(str(error).split()) or type(error).__name__
