"""The history of a namespace as a page: plain HTML made here, everything escaped, no script, nothing fetched.

What stands in it comes from logs and publishers, so all of it goes through `_cell`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, Final

from bartizan.transparency.models import Epoch, Report

__all__ = ["history_page", "namespaces_page"]

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25em .8em;border-bottom:1px solid #8884}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:.85em;word-break:break-all}"
    ".verified{color:#157a3c}.refused{color:#b3261e;font-weight:bold}.waiting,.claimed{color:#8a6100}"
)

_MEANING: Final = {
    "root": "root, trusted from here",
    "signed": "signed; the log serves no proofs",
    "waiting": "waits for its proof",
    "claimed": "being verified",
    "verified": "verified",
    "refused": "refused",
}


def namespaces_page(namespaces: Iterable[Mapping[str, Any]]) -> bytes:
    """The page of all public namespaces."""
    rows = "".join(
        "<tr>"
        f'<td><a href="/namespaces/{escape(namespace["name"])}/history">{escape(namespace["name"])}</a></td>'
        f"{_cell(namespace['status'])}{_number(namespace.get('last_verified_epoch'))}"
        f"{_cell(namespace['log_directory'] or 'none')}</tr>\n"
        for namespace in namespaces
    )
    head = "<tr><th>namespace</th><th>status</th><th>verified to epoch</th><th>proofs from</th></tr>\n"
    return _page("Audited namespaces", f"<table>\n{head}{rows}</table>\n")


def history_page(
    namespace: Mapping[str, Any],
    epochs: Sequence[Epoch],
    counts: Mapping[str, int],
    conflicts: Sequence[Report],
    most: int,
) -> bytes:
    """A page of epochs, the newest first; `conflicts` are the reports of another digest than was signed."""
    name = namespace["name"]
    counted = ", ".join(f"{number:,} {escape(proof)}" for proof, number in sorted(counts.items())) or "no epochs yet"
    head = (
        "<tr><th>epoch</th><th>digest</th><th>signed</th><th>proof</th><th>bytes</th><th>inserted</th>"
        "<th>unchanged</th><th>verdict at</th><th>ms</th></tr>\n"
    )
    older = ""
    if len(epochs) == most:
        older = f'<p><a href="?before={epochs[-1].epoch}&amp;limit={most}">older epochs</a></p>\n'
    body = (
        f"<p>Status {escape(namespace['status'])}; root <code>{escape(namespace['root'] or 'none yet')}</code>; proofs "
        f"from {escape(namespace['log_directory'] or 'nowhere')}; {counted}.</p>\n"
        f"{_conflicts(conflicts)}<table>\n{head}{''.join(map(_row, epochs))}</table>\n{older}"
        '<p><a href="/namespaces">all namespaces</a></p>\n'
    )
    return _page(f"History of {name}", body)


def _conflicts(conflicts: Sequence[Report]) -> str:
    if not conflicts:
        return ""
    rows = "".join(
        f"<tr>{_number(report.epoch)}<td><code>{escape(report.digest)}</code></td><td><code>{escape(report.signer)}"
        f"</code></td>{_cell(_moment(report.received_ms))}</tr>\n"
        for report in conflicts
    )
    head = "<tr><th>epoch</th><th>digest that was seen</th><th>signed by</th><th>reported</th></tr>\n"
    return f'<h2 class="refused">Split view: other digests were seen, signed</h2>\n<table>\n{head}{rows}</table>\n'


def _row(epoch: Epoch) -> str:
    said = _MEANING.get(epoch.proof, epoch.proof)
    detail = epoch.problem or epoch.progress
    state = f'<td class="{escape(epoch.proof)}">{escape(said)}{f"<br>{escape(detail)}" if detail else ""}</td>'
    judged = _moment(epoch.judged_ms) if epoch.judged_ms is not None else ""
    return (
        f"<tr>{_number(epoch.epoch)}<td><code>{escape(epoch.digest)}</code></td>{_cell(_moment(epoch.signed_ms))}{state}"
        f"{_number(epoch.proof_bytes)}{_number(epoch.inserted)}{_number(epoch.unchanged)}{_cell(judged)}"
        f"{_number(epoch.took_ms)}</tr>\n"
    )


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _number(number: int | None) -> str:
    return f'<td class="n">{"" if number is None else f"{number:,}"}</td>'


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _page(title: str, body: str) -> bytes:
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head>\n'
        f"<body><h1>{escape(title)}</h1>\n{body}</body></html>\n"
    ).encode()
