"""An origin that lies about some targets and tells, for all others, over which connection it was asked."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from tests.e2e.codec_cases import Case
from tests.e2e.origin import Visit

NEXT = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Liar:
    """An origin that answers as `answers[target]` does, and all other requests with the connection they came on."""

    def __init__(self) -> None:
        self.answers: dict[bytes, Callable[[Visit], bool]] = {}
        self.lied_on: dict[bytes, int] = {}
        self.numbers = count()
        self.cases = count()

    def script(self, visit: Visit) -> None:
        number = next(self.numbers)
        while (request := visit.request()) is not None:
            target = request.split(b" ", 2)[1]
            answer = self.answers.get(target)
            if answer is None:
                body = b"%s on %d" % (target, number)
                visit.send(NEXT % (len(body), body))
                continue
            self.lied_on[target] = number
            if not answer(visit):
                return

    def lie(self, target: bytes, *parts: bytes, closes: bool = False, pause_s: float = 0.0) -> None:
        """Answers requests for `target` with these bytes."""

        def answer(visit: Visit) -> bool:
            visit.send(*parts, pause_s=pause_s)
            return not closes

        self.answers[target] = answer

    def tell(self, case: Case) -> bytes:
        """Answers as a case of the codec's table says; the target to ask for."""
        raw = case.data
        if case.interim:
            raw = raw.removesuffix(b"HTTP/1.1 200 OK\r\n") + LAST
        target = b"/case/%d" % next(self.cases)
        self.lie(target, raw, closes=case.closed)
        return target
