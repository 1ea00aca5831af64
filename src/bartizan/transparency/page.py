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
    ":root{color-scheme:light dark}"
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:88em;padding:0 1em}"
    "h1,dd,td{overflow-wrap:anywhere}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2em 1em}"
    "dt{color:#8a8a8a}dd{margin:0}.wide{overflow-x:auto;margin-bottom:1.5em}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;vertical-align:top;padding:.4em .8em;border-bottom:1px solid #8884}"
    "th{font-weight:normal;color:#8a8a8a;white-space:nowrap}"
    "td.n,th.n{text-align:right}td.n,td.t{white-space:nowrap;font-variant-numeric:tabular-nums}"
    "code{font-size:.85em;overflow-wrap:anywhere}td.p{min-width:20em}td.p div{font-size:.9em;font-weight:normal}"
    "b{font-weight:600}.verified b{color:#1c8a48}.refused b,h2.refused{color:#d0342c}"
    ".waiting b,.claimed b{color:#a87400}"
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
    head = _head("namespace", "status", "verified to epoch", "proofs from", numbers=("verified to epoch",))
    return _page("Audited namespaces", _table(head, rows))


def history_page(
    namespace: Mapping[str, Any],
    epochs: Sequence[Epoch],
    counts: Mapping[str, int],
    conflicts: Sequence[Report],
    most: int,
) -> bytes:
    """A page of epochs, the newest first; `conflicts` are the reports of another digest than was signed."""
    name = namespace["name"]
    counted = ", ".join(f"{number:,} {escape(proof)}" for proof, number in sorted(counts.items())) or "none yet"
    facts = {
        "status": escape(namespace["status"]),
        "root": f"<code>{escape(namespace['root'] or 'none yet')}</code>",
        "proofs from": escape(namespace["log_directory"] or "nowhere"),
        "epochs": counted,
    }
    columns = ("epoch", "proof, and digest of the epoch", "signed", "bytes", "inserted", "unchanged", "verdict", "took")
    head = _head(*columns, numbers=("epoch", "bytes", "inserted", "unchanged", "took"))
    older = ""
    if len(epochs) == most:
        older = f'<p><a href="?before={epochs[-1].epoch}&amp;limit={most}">older epochs</a></p>\n'
    body = (
        f"<dl>{''.join(f'<dt>{title}</dt><dd>{text}</dd>' for title, text in facts.items())}</dl>\n"
        f"{_conflicts(conflicts)}{_table(head, ''.join(map(_row, epochs)))}"
        f'{older}<p><a href="/namespaces">all namespaces</a></p>\n'
    )
    return _page(f"History of {name}", body)


def _conflicts(conflicts: Sequence[Report]) -> str:
    if not conflicts:
        return ""
    rows = "".join(
        f"<tr>{_number(report.epoch)}<td><code>{escape(report.digest)}</code></td><td><code>{escape(report.signer)}"
        f"</code></td>{_time(report.received_ms)}</tr>\n"
        for report in conflicts
    )
    head = _head("epoch", "digest that was seen", "signed by", "reported", numbers=("epoch",))
    return f'<h2 class="refused">Split view: other digests were seen, signed</h2>\n{_table(head, rows)}'


def _row(epoch: Epoch) -> str:
    said = _MEANING.get(epoch.proof, epoch.proof)
    detail = epoch.problem or epoch.progress
    took = "" if epoch.took_ms is None else f"{epoch.took_ms / 1000:,.2f} s"
    return (
        f'<tr>{_number(epoch.epoch)}<td class="p {escape(epoch.proof)}"><b>{escape(said)}</b> '
        f"<div><code>{escape(epoch.digest)}</code></div>{f'<div>{escape(detail)}</div>' if detail else ''}</td>"
        f"{_time(epoch.signed_ms)}{_number(epoch.proof_bytes)}{_number(epoch.inserted)}{_number(epoch.unchanged)}"
        f'{_time(epoch.judged_ms)}<td class="n">{took}</td></tr>\n'
    )


def _head(*columns: str, numbers: Sequence[str] = ()) -> str:
    cells = [f'<th class="n">{column}</th>' if column in numbers else f"<th>{column}</th>" for column in columns]
    return f"<tr>{''.join(cells)}</tr>\n"


def _table(head: str, rows: str) -> str:
    return f'<div class="wide"><table>\n{head}{rows}</table></div>\n'


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _number(number: int | None) -> str:
    return f'<td class="n">{"" if number is None else f"{number:,}"}</td>'


def _time(milliseconds: int | None) -> str:
    shown = ""
    if milliseconds is not None:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
        shown = f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">{moment:%Y-%m-%d %H:%M:%S}</time>'
    return f'<td class="t">{shown}</td>'


def _page(title: str, body: str) -> bytes:
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n'
        f"<body><h1>{escape(title)}</h1>\n{body}</body></html>\n"
    ).encode()
