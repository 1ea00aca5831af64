"""Regression tests of rule sets in the format of go-ftw: YAML files with requests and the ids that they must log.

A test has stages; each sends one request and says which rules must have logged, which must not, or which status must
come back. The requests are built as go-ftw builds them, header for header, because rules look at what it adds.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus, unquote_to_bytes

import msgspec
import yaml

from bartizan.failure import Failure

_FORM: Final = "application/x-www-form-urlencoded"
_REPEATED: Final = re.compile(r'\{\{\s*"([^"]*)"\s*\|\s*repeat\s+(\d+)\s*\}\}')
_WITH_BODY: Final = re.compile(r"^POST|PUT|PATCH|DELETE$")


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must come of a stage."""

    log: Log | None = None
    """Which rules log."""
    status: int | None = None
    """The status of the answer."""
    expect_error: bool = False
    """Whether the connection may end without an answer."""
    retry_once: bool = False
    """Whether go-ftw asks again where this fails; nothing here depends on chance."""
    isolated: bool = False
    """Whether no other rule may log."""
    response_contains: str | None = None
    """A pattern in the answer."""
    log_contains: str | None = None
    """A pattern in the log, in the format of before 2024."""
    no_log_contains: str | None = None
    """A pattern not in the log, in the format of before 2024."""


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rules log."""

    expect_ids: list[int] = []
    no_expect_ids: list[int] = []
    match_regex: str | None = None
    no_match_regex: str | None = None


class Stage(msgspec.Struct, frozen=True):
    """A request and what must come of it."""

    request: bytes
    """As it goes over the wire."""
    expected: Expectation
    """What must come of it."""


class Test(msgspec.Struct, frozen=True):
    """A test of a rule."""

    __test__ = False

    title: str
    """The rule and the number of the test: `920100-1`."""
    file: Path
    """Where it stands."""
    stages: list[Stage]
    """Its requests, in their order."""


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    dest_addr: str = "localhost"
    port: int = 80
    protocol: str = "http"
    method: str = "GET"
    uri: str = "/"
    version: str = "HTTP/1.1"
    headers: dict[str, str] = {}
    ordered_headers: list[dict[str, str]] = []
    data: str = ""
    encoded_request: str = ""
    raw_request: str = ""
    autocomplete_headers: bool = True
    stop_magic: bool = False
    save_cookie: bool = False
    follow_redirect: bool = False
    virtual_host_mode: bool = False


def read(folder: Path) -> Iterator[Test]:
    """The tests of all YAML files below a folder, in the order of their names.

    Raises:
        Failure: a file cannot be read or is no such test; it names the file.

    """
    for file in files(folder):
        yield from tests(file)


def files(folder: Path) -> list[Path]:
    """The YAML files below a folder, or the file itself. Raises Failure where there is none."""
    found = [folder] if folder.is_file() else sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")])
    if not found:
        raise Failure(f"{folder}: there are no YAML files; give the folder of the tests, as --ftw crs/tests/regression")
    return found


def tests(file: Path) -> Iterator[Test]:
    """The tests of one file. Raises Failure as `read` does."""
    try:
        # Every scalar as it is written: go-ftw's numbers are text too, in a header.
        document = yaml.load(file.read_bytes(), Loader=yaml.CBaseLoader)  # noqa: S506  it makes text alone
    except (OSError, yaml.YAMLError) as error:
        raise Failure(f"{file}: {error}") from error
    if not document:
        return
    try:
        rule = document.get("rule_id")
        for test in document["tests"]:
            title = f"{rule}-{test['test_id']}" if rule is not None else str(test["test_title"])
            stages = [_stage(stage.get("stage", stage)) for stage in test["stages"]]
            yield Test(title, file, stages)
    except (KeyError, TypeError, AttributeError, binascii.Error, msgspec.ValidationError) as error:
        raise Failure(f"{file}: this is no test of go-ftw: {error}") from error


def _stage(stage: dict[str, Any]) -> Stage:
    given = msgspec.convert(stage["input"], _Input, strict=False)
    return Stage(_request(given), msgspec.convert(stage["output"], Expectation, strict=False))


def _request(given: _Input) -> bytes:
    if given.encoded_request:
        return base64.b64decode(given.encoded_request)
    if given.raw_request:
        return given.raw_request.encode()
    headers = [(name, value) for each in [given.headers, *given.ordered_headers] for name, value in each.items()]
    names = {name.lower(): value for name, value in headers}
    data = _REPEATED.sub(lambda found: found[1] * int(found[2]), given.data).encode()
    if data and given.autocomplete_headers:
        if "content-type" not in names:
            headers.append(("Content-Type", _FORM))
            names["content-type"] = _FORM
        if names["content-type"] == _FORM:
            data = _form(data)
    if names.get("content-type", "").startswith("multipart/form-data;"):
        data = data.replace(b"\n", b"\r\n")
    if given.autocomplete_headers:
        if not names.get("connection"):
            headers.append(("Connection", "close"))
        if (data or _WITH_BODY.search(given.method)) and "content-length" not in names:
            headers.append(("Content-Length", str(len(data))))
    head = f"{given.method} {given.uri} {given.version}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers)
    return head.encode() + b"\r\n" + data


def _form(data: bytes) -> bytes:
    """Escapes a form that has no escapes, name by name."""
    if unquote_to_bytes(data.replace(b"+", b" ")) != data:
        return data
    fields = (field.split(b"=", 1) for field in data.split(b"&"))
    return "&".join("=".join(quote_plus(part) for part in field) for field in fields).encode()
