"""The policy document made from a site file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from bartizan.config.document import Parts, parts
from bartizan.config.identity import rule_ids, ruleset_id
from bartizan.config.load import load
from bartizan.config.native import check_policy
from bartizan.config.site import CertificateFiles

SHORTEST = """
[zones.shop]
hosts = ["Shop.example"]
origins = ["http://127.0.0.1:8001"]
"""

FULL = """
[edge]
listen = ["127.0.0.1:8080", { address = "127.0.0.1:8081", proxy_protocol = true }]
listen_tls = ["127.0.0.1:8443"]
trusted_proxies = ["10.0.0.0/8"]
colo = "AMS"
threads = 2
limits = { head_bytes = 32768 }
geo = { location_file = "city.mmdb", asn_file = "asn.mmdb" }
spool.dir = "events"
spool.segment_bytes = 1048576
spool.segment_seconds = 5
spool.max_bytes = 8388608
spool.fsync = "always"
spool.fsync_interval_ms = 250

[events]
client_ip = "hashed"
redact = false
secret_parameters = ["customer"]
retention_days = 90
retention = { ClientIP = 7 }

[zones.shop]
hosts = ["shop.example", "*.shop.example"]
default = true
ip_geolocation = false
origins = ["http://127.0.0.1:8001", { url = "unix:/run/app.sock", weight = 3 }]

[zones.shop.pool]
stickiness = "cookie"
host_header = "app.internal"
http_version = "auto"
retries = 2
connect_timeout_s = 0.5
tls = { verify = false, ca_file = "ca.pem", server_name = "app.internal" }
active_health = { path = "/health", status = "200-299" }
passive_health = { failures = 5, cooldown_s = 20 }

[zones.shop.tls]
certificates = [{ certificate_file = "cert.pem", key_file = "/etc/key.pem" }]
min_version = "1.3"
https_redirect = true
hsts = { include_subdomains = true, preload = true }

[zones.shop.normalization]
incoming = "rfc3986"
to_origin = true

[zones.shop.body]
inspection_limit = 1024
wait_ms = 10
past_limit = "reject"

[zones.shop.compression]
enabled = false

[zones.shop.error_pages]
waf_block = { file = "page.html" }
500_errors = { content = "<head></head>::CLOUDFLARE_ERROR_500S_BOX::" }

[[zones.shop.rules]]
ref = "admin"
description = "office only"
expression = 'not ip.src in $office'
action = "block"
action_parameters = { response = { status_code = 404, content = "", content_type = "text/plain" } }

[[zones.shop.rules]]
expression = "true"
action = "execute"
action_parameters = { id = "basic" }
enabled = false

[[zones.shop.rules]]
expression = "true"
action = "skip"
action_parameters = { rulesets = ["basic"], rules = { basic = ["0000000000000000000000000000000a"] } }

[[zones.shop.rules]]
phase = "http_request_dynamic_redirect"
expression = "true"
action = "redirect"

[lists.office]
kind = "ip"
items = ["192.0.2.0/24"]

[lists.words]
kind = "string"
file = "words.txt"

[lists.names]
kind = "hostname"
items = ["shop.example", "*.shop.example"]

[lists.networks]
kind = "asn"
items = ["64496", "AS64511"]

[rulesets.basic]
[[rulesets.basic.rules]]
expression = "false"
action = "log"
categories = ["php"]
id = "0000000000000000000000000000000a"

