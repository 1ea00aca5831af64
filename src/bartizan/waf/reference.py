"""The reference of the ModSecurity rule language, made from the engine's tables: `python -m bartizan.waf.reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bartizan._native import waf_words

PAGE: Final = Path("docs/reference/seclang.md")

_INTRODUCTION: Final = """\
# The ModSecurity rule language

Made from the tables of `crates/seclang` by `python -m bartizan.waf.reference`; do not edit it. Names and meanings are
those of the ModSecurity v3 reference manual; how rule sets are loaded and asked is in [the guide](../guide/waf.md).
A file that has a word which is refused, or is not here, is not loaded, and the message says where it stands. Directives
that switch what is refused, such as `SecXmlExternalEntity`, may say `Off`.
"""

_KINDS: Final = {
    "directive": ("Directives", "directive"),
    "action": ("Actions", "action"),
    "variable": ("Variables", "variable"),
    "operator": ("Operators", "operator"),
    "transformation": ("Transformations", "transformation"),
}


def markdown() -> str:
    """The page."""
    return _INTRODUCTION + "".join(_section(kind) for kind in _KINDS)


def main() -> None:
    """Writes the page into the repository that is the working directory."""
    PAGE.write_text(markdown(), encoding="utf-8")


def _section(kind: str) -> str:
    title, column = _KINDS[kind]
    words = [(name, about, standing) for of, name, about, standing in waf_words() if of == kind]
    text = f"\n## {title}\n\n" + _table(
        column, [(name, about) for name, about, standing in words if standing == "works"]
    )
    for wanted, said in (("without bearing", "Read, and without effect here:"), ("refused", "Refused:")):
        rows = [(name, about) for name, about, standing in words if standing == wanted]
        if rows:
            text += f"\n{said}\n\n{_table(column, rows, 'why')}"
    return text


def _table(column: str, rows: list[tuple[str, str]], about: str = "about") -> str:
    if not any(text for _, text in rows):
        return ", ".join(f"`{name}`" for name, _ in rows) + ".\n"
    lines = "".join(f"| `{name}` | {text} |\n" for name, text in rows)
    return f"| {column} | {about} |\n| --- | --- |\n{lines}"


if __name__ == "__main__":
    main()
