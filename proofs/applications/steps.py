"""What people do alike in several applications: they search, fill fields in, write rich text, choose files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from proofs.applications import SITE

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["fill", "search", "upload", "write"]


def search(page: Page, path: str, field: str, asked: str, answer: str) -> None:
    """Asks for something in the field of a page, and waits for the address of the answer."""
    page.goto(f"{SITE}{path}")
    page.fill(field, asked)
    page.press(field, "Enter")
    page.wait_for_url(answer)


def fill(page: Page, values: Mapping[str, str]) -> None:
    """Fills fields in."""
    for field, value in values.items():
        page.fill(field, value)


def write(page: Page, text: str) -> None:
    """Writes line by line into the editor that has the cursor."""
    for line in text.splitlines():
        page.keyboard.insert_text(line)
        page.keyboard.press("Enter")


def upload(page: Page, field: str, name: str, kind: str, content: bytes) -> None:
    """Chooses a file."""
    page.set_input_files(field, {"name": name, "mimeType": kind, "buffer": content})
