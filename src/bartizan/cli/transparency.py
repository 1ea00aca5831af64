"""`bartizan transparency`: the key transparency auditor, the monitor, a key directory, and what is done with them."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from bartizan.cli.printable import printable
from bartizan.cli.problems import show, total
from bartizan.cli.waiting import progressing, waiting
from bartizan.config.problem import SiteError
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.lock import owner
from bartizan.service import stop_on_signals

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from bartizan._native import AuditProof
    from bartizan.config.transparency import Monitor, Transparency
    from bartizan.supervisor.measures import Sample
    from bartizan.transparency.client import Version
    from bartizan.transparency.directory import Directory
    from bartizan.transparency.directory_control import ServedDirectory
    from bartizan.transparency.models import Epoch, Finding
    from bartizan.transparency.namespaces import Stated
    from bartizan.transparency.status import NamespaceStatus


_CONNECTIONS: Final = 256


def auditor_serve(*, site: Path, state: Path | None, monitor: str | None) -> int:
    """Runs the auditor until it is stopped. Always 0; what keeps it from that is a Failure."""
    from bartizan.log import to_supervisor
    from bartizan.supervisor import measures
    from bartizan.transparency.auditor import AuditorProcess

    settings = _settings(site).auditor
    if settings is None:
        raise Failure(f"{site} has no [transparency.auditor]; an empty table takes every default")
    directory = StateDirectory.locate(state=state, site=site)
    to_supervisor("transparency")
    auditor = AuditorProcess(directory, settings)
    stop_on_signals(auditor.stop)
    with _watched(monitor, "transparency", lambda: measures.of_auditor(msgspec.to_builtins(auditor.status()))):
        auditor.run()
    return 0


def auditor_status(*, site: Path | None, state: Path | None, json: bool) -> int:
    """Shows each namespace. 0: no proof was refused; 1: one was."""
    from bartizan.control import ask
    from bartizan.transparency.status import Status, status_of

    directory = StateDirectory.locate(state=state, site=site)
    try:
        told = ask(directory.auditor_socket, {"command": "status"})
    except (OSError, ValueError) as error:
        raise Failure(f"the auditor at {directory.auditor_socket} gives no answer: {error}; look at its log") from error
    if told is not None and told["ok"]:
        found = msgspec.convert(told["status"], Status)
    else:
        with _asked(directory) as engine:
            found = status_of(engine, 0, [], 0, {})
    if json:
        _json(found)
    else:
        addresses = ", ".join(f"{'https' if tls else 'http'}://{address}" for address, tls in found.listening)
        workers = f"{found.workers} worker{'' if found.workers == 1 else 's'}"
        running = f"process {found.process}, {addresses}, {workers}" if found.process else "not running"
        sys.stdout.write(f"auditor  {running}\n")
        sys.stdout.write("".join(line for namespace in found.namespaces for line in _status_lines(namespace)))
    return 1 if any(namespace.epochs["refused"] for namespace in found.namespaces) else 0


def auditor_backfill(
    *,
    namespace: str,
    from_: int | None,
    to: int | None,
    refused: bool,
    site: Path | None,
    state: Path | None,
    json: bool,
) -> int:
    """Has epochs verified again. Always 0."""
    from bartizan.transparency.epochs import Epochs
    from bartizan.transparency.namespaces import Namespaces

    with _asked(StateDirectory.locate(state=state, site=site)) as engine:
        number = Epochs(engine, Namespaces(engine)).verify_again(namespace, from_, to, refused_only=refused)
    if json:
        _json({"namespace": namespace, "epochs": number})
    else:
        sys.stdout.write(f"{number:,} epochs of {namespace} wait for a worker now\n")
    return 0


def auditor_verify(
    *, namespace: str, epoch: int, proof: Path | None, site: Path, state: Path | None, json: bool
) -> int:
    """Verifies the proof of an epoch. 0: it is good; 1: it is refused."""
    from bartizan._native import AuditProofRefused
    from bartizan.transparency.epochs import Epochs
    from bartizan.transparency.namespaces import Namespaces

    with _asked(StateDirectory.locate(state=state, site=site)) as engine:
        namespaces = Namespaces(engine)
        stated, row = namespaces.find(namespace), Epochs(engine, namespaces).find(namespace, epoch)
    if row.previous is None:
        raise Failure(f"epoch {epoch} is the root of {namespace}: trust begins there, and nothing proves it")
    try:
        found = _read_proof(proof) if proof is not None else _fetched_proof(stated, row, site)
        with progressing(f"verifying epoch {epoch}", found.inserted + found.unchanged) as come:
            done = 0

            def progress(now: int, _: int) -> None:
                nonlocal done
                come(now - done)
                done = now

            found.verify(epoch, bytes.fromhex(row.previous), bytes.fromhex(row.digest), progress=progress)
    except AuditProofRefused as error:
        check, message, _ = error.args
        _report(
            {"namespace": namespace, "epoch": epoch, "verified": False, "check": check, "problem": message},
            f"epoch {epoch} of {namespace} is refused by the check {check}: {message}",
            json=json,
        )
        return 1
    _report(
        {
            "namespace": namespace,
            "epoch": epoch,
            "verified": True,
            "inserted": found.inserted,
            "unchanged": found.unchanged,
        },
        f"epoch {epoch} of {namespace} is verified: {found.inserted:,} inserted, {found.unchanged:,} unchanged",
        json=json,
    )
    return 0


def auditor_namespace_add(
    *,
    namespace: str,
    publisher: list[str],
    log_directory: str | None,
    root: str | None,
    ciphersuite: int,
    log_key: list[str],
    private: bool,
    site: Path | None,
    state: Path | None,
    json: bool,
) -> int:
    """Adds a namespace. Always 0."""
    from bartizan.transparency.namespaces import Namespaces, NewNamespace

    new = NewNamespace(
        name=namespace,
        ciphersuite=ciphersuite,
        root=root,
        log_directory=log_directory,
        public=not private,
        publishers=tuple(publisher),
        log_keys=tuple(log_key),
    )
    with _opened(StateDirectory.locate(state=state, site=site)) as engine:
        added = Namespaces(engine).add(new)
    who = ", ".join(publisher) or "nobody but the administrators"
    _report(added, f"{namespace} is audited; its epochs are published by {who}", json=json)
    return 0


def auditor_namespace_list(*, site: Path | None, state: Path | None, json: bool) -> int:
    """Lists the namespaces. Always 0."""
    from bartizan.transparency.namespaces import Namespaces

    with _asked(StateDirectory.locate(state=state, site=site)) as engine:
        found = Namespaces(engine).all()
    if json:
        _json(found)
    elif not found:
        sys.stdout.write("no log is audited; `bartizan transparency auditor namespace add NAME` begins with one\n")
    else:
        sys.stdout.write("".join(f"{each.name}  {each.status}  {_newest(each)}\n" for each in found))
    return 0


def auditor_namespace_show(*, namespace: str, limit: int, site: Path | None, state: Path | None, json: bool) -> int:
    """Shows a namespace with its newest epochs. Always 0."""
    from bartizan.transparency.epochs import Epochs
    from bartizan.transparency.namespaces import Namespaces

    with _asked(StateDirectory.locate(state=state, site=site)) as engine:
        namespaces = Namespaces(engine)
        stated = namespaces.find(namespace)
        epochs = Epochs(engine, namespaces).newest(stated, None, limit)
    if json:
        _json({"namespace": stated, "epochs": [_epoch(epoch) for epoch in epochs]})
        return 0
    rows = [
        ("name", stated.name),
        ("status", stated.status),
        ("root", stated.root or "the first epoch that comes"),
        ("suite", {1: "1 (Protocol Buffers)", 2: "2 (bincode)"}[stated.ciphersuite]),
        ("proofs", stated.log_directory or "none"),
        ("public", "yes" if stated.public else "no"),
        ("publishers", ", ".join(map(printable, stated.publishers)) or "the administrators"),
        ("log keys", ", ".join(stated.log_keys) or "none"),
    ]
    sys.stdout.write("".join(f"{name:<12}{text}\n" for name, text in rows))
    sys.stdout.write("".join(f"{_epoch_line(epoch)}\n" for epoch in epochs))
    return 0


def auditor_namespace_disable(*, namespace: str, site: Path | None, state: Path | None, json: bool) -> int:
    """Makes a namespace read-only. Always 0."""
    from bartizan.transparency.namespaces import Namespaces

    with _asked(StateDirectory.locate(state=state, site=site)) as engine:
        changed = Namespaces(engine).disable(namespace)
    _report(changed, f"{namespace} is disabled: what was signed stays, and nothing is added", json=json)
    return 0


def auditor_namespace_enable(*, namespace: str, site: Path | None, state: Path | None, json: bool) -> int:
    """Lets epochs be published again. Always 0."""
    from bartizan.transparency.namespaces import Namespaces

    with _asked(StateDirectory.locate(state=state, site=site)) as engine:
        changed = Namespaces(engine).enable(namespace)
    _report(changed, f"{namespace} takes epochs again, {_newest(changed)}", json=json)
    return 0


def auditor_key_rotate(*, not_before: datetime | None, site: Path | None, state: Path | None, json: bool) -> int:
    """Makes another key. Always 0."""
    from bartizan.transparency.keys import Keys

    directory = StateDirectory.locate(state=state, site=site)
    with _opened(directory) as engine:
        moment = None if not_before is None else round(not_before.timestamp() * 1000)
        key = Keys(engine, directory).rotate(moment)
    _report(key, f"{key.public_key} (id {key.key_id}) signs from {_moment(key.not_before)} on", json=json)
    return 0


def auditor_key_list(*, site: Path | None, state: Path | None, json: bool) -> int:
    """Lists the keys. Always 0."""
    from bartizan.transparency.keys import Keys

    directory = StateDirectory.locate(state=state, site=site)
    with _asked(directory) as engine:
        keys = Keys(engine, directory).all()
    if json:
        _json(keys)
    elif not keys:
        sys.stdout.write("no key yet; the auditor makes one when it starts\n")
    else:
        for key in keys:
            signs = "  signs" if key.signing else ""
            sys.stdout.write(f"{key.public_key}  id {key.key_id:>3}  from {_moment(key.not_before)}{signs}\n")
    return 0


def monitor_serve(*, site: Path, state: Path | None, monitor: str | None) -> int:
    """Watches auditors until it is stopped. Always 0; what keeps it from that is a Failure."""
    from bartizan.log import to_supervisor
    from bartizan.supervisor import measures
    from bartizan.transparency.monitoring import MonitorProcess

    watching = MonitorProcess(StateDirectory.locate(state=state, site=site), _monitor(site))
    to_supervisor("monitor")
    stop_on_signals(watching.stop)
    with _watched(monitor, "monitor", lambda: measures.of_monitor(msgspec.to_builtins(watching.status()))):
        watching.run()
    return 0


def monitor_poll(*, site: Path, state: Path | None, json: bool) -> int:
    """Looks at every auditor once. 0: nothing new was found; 1: something was, or an auditor could not be asked."""
    from bartizan.transparency.monitoring import said, tell, watch

    settings = _monitor(site)
    directory = StateDirectory.locate(state=state, site=site)
    with _opened(directory) as engine, waiting(f"asking {len(settings.auditors)} auditors"):
        look = watch(engine, settings).look()
        failures = look.failures + tell(engine, settings)
    if json:
        found = [_finding(finding) for finding in look.found]
        _json({"statements": look.statements, "found": found, "failures": failures})
    else:
        sys.stdout.write(f"{look.statements:,} statements were read, {len(look.found):,} findings are new\n")
        sys.stdout.write("".join(f"{printable(said(finding))}\n" for finding in look.found))
        sys.stdout.write("".join(f"{printable(failure)}\n" for failure in failures))
    return 1 if look.found or failures else 0


def monitor_findings(*, site: Path | None, state: Path | None, json: bool) -> int:
    """Lists what was ever found. 0: nothing; 1: something."""
    from bartizan.transparency.monitoring import said
    from bartizan.transparency.watching import findings

    with _asked(StateDirectory.locate(state=state, site=site)) as engine:
        found = list(findings(engine))
    if json:
        _json([_finding(finding) for finding in found])
    else:
        lines = [f"{_moment(finding.found_ms)}  {printable(said(finding))}\n" for finding in found]
        sys.stdout.write("".join(lines) or "nothing was found\n")
    return 1 if found else 0


def directory_publish(*, updates: list[tuple[bytes, bytes]], site: Path | None, state: Path | None, json: bool) -> int:
    """Publishes an epoch. Always 0."""
    with _directory(site, state) as directory:
        (epoch, root), is_new = directory.publish(updates)
    said = f"epoch {epoch} has the root {root.hex()}"
    if not is_new:
        said = f"every label has its value already; epoch {epoch} stays, with the root {root.hex()}"
    _report({"epoch": epoch, "root": root.hex(), "published": is_new}, said, json=json)
    return 0


def directory_lookup(*, label: str, site: Path | None, state: Path | None, json: bool) -> int:
    """Shows the value of a label. Always 0; one without is a Failure."""
    from bartizan._native import verify_lookup
    from bartizan.transparency.client import Version

    with _begun_directory(site, state) as directory:
        found = directory.lookup(label.encode())
        public_key = directory.public_key
    version = Version(*verify_lookup(public_key, found.epoch, found.root, label.encode(), found.proof))
    _report(_version(version), _version_line(version), json=json)
    return 0


def directory_history(*, label: str, site: Path | None, state: Path | None, json: bool) -> int:
    """Shows every value of a label. Always 0; one without is a Failure."""
    from bartizan._native import verify_history
    from bartizan.transparency.client import Version

    with _begun_directory(site, state) as directory:
        found = directory.history(label.encode())
        public_key = directory.public_key
    history = verify_history(public_key, found.epoch, found.root, label.encode(), found.proof)
    versions = [Version(*each) for each in history]
    _report(list(map(_version, versions)), "\n".join(map(_version_line, versions)), json=json)
    return 0


def directory_root(*, site: Path | None, state: Path | None, json: bool) -> int:
    """Shows the newest epoch. Always 0."""
    with _begun_directory(site, state) as directory:
        epoch, root = directory.root()
        public_key = directory.public_key.hex()
    said = f"epoch       {epoch}\nroot        {root.hex()}\npublic key  {public_key}"
    _report({"epoch": epoch, "root": root.hex(), "public_key": public_key}, said, json=json)
    return 0


def directory_serve(*, listen: str, site: Path | None, state: Path | None) -> int:
    """Serves the directory until it is stopped. Always 0."""
    from bartizan.transparency.directory_api import DirectoryApi
    from bartizan.transparency.directory_control import ServedDirectory, key_directory, serve_commands
    from bartizan.transparency.listener import Listener

    stopping = threading.Event()
    stop_on_signals(stopping.set)
    located = StateDirectory.locate(state=state, site=site)
    with ExitStack() as opened:
        directory = opened.enter_context(key_directory(located))
        if isinstance(directory, ServedDirectory):
            pid = owner(located.directory_lock)
            raise Failure(f"process {pid} serves this key directory already; stop it, or use another state directory")
        opened.enter_context(serve_commands(located, directory))
        answer = DirectoryApi(directory).answer
        listener = opened.enter_context(Listener([listen], [], None, answer, connections=_CONNECTIONS))
        epoch, _ = directory.root()
        sys.stdout.write(f"serving epoch {epoch} on http://{listener.listening[0][0]}\n")
        sys.stdout.flush()
        stopping.wait()
    return 0


@contextmanager
def _watched(address: str | None, process: str, samples: Callable[[], Iterable[Sample]]) -> Iterator[None]:
    """What a process that runs alone has for watchers, while the block runs."""
    from bartizan.supervisor import measures
    from bartizan.supervisor.monitor import Health, Monitor, Sources

    if address is None:
        yield
        return

    def metrics() -> str:
        return measures.text([*measures.of_process(process, os.getpid(), 0, answers=True), *samples()])

    def health() -> Health:
        return Health(well=True, problems={})

    with Monitor(address, Sources(metrics, health, health)) as listening:
        host = address.rpartition(":")[0]
        logging.getLogger("bartizan.transparency").info("watchers may ask http://%s:%d/metrics", host, listening.port)
        yield


def _directory(site: Path | None, state: Path | None) -> AbstractContextManager[Directory | ServedDirectory]:
    """The directory, by way of the process that serves it where one does."""
    from bartizan.transparency.directory_control import key_directory

    return key_directory(StateDirectory.locate(state=state, site=site))


def _begun_directory(site: Path | None, state: Path | None) -> AbstractContextManager[Directory | ServedDirectory]:
    """As `_directory`, for who asks: nothing is made by asking."""
    from bartizan.transparency.directory import Directory

    if not Directory(StateDirectory.locate(state=state, site=site)).is_begun():
        raise Failure(
            "nothing was published here yet; `bartizan transparency directory publish LABEL=VALUE` begins a directory"
        )
    return _directory(site, state)


def _version(version: Version) -> dict[str, object]:
    return {"version": version.version, "epoch": version.epoch, "value": version.value.decode(errors="replace")}


def _version_line(version: Version) -> str:
    value = printable(version.value.decode(errors="replace"))
    return f"version {version.version}, since epoch {version.epoch}: {value}"


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "kind": finding.kind,
        "namespace": finding.namespace,
        "epoch": finding.epoch,
        "auditor": finding.auditor,
        "message": finding.message,
        "found": finding.found_ms,
        "told": finding.told_ms,
        "evidence": msgspec.Raw(finding.evidence.encode()),
    }


def _monitor(site: Path) -> Monitor:
    settings = _settings(site).monitor
    if settings is None:
        raise Failure(f"{site} has no [transparency.monitor]; add one with auditors")
    return settings


def _settings(site: Path) -> Transparency:
    from bartizan.config.transparency_file import read_transparency

    try:
        return read_transparency(site)
    except SiteError as error:
        show(error.problems)
        raise Failure(f"{site} has {total(error.problems)}; nothing was started") from None


def _opened(directory: StateDirectory) -> AbstractContextManager[Engine]:
    """The auditor's tables while the block runs, made if they are not there."""
    from bartizan.transparency.database import open_tables

    return _said_plainly(open_tables(directory))


