"""The demo shows what it promises, for real: datasette, TLS, the event store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bartizan.demo.drive import Answer
from bartizan.demo.requests import SAMPLES


def test_every_verdict_is_as_expected_and_the_store_says_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bartizan.cli", "demo", "--once", "--state", str(tmp_path / "demo")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "NOT AS EXPECTED" not in ended.stdout
    assert [sample.title for sample in SAMPLES if sample.title not in ended.stdout] == []
    table = ended.stdout.partition("the same from the event store")[2]
    assert [sample.rule for sample in SAMPLES if sample.rule not in table] == []


def test_it_keeps_running_until_it_is_stopped(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bartizan.cli", "demo", "--state", str(tmp_path / "demo")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "keeps running until Ctrl-C" in line:
                break
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.stdout.read().endswith("stopping\n")
        assert process.wait(200) == 0
    assert not (tmp_path / "demo" / ".bartizan" / "run" / "supervisor.sock").exists()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.title)
def test_only_the_right_status_action_and_rule_are_as_expected(sample: object) -> None:
    from bartizan.demo.requests import Sample

    assert isinstance(sample, Sample)
    action = "" if sample.verdict in ("pass", "refuse") else sample.verdict
    right = Answer(sample=sample, status=sample.expected_status, ray_id="1", action=action, rule=sample.rule)
    wrong = [
        Answer(sample=sample, status=500, ray_id="1", action=action, rule=sample.rule),
        Answer(sample=sample, status=sample.expected_status, ray_id="1", action="skip", rule=sample.rule),
        Answer(sample=sample, status=sample.expected_status, ray_id="1", action=action, rule="another rule"),
    ]
    assert right.as_expected
    assert not any(answer.as_expected for answer in wrong)


def test_a_site_file_of_ones_own_is_not_replaced(tmp_path: Path) -> None:
    site = tmp_path / "bartizan.toml"
    site.write_text("# mine\n")
    command = [sys.executable, "-m", "bartizan.cli", "demo", "--once", "--state", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert (ended.returncode, site.read_text()) == (1, "# mine\n")
    assert ended.stderr == (f"bartizan demo: {site} is a site file of your own; name another directory with --state\n")
