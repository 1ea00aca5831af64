"""Rule sets as objects: loaded from a file or a folder, and asked about requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, Self

import msgspec

from bartizan import _native
from bartizan.config.rule_sets import arranged
from bartizan.failure import Failure
from bartizan.rules.request import Request, Response, sample
from bartizan.waf import verdict

_OWN_IDS: Final = range(77_000_000, 78_000_000)
"""The numbers of rules that no file of a user holds: those of base.conf and of the paranoia level."""


class Problem(NamedTuple):
    """Something that keeps rules from being loaded, or that has no effect in them."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class RulesRefused(Failure):
    """Rules cannot be loaded; its message has a line for each problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        """All that is wrong, file by file."""
        super().__init__("\n".join(map(str, self.problems)))


class RuleSet:
    """A loaded rule set; `load` makes one. Threads may share it.

    What its rules keep in persistent collections (`IP`, `SESSION` and the others) lasts as long as the object, within
    64 MiB.
    """

    def __init__(self, native: _native.WafRules, left_out: Sequence[Problem] = ()) -> None:
        self._native = native
        self._left_out = tuple(left_out)

    @classmethod
    def load(
        cls,
        path: str | Path,
        paranoia_level: int | None = 1,
        mode: Literal["block", "detect"] = "block",
        *,
        setup: str = "",
        audit: Literal["redacted", "whole"] = "redacted",
    ) -> Self:
        """Loads a rule file with all that it includes, or a folder of rules.

        A folder with a Core Rule Set (version 3 or 4, as released, as Debian or as Coraza has it) is its setup file,
        then its rules, with the engine as `base.conf` of `bartizan.config` sets it; another folder is its `*.conf`
        files in the order of their names. A file says itself what the engine does, as `SecRequestBodyAccess On`.

        Args:
            path: the file or the folder.
            paranoia_level: of a Core Rule Set, from 1 to 4; it wins over the setup file of a folder, and is set before
                a file is read. None leaves it to the files.
            mode: whether what rules refuse is blocked, whatever `SecRuleEngine` says in the files.
            setup: more rules and settings, read after the setup file and before the rules, as SecActions that set
                thresholds.
            audit: whether entries of the audit log are without cookies, credentials, bodies and other secrets, or have
                all that was sent.

        Raises:
            RulesRefused: something in the files is wrong or not supported; it lists all of it.
            Failure: there are no such files.

        """
        if mode not in ("block", "detect"):
            raise ValueError(f"mode is {mode!r}; it is 'block' or 'detect'")
        if audit not in ("redacted", "whole"):
            raise ValueError(f"audit is {audit!r}; it is 'redacted' or 'whole'")
        if paranoia_level is not None and paranoia_level not in range(1, 5):
            raise ValueError(f"paranoia_level is {paranoia_level!r}; it is a number from 1 to 4, or None")
        path = Path(path).absolute()
        if not path.exists():
            raise Failure(f"{path}: there is no such file or folder; `bartizan crs list` shows installed rule sets")
        found = arranged(path, setup)
        level = "" if paranoia_level is None else _native.waf_paranoia_level(paranoia_level)
        left_out = [Problem(str(file), 1, why) for file, why in found.left_out]
        return cls._loaded(f"{found.before}{level}{found.after}", mode, left_out=left_out, audit=audit)

    @classmethod
    def parse(cls, text: str, mode: Literal["block", "detect"] = "block", *, directory: str | Path = ".") -> Self:
        """Loads rules given as text; includes and data files are found in `directory`. Raises RulesRefused."""
        return cls._loaded(text, mode, name="rules", directory=Path(directory).absolute())

    @classmethod
    def _loaded(
        cls,
        text: str,
        mode: str,
        *,
        name: str = "setup",
        directory: Path = Path("/"),
        left_out: Sequence[Problem] = (),
        audit: str = "redacted",
    ) -> Self:
        try:
            native = _native.WafRules(
                text.encode(), name, directory, mode == "detect", verdict.SCORE_NAMES, audit == "whole"
            )
        except _native.WafRulesRefused as error:
            raise RulesRefused(Problem(*problem) for problem in error.args[0]) from None
        return cls(native, left_out)

    @property
    def notes(self) -> tuple[Problem, ...]:
        """What in the files has no effect here, and why."""
        return (*self._left_out, *(Problem(*note) for note in self._native.notes()))

    @property
    def ids(self) -> tuple[int, ...]:
        """The numbers of its rules, in their order."""
        return tuple(number for number, *_ in self._native.rules() if number not in _OWN_IDS)

    def inspect(
        self,
        request: Request | bytes,
        response: Response | bytes | None = None,
        *,
        client: tuple[str, int] = ("127.0.0.1", 0),
        server: tuple[str, int] = ("127.0.0.1", 80),
        request_id: str = "",
    ) -> verdict.Verdict:
        """Runs the rules over a request, and over the response to it where one is given.

        Bytes are messages of HTTP/1.1, taken apart as they are: what the edge would refuse is inspected too. Addresses
        and the request's id are given beside them; a Request has its own. Raises TypeError for what is neither.
        """
        _check("request", request, Request)
        if response is not None:
            _check("response", response, Response)
        protocol = None
        if isinstance(request, Request):
            if response is None or isinstance(response, Response):
                request = msgspec.structs.replace(request, response=response or request.response)
            made = sample(request, {})
            client, server = (made.client_ip, made.client_port), (made.server_ip, made.server_port)
            request_id, protocol = made.ray_id, "HTTP/2.0" if made.http2 else None
            message = made.message
            answer = response if isinstance(response, bytes) else made.response
        else:
            message = request
            answer = response if response is None or isinstance(response, bytes) else _bytes(response)
        told, entry = self._native.inspect(message, answer, _address(*client), _address(*server), protocol, request_id)
        return verdict.of_native(told, entry, _OWN_IDS)


def _check(name: str, message: object, kind: type) -> None:
    if not isinstance(message, (bytes, kind)):
        said = (
            f"{name} is of type {type(message).__name__}; it is bytes of HTTP/1.1 or a bartizan.rules.{kind.__name__}"
        )
        raise TypeError(said)


def _address(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _bytes(response: Response) -> bytes | None:
    return sample(b"", {"response": response}).response