def _asked(directory: StateDirectory) -> AbstractContextManager[Engine]:
    """The auditor's tables while the block runs; empty ones where there is no SQLite file yet."""
    from bartizan.transparency.database import open_tables_to_ask

    return _said_plainly(open_tables_to_ask(directory))


@contextmanager
def _said_plainly(engine: Engine) -> Iterator[Engine]:
    """What the block is refused is for the person at the keyboard."""
    from sqlalchemy.exc import SQLAlchemyError

    from bartizan.transparency.refusal import Refused

    try:
        yield engine
    except Refused as refused:
        raise Failure(str(refused)) from None
    except SQLAlchemyError as error:
        raise Failure(f"the auditor's database cannot be used: {error}") from error
    finally:
        engine.dispose()


def _read_proof(file: Path) -> AuditProof:
    from bartizan._native import AuditProof

    try:
        return AuditProof.decode(file.read_bytes())
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}") from error


def _fetched_proof(namespace: Stated, epoch: Epoch, site: Path) -> AuditProof:
    from bartizan._native import AuditProofDecoder
    from bartizan.config.transparency import Auditor
    from bartizan.transparency.download import Unavailable, download

    if namespace.log_directory is None:
        raise Failure(f"{namespace.name} has no log directory; name a file with --proof")
    settings = (_settings(site).auditor if site.exists() else None) or Auditor()
    decoder = AuditProofDecoder()
    name = f"{epoch.epoch}/{epoch.previous}/{epoch.digest}"
    try:
        with (
            download(
                namespace.log_directory,
                name,
                most_bytes=settings.proof_limit_bytes,
                timeout_s=settings.proof_timeout_s,
                ca_file=settings.log_ca_file,
            ) as pieces,
            progressing(f"fetching epoch {epoch.epoch}", None) as come,
        ):
            for piece in pieces:
                decoder.feed(piece)
                come(len(piece))
    except Unavailable as error:
        raise Failure(str(error)) from None
    return decoder.finish()


