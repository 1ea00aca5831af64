"""The auditor's requests and answers, as Plexi's client and Cloudflare's documentation have them, without a socket.

Reading is for everybody. Publishing an epoch and disabling a namespace is for those whose names in a client certificate
the namespace lists; adding and changing namespaces for the administrators of the site file. What is refused is answered
in plain words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from bartizan.failure import Failure
from bartizan.transparency.epochs import Epochs
from bartizan.transparency.keys import Keys
from bartizan.transparency.models import Epoch, Report
from bartizan.transparency.namespaces import Namespaces, NewNamespace, Stated
from bartizan.transparency.page import history_page, namespaces_page
from bartizan.transparency.publishing import Publishing
from bartizan.transparency.refusal import Refused
from bartizan.transparency.reports import Reports
from bartizan.transparency.statement import DIGEST, LARGEST_EPOCH, Statement

__all__ = ["Answer", "Api", "Request"]

_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"
_HTML: Final = "text/html; charset=utf-8"
_PAGE: Final = 100
_MOST: Final = 1000
_SIGNATURE_DIGITS: Final = 128
_Wanted = TypeVar("_Wanted")


class Request(msgspec.Struct, frozen=True):
    """A request as the listener has it. `names` are those of a client certificate that was verified."""

    method: str
    target: str
    body: bytes = b""
    names: frozenset[str] = frozenset()
    accepts_html: bool = False


class Answer(msgspec.Struct, frozen=True):
    """An answer for the listener to send."""

    status: int
    content_type: str
    body: bytes


class _NewNamespace(msgspec.Struct):
    name: str
    root: str | None = None
    log_directory: str | None = None
    public: bool = True
    signature_version: int | None = None
    ciphersuite: int | None = None


class _Change(msgspec.Struct):
    status: str | None = None
    log_directory: str | None = None


class _Published(msgspec.Struct):
    epoch: int
    digest: str


class _Seen(msgspec.Struct):
    namespace: str
    timestamp: int
    epoch: int
    digest: str
    signature: str
    version: int | None = None
    ciphersuite: int | None = None


class Api:
    """Answers the requests of one auditor. Safe to use from several threads."""

    def __init__(
        self,
        namespaces: Namespaces,
        publishing: Publishing,
        epochs: Epochs,
        reports: Reports,
        keys: Keys,
        administrators: Sequence[str],
        complain: Callable[[str], None],
    ) -> None:
        self._namespaces = namespaces
        self._publishing = publishing
        self._epochs = epochs
        self._reports = reports
        self._keys = keys
        self._administrators = frozenset(administrators)
        self._complain = complain
        self.refused: Counter[str] = Counter()
        """How many requests were refused, by reason."""

    def answer(self, request: Request) -> Answer:
        """The answer to a request, whatever it is."""
        try:
            return self._routed(request)
        except Refused as refused:
            self.refused[refused.reason] += 1
            return Answer(refused.status, _TEXT, f"{refused}\n".encode())
        except (SQLAlchemyError, Failure) as error:
            # What is wrong here is for whoever runs the auditor, and not for whoever asks it.
            self._complain(f"{request.method} {request.target} cannot be answered: {error}")
            return Answer(503, _TEXT, b"the auditor cannot answer now; try again later\n")

    def _routed(self, request: Request) -> Answer:
        path, _, query = request.target.partition("?")
        method = "GET" if request.method == "HEAD" else request.method
        match (method, *path.strip("/").split("/")):
            case ("GET", "info"):
                return _json(self._info())
            case ("GET", "" | "namespaces"):
                return self._namespace_list(request)
            case ("POST", "namespaces"):
                return _json(self._add(request), 201)
            case ("GET", "namespaces", name):
                return _json(self._described(self._namespaces.find(name)))
            case ("PATCH", "namespaces", name):
                return _json(self._change(request, name))
            case ("GET", "namespaces", name, "audits", epoch):
                return _json(_signed(self._epochs.find(name, _whole(epoch)), name))
            case ("POST", "namespaces", name, "audits"):
                return _json(self._publish(request, name), 201)
            case ("GET", "namespaces", name, "last-verified-epoch"):
                return _json(self._epochs.last_verified(name))
            case ("GET", "namespaces", name, "history"):
                return self._history(request, name, parse_qs(query))
            case ("GET", "namespaces", name, "reports"):
                return _json({"reports": list(self._reported(self._namespaces.find(name)))})
            case ("POST", "namespaces", name, "reports"):
                return _json(self._report(request, name), 201)
            case ("GET", "namespaces", name, "reports", report):
                return _json(_report(self._reports.find(name, report), name))
        raise Refused(404, "not_found", f"there is no {request.method} {path}")

    def _info(self) -> dict[str, Any]:
        keys = [{"public_key": key.public_key, "not_before": key.not_before} for key in self._keys.all()]
        logs = {key for namespace in self._namespaces.all() if namespace.public for key in namespace.log_keys}
        return {"keys": keys, "logs": sorted(logs)}

    def _namespace_list(self, request: Request) -> Answer:
        public = [self._described(namespace) for namespace in self._namespaces.all() if namespace.public]
        if request.accepts_html:
            return Answer(200, _HTML, namespaces_page(public))
        return _json({"namespaces": public})

    def _described(self, namespace: Stated) -> dict[str, Any]:
        """A namespace as Plexi's client reads it; that suite and version are one is for its older releases."""
        described = {
            "name": namespace.name,
            "log_directory": namespace.log_directory,
            "root": namespace.root,
            "status": namespace.status,
            "reports_uri": f"/namespaces/{namespace.name}/reports",
            "audits_uri": f"/namespaces/{namespace.name}/audits",
            "signature_version": namespace.ciphersuite,
            "ciphersuite": namespace.ciphersuite,
        }
        verified = self._namespaces.verified_to(namespace)
        return described if verified is None else {**described, "last_verified_epoch": verified}

    def _add(self, request: Request) -> dict[str, Any]:
        self._only(request, self._administrators)
        asked = _body(request, _NewNamespace)
        ciphersuite = asked.ciphersuite if asked.ciphersuite is not None else asked.signature_version
        if ciphersuite is None:
            raise Refused(400, "malformed", "ciphersuite or signature_version is missing; 1 or 2")
        new = NewNamespace(
            name=asked.name,
            ciphersuite=ciphersuite,
            root=asked.root,
            log_directory=asked.log_directory,
            public=asked.public,
            # Whoever adds it may publish in it, until the administrators name others.
            publishers=tuple(sorted(request.names)),
        )
        return self._described(self._namespaces.add(new))

    def _change(self, request: Request, name: str) -> dict[str, Any]:
        namespace = self._namespaces.find(name)
        asked = _body(request, _Change)
        self._only(request, self._administrators.union(namespace.publishers))
        if asked.log_directory is not None:
            self._only(request, self._administrators)
            namespace = self._namespaces.look_in(name, asked.log_directory)
        match asked.status:
            case None:
                if asked.log_directory is None:
                    raise Refused(400, "malformed", "nothing is to change; give status or log_directory")
            case "Disabled":
                namespace = self._namespaces.disable(name)
            case "Online" | "Initialization":
                self._only(request, self._administrators)
                namespace = self._enabled(namespace, asked.status)
            case other:
                message = f'status is "{other}"; it must be Online, Initialization or Disabled'
                raise Refused(400, "malformed", message)
        return self._described(namespace)

    def _enabled(self, namespace: Stated, status: str) -> Stated:
        follows = "Initialization" if namespace.last_epoch is None else "Online"
        if status != follows:
            why = "has no epoch yet" if namespace.last_epoch is None else "has epochs"
            raise Refused(400, "malformed", f"{namespace.name} {why}, so it can be {follows} or Disabled")
        return self._namespaces.enable(namespace.name)

    def _publish(self, request: Request, name: str) -> dict[str, Any]:
        self._only(request, self._administrators.union(self._namespaces.find(name).publishers))
        asked = _body(request, _Published)
        return _signed(self._publishing.publish(name, asked.epoch, asked.digest), name)

    def _history(self, request: Request, name: str, query: dict[str, list[str]]) -> Answer:
        namespace = self._namespaces.find(name)
        before = _whole(query["before"][-1]) if "before" in query else None
        most = min(_whole(query["limit"][-1]), _MOST) if "limit" in query else _PAGE
        epochs = self._epochs.newest(namespace, before, most)
        if request.accepts_html:
            described = self._described(namespace)
            reported = [report for report in self._reports.newest(namespace, _PAGE) if report.conflict]
            return Answer(200, _HTML, history_page(described, epochs, self._epochs.counts(namespace), reported, most))
        return _json({"epochs": [_proved(epoch) for epoch in epochs]})

    def _report(self, request: Request, name: str) -> dict[str, Any]:
        seen = _body(request, _Seen)
        ciphersuite = seen.ciphersuite if seen.ciphersuite is not None else seen.version
        if ciphersuite is None:
            raise Refused(400, "malformed", "ciphersuite or version is missing; 1 or 2")
        hexadecimal = DIGEST.fullmatch(seen.digest) and _is_hexadecimal(seen.signature, _SIGNATURE_DIGITS)
        if not hexadecimal or not 0 <= seen.epoch <= LARGEST_EPOCH or not 0 <= seen.timestamp <= LARGEST_EPOCH:
            message = "digest must be 64 small hex digits, signature 128, epoch and timestamp numbers from 0 on"
            raise Refused(400, "malformed", message)
        statement = Statement(
            ciphersuite=ciphersuite,
            namespace=seen.namespace,
            timestamp=seen.timestamp,
            epoch=seen.epoch,
            digest=seen.digest,
            signature=seen.signature,
        )
        report = self._reports.add(name, statement)
        if report.conflict:
            self._complain(
                f"{name} epoch {report.epoch}: a report shows a digest signed by {report.signer} that is not the one "
                f"signed here: the log shows two views; see /namespaces/{name}/reports/{report.id}"
            )
        return _report(report, name)

    def _reported(self, namespace: Stated) -> Iterator[dict[str, Any]]:
        return (_report(report, namespace.name) for report in self._reports.newest(namespace, _MOST))

    def _only(self, request: Request, names: frozenset[str]) -> None:
        if not request.names:
            raise Refused(403, "certificate", "this needs a client certificate of an authority that the auditor knows")
        if not request.names & names:
            shown = ", ".join(sorted(request.names))
            raise Refused(403, "certificate", f"a certificate of {shown} may not do this; ask the auditor's owner")


