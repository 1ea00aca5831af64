"""`bartizan init`: a commented site file for an application."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bartizan.failure import Failure

_TEMPLATE: Final = """\
# A site file of Bartizan: what stands in front of the application, and the rules that requests must pass.
# `bartizan check` says what is wrong with it, `bartizan apply` puts it into effect without a failed request.

[edge]
listen = ["127.0.0.1:8080"]
# TLS with a certificate of this installation's development CA. For the internet: 0.0.0.0:80 and 0.0.0.0:443, and
# [zones.{zone}.tls.acme] below.
listen_tls = ["127.0.0.1:8443"]

[zones.{zone}]
{hosts}
origins = [{origin}]

# A certificate from a public authority, renewed by itself. Setting it accepts the authority's terms.
# [zones.{zone}.tls.acme]
# email = "you@example.org"

# [zones.{zone}.tls]
# https_redirect = true
# hsts = {{}}

# A list that rules call $office.
# [lists.office]
# kind = "ip"
# items = ["192.0.2.0/24"]

# Rules run in the order written; the first that blocks ends the request.
[[zones.{zone}.rules]]
description = "Path traversal"
ref = "path-traversal"
expression = '''raw.http.request.uri contains "../" or lower(raw.http.request.uri) contains "%2e%2e"'''
action = "block"

[[zones.{zone}.rules]]
description = "Files that no visitor has a reason to ask for"
ref = "hidden-files"
expression = '''http.request.uri.path contains "/.git" or http.request.uri.path contains "/.env"'''
action = "block"

[[zones.{zone}.rules]]
description = "Vulnerability scanners that say so"
ref = "scanners"
expression = '''lower(http.user_agent) contains "sqlmap" or lower(http.user_agent) contains "nikto"'''
action = "block"

# Logs instead of blocking: watch it with `bartizan tail` before it becomes a block.
[[zones.{zone}.rules]]
description = "SQL keywords in the query"
ref = "sql-keywords"
expression = '''lower(http.request.uri.query) contains "union" and lower(http.request.uri.query) contains "select"'''
action = "log"
"""


def init(*, origin: str, host: list[str], file: Path, force: bool) -> int:
    """Write a site file for the application at `origin`; contacts nothing."""
    _examine(origin)
    if file.exists() and not force:
        raise Failure(f"{file} exists; choose another name with --file, or replace it with --force")
    try:
        file.write_text(site_file(origin, host), encoding="utf-8")
    except OSError as error:
        raise Failure(f"cannot write {file}: {error.strerror}") from error
    named = "" if file.name == "bartizan.toml" else f" {file}"
    sys.stdout.write(f"{file} is written for {origin}.\n  next: bartizan up{named}\n")
    return 0


def site_file(origin: str, hosts: list[str]) -> str:
    """The text of a site file with one zone in front of `origin`."""
    served = (
        f"hosts = {json.dumps(hosts)}"
        if hosts
        else "# Every host name; name yours with hosts = [...] instead.\ndefault = true"
    )
    return _TEMPLATE.format(zone="site", hosts=served, origin=json.dumps(origin))


def _examine(origin: str) -> None:
    """Raises Failure where `origin` is no address of an origin server."""
    if origin.startswith("unix:/"):
        return
    try:
        parts = urlsplit(origin)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise Failure(
            f"{origin!r} is no address of an application; write http://127.0.0.1:8001, https://host or unix:/path"
        )
    if parts.path not in ("", "/") or parts.query:
        raise Failure(f"{origin!r} has a path; an origin is an address only: {parts.scheme}://{parts.netloc}")
