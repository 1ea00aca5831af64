"""Releases of the Core Rule Set as its project publishes them, and how an archive of one gets here.

The index is that of GitHub's releases: it names the archives of a version, each with its SHA-256. An archive comes by
HTTPS alone, also after a redirect, whole and with that checksum, or not at all. Its members are written below one
folder and nowhere else.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import ssl
import tarfile
import urllib.error
import urllib.request
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from bartizan.failure import Failure

OFFICIAL: Final = "https://api.github.com/repos/coreruleset/coreruleset/releases"
"""Where the project's releases are listed."""

_LARGEST: Final = 64 * 1024 * 1024
"""Bytes of an archive, and of what is in it: the whole of version 4 with its tests is a tenth of that."""

_TIMEOUT_S: Final = 30.0


class Release(msgspec.Struct, frozen=True):
    """A release, as the index has it."""

    tag_name: str
    assets: list[Asset]

    @property
    def version(self) -> str:
        """`4.25.0`."""
        return self.tag_name.removeprefix("v")


class Asset(msgspec.Struct, frozen=True):
    """A file of a release."""

    name: str
    browser_download_url: str
    digest: str | None = None
    """`sha256:` and the checksum."""


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: object,
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Follows a redirect to https alone."""
        _check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


class Publisher:
    """Where releases come from."""

    def __init__(self, index: str = OFFICIAL, context: ssl.SSLContext | None = None) -> None:
        self._index = index.rstrip("/")
        self._opener = urllib.request.build_opener(
            _HttpsOnly(), urllib.request.HTTPSHandler(context=context or ssl.create_default_context())
        )

    def release(self, version: str) -> Release:
        """The release of a version. Raises Failure where there is none."""
        return self._listed(f"{self._index}/tags/v{version}")

    def newest(self) -> Release:
        """The newest release. Raises Failure where the index does not answer."""
        return self._listed(f"{self._index}/latest")

    def archive(self, release: Release, sha256: str | None = None) -> bytes:
        """The archive of a release, checked against its checksum, or against the one that is given.

        Raises:
            Failure: there is no archive, no checksum, or what comes is not what the checksum says.

        """
        archives = [asset for asset in release.assets if asset.name.endswith(".tar.gz")]
        # The minimal archive is the rules without tests and documents.
        asset = min(archives, key=lambda asset: "minimal" not in asset.name, default=None)
        if asset is None:
            raise Failure(f"release {release.tag_name} has no .tar.gz archive; download it and install the file")
        expected = sha256 or (asset.digest or "").removeprefix("sha256:")
        if not expected:
            raise Failure(f"{asset.name}: the index has no SHA-256 of it; give the right one with --sha256")
        content = self._content(asset.browser_download_url)
        check_sum(content, expected, asset.name)
        return content

    def _listed(self, url: str) -> Release:
        try:
            return msgspec.json.decode(self._content(url), type=Release)
        except msgspec.MsgspecError as error:
            raise Failure(f"{url}: this is no list of a release's files: {error}") from error

    def _content(self, url: str) -> bytes:
        _check(url)
        try:
            with self._opener.open(url, timeout=_TIMEOUT_S) as answer:
                content: bytes = answer.read(_LARGEST + 1)
                length = answer.headers.get("Content-Length")
        except http.client.HTTPException as error:
            raise Failure(f"{url}: the answer was cut off: {error!r}") from error
        except (urllib.error.URLError, OSError) as error:
            raise Failure(f"{url}: {error}; download the archive elsewhere and install the file") from error
        if len(content) > _LARGEST:
            raise Failure(f"{url}: it is larger than {_LARGEST:,} bytes, which no release is")
        if length is not None and int(length) != len(content):
            raise Failure(f"{url}: the answer was cut off after {len(content):,} of {int(length):,} bytes; try again")
        return content


def check_sum(content: bytes, expected: str, name: str) -> None:
    """Raises Failure where the SHA-256 of a file is not the expected one."""
    found = hashlib.sha256(content).hexdigest()
    if found != expected.lower():
        raise Failure(f"{name}: its SHA-256 is {found}, and {expected.lower()} is expected; nothing was installed")


def unpack(archive: bytes, name: str, directory: Path) -> None:
    """Writes the files of an archive into a folder that exists, without the one folder that is around them.

    Raises:
        Failure: it is no archive, or has what would be written elsewhere.

    """
    try:
        # To its end, where its own checksum stands: the last file of an archive ends before that.
        with gzip.open(io.BytesIO(archive)) as packed:
            content = packed.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise Failure(f"{name}: its files are more than {_LARGEST:,} bytes, which no release has")
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as opened:
            _unpack(opened, name, directory)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise Failure(f"{name}: this is no whole .tar.gz archive: {error}") from error


def _unpack(opened: tarfile.TarFile, name: str, directory: Path) -> None:
    for member in opened:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise Failure(f"{name}: {member.name!r} would be written outside of the folder; nothing was installed")
        inner = Path(*path.parts[1:])
        if member.isdir() or not path.parts[1:]:
            continue
        if not member.isreg():
            raise Failure(f"{name}: {member.name!r} is neither a file nor a folder; nothing was installed")
        content = opened.extractfile(member)
        if content is not None:
            target = directory / inner
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.read())


def _check(url: str) -> None:
    if not url.startswith("https://"):
        raise Failure(f"{url}: a rule set comes by https alone")
