"""The auditor's keys: one signs at a time, those before it stay so that what they signed can be checked.

The private half of each is a file of its own, mode 0600, named for the public half; the tables hold what `/info` says.
Several auditors on one database each need the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bartizan._native import AuditorKey
from bartizan.durable import replace
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.transparency.database import now_ms
from bartizan.transparency.models import PublicKey
from bartizan.transparency.statement import Statement

__all__ = ["Key", "Keys"]

_KEY_IDS: Final = 256
_ATTEMPTS: Final = 10_000
"""Until a key with a free id is found: with one of 256 left, so many fail less than once in 10^17."""


class Key(msgspec.Struct, frozen=True):
    """A public key, its id, and from when on it signs. `signing` says whether it does now."""

    public_key: str
    key_id: int
    not_before: int
    created: int
    signing: bool


class Keys:
    """The keys of one auditor."""

    def __init__(self, engine: Engine, state: StateDirectory) -> None:
        self._engine = engine
        self._directory = state.transparency / "keys"
        self._secrets: dict[str, AuditorKey] = {}

    def all(self) -> list[Key]:
        """Every key, the newest first."""
        now = now_ms()
        with Session(self._engine) as session:
            rows = session.scalars(
                select(PublicKey).order_by(
                    PublicKey.not_before_ms.desc(),
                    PublicKey.created_ms.desc(),
                    # Of two that were made at once on two nodes every node must take the same one.
                    PublicKey.public_key,
                )
            ).all()
        signing = next((row.public_key for row in rows if row.not_before_ms <= now), None)
        return [
            Key(row.public_key, row.key_id, row.not_before_ms, row.created_ms, row.public_key == signing)
            for row in rows
        ]

    def rotate(self, not_before_ms: int | None = None) -> Key:
        """Makes a key that signs from a moment on, by default from now.

        Raises Failure where all ids are taken or the moment has passed: what was signed since would have two keys.
        """
        now = now_ms()
        begins = now if not_before_ms is None else not_before_ms
        if begins < now:
            raise Failure("a key cannot begin to sign in the past; name a moment that is still to come")
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            known = self.all()
            made = _with_another_id({key.key_id for key in known})
            public_key = made.public_key.hex()
            # Before the row: a key in the tables without its file could not sign, and would be the one to.
            file = self._file(public_key)
            replace(file, made.seed().hex().encode() + b"\n")
            # Later than every other: of keys that begin in one millisecond the last that was made signs.
            created = max([now, *(key.created + 1 for key in known)])
            row = PublicKey(public_key=public_key, key_id=made.key_id, not_before_ms=begins, created_ms=created)
            try:
                with Session(self._engine) as session, session.begin():
                    session.add(row)
            except IntegrityError:
                # Another command took the id meanwhile.
                file.unlink()
                continue
            return next(key for key in self.all() if key.public_key == public_key)

    def provide(self) -> None:
        """Makes the first key where there is none."""
        if not any(key.signing for key in self.all()):
            self.rotate()

    def check(self) -> None:
        """Raises Failure where nothing can be signed now, as `sign` would."""
        self._secret(self._signing().public_key)

    def sign(self, ciphersuite: int, namespace: str, epoch: int, digest: str) -> tuple[Statement, str]:
        """The statement about an epoch as of now, and the public key that signed it.

        Raises Failure where the private half cannot be read.
        """
        key = self._signing()
        timestamp = now_ms()
        secret = self._secret(key.public_key)
        signature = secret.sign(ciphersuite, namespace, timestamp, epoch, bytes.fromhex(digest))
        statement = Statement(
            ciphersuite=ciphersuite,
            namespace=namespace,
            timestamp=timestamp,
            epoch=epoch,
            digest=digest,
            signature=signature.hex(),
        )
        return statement, key.public_key

    def _signing(self) -> Key:
        key = next((key for key in self.all() if key.signing), None)
        if key is None:
            raise Failure("the auditor has no key yet; make one with: bartizan transparency auditor key rotate")
        return key

    def _secret(self, public_key: str) -> AuditorKey:
        if public_key not in self._secrets:
            file = self._file(public_key)
            self._secrets[public_key] = _read(file, public_key)
        return self._secrets[public_key]

    def _file(self, public_key: str) -> Path:
        return self._directory / f"{public_key}.key"


def _with_another_id(taken: set[int]) -> AuditorKey:
    """A new key whose id is none of these. Raises Failure where there is none."""
    if len(taken) >= _KEY_IDS:
        raise Failure(
            "all 256 ids of keys are taken, so that a client could not tell two keys apart; begin another "
            "auditor, with a state directory of its own"
        )
    for _ in range(_ATTEMPTS):
        made = AuditorKey.generate()
        if made.key_id not in taken:
            return made
    raise Failure("no key with an id that is free was found; try again")


def _read(file: Path, public_key: str) -> AuditorKey:
    why: str | None = "it does not hold the private half of that key"
    try:
        secret = AuditorKey.from_seed(bytes.fromhex(file.read_text(encoding="ascii")))
        if secret.public_key.hex() == public_key:
            return secret
    except OSError as error:
        why = error.strerror
    except ValueError:
        # Not hexadecimal, or not 32 bytes. What it says may hold the secret, so it is not passed on.
        pass
    raise Failure(
        f"the key {public_key} signs, and {file} cannot be used ({why}); bring the file back, or make another with: "
        "bartizan transparency auditor key rotate"
    )
