"""An issue tracker, Roundup: people log in, report what is broken with code, traces and files, discuss and search."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.ports import reserved_port

from proofs.applications import SITE, Application, Step, installed, serving, steps, words

if TYPE_CHECKING:
    from playwright.sync_api import Page

_SERVER: Final = Path(__file__).parent / "sites" / "tracker.py"
_ISSUES: Final = (
    ("The union of two tables isn't sorted", words.SQL),
    ("Installing by `curl | sh` fails on Debian", words.SHELL),
    ("Crash on start: open('../etc/app.ini')", words.TRACE),
    ("<script> in a box doesn't run", words.HTML),
    ('echo in index.php prints "Hello you"', words.PHP),
    ("main() is called twice", words.PYTHON),
    ("Nobody can select a chair where the old one was", words.PROSE),
    ("README.md: link & table are wrong", words.MARKDOWN),
    ("limit of f(x) is off by one -- or is it?", words.EQUATION),
)
_SEARCHES: Final = ("union", "curl sh", "select where", "O'Brien", "index.php", "<script>", "x != 1")


def _make(directory: Path) -> None:
    """Makes a tracker of the classic kind."""
    programs, home = installed(), directory / "tracker"
    admin: list[str | Path] = [programs / "roundup-admin", "-i", home]
    subprocess.run([*admin, "install", "classic", "sqlite"], check=True, capture_output=True)
    settings = home / "config.ini"
    given = {"web": f"{SITE}/", "domain": "shop.test", "host": "localhost"}
    text = settings.read_text().replace("\ndebug = \n", f"\ndebug = {directory / 'mail'}\n")
    for name, value in given.items():
        text = text.replace(f"#{name} = NO DEFAULT", f"{name} = {value}")
    settings.write_text(text)
    subprocess.run([*admin, "initialise", words.PASSWORD], check=True, capture_output=True)


@contextmanager
def _serve(directory: Path) -> Iterator[str]:
    port = reserved_port()
    server: list[str | Path] = [installed() / "python", _SERVER, directory / "tracker", str(port)]
    with serving(server, f"http://127.0.0.1:{port}/", directory / "application.log") as origin:
        yield origin.rstrip("/")


def _log_in(page: Page) -> None:
    page.goto(f"{SITE}/")
    page.fill("input[name=__login_name]", "admin")
    page.fill("input[name=__login_password]", words.PASSWORD)
    page.click("input[type=submit][value=Login]")
    page.wait_for_selector("text=Hello, admin")
    page.wait_for_load_state("networkidle")


def _user(number: int) -> Step:
    name = words.NAMES[number]

    def add(page: Page) -> None:
        page.goto(f"{SITE}/user?@template=item")
        user = {
            "username": f"user{number}",
            "realname": name,
            "password": words.STRONG_PASSWORD,
            "@confirm@password": words.STRONG_PASSWORD,
            "organisation": 'O\'Neill & "Sons" GmbH/AG; est. 1962 -- Köln',
            "address": f"zoe.o'brien+{number}@example.org",
            "alternate_addresses": f"z{number}@example.org\nzoe_{number}@example.org",
        }
        steps.fill(page, {f"[name='{field}']": value for field, value in user.items()})
        page.click("input[name=submit_button]")
        page.wait_for_selector("text=created")

    return f"add the user {name}", add


def _report(number: int) -> Step:
    title, note = _ISSUES[number]

    def report(page: Page) -> None:
        page.goto(f"{SITE}/issue?@template=item")
        page.fill("input[name=title]", title)
        page.select_option("select[name=priority]", label="bug")
        page.fill("textarea[name='@note']", f"{note}\n\nSee {words.URL}")
        steps.upload(page, "input[name='@file']", f"what I've seen ({number}).log", "text/plain", note.encode())
        page.click("input[name=submit_button]")
        page.wait_for_selector("text=created")

    return f"report: {title}", report


def _discuss(number: int) -> Step:
    title, note = _ISSUES[number]

    def answer(page: Page) -> None:
        page.goto(f"{SITE}/issue{number + 1}")
        page.fill("input[name=title]", f"Re: {title} [wontfix?]")
        page.fill("textarea[name='@note']", f"Zoë wrote:\n> {note.splitlines()[0]}\nThat's it; I'd do:\n{words.SHELL}")
        page.click("input[name=submit_button]")
        page.wait_for_selector("text=edited ok")

    return f"answer: {title}", answer


def _search(page: Page) -> None:
    for asked in _SEARCHES:
        steps.search(page, "/issue", "#search-text", asked, "**search_text=*")
    page.goto(f"{SITE}/issue?@columns=id,activity,title,creator,status&@sort=-activity&@filter=status&status=-1,1,2,3")


def _file(page: Page) -> None:
    page.goto(f"{SITE}/file1")
    page.fill("input[name=name]", "../logs/what I've seen.log")
    page.click("input[name=submit_button]")
    page.wait_for_selector("text=edited ok")


ROUNDUP: Final = Application(
    "roundup",
    "an issue tracker: users, reports with code, traces and files, answers, searches",
    _make,
    _serve,
    (
        ("log in", _log_in),
        *(_user(number) for number in range(len(words.NAMES))),
        *(_report(number) for number in range(len(_ISSUES))),
        *(_discuss(number) for number in range(len(_ISSUES))),
        ("rename a file", _file),
        ("search", _search),
    ),
)
