"""Rule sets of a site file are read whole, so that the policy holds all that they say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.config.test_document import SHORTEST, made

from bartizan.config.identity import ruleset_id
from bartizan.config.load import load
from bartizan.config.rule_sets import arranged, versions
from bartizan.config.site import Ruleset
from bartizan.failure import Failure


def written(directory: Path, files: Mapping[str, str | bytes]) -> None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)


def ruleset(directory: Path, settings: str) -> dict[str, Any]:
    policy = made(directory, f"{SHORTEST}\n[rulesets.own]\n{settings}")
    part: dict[str, Any] = json.loads(policy.rulesets[ruleset_id("own", Ruleset())])
    return part


def test_a_rule_file_brings_all_that_it_includes_and_the_data_beside_it(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "rules/main.conf": 'Include more/*.conf\nIncludeOptional x\nSecRule ARGS "@pmFromFile w.data" "id:1"\n',
            "rules/more/b.conf": 'SecRule ARGS "!@ipMatchFromFile a.data" "id:2"\n',
            "rules/more/a.data": "192.0.2.1\n",
            "rules/w.data": b"caf\xe9\n",
            "rules/other.conf": "SecMarker NOT_READ\n",
        },
    )
    rules = tmp_path / "rules"
    assert ruleset(tmp_path, 'seclang = "rules/main.conf"') == {
        "name": "own",
        "phase": "http_request_firewall_managed",
        "seclang": {
            "paranoia_level": 1,
            "before": "SecRuleEngine On\n",
            "after": f'Include "{rules}/main.conf"\n',
            "files": {
                f"{rules}/main.conf": (rules / "main.conf").read_text(),
                f"{rules}/more/a.data": "192.0.2.1\n",
                f"{rules}/more/b.conf": (rules / "more/b.conf").read_text(),
                f"{rules}/w.data": {"latin1": "caf\u00e9\n"},
            },
            "left_out": {},
        },
    }


def test_setup_is_read_after_that_of_the_rule_set_and_finds_files_beside_the_site_file(tmp_path: Path) -> None:
    first = "rules/REQUEST-901-INITIALIZATION.conf"
    crs = {"crs-setup.conf": "SecMarker SETUP\n", first: "SecMarker RULES\n"}
    written(tmp_path / "crs" / "4.9.0", {**crs, first: 'SecRule ARGS "@pmFromFile x" "id:1"'} | {"rules/x": "old"})
    written(tmp_path / "crs" / "4.25.0", crs)
    written(tmp_path, {"exclusions.conf": "SecRuleRemoveById 1\n"})
    newest = tmp_path / "crs" / "4.25.0"
    part = ruleset(tmp_path, 'seclang = "crs"\nparanoia_level = 3\nsetup = "Include exclusions.conf"')["seclang"]
    setup = f"{tmp_path}/rulesets.own.setup"
    base, crs_setup = part["before"].splitlines()[1:]
    assert (part["paranoia_level"], crs_setup) == (3, f'Include "{newest}/crs-setup.conf"')
    assert part["after"] == f'Include "{setup}"\nInclude "{newest}/{first}"\n'
    assert part["files"][setup] == "Include exclusions.conf"
    assert part["files"][f"{tmp_path}/exclusions.conf"] == "SecRuleRemoveById 1\n"
    assert "SecRequestBodyAccess On" in part["files"][base.removeprefix('Include "').removesuffix('"')]
    older = ruleset(tmp_path, 'seclang = "crs@4.9.0"')["seclang"]
    assert older["files"][f"{tmp_path}/crs/4.9.0/rules/x"] == "old"
    assert [path.name for path in versions(tmp_path / "crs")] == ["4.9.0", "4.25.0"]


@pytest.mark.parametrize(
    ("settings", "files", "problem"),
    [
        ('seclang = "crs@3.3.5"', {}, '6:11: ruleset "own": no Core Rule Set "3.3.5" is installed; '),
        (
            'seclang = "empty"',
            {"empty/x.txt": ""},
            '6:11: ruleset "own": {here}/empty: there is neither a Core Rule Set',
        ),
        (
            'seclang = "a.conf"',
            {"a.conf": "\nInclude b.conf\n"},
            '{here}/a.conf:2:1: ruleset "own": {here}/b.conf: ',
        ),
        (
            'seclang = "a.conf"',
            {"a.conf": 'SecRule ARGS "@pmf gone.data" "id:1"\n'},
            '{here}/a.conf:1:1: ruleset "own": SecRule: {here}/gone.data: No such file',
        ),
        (
            "seclang = \"a.conf\"\nsetup = '''\nSecMarker A\nInclude gone.conf'''",
            {"a.conf": ""},
            '9:1: ruleset "own": {here}/gone.conf: No such file',
        ),
    ],
)
def test_what_cannot_be_read_is_told_where_it_is_named(
    tmp_path: Path, settings: str, files: Mapping[str, str | bytes], problem: str
) -> None:
    written(tmp_path, files)
    file = tmp_path / "site.toml"
    file.write_text(f"{SHORTEST}[rulesets.own]\n{settings}\n")
    loaded = load(file, tmp_path / "crs")
    [told] = [str(each).removeprefix(f"{file}:").removeprefix(f"{tmp_path}/") for each in loaded.problems]
    expected = problem.replace("{here}", str(tmp_path)).removeprefix(f"{tmp_path}/")
    assert told.startswith(expected)
    assert not loaded.judged_whole


def test_a_folder_of_other_rules_is_its_files_by_their_names(tmp_path: Path) -> None:
    written(tmp_path, {"b.conf": "", "a.conf": "", "c.data": ""})
    found = arranged(tmp_path, "SecMarker FIRST")
    assert (found.before, found.left_out) == ("", [])
    assert found.after == f'SecMarker FIRST\nInclude "{tmp_path}/a.conf"\nInclude "{tmp_path}/b.conf"\n'
    with pytest.raises(Failure, match="there is neither a Core Rule Set"):
        arranged(tmp_path / "gone")
