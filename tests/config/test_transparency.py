"""The settings of key transparency: what is wrong with them, alone and as a part of a site file."""

# ruff: noqa: E501  messages are quoted whole, to be read as people get them

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bartizan.config.document import NO_TRANSPARENCY, parts
from bartizan.config.load import load
from bartizan.config.problem import SiteError
from bartizan.config.site import Site
from bartizan.config.transparency import Auditor, Transparency
from bartizan.config.transparency_file import read_transparency

ZONE = """[zones.shop]
hosts = ["shop.example"]
origins = ["http://127.0.0.1:8001"]
"""

MISTAKES = [
    ("listn = []", ':2:1: transparency auditor: unknown key "listn"; did you mean "listen"?'),
    ("workers = 257", ':2:11: transparency auditor: "workers" is 257; it must be from 0 to 256'),
    (
        'listen = ["9420"]',
        ':2:11: transparency auditor listen 1: "9420" has no port; write it as in "0.0.0.0:8080" or "[::]:8080"',
    ),
    (
        'log_ca_file = "none.pem"',
        ':2:15: transparency auditor: "log_ca_file" names {here}/none.pem, which cannot be read; correct the path or its permissions',
    ),
    (
        'listen_tls = ["127.0.0.1:9420"]\ncertificate_file = "own.pem"',
        ':1:15: transparency auditor: "key_file" is missing; "listen_tls" needs a certificate and its key',
    ),
    (
        'administrators = ["ops.example"]',
        ':2:1: transparency auditor: "administrators" are known by their certificates; name the authority in client_ca_file',
    ),
    (
        'client_ca_file = "own.pem"',
        ':2:1: transparency auditor: "client_ca_file" is for addresses in listen_tls, and there are none; add one or leave it out',
    ),
]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "own.pem").write_text("")
    return tmp_path


@pytest.mark.parametrize(("table", "problem"), MISTAKES)
def test_a_mistake_is_told_alike_alone_and_in_a_site_file(table: str, problem: str, directory: Path) -> None:
    site = directory / "site.toml"
    site.write_text(f"[transparency.auditor]\n{table}\n")
    expected = f"{site}{problem.format(here=directory)}"
    with pytest.raises(SiteError) as refused:
        read_transparency(site)
    assert [str(each) for each in refused.value.problems] == [expected]
    site.write_text(f"[transparency.auditor]\n{table}\n{ZONE}")
    assert [str(each) for each in load(site, directory).problems] == [expected]


def test_files_are_relative_to_the_site_file(directory: Path) -> None:
    site = directory / "site.toml"
    site.write_text(
        '[transparency.auditor]\nlisten_tls = ["127.0.0.1:1"]\ncertificate_file = "own.pem"\nkey_file = "own.pem"\n'
    )
    own = str(directory / "own.pem")
    expected = Transparency(Auditor(listen_tls=["127.0.0.1:1"], certificate_file=own, key_file=own))
    assert read_transparency(site) == expected


def test_a_site_without_it_has_none(directory: Path) -> None:
    site = directory / "site.toml"
    site.write_text(ZONE)
    assert read_transparency(site) == Transparency()


def test_the_document_has_it_for_the_auditor_and_not_for_the_edge(directory: Path) -> None:
    def made(text: str) -> tuple[bytes, bytes]:
        (directory / "site.toml").write_text(text)
        loaded = load(directory / "site.toml", directory)
        assert isinstance(loaded.site, Site)
        policy = parts(
            loaded.site,
            directory=directory,
            spool=directory,
            list_items={},
            pages={},
            rule_sets={},
            certificates={},
        )
        return policy.transparency, policy.document(1)

    without, document = made(ZONE)
    assert without == NO_TRANSPARENCY
    with_it, same = made(f'[transparency.auditor]\nlog_ca_file = "own.pem"\n{ZONE}')
    assert same == document
    assert msgspec.json.decode(with_it) == {"auditor": {"log_ca_file": str(directory / "own.pem")}}