def _signed(epoch: Epoch, name: str) -> dict[str, Any]:
    return {
        "version": epoch.ciphersuite,
        "ciphersuite": epoch.ciphersuite,
        "namespace": name,
        "timestamp": epoch.signed_ms,
        "epoch": epoch.epoch,
        "digest": epoch.digest,
        "signature": epoch.signature,
        "key_id": bytes.fromhex(epoch.public_key)[-1],
    }


def _report(report: Report, name: str) -> dict[str, Any]:
    return {
        "id": report.id,
        "conflict": report.conflict,
        "report": {
            "version": report.ciphersuite,
            "ciphersuite": report.ciphersuite,
            "namespace": name,
            "timestamp": report.signed_ms,
            "epoch": report.epoch,
            "digest": report.digest,
            "signature": report.signature,
            "key_id": bytes.fromhex(report.signer)[-1],
        },
    }


def _proved(epoch: Epoch) -> dict[str, Any]:
    return {
        "epoch": epoch.epoch,
        "digest": epoch.digest,
        "previous": epoch.previous,
        "timestamp": epoch.signed_ms,
        "proof": epoch.proof,
        "check": epoch.check,
        "problem": epoch.problem,
        "progress": epoch.progress,
        "proof_bytes": epoch.proof_bytes,
        "inserted": epoch.inserted,
        "unchanged": epoch.unchanged,
        "judged": epoch.judged_ms,
        "took_ms": epoch.took_ms,
    }


def _json(value: object, status: int = 200) -> Answer:
    return Answer(status, _JSON, msgspec.json.encode(value) + b"\n")


def _body(request: Request, wanted: type[_Wanted]) -> _Wanted:
    try:
        return msgspec.json.decode(request.body, type=wanted)
    except msgspec.MsgspecError as error:
        raise Refused(400, "malformed", f"the body is not understood: {error}") from None


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= LARGEST_EPOCH):
        raise Refused(400, "malformed", f'"{text}" is not a whole number from 0 to {LARGEST_EPOCH}')
    return int(text)


def _is_hexadecimal(text: str, digits: int) -> bool:
    return len(text) == digits and all(digit in "0123456789abcdef" for digit in text)
