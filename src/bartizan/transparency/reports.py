"""Reports: somebody was shown an epoch by the log, signed, and says so.

Only a report whose signature is good by a key of the log, or of this auditor, is kept; it cannot be made up, and the
same one is kept once. A report of another digest than the auditor signed is the proof of a split view.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bartizan.transparency.database import now_ms
from bartizan.transparency.keys import Keys
from bartizan.transparency.models import Epoch, Report
from bartizan.transparency.namespaces import Namespaces, Stated
from bartizan.transparency.refusal import Refused
from bartizan.transparency.statement import Statement

__all__ = ["Reports"]


class Reports:
    """The reports of one auditor."""

    def __init__(self, engine: Engine, namespaces: Namespaces, keys: Keys) -> None:
        self._engine = engine
        self._namespaces = namespaces
        self._keys = keys

    def add(self, name: str, seen: Statement) -> Report:
        """Keeps a report, or gives back the one that says the same. Raises Refused where its signature is not good."""
        namespace = self._namespaces.find(name)
        if seen.namespace != name:
            message = f'the report is about the namespace "{seen.namespace}", and this is {name}'
            raise Refused(400, "malformed", message)
        signer = self._signer(namespace, seen)
        with Session(self._engine) as session:
            signed = session.get(Epoch, (namespace.id, seen.epoch))
        report = Report(
            id=str(uuid.uuid4()),
            namespace_id=namespace.id,
            epoch=seen.epoch,
            digest=seen.digest,
            signer=signer,
            ciphersuite=seen.ciphersuite,
            signed_ms=seen.timestamp,
            signature=seen.signature,
            received_ms=now_ms(),
            conflict=signed is not None and signed.digest != seen.digest,
        )
        try:
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                session.add(report)
        except IntegrityError:
            return self._known(namespace, seen, signer)
        return report

    def find(self, name: str, report: str) -> Report:
        """A report by its id. Raises Refused where there is none."""
        namespace = self._namespaces.find(name)
        with Session(self._engine) as session:
            row = session.get(Report, report)
        if row is None or row.namespace_id != namespace.id:
            raise Refused(404, "not_found", f"{name} has no report {report}")
        return row

    def newest(self, namespace: Stated, most: int) -> Sequence[Report]:
        """At most so many reports, those of a split view first, then the newest."""
        rows = select(Report).where(Report.namespace_id == namespace.id)
        with Session(self._engine) as session:
            return session.scalars(rows.order_by(Report.conflict.desc(), Report.received_ms.desc()).limit(most)).all()

    def _signer(self, namespace: Stated, seen: Statement) -> str:
        for key in (*namespace.log_keys, *(key.public_key for key in self._keys.all())):
            if seen.refusal(key) is None:
                return key
        message = "the signature is good by none of the keys of the log and of this auditor"
        raise Refused(400, "signature", message)

    def _known(self, namespace: Stated, seen: Statement, signer: str) -> Report:
        with Session(self._engine) as session:
            return session.scalars(
                select(Report).where(
                    Report.namespace_id == namespace.id,
                    Report.epoch == seen.epoch,
                    Report.digest == seen.digest,
                    Report.signer == signer,
                )
            ).one()