def _status_lines(namespace: NamespaceStatus) -> Iterator[str]:
    counts = ", ".join(f"{number:,} {proof}" for proof, number in namespace.epochs.items() if number)
    newest = "no epoch yet" if namespace.last_epoch is None else f"epoch {namespace.last_epoch:,}"
    verified = "" if namespace.verified_to is None else f", verified to {namespace.verified_to:,}"
    yield f"{namespace.name}  {namespace.status}, {newest}{verified}{f' ({counts})' if counts else ''}\n"
    for epoch in namespace.in_hand:
        doing = epoch.progress or ("being fetched" if epoch.worker else epoch.problem or "waits")
        tried = f", {epoch.attempts} attempts" if epoch.attempts else ""
        yield f"  epoch {epoch.epoch:,}: {printable(doing)}{tried}\n"


def _newest(namespace: Stated) -> str:
    return "no epoch yet" if namespace.last_epoch is None else f"newest epoch {namespace.last_epoch:,}"


def _epoch(epoch: Epoch) -> dict[str, object]:
    return {
        "epoch": epoch.epoch,
        "digest": epoch.digest,
        "signed": epoch.signed_ms,
        "proof": epoch.proof,
        "check": epoch.check,
        "problem": epoch.problem,
        "proof_bytes": epoch.proof_bytes,
        "took_ms": epoch.took_ms,
    }


def _epoch_line(epoch: Epoch) -> str:
    size = "" if epoch.proof_bytes is None else f"  {epoch.proof_bytes:,} bytes"
    problem = f"  {printable(epoch.problem)}" if epoch.problem else ""
    return f"{epoch.epoch:>10}  {epoch.digest}  {_moment(epoch.signed_ms)}  {epoch.proof}{size}{problem}"


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _report(value: object, text: str, *, json: bool) -> None:
    if json:
        _json(value)
    else:
        sys.stdout.write(f"{text}\n")


def _json(value: object) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
