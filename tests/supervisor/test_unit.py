"""The systemd unit, judged by systemd's own tools."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bartizan.cli import app
from bartizan.supervisor.unit import unit


@pytest.fixture(params=[None, "auditor", "monitor"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    # A program that is there, or `verify` complains.
    text = unit(
        program=Path("/bin/true"),
        site=tmp_path / "a site.toml",
        state=Path("/var/lib/bartizan"),
        user="bartizan",
        monitor="127.0.0.1:9419",
        stop_s=60,
        alone=request.param,
    )
    file = tmp_path / "bartizan.service"
    file.write_text(text)
    return file


def examined(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60)


def test_systemd_understands_it(written: Path) -> None:
    result = examined("verify", str(written))
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_it_exposes_little(written: Path) -> None:
    # The threshold is in tenths: 3.0.
    assert examined("security", "--offline=true", "--threshold=30", str(written)).returncode == 0


def test_paths_are_words_of_a_unit_file() -> None:
    text = unit(
        program=Path("/opt/50%/bartizan"),
        site=Path('/etc/a "b"/$site.toml'),
        state=Path("/srv/state"),
        user="edge",
        monitor=None,
        stop_s=60,
    )
    assert 'ExecStart=/opt/50%%/bartizan up "/etc/a \\"b\\"/$$site.toml" --state /srv/state\n' in text
    assert "ReadWritePaths=/srv/state\n" in text
    assert "StateDirectory" not in text


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/bin/true"])
    assert app.run(["systemd", "/etc/bartizan/bartizan.toml", "--user", "edge", "--json"]) == 0
    text = json.loads(capsys.readouterr().out)["unit"]
    assert "\nUser=edge\n" in text
    assert "ExecStartPre=/bin/true check /etc/bartizan/bartizan.toml --state /var/lib/bartizan\n" in text


@pytest.mark.parametrize("what", ["auditor", "monitor"])
def test_what_runs_without_an_edge_has_a_unit_of_its_own(
    what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["/bin/true"])
    assert app.run(["systemd", "/etc/bartizan/kt.toml", "--only", what, "--monitor", "127.0.0.1:9421"]) == 0
    text = capsys.readouterr().out
    words = f"transparency {what} serve /etc/bartizan/kt.toml --state /var/lib/bartizan --monitor 127.0.0.1:9421"
    assert f"\nType=exec\nExecStart=/bin/true {words}\nRestart=on-failure\n" in text
    assert "ExecReload" not in text


@pytest.mark.parametrize(
    "words",
    [["--user", "Nobody!"], ["--monitor", "localhost"], ["--monitor", "127.0.0.1:99999"], ["--only", "edge"]],
)
def test_what_cannot_be_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        app.run(["systemd", *words])
    assert left.value.code == 2
    assert "such as" in capsys.readouterr().err
