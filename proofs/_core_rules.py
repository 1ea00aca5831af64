"""The Core Rule Set for the proofs that run it, and a site whose zone has a rule set judge requests and responses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from tests.e2e import core_rules

from bartizan.config.load import load
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.build import made_here, policy_of, provide_certificates

_SITE: Final = """
[edge]
threads = 2
{edge}

[rulesets.crs]
phase = "http_request_firewall_managed"
seclang = {rules}
{rule_set}

[zones.shop]
origins = [{origin}]
{zone}

[[zones.shop.rules]]
phase = "http_request_firewall_managed"
expression = "true"
action = "execute"
action_parameters = {{ id = "crs"{overrides} }}

[[zones.shop.rules]]
phase = "http_response_firewall_managed"
expression = "true"
action = "execute"
action_parameters = {{ id = "crs" }}
"""


def fetched() -> Path:
    """The folder of the Core Rule Set with its tests, fetched by Go; ends the proof where it cannot be."""
    try:
        return core_rules.fetched()
    except Failure as failure:
        sys.exit(str(failure))


def document(
    folder: Path, rules: Path, origin: str, *, edge: str, zone: str, rule_set: str = "", overrides: str = ""
) -> tuple[dict[str, Any], StateDirectory]:
    """The policy of such a site in a folder, with the certificates that it asks for, and the state directory there.

    `edge`, `zone` and `rule_set` are further settings of those tables, and `overrides` stands behind the id of the rule
    set, all in TOML.
    """
    state = StateDirectory(folder / "state")
    state.create()
    site = folder / "site.toml"
    # A string of JSON is a string of TOML.
    quoted = {"rules": json.dumps(str(rules)), "origin": json.dumps(origin)}
    site.write_text(_SITE.format(**quoted, edge=edge, zone=zone, rule_set=rule_set, overrides=overrides))
    loaded = load(site, state.rule_sets)
    if loaded.site is None or loaded.problems:
        raise SystemExit("\n".join(map(str, loaded.problems)))
    policy = policy_of(loaded, loaded.site, state)
    provide_certificates(policy, made_here(loaded.site, state), state)
    made: dict[str, Any] = json.loads(policy.document(1))
    return made, state
