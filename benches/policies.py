"""The policies that the benches give the edge: one zone without rules, and one with 50 that a good request passes.

The rules are those a site has after a year: paths that scanners try, tools by user agent, networks, methods, hosts,
query strings, cookies. None matches what the load tools ask for, so all are evaluated for every request.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from benches.certificates import certificate
from benches.proxies import HOST

Document = dict[str, Any]

_SCANNED: Final = (
    "/wp-login.php", "/wp-admin", "/xmlrpc.php", "/.env", "/.git/", "/phpmyadmin", "/actuator", "/cgi-bin/",
    "/vendor/phpunit", "/owa/auth", "/solr/admin", "/manager/html",
)  # fmt: skip
_TOOLS: Final = ("sqlmap", "nikto", "masscan", "zgrab", "nuclei", "dirbuster", "python-requests", "go-http-client")

CUSTOM_RULES: Final = (
    *(f'starts_with(http.request.uri.path, "{path}")' for path in _SCANNED),
    *(f'lower(http.user_agent) contains "{tool}"' for tool in _TOOLS),
    'http.request.uri.path matches "^/api/v[0-9]+/internal/"',
    'http.request.uri.path matches "(?i)\\.(bak|old|orig|swp|sql|tar\\.gz)$"',
    'http.request.uri.query matches "(?i)union\\s+(all\\s+)?select"',
    'http.request.uri.query matches "(?i)<script[^>]*>"',
    'http.user_agent matches "(?i)^(curl|wget)/[0-6]\\."',
    'http.request.uri.query contains "../"',
    'http.request.uri.query contains "etc/passwd"',
    'http.request.uri.query contains "${jndi:"',
    'http.request.uri.path contains "//"',
    'http.request.uri.path contains ";jsessionid="',
    "ip.src in {192.0.2.0/24 198.51.100.0/24 203.0.113.0/24}",
    "ip.src in {2001:db8::/32}",
    "ip.src in $bad_networks",
    'ip.src in $bad_networks and http.request.method eq "POST"',
    'not ip.src in {127.0.0.0/8 10.0.0.0/8} and starts_with(http.request.uri.path, "/admin")',
    'http.request.method in {"TRACE" "TRACK" "CONNECT" "DEBUG"}',
    'http.request.method eq "PUT" and not starts_with(http.request.uri.path, "/upload")',
    'http.request.method eq "DELETE" and http.host ne "api.example"',
    'http.host eq "staging.example" and not ip.src in {10.0.0.0/8}',
    'http.host in {"old.example" "legacy.example" "retired.example"}',
    'http.referer contains "spam.example"',
    'lower(http.referer) contains "casino"',
    'http.cookie contains "debug=true"',
    'any(http.request.headers["x-scanner"][*] ne "")',
    'any(http.request.headers["x-original-url"][*] contains "/admin")',
    'any(http.request.uri.args["cmd"][*] contains "wget")',
    'any(http.request.uri.args.values[*] contains "base64_decode")',
    'http.request.uri.path.extension in {"asp" "aspx" "jsp" "cfm"}',
    'http.request.version in {"HTTP/0.9" "HTTP/1.0"} and http.request.uri.path eq "/login"',
    'http.user_agent eq "" and http.request.uri.path eq "/login"',
)  # fmt: skip


def plain(origin: int, spool: Path) -> Document:
    """One zone that takes every host and has no rules, on one thread."""
    certificate_file, key_file = certificate(HOST)
    return {
        "format": 1,
        "version": 1,
        "edge": {
            "listen": [{"address": "127.0.0.1:0"}, {"address": "127.0.0.1:0", "tls": True}],
            "threads": 1,
            "limits": {"requests_per_connection": 1_000_000_000},
            "spool": {"dir": str(spool)},
        },
        "zones": [
            {
                "name": "bench",
                "default": True,
                "origin": {"servers": [{"url": f"http://127.0.0.1:{origin}"}]},
                "tls": {"certificates": [{"certificate_file": str(certificate_file), "key_file": str(key_file)}]},
            }
        ],
    }


def full(origin: int, spool: Path) -> Document:
    """The same with 50 custom rules and a list that none of the requests is caught by."""
    document = plain(origin, spool)
    items = [f"192.0.{third}.{fourth}/32" for third in range(10) for fourth in range(100)]
    document["lists"] = {"bad_networks": {"kind": "ip", "items": items}}
    rules = [
        {"id": f"{number:032x}", "description": f"rule {number}", "expression": expression, "action": "block"}
        for number, expression in enumerate(CUSTOM_RULES)
    ]
    assert len(rules) == 50
    document["zones"][0]["phases"] = {"http_request_firewall_custom": rules}
    return document
