"""A Core Rule Set is installed whole, checked, and from the archive that its index names, or not at all."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import ssl
import stat
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
from tests.waf.test_ruleset import core_rule_set, rule_file

from bartizan.cli import app
from bartizan.failure import Failure
from bartizan.waf import RuleSet, installed, releases
from bartizan.waf.releases import Publisher

ARCHIVE = "coreruleset-4.99.0-minimal.tar.gz"


def archive(version: str, *more: tuple[str, bytes]) -> bytes:
    """The release archive of a version."""
    rule = f"SecAction \"id:901001,phase:1,pass,nolog,ver:'OWASP_CRS/{version}'\"\n"
    files = [
        ("crs-setup.conf.example", b"# setup\n"),
        ("rules/REQUEST-901-INITIALIZATION.conf", rule.encode()),
        *more,
    ]
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as made:
        for name, content in files:
            member = tarfile.TarInfo(name if name.startswith(("/", "..")) else f"coreruleset-{version}/{name}")
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return written.getvalue()


class Index:
    """Releases on a local HTTPS server; what it answers can be spoilt."""

    def __init__(self) -> None:
        self.content = archive("4.99.0")
        self.digest: str | None = "sha256:" + hashlib.sha256(self.content).hexdigest()
        self.cut_off = False
        self.redirect: str | None = None
        authority = trustme.CA()
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(served)
        self.context = ssl.create_default_context()
        authority.configure_trust(self.context)
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.answer(self)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = served.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}"

    def answer(self, asked: BaseHTTPRequestHandler) -> None:
        if asked.path in ("/releases/tags/v4.99.0", "/releases/latest"):
            asset = {"name": ARCHIVE, "browser_download_url": f"{self.url}/{ARCHIVE}", "digest": self.digest}
            self._send(asked, json.dumps({"tag_name": "v4.99.0", "assets": [asset]}).encode())
        elif asked.path == f"/{ARCHIVE}" and self.redirect:
            asked.send_response(302)
            asked.send_header("Location", self.redirect)
            asked.send_header("Content-Length", "0")
            asked.end_headers()
        elif asked.path in (f"/{ARCHIVE}", "/elsewhere"):
            self._send(asked, self.content, cut=100 if self.cut_off else 0)
        else:
            asked.send_error(404)

    def _send(self, asked: BaseHTTPRequestHandler, content: bytes, cut: int = 0) -> None:
        asked.send_response(200)
        asked.send_header("Content-Length", str(len(content)))
        asked.end_headers()
        asked.wfile.write(content[: len(content) - cut])
        asked.close_connection = True

    @property
    def publisher(self) -> Publisher:
        return Publisher(f"{self.url}/releases", self.context)


@pytest.fixture
def index() -> Iterator[Index]:
    made = Index()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_a_version_is_installed_from_the_archive_that_the_index_names(index: Index, tmp_path: Path) -> None:
    made = installed.install_release(tmp_path, "4.99.0", index.publisher)
    assert (made.version, made.path, made.rules) == ("4.99.0", str(tmp_path / "4.99.0"), 1)
    assert RuleSet.load(made.path).ids == (901001,)
    assert installed.listed(tmp_path) == [made]
    with pytest.raises(Failure, match="installed already"):
        installed.install_release(tmp_path, "4.99.0", index.publisher)


def test_a_redirect_is_followed_to_https_alone(index: Index, tmp_path: Path) -> None:
    index.redirect = f"{index.url}/elsewhere"
    assert installed.install_release(tmp_path / "a", None, index.publisher).version == "4.99.0"
    index.redirect = "http://127.0.0.1:1/elsewhere"
    with pytest.raises(Failure, match="by https alone"):
        installed.install_release(tmp_path / "b", "4.99.0", index.publisher)
    assert installed.listed(tmp_path / "b") == []


@pytest.mark.parametrize("spoilt", ["checksum", "no checksum", "cut off", "version", "unknown", "no trust"])
def test_what_is_not_as_it_should_be_is_not_installed(index: Index, tmp_path: Path, spoilt: str) -> None:
    publisher, version, said = index.publisher, "4.99.0", spoilt
    match spoilt:
        case "checksum":
            index.digest, said = "sha256:" + "0" * 64, r"its SHA-256 is .* nothing was installed"
        case "no checksum":
            index.digest, said = None, "give the right one with --sha256"
        case "cut off":
            index.cut_off, said = True, "was cut off"
        case "version":
            index.content = archive("4.98.0")
            index.digest = "sha256:" + hashlib.sha256(index.content).hexdigest()
            said = "its rules are of version 4.98.0"
        case "unknown":
            version, said = "4.1.0", "404"
        case "no trust":
            publisher, said = Publisher(f"{index.url}/releases"), "certificate verify failed"
    with pytest.raises(Failure, match=said):
        installed.install_release(tmp_path, version, publisher)
    assert list(tmp_path.iterdir()) == []


def test_a_checksum_that_is_given_wins(index: Index, tmp_path: Path) -> None:
    index.digest = None
    right = hashlib.sha256(index.content).hexdigest()
    assert installed.install_release(tmp_path, "4.99.0", index.publisher, right.upper()).rules == 1


@pytest.mark.parametrize("name", ["../outside.conf", "/outside.conf", "rules/../../../outside.conf"])
def test_an_archive_that_reaches_outside_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "bad.tar.gz"
    file.write_bytes(archive("4.99.0", (name, b"x")))
    with pytest.raises(Failure, match="outside of the folder; nothing was installed"):
        installed.install_file(tmp_path / "state", file)
    assert not list(tmp_path.rglob("outside.conf"))
    assert installed.listed(tmp_path / "state") == []


def test_links_and_what_is_no_archive_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "link.tar.gz"
    with tarfile.open(file, "w:gz") as made:
        member = tarfile.TarInfo("crs/link")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(member)
    with pytest.raises(Failure, match="neither a file nor a folder"):
        installed.install_file(tmp_path / "state", file)
    for content in (b"no archive", archive("4.99.0")[:-40]):
        file.write_bytes(content)
        with pytest.raises(Failure, match=r"no whole \.tar\.gz archive"):
            installed.install_file(tmp_path / "state", file)
    with pytest.raises(Failure, match="its SHA-256 is"):
        installed.install_file(tmp_path / "state", file, "0" * 64)


def test_an_archive_that_changed_in_one_bit_is_refused_without_a_checksum_too(tmp_path: Path) -> None:
    whole = archive("4.99.0", ("rules/REQUEST-942-X.conf", b"SecMarker END\n" * 50))
    releases.unpack(whole, "whole.tar.gz", tmp_path)
    for at in range(10, len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        with pytest.raises(Failure, match=r"changed\.tar\.gz"):
            releases.unpack(bytes(changed), "changed.tar.gz", tmp_path)


def test_what_unpacks_to_more_than_any_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="its files are more than 67,108,864 bytes"):
        releases.unpack(gzip.compress(bytes(65 << 20)), "large.tar.gz", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_nobody_may_write_to_is_installed_and_removed(tmp_path: Path) -> None:
    source = tmp_path / "module"
    core_rule_set(source, "")
    rule_file(source, "SecAction \"id:9,phase:1,pass,ver:'OWASP_CRS/3.3.4'\"", "rules/REQUEST-910-IP.conf")
    for path in sorted(source.rglob("*"), reverse=True):
        path.chmod(0o555 if path.is_dir() else 0o444)
    source.chmod(0o555)
    made = installed.install_folder(tmp_path / "state", source)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (Path(made.path), *Path(made.path).rglob("*"))}
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items())
    installed.remove(tmp_path / "state", "3.3.4")
    assert list((tmp_path / "state").iterdir()) == []


def test_what_of_a_folder_cannot_be_copied_is_named(tmp_path: Path) -> None:
    source = tmp_path / "module"
    core_rule_set(source, "")
    (source / "gone.conf").symlink_to("nowhere")
    with pytest.raises(Failure, match=r"gone\.conf: .*No such file.*; nothing was installed"):
        installed.install_folder(tmp_path / "state", source)
    assert list((tmp_path / "state").iterdir()) == []


@pytest.mark.parametrize("of", ["file", "folder"])
def test_a_copy_to_itself_is_told_as_shutil_tells_it(of: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "module"
    rule_file(source, "# setup\n", "setup.conf")
    copytree = shutil.copytree

    def to_itself(folder: Path, new: Path, **_: object) -> None:
        if of == "file":
            shutil.copy(folder / "setup.conf", folder / "setup.conf")
        copytree(folder, new, dirs_exist_ok=True, copy_function=lambda file, _: shutil.copy(file, file))

    monkeypatch.setattr(shutil, "copytree", to_itself)
    with pytest.raises(Failure, match=r"setup\.conf.* are the same file; nothing was installed"):
        installed.install_folder(tmp_path / "state", source)
    assert list((tmp_path / "state").iterdir()) == []


def test_rules_that_do_not_load_are_not_installed(tmp_path: Path) -> None:
    file = tmp_path / "broken.tar.gz"
    file.write_bytes(archive("4.99.0", ("rules/REQUEST-920-X.conf", b"SecNothing On\n")))
    with pytest.raises(Failure, match=r"REQUEST-920-X\.conf:1: SecNothing"):
        installed.install_file(tmp_path / "state", file)
    assert list((tmp_path / "state").iterdir()) == []


def test_the_commands_install_list_update_and_remove(
    index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bartizan.cli.crs.Publisher", lambda url: Publisher(url, index.context))
    source = tmp_path / "debian"
    core_rule_set(source, "")
    rule_file(source, "SecAction \"id:9,phase:1,pass,ver:'OWASP_CRS/3.3.4'\"", "rules/REQUEST-910-IP.conf")
    state = ["--state", str(tmp_path / "state"), "--json"]
    assert app.run(["crs", "install", str(source), *state]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == "3.3.4"
    assert app.run(["crs", "update", "--index", f"{index.url}/releases", *state]) == 0
    assert app.run(["crs", "update", "--index", f"{index.url}/releases", *state]) == 0
    capsys.readouterr()
    assert app.run(["crs", "list", *state]) == 0
    assert [each["version"] for each in json.loads(capsys.readouterr().out)] == ["3.3.4", "4.99.0"]
    assert app.run(["crs", "remove", "3.3.4", *state]) == 0
    capsys.readouterr()
    assert app.run(["crs", "remove", "3.3.4", *state]) == 1
    assert "version 3.3.4 is not installed; installed: 4.99.0" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "state" / "crs").iterdir()) == ["4.99.0"]


def test_what_debian_has_in_etc_is_installed_with_it(tmp_path: Path) -> None:
    share, etc = tmp_path / "usr" / "share" / "modsecurity-crs", tmp_path / "etc" / "modsecurity" / "crs"
    core_rule_set(share, "", "owasp-crs.load")
    rule_file(etc, "SecAction \"id:900990,phase:1,pass,nolog,ver:'OWASP_CRS/3.3.4'\"", "crs-setup.conf")
    rule_file(etc, "SecAction \"id:900100,phase:1,pass,ver:'OWASP_CRS/3.3.4'\"", "REQUEST-900-BEFORE.conf")
    made = installed.install_folder(tmp_path / "state", share)
    assert RuleSet.load(made.path).ids == (900990, 900100, 901120, 942000, 942001)


def test_versions_are_ordered_by_their_numbers() -> None:
    assert installed.newer("4.10.0", "4.9.2")
    assert not installed.newer("4.9.2", "4.9.2")
    assert not installed.newer("3.3.10", "4.0.0")
