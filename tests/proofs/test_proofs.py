"""Every long run works, for seconds: `make prove NAME=...` runs it for as long as it takes to prove something."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import core_rules
from tests.e2e.autobahn import python2

from bartizan._native import AuditProof
from bartizan.waf import RuleSet
from proofs import applications

REPOSITORY = Path(__file__).parents[2]

SHORT: dict[str, list[str]] = {
    "ambiguity": ["--only", "responses"],
    "autobahn": ["--cases", "1.*"],
    "browser": ["--mib", "2"],
    "core_rule_set": ["--only", "9421"],
    "crash": ["--trials", "4", "--margin-s", "4"],
    "cut_insert": ["--trials", "2", "--seed", "1"],
    "epochs": ["--database", "sqlite", "--trials", "4", "--seed", "1"],
    "epochs postgresql": ["--database", "postgresql", "--trials", "4", "--seed", "1"],
    "false_positives": ["--only", "datasette", "--step", "narrow to name", "--step", "ask: select sql"],
    "fuzz": ["http1_request", "5"],
    "fuzz audit_proof": ["audit_proof", "5"],
    "fuzz rules_evaluator": ["rules_evaluator", "5"],
    "fuzz rules_parser": ["rules_parser", "5"],
    "fuzz seclang_rules": ["seclang_rules", "60", "--inputs", "1000"],
    "gates": ["--requests", "300", "--seed", "1", "--profile", "dev"],
    "h2spec": ["--times", "1"],
    "libinjection": ["--values", "20000", "--seed", "1"],
    "mishaps": ["--only", "torn record", "--only", "clock set back", "--only", "sink that dies"],
    "overrides": ["--only", "94210", "--case", "tag", "--case", "rules"],
    "patterns": ["tests/proofs/patterns", "--values", "1000", "--seed", "1"],
    "power_cut": ["--trials", "1", "--seed", "1"],
    "reload": ["--reloads", "2", "--upgrades", "1", "--clients", "2"],
    "rules": ["--pairs", "5000", "--printed", "500", "--seed", "1"],
    # Anything but time: what is slow is for the long run to say, on a machine that has nothing else to do.
    "slow_patterns": ["--tries", "4", "--only", "94216", "--most-us", "1e9", "--profile", "dev"],
    # At a rate that a machine carries which does other things too: what it carries alone is what the long run asks.
    "soak": ["--minutes", "0.4", "--down-minutes", "0.1", "--probe-seconds", "2", "--disk-gib", "2", "--rate", "300"],
}
"""The arguments with which each proof is over in seconds, and chance begins at the same place each time; what follows
its name tells its runs apart."""

WITH_CORE_RULES = {"core_rule_set", "false_positives", "gates", "overrides", "slow_patterns"}
"""The proofs that run the Core Rule Set, which Go fetches."""


def test_every_proof_is_run_here() -> None:
    proofs = {proof.stem for proof in (REPOSITORY / "proofs").glob("[!_]*.py")}
    assert proofs == {run.split(maxsplit=1)[0] for run in SHORT}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("run", sorted(SHORT))
def test_a_short_run_prints_one_line(run: str) -> None:
    name = run.split(maxsplit=1)[0]
    if name == "fuzz" and not has_cargo_fuzz():
        pytest.skip("cargo fuzz or the nightly toolchain is not installed; cargo install cargo-fuzz")
    if name == "autobahn":
        from tests.e2e.autobahn import tester

        tester()
    if name == "h2spec" and shutil.which("go") is None:
        pytest.skip("go is not installed, and it builds the HTTP/2 tester; https://go.dev/dl has it")
    if run == "fuzz seclang_rules" or name in WITH_CORE_RULES:
        core_rules.module()
    if name == "autobahn" and python2() is None:
        pytest.skip("there is no Python 2.7, which the WebSocket tester needs; pyenv install 2.7")
    command = [sys.executable, "-m", f"proofs.{name}", *SHORT[run]]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=590)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (line,) = ended.stdout.splitlines()
    said = json.loads(line)
    assert said["command"] == " ".join(["python -m", f"proofs.{name}", *SHORT[run]])
    assert re.fullmatch(r"[0-9a-f]{7,}\+?", said["commit"])


def test_a_folder_without_patterns_is_no_proof(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "proofs.patterns", str(tmp_path)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert f"{tmp_path} has no rule file (*.conf) with a pattern" in ended.stderr


def has_cargo_fuzz() -> bool:
    """Whether nightly `cargo fuzz` can be run."""
    if shutil.which("cargo-fuzz") is None:
        return False
    asked = subprocess.run(["cargo", "+nightly", "--version"], capture_output=True, check=False, timeout=60)
    return asked.returncode == 0


def fuzz() -> dict[str, Any]:
    """What `proofs/fuzz.py` is made of."""
    return vars(importlib.import_module("proofs.fuzz"))


def test_the_seeds_of_the_rules_are_the_hand_written_cases() -> None:
    parser = list(fuzz()["SEEDS"]["rules_parser"]())
    evaluator = list(fuzz()["SEEDS"]["rules_evaluator"]())
    assert len(parser) > 900
    assert b'true\n    http.host eq "a"' not in parser
    assert b"ip.src in {192.0.2.0/24}" in parser
    head = b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
    assert b"0@" + b"ip.src in {192.0.2.0/24}" + b"\0" + head + b"\0" + b"\0" in evaluator
    (upload,) = [seed for seed in evaluator if b"\0\0\x89PNG\r\n\x1a\n" in seed and b"\1" in seed]
    assert upload.startswith(b'0@http.request.body.mime eq "image/png"\1')
    (response,) = [seed for seed in evaluator if seed.startswith(b"1@http.response.code eq 404\0")]
    assert b"\0HTTP/1.1 404 Not Found\r\nContent-Type: text/HTML; charset=utf-8\r\n" in response
    assert any(seed.startswith(b"5@to_string(5)\0") for seed in evaluator)


def test_the_seeds_of_proofs_of_epochs_are_proofs() -> None:
    proofs = [AuditProof.decode(seed[1:]) for seed in fuzz()["SEEDS"]["audit_proof"]()]
    assert [(proof.inserted, proof.unchanged) for proof in proofs] == [(1, 2), (0, 1), (2, 2)]
    assert len({proof.roots(7) for proof in proofs}) == 3


def test_the_seeds_of_bodies_are_ours_and_those_of_the_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRS_TESTS", str(tmp_path))
    (ours,) = fuzz()["SEEDS"]["body_urlencoded"]()
    assert ours.startswith(b"a=1&")
    (tmp_path / "REQUEST-920").mkdir()
    (tmp_path / "REQUEST-920" / "920120.yaml").write_text(SUITE)
    seeds = {target: list(fuzz()["SEEDS"][target]()) for target in ("body_json", "body_multipart", "body_urlencoded")}
    assert seeds["body_json"][-1] == b'{"a": "\\n"}'
    assert seeds["body_urlencoded"] == [ours, b"it's=1"]
    form = b'--x\nContent-Disposition: form-data; name="a"\n\n  b\n--x--\n'
    line = b"multipart/form-data; boundary=x\n"
    assert seeds["body_multipart"][-2:] == [line + form, line + form.replace(b"\n", b"\r\n")]


def test_the_fuzzer_begins_with_the_core_rule_set_of_the_other_proofs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CRS_TESTS", raising=False)
    monkeypatch.setattr(core_rules, "fetched", lambda: tmp_path)
    (tmp_path / "tests" / "REQUEST-920").mkdir(parents=True)
    (tmp_path / "tests" / "REQUEST-920" / "920120.yaml").write_text(SUITE)
    assert b"it's=1" in list(fuzz()["SEEDS"]["body_urlencoded"]())


SUITE = """
tests:
  - test_id: 1
    stages:
      - input:
          headers:
            Content-Type: "multipart/form-data; boundary=x"
          data: |
            --x
            Content-Disposition: form-data; name="a"

              b
            --x--
          version: "HTTP/1.1"
      - input:
          headers:
            Content-Type: application/json
          data: "{\\"a\\": \\"\\\\n\\"}"
      - input:
          uri: "/"
          data: 'it''s=1'
