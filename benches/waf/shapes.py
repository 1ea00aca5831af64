"""The requests of the bench: fourteen shapes, each request of a shape another one, the same ones in every run.

A request is made from the name of its shape and its number alone, so that one which the engines judge differently can
be made again: `python -m benches.waf --show "JSON, 300 B" 17`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, quote_plus, urlencode

from benches.waf.words import LANGUAGES, PLACES, Chance

_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Shape:
    """A kind of request, and the paranoia level that it is judged at."""

    name: str
    make: Callable[[Chance], bytes]
    paranoia_level: int = 1

    def request(self, number: int) -> bytes:
        """The request of that number, as bytes of HTTP/1.1."""
        return self.make(Chance(f"{self.name} {number}"))

    def requests(self, first: int, count: int) -> list[bytes]:
        """Requests with numbers in a row."""
        return [self.request(number) for number in range(first, first + count)]


def _get(chance: Chance, target: str, *headers: tuple[str, str]) -> bytes:
    return _request(chance, "GET", target, headers, b"")


def _post(chance: Chance, target: str, content_type: str, body: bytes) -> bytes:
    headers = (("Content-Type", content_type), ("Content-Length", str(len(body))))
    return _request(chance, "POST", target, headers, body)


def _request(chance: Chance, method: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes) -> bytes:
    host = f"{chance.word()}.shop.example"
    lines = [
        f"{method} {target} HTTP/1.1",
        f"Host: {host}",
        f"User-Agent: {chance.agent()}",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        f"Accept-Language: {chance.choice(LANGUAGES)}",
        "Accept-Encoding: gzip, deflate, br",
        *(f"{name}: {value}" for name, value in headers),
    ]
    if chance.random() < 0.5:
        lines.append(f"Referer: https://{host}/{chance.word()}/{chance.word()}?page={chance.randint(1, 99)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _with_arguments(chance: Chance) -> bytes:
    query = urlencode(
        {"q": chance.choice((chance.words(1, 4), chance.name())), "page": chance.randint(1, 400), "sort": chance.word()}
    )
    cookies = (
        f"session={chance.hexadecimal(32)}; theme={chance.word()}; "
        f"visits={chance.randint(1, 90)}.{chance.randint(10**8, 10**9)}"
    )
    return _get(chance, f"/{chance.word()}/{quote(chance.words(1, 3))}?{query}", ("Cookie", cookies))


def _static(chance: Chance) -> bytes:
    ending = chance.choice(("css", "js", "png", "jpg", "svg", "woff2"))
    return _get(chance, f"/static/{chance.word()}/{chance.word()}-{chance.hexadecimal(8)}.{ending}")


def _five_fields(chance: Chance) -> bytes:
    fields = {
        "name": chance.name(),
        "email": f"{chance.word()}.{chance.word()}{chance.randint(1, 999)}@{chance.word()}.example",
        "city": chance.choice(PLACES),
        "age": chance.randint(18, 99),
        "note": chance.sentence(),
    }
    return _post(chance, f"/{chance.word()}/save", _FORM, urlencode(fields).encode())


def _json(chance: Chance) -> bytes:
    def item() -> dict[str, object]:
        price = round(chance.uniform(1, 500), 2)
        return {
            "id": chance.randint(1, 99_999),
            "title": chance.words(1, 3),
            "price": price,
            "gift": chance.random() < 0.5,
        }

    order = {
        "customer": {"name": chance.name(), "city": chance.choice(PLACES), "tags": chance.choices(PLACES, k=2)},
        "items": [item(), item()],
        "note": "",
    }
    short = len(_dumped(order))
    return _post(
        chance, "/api/orders", "application/json", _dumped({**order, "note": chance.plain(max(300 - short, 1))})
    )


def _dumped(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _text(octets: int) -> Callable[[Chance], bytes]:
    """A form with one field of plain words; the body has so many octets."""

    def make(chance: Chance) -> bytes:
        return _post(chance, "/notes", _FORM, quote_plus("text=" + chance.plain(octets - 5), safe="=").encode())

    return make


def _multipart(chance: Chance) -> bytes:
    boundary = f"----WebKitFormBoundary{chance.hexadecimal(16)}"
    parts = [
        ('name="title"', "", chance.words(2, 6)),
        ('name="author"', "", chance.name()),
        (f'name="file"; filename="{chance.word()}-{chance.randint(1, 99)}.txt"', "Content-Type: text/plain\r\n", ""),
    ]

    def body(content: str) -> bytes:
        texts = [*parts[:-1], (*parts[-1][:2], content)]
        written = "".join(
            f"--{boundary}\r\nContent-Disposition: form-data; {names}\r\n{more}\r\n{text}\r\n"
            for names, more, text in texts
        )
        return f"{written}--{boundary}--\r\n".encode()

    content = chance.prose(2_000 - len(body("")))
    return _post(chance, f"/{chance.word()}/upload", f"multipart/form-data; boundary={boundary}", body(content))


def _injection(chance: Chance) -> bytes:
    number, word, other = chance.randint(1, 9_999), chance.word(), chance.word()
    probe = chance.choice(
        (
            f"{number}' UNION SELECT {word}, {other} FROM {chance.word()}s-- ",  # noqa: S608
            f"{number}' OR '{word}'='{word}",
            f"{number}) AND {number}={number} AND ({number + 1}={number + 1}",
            f"{number}; DROP TABLE {word}s; --",
            f"{word}' AND (SELECT COUNT(*) FROM {other}s) > {number} --",  # noqa: S608
            f"{number} AND SLEEP({chance.randint(1, 9)})",
        )
    )
    return _get(chance, f"/{chance.word()}?id={quote_plus(probe)}&page={chance.randint(1, 99)}")


def _field(content: Callable[[Chance], str | bytes]) -> Callable[[Chance], bytes]:
    """A form with one field of that content, which is counted before it is encoded."""

    def make(chance: Chance) -> bytes:
        return _post(chance, f"/{chance.word()}/edit", _FORM, b"content=" + quote_plus(content(chance)).encode())

    return make


SHAPES: Final = (
    Shape("GET, 3 args, 3 cookies", _with_arguments),
    Shape("GET, static", _static),
    Shape("form of 5 fields", _five_fields),
    Shape("JSON, 300 B", _json),
    Shape("form of text, 1 kB", _text(1_000)),
    Shape("form of text, 10 kB", _text(10_000)),
    Shape("form of text, 100 kB", _text(100_000)),
    Shape("multipart, 2 kB", _multipart),
    Shape("GET, SQL injection", _injection),
    Shape("prose, 10 kB", _field(lambda chance: chance.prose(10_000))),
    Shape("HTML, 10 kB", _field(lambda chance: chance.page(10_000))),
    Shape("base64, 10 kB", _field(lambda chance: base64.b64encode(chance.randbytes(7_500)))),
    Shape("random bytes, 10 kB", _field(lambda chance: chance.randbytes(10_000))),
    Shape("GET, 3 args, 3 cookies, PL4", _with_arguments, paranoia_level=4),
)

GROWTH: Final = ("form of text, 1 kB", "form of text, 10 kB", "form of text, 100 kB")
"""The same text at three lengths: what an octet more costs must not depend on how many there are."""


def named(name: str) -> Shape | None:
    """The shape of that name."""
    return next((shape for shape in SHAPES if shape.name == name), None)


def levels(shapes: tuple[Shape, ...]) -> Iterator[tuple[int, tuple[Shape, ...]]]:
    """The paranoia levels of shapes, each with those that are judged at it."""
    for level in sorted({shape.paranoia_level for shape in shapes}):
        yield level, tuple(shape for shape in shapes if shape.paranoia_level == level)
