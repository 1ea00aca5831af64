"""A magazine, Wagtail: editors write articles of rich text, code and HTML, upload, publish; readers search, write."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proofs.applications import SITE, Application, Step, django, steps, words

if TYPE_CHECKING:
    from playwright.sync_api import Page

_SETTINGS: Final = "press.settings"
_EDITOR: Final = "editor"

_ARTICLES: Final = (
    ("The union's new chair", words.PROSE, words.PROSE, None),
    ("How we join tables", "What SQL is for: joins.", words.SQL, None),
    ("`rm -rf` and other short words", "Never paste what you haven't read.", words.SHELL, None),
    ("Boxes & frames", "HTML as people embed it.", words.MARKDOWN, words.HTML),
    ("A trace, read aloud", "Top to bottom; then back.", words.TRACE, None),
    ("print('hello') in two languages", "Python, then PHP.", f"{words.PYTHON}\n{words.PHP}", None),
    ("f(x) = 0 -- or is it?", words.EQUATION, words.EQUATION, None),
)
_SEARCHES: Final = ("union", "select from where", "O'Brien & Sons", 'rm -rf "build"', "<script>", "x != 1; y = 2")
_DOCUMENTS: Final = (("install (new).txt", words.SHELL), ("tables.csv", words.SQL), ("README.md", words.MARKDOWN))
_LETTERS: Final = (
    ("Your article on unions", words.PROSE),
    ("It doesn't run: `curl | sh`", words.SHELL),
    ("A mistake in <script>", words.HTML),
    ("Where's the index?", f"{words.SQL}\n{words.URL}"),
)


def _make(folder: Path) -> None:
    migrations = folder / "press_migrations"
    migrations.mkdir()
    (migrations / "__init__.py").touch()
    django.call(_SETTINGS, folder, "django", "makemigrations", "--verbosity", "0", "press")
    django.call(_SETTINGS, folder, "django", "migrate", "--verbosity", "0")
    django.call(_SETTINGS, folder, "press.first_issue", _EDITOR, words.PASSWORD)


def _serve(folder: Path) -> AbstractContextManager[str]:
    return django.serving_site(_SETTINGS, folder)


def _read(page: Page) -> None:
    for path in ("/", "/write/", "/search/?query=gates"):
        page.goto(f"{SITE}{path}")


def _letter(number: int) -> Step:
    subject, text = _LETTERS[number]

    def write(page: Page) -> None:
        page.goto(f"{SITE}/write/")
        sender = {"name": words.NAMES[number], "email": f"o'brien+{number}@example.org"}
        letter = {**sender, "subject": subject, "letter": text}
        steps.fill(page, {f"[name={field}]": value for field, value in letter.items()})
        page.click("#letter button")
        page.wait_for_selector("text=Your letter has arrived")

    return f"write a letter: {subject}", write


def _log_in(page: Page) -> None:
    page.goto(f"{SITE}/admin/")
    page.fill("#id_username", _EDITOR)
    page.fill("#id_password", words.PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_selector("#id_q")


def _article(number: int) -> Step:
    title, summary, code, html = _ARTICLES[number]

    def write(page: Page) -> None:
        page.goto(f"{SITE}/admin/pages/3/")
        page.goto(f"{SITE}/admin/pages/add/press/article/3/")
        page.fill("#id_title", title)
        page.fill("#id_summary", summary[:250])
        page.click(".public-DraftEditor-content")
        steps.write(page, summary)
        _add_block(page, "code", code)
        if html is not None:
            _add_block(page, "html", html)
        # Once open it is so for each further article, and shows it as it is written.
        if page.get_attribute("button[data-side-panel-toggle=preview]", "aria-expanded") == "false":
            page.click("button[data-side-panel-toggle=preview]")
        page.click("button.action-save:visible")
        page.wait_for_url("**/edit/")
        page.click("footer .w-dropdown__toggle")
        page.click("button[name=action-publish]:visible")
        page.wait_for_selector("text=published.")

    return f"write an article: {title}", write


def _add_block(page: Page, kind: str, text: str) -> None:
    page.click("button.c-sf-add-button >> nth=-1")
    page.click(f"[role=option]:has-text('{kind}') >> nth=0")
    page.fill("textarea[name^='blocks-'] >> nth=-1", text)


def _upload_picture(page: Page) -> None:
    page.goto(f"{SITE}/admin/images/multiple/add/")
    steps.upload(page, "#fileupload", "gate 'north' & moat (2).png", "image/png", words.picture(128))
    _name_upload(page, 'Gate "north" -- before & after; 1/2')


def _upload_document(number: int) -> Step:
    name, text = _DOCUMENTS[number]

    def upload(page: Page) -> None:
        page.goto(f"{SITE}/admin/documents/multiple/add/")
        steps.upload(page, "#fileupload", name, "text/plain", text.encode())
        _name_upload(page, f"Notes: {name}")

    return f"upload a document: {name}", upload


def _name_upload(page: Page, title: str) -> None:
    """Says what was uploaded once it is there."""
    page.fill("#upload-list input[name$=title]", title)
    with page.expect_response(lambda response: response.request.method == "POST") as named:
        page.click("#upload-list button[type=submit], #upload-list input[type=submit]")
    assert named.value.ok, f"the new title was answered {named.value.status}"


def _search(page: Page) -> None:
    for asked in _SEARCHES:
        steps.search(page, "/search/", "#query", asked, "**/search/?query=*")


def _search_as_editor(page: Page) -> None:
    for asked in _SEARCHES:
        steps.search(page, "/admin/", "#id_q", asked, "**q=*")


def _read_letters(page: Page) -> None:
    page.goto(f"{SITE}/admin/forms/")
    page.click("td a >> text=Write to us")
    page.wait_for_url("**/forms/submissions/**")


def _redirect(page: Page) -> None:
    page.goto(f"{SITE}/admin/redirects/add/")
    page.fill("#id_old_path", "/old/issue.php?id=12")
    page.fill("#id_redirect_link", words.URL)
    page.click("button[type=submit]:visible >> nth=-1")
    page.wait_for_selector("text=added")


def _add_user(page: Page) -> None:
    page.goto(f"{SITE}/admin/users/new/")
    steps.fill(
        page,
        {
            "#id_username": "zoe",
            "#id_email": "zoe.o'brien@example.org",
            "#id_first_name": "Zoë",
            "#id_last_name": "O'Brien & Söhne",
            "#id_password1": words.STRONG_PASSWORD,
            "#id_password2": words.STRONG_PASSWORD,
        },
    )
    page.click("button[type=submit]:visible >> nth=-1")
    page.wait_for_selector("text=created")


WAGTAIL: Final = Application(
    "wagtail",
    "a magazine: readers' searches and letters; articles of rich text, code and HTML, pictures, documents, users",
    _make,
    _serve,
    (
        ("read", _read),
        *(_letter(number) for number in range(len(_LETTERS))),
        ("log in", _log_in),
        *(_article(number) for number in range(len(_ARTICLES))),
        ("upload a picture", _upload_picture),
        *(_upload_document(number) for number in range(len(_DOCUMENTS))),
        ("search as a reader", _search),
        ("search as the editor", _search_as_editor),
        ("read the letters", _read_letters),
        ("redirect an old address", _redirect),
        ("add a user", _add_user),
    ),
)