[[account.rules]]
expression = "ssl"
action = "log"
"""


def made(directory: Path, text: str, certificates: dict[str, CertificateFiles] | None = None) -> Parts:
    (directory / "site.toml").write_text(text)
    for name in ("ca.pem", "cert.pem", "city.mmdb", "asn.mmdb"):
        (directory / name).write_text("")
    (directory / "page.html").write_text("<head></head>no")
    (directory / "words.txt").write_text("# head\none\ntwo\n")
    loaded = load(directory / "site.toml", directory / "crs")
    assert [str(each) for each in loaded.problems if "key.pem" not in each.message] == []
    assert loaded.site is not None
    return parts(
        loaded.site,
        directory=directory,
        spool=Path("/state/spool"),
        list_items=loaded.list_items,
        pages=loaded.pages,
        rule_sets=loaded.rule_sets,
        certificates=certificates or {},
    )


def test_the_shortest_site_gets_every_default_written_out(tmp_path: Path) -> None:
    leaf = CertificateFiles("/ca/shop.pem", "/ca/shop.pem")
    document = json.loads(made(tmp_path, SHORTEST, {"shop": leaf}).document(7))
    assert document == {
        "format": 1,
        "version": 7,
        "edge": {
            "listen": [{"address": "127.0.0.1:8080", "tls": False, "proxy_protocol": False}],
            "trusted_proxies": [],
            "colo": "LOC",
            "threads": 0,
            "limits": {},
            "geo": {"location_file": None, "asn_file": None},
            "spool": {
                "dir": "/state/spool",
                "segment_bytes": 67108864,
                "segment_seconds": 60,
                "max_bytes": 4294967296,
                "fsync": "interval",
                "fsync_interval_ms": 1000,
            },
            "events": {
                "client_ip": "full",
                "redact": True,
                "secret_parameters": [],
                "retention_days": 30,
                "retention": {},
            },
        },
        "lists": {},
        "rulesets": {},
        "account": {"error_pages": {}, "phases": {}},
        "zones": [
            {
                "name": "shop",
                "hosts": ["shop.example"],
                "default": False,
                "origin": {
                    "servers": [{"url": "http://127.0.0.1:8001", "weight": 1}],
                    "stickiness": "none",
                    "host_header": None,
                    "tls": {"verify": True, "ca_file": None, "server_name": None},
                    "http_version": "1.1",
                    "active_health": None,
                    "passive_health": {"failures": 3, "cooldown_s": 10},
                    "retries": 1,
                    "connect_timeout_s": 5,
                },
                "tls": {
                    "certificates": [{"certificate_file": "/ca/shop.pem", "key_file": "/ca/shop.pem"}],
                    "min_version": "1.2",
                    "https_redirect": False,
                    "hsts": None,
                },
                "normalization": {"incoming": "cloudflare", "to_origin": False},
                "body": {"inspection_limit": 131072, "wait_ms": 1000, "past_limit": None},
                "compression": {"enabled": True, "min_bytes": 1024},
                "ip_geolocation": True,
                "error_pages": {},
                "phases": {},
            }
        ],
    }


def test_every_setting_reaches_the_document(tmp_path: Path) -> None:
    policy = made(tmp_path, FULL)
    loaded = load(tmp_path / "site.toml", tmp_path / "crs").site
    assert loaded is not None
    admin, execute, skip, redirect = rule_ids("zone shop", loaded.zones["shop"].rules)
    basic = ruleset_id("basic", loaded.rulesets["basic"])
    document = json.loads(policy.document(1))
    rule: dict[str, Any] = {
        "ref": None,
        "description": "",
        "action_parameters": None,
        "enabled": True,
        "logging": None,
        "categories": [],
    }
    assert document["edge"] == {
        "listen": [
            {"address": "127.0.0.1:8080", "tls": False, "proxy_protocol": False},
            {"address": "127.0.0.1:8081", "tls": False, "proxy_protocol": True},
            {"address": "127.0.0.1:8443", "tls": True, "proxy_protocol": False},
        ],
        "trusted_proxies": ["10.0.0.0/8"],
        "colo": "AMS",
        "threads": 2,
        "limits": {"head_bytes": 32768},
        "geo": {"location_file": str(tmp_path / "city.mmdb"), "asn_file": str(tmp_path / "asn.mmdb")},
        "spool": {
            "dir": str(tmp_path / "events"),
            "segment_bytes": 1048576,
            "segment_seconds": 5,
            "max_bytes": 8388608,
            "fsync": "always",
            "fsync_interval_ms": 250,
        },
        "events": {
            "client_ip": "hashed",
            "redact": False,
            "secret_parameters": ["customer"],
            "retention_days": 90,
            "retention": {"ClientIP": 7},
        },
    }
    assert document["lists"] == {
        "office": {"kind": "ip", "items": ["192.0.2.0/24"]},
        "words": {"kind": "string", "items": ["one", "two"]},
        "names": {"kind": "hostname", "items": ["shop.example", "*.shop.example"]},
        "networks": {"kind": "asn", "items": ["64496", "AS64511"]},
    }
    assert document["rulesets"] == {
        basic: {
            "name": "basic",
            "phase": "http_request_firewall_custom",
            "rules": [
                {**rule, "id": rule_ids("ruleset basic", loaded.rulesets["basic"].rules)[0]}
                | {"expression": "false", "action": "log", "categories": ["php"]}
            ],
        }
    }
    assert document["account"] == {
        "error_pages": {},
        "phases": {
            "http_request_firewall_custom": [
                {**rule, "id": rule_ids("account", loaded.account.rules)[0], "expression": "ssl", "action": "log"}
            ]
        },
    }
    assert document["zones"] == [
        {
            "name": "shop",
            "hosts": ["shop.example", "*.shop.example"],
            "default": True,
            "origin": {
                "servers": [
                    {"url": "http://127.0.0.1:8001", "weight": 1},
                    {"url": "unix:/run/app.sock", "weight": 3},
                ],
                "stickiness": "cookie",
                "host_header": "app.internal",
                "tls": {"verify": False, "ca_file": str(tmp_path / "ca.pem"), "server_name": "app.internal"},
                "http_version": "auto",
                "active_health": {
                    "path": "/health",
                    "interval_s": 10,
                    "timeout_s": 2,
                    "healthy": 2,
                    "unhealthy": 3,
                    "status": "200-299",
                },
                "passive_health": {"failures": 5, "cooldown_s": 20},
                "retries": 2,
                "connect_timeout_s": 0.5,
            },
            "tls": {
                "certificates": [{"certificate_file": str(tmp_path / "cert.pem"), "key_file": "/etc/key.pem"}],
                "min_version": "1.3",
                "https_redirect": True,
                "hsts": {"max_age_s": 31536000, "include_subdomains": True, "preload": True},
            },
            "normalization": {"incoming": "rfc3986", "to_origin": True},
            "body": {"inspection_limit": 1024, "wait_ms": 10, "past_limit": "reject"},
            "compression": {"enabled": False, "min_bytes": 1024},
            "ip_geolocation": False,
            "error_pages": {
                "waf_block": "<head></head>no",
                "500_errors": "<head></head>::CLOUDFLARE_ERROR_500S_BOX::",
            },
            "phases": {
                "http_request_firewall_custom": [
                    {
                        "id": admin,
                        "ref": "admin",
                        "description": "office only",
                        "expression": "not ip.src in $office",
                        "action": "block",
                        "action_parameters": {
                            "response": {"status_code": 404, "content": "", "content_type": "text/plain"}
                        },
                        "enabled": True,
                        "logging": None,
                        "categories": [],
                    },
                    {
                        **rule,
                        "id": execute,
                        "expression": "true",
                        "action": "execute",
                        "action_parameters": {"id": basic},
                        "enabled": False,
                    },
                    {
                        **rule,
                        "id": skip,
                        "expression": "true",
                        "action": "skip",
                        "action_parameters": {
                            "rulesets": [basic],
                            "rules": {basic: ["0000000000000000000000000000000a"]},
                        },
                    },
                ],
                "http_request_dynamic_redirect": [{**rule, "id": redirect, "expression": "true", "action": "redirect"}],
            },
        }
    ]


def test_the_order_of_zones_and_lists_in_the_file_does_not_matter(tmp_path: Path) -> None:
    other = SHORTEST.replace("shop", "blog").replace("Shop", "blog")
    lists = '[lists.b]\nkind = "ip"\nitems = []\n[lists.a]\nkind = "ip"\nitems = []\n'
    one = made(tmp_path, SHORTEST + other + lists)
    two = made(tmp_path, lists + other + SHORTEST)
    assert one.document(1) == two.document(1)


def test_changing_one_zone_changes_one_part(tmp_path: Path) -> None:
    before = made(tmp_path, FULL + SHORTEST.replace("shop", "blog").replace("Shop", "blog"))
    after = made(tmp_path, FULL + SHORTEST.replace("shop", "blog").replace("Shop", "blog").replace("8001", "8002"))
    assert before.zones["shop"] == after.zones["shop"]
    assert before.zones["blog"] != after.zones["blog"]
    assert (before.edge, before.lists, before.rulesets, before.account) == (
        after.edge,
        after.lists,
        after.rulesets,
        after.account,
    )


def test_acme_zones_are_set_aside_for_the_renewal(tmp_path: Path) -> None:
    text = '[edge]\nlisten = ["127.0.0.1:80"]\nlisten_tls = ["127.0.0.1:443"]\n' + SHORTEST
    policy = made(tmp_path, text + '[zones.shop.tls.acme]\nemail = "ops@shop.example"\nca_file = "ca.pem"\n')
    assert {name: (zone.hosts, zone.email, zone.directory_url, zone.ca_file) for name, zone in policy.acme.items()} == {
        "shop": (
            ["shop.example"],
            "ops@shop.example",
            "https://acme-v02.api.letsencrypt.org/directory",
            str(tmp_path / "ca.pem"),
        )
    }
    assert b"acme" not in policy.document(1)


def test_the_edge_takes_a_document_with_every_setting(tmp_path: Path) -> None:
    redirect = 'action_parameters = { from_value = { target_url = { value = "https://shop.example/" } } }\n'
    text = FULL.replace('action = "redirect"\n', 'action = "redirect"\n' + redirect)
    without_files = re.sub("(?m)^(certificates|geo|redact) = .*$", "", text)
    assert check_policy(made(tmp_path, without_files).document(1)) == []
