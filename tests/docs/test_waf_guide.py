"""What docs/guide/waf.md has people append to a site file blocks the attack that it shows, and is tuned as it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.waf.test_ruleset import rule_file

from bartizan.cli import app

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "waf.md").read_text()
BLOCKS = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
ATTACK = re.search(r'^curl -i "http://127\.0\.0\.1:8080(/\S+)"', PAGE, re.MULTILINE)
SETUP = """\
SecDefaultAction "phase:2,log,auditlog,pass"
SecAction "id:901100,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=5"
"""
RULES = """\
SecRule ARGS "@detectSQLi" "id:942100,phase:2,block,msg:'SQL',tag:'attack-sqli',tag:'paranoia-level/1',\\
    setvar:tx.blocking_inbound_anomaly_score=+5"
SecRule TX:blocking_inbound_anomaly_score "@ge %{tx.inbound_anomaly_score_threshold}" \\
    "id:949110,phase:2,deny,msg:'Inbound Anomaly Score Exceeded'"
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The site file of the guide, beside a state directory in which a small Core Rule Set is installed."""
    crs = tmp_path / "crs"
    rule_file(crs, SETUP, "crs-setup.conf")
    rule_file(
        crs, "SecAction \"id:1,phase:1,pass,nolog,ver:'OWASP_CRS/4.25.0'\"", "rules/REQUEST-901-INITIALIZATION.conf"
    )
    rule_file(crs, RULES, "rules/REQUEST-942-SQLI.conf")
    written = tmp_path / "bartizan.toml"
    assert app.run(["init", "http://127.0.0.1:8001", "--file", str(written)]) == 0
    assert app.run(["crs", "install", str(crs), "--site", str(written)]) == 0
    written.write_text(f"{written.read_text()}\n{BLOCKS[0]}")
    return written


def outcome(site: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What comes of the attack of the guide."""
    assert ATTACK is not None
    request = rule_file(site.parent, f"GET {ATTACK[1]} HTTP/1.1\r\nHost: shop.example\r\n\r\n", "attack.http")
    capsys.readouterr()
    app.run(["replay", "--http", str(request), "--site", str(site), "--client-ip", "192.0.2.7", "--json"])
    said = json.loads(capsys.readouterr().out)["verdicts"][0]["verdict"]
    return f"{said['outcome']} {said['status']}"


def test_the_attack_of_the_guide_is_blocked(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["check", str(site)]) == 0
    assert "in order: 1 zone" in capsys.readouterr().out, "without a warning"
    assert outcome(site, capsys) == "blocked 403"


def test_it_passes_where_the_guide_takes_its_rule_out(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tuned = site.read_text().replace('action_parameters = { id = "crs" }\n', BLOCKS[1], 1)
    site.write_text(tuned + BLOCKS[2])
    assert app.run(["check", str(site)]) == 0
    assert outcome(site, capsys) == "ok None"