"""


def test_every_fuzz_target_is_built_seeded_and_described() -> None:
    folder = REPOSITORY / "proofs" / "fuzz"
    files = (folder / "fuzz_targets").glob("*.rs")
    targets = {file.stem for file in files if "fuzz_target!(" in file.read_text()}
    bins = tomllib.loads((folder / "Cargo.toml").read_text())["bin"]
    rows = re.findall(r"^\| `(\w+)` \|", (folder / "README.md").read_text(), re.MULTILINE)
    assert {each["name"]: each["path"] for each in bins} == {name: f"fuzz_targets/{name}.rs" for name in targets}
    assert set(fuzz()["SEEDS"]) == targets
    assert sorted(rows) == sorted(targets)


def test_the_seeds_of_the_modsecurity_language_are_ours_and_the_rules_of_the_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRS_TESTS", str(tmp_path / "tests"))
    seeds = fuzz()["SEEDS"]
    rules, requests = list(seeds["seclang_rules"]()), list(seeds["seclang_request"]())
    for text in rules:
        (tmp_path / "seed.conf").write_bytes(text)
        RuleSet.load(tmp_path / "seed.conf")
    kinds = [re.search(rb"Content-Type: ([\w/-]+)", request) for request in requests]
    assert {kind[1] for kind in kinds if kind} == {
        b"application/json",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data",
        b"text/xml",
    }
    folder = tmp_path / "rules" / "@owasp_crs"
    folder.mkdir(parents=True)
    chain = 'SecRule ARGS "@rx a" \\\n    "id:1,\\\n    chain"\n    SecRule ARGS "@rx b" \\\n        "t:none"\n'
    (folder / "a.conf").write_text(f'# Nothing.\n{chain}\nSecMarker "END"\n')
    assert list(seeds["seclang_rules"]())[len(rules) :] == [
        b'SecRule ARGS "@rx a" "id:1,chain"\n    SecRule ARGS "@rx b" "t:none"\n',
        b'SecMarker "END"\n',
    ]


def test_the_dictionary_of_the_modsecurity_language_has_every_word(tmp_path: Path) -> None:
    words = fuzz()["write_dictionary"]("seclang_rules", tmp_path / "words").read_text().splitlines()
    assert {'"@detectSQLi"', '"t:urlDecodeUni"', '"REQUEST_COOKIES"', '",skipAfter"', '"SecMarker"'} <= set(words)
    assert '"@geoLookup"' not in words
    assert all(re.fullmatch(r'"(?:[^"\\]|\\.)+"|#.*', word) for word in words)


def test_the_dictionary_of_the_rules_has_every_name(tmp_path: Path) -> None:
    words = fuzz()["write_dictionary"]("rules_parser", tmp_path / "words").read_text().splitlines()
    assert {'"http.host"', '"regex_replace("', '" strict wildcard "'} <= set(words)
    assert all(re.fullmatch(r'"(?:[^"\\]|\\.)+"|#.*', word) for word in words)


def test_a_fuzz_run_that_did_not_run_is_no_proof() -> None:
    clean = fuzz()["clean"]
    runs = [(0, 1000, 0), (0, None, 0), (0, 0, 0), (127, 1000, 0), (0, 1000, 1)]
    assert [clean(*run) for run in runs] == [True, False, False, False, False]


def test_an_environment_of_applications_is_made_anew_where_its_programs_would_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def run(command: list[str | Path], *, check: bool) -> None:
        assert check
        if "venv" in command:
            made.append(str(command[-1]))
            Path(command[-1]).mkdir(exist_ok=True)

    monkeypatch.setattr(subprocess, "run", run)
    here, moved = tmp_path / "here", tmp_path / "moved"
    monkeypatch.setattr(applications, "_PLACE", here)
    assert applications.installed() == applications.installed() == here / "bin"
    here.rename(moved)
    # What stands at the beginning of a program is the path of the Python beside it, where that was made.
    monkeypatch.setattr(applications, "_PLACE", moved)
    assert applications.installed() == applications.installed() == moved / "bin"
    assert made == [str(here), str(moved)]
