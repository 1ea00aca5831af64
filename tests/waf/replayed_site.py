"""A site with a rule of each kind that replayed requests come by, and requests that tell them apart."""

from __future__ import annotations

from pathlib import Path

RULES = """\
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain
SecRule ARGS "@contains attack" "id:11,phase:2,deny,msg:'an attack',setvar:tx.anomaly_score=+5"
SecRule REQUEST_HEADERS:User-Agent "@streq scanner" "id:12,phase:1,deny,status:406,msg:'a scanner'"
SecRule REQUEST_URI "@contains quiet" "id:13,phase:1,deny,msg:'overridden'"
SecRule RESPONSE_BODY "@contains leak" "id:14,phase:4,deny,msg:'a leak'"
"""

SITE = """\
[edge]
listen = ["127.0.0.1:0"]
threads = 1

[lists.office]
kind = "ip"
items = ["192.0.2.0/24"]

[rulesets.own]
seclang = "own.conf"

[rulesets.checks]
[[rulesets.checks.rules]]
ref = "empty-agent"
expression = 'http.user_agent eq "none"'
action = "block"

[zones.shop]
hosts = ["shop.example"]
origins = ["ORIGIN"]

[[zones.shop.rules]]
ref = "moved"
phase = "http_request_dynamic_redirect"
expression = 'http.request.uri.path eq "/old"'
action = "redirect"
action_parameters = { from_value = { status_code = 301, target_url = { value = "https://shop.example/new" } } }

[[zones.shop.rules]]
ref = "rewritten"
phase = "http_request_transform"
expression = 'http.request.uri.path eq "/alias"'
action = "rewrite"
action_parameters = { uri = { path = { value = "/real" } } }

[[zones.shop.rules]]
ref = "office"
expression = 'ip.src in $office'
action = "log"

[[zones.shop.rules]]
ref = "health"
expression = 'http.request.uri.path eq "/health"'
action = "skip"
action_parameters = { ruleset = "current", phases = ["http_request_firewall_managed"] }

[[zones.shop.rules]]
ref = "checks"
expression = "true"
action = "execute"
action_parameters = { id = "checks" }

[[zones.shop.rules]]
ref = "admin"
expression = 'starts_with(http.request.uri.path, "/admin") and http.request.method eq "GET"'
action = "block"

[[zones.shop.rules]]
ref = "managed"
phase = "http_request_firewall_managed"
expression = "true"
action = "execute"
action_parameters = { id = "own", overrides = { rules = [{ id = "13", action = "log" }] } }

[[zones.shop.rules]]
ref = "answers"
phase = "http_response_firewall_managed"
expression = "true"
action = "execute"
action_parameters = { id = "own" }

[[zones.shop.rules]]
ref = "score"
phase = "http_log_custom_fields"
expression = 'http.response.code eq 200'
action = "log_custom_field"
action_parameters = { request_fields = [{ name = "user-agent" }] }
"""


def site_file(folder: Path, text: str = SITE, name: str = "site.toml", origin: str = "http://127.0.0.1:9") -> Path:
    """The site file with its rules beside it."""
    (folder / "own.conf").write_text(RULES)
    file = folder / name
    file.write_text(text.replace("ORIGIN", origin))
    return file


def request(target: str, *lines: str, method: str = "GET", host: str = "shop.example", body: str = "") -> bytes:
    """A request as it goes over the wire."""
    framing = [f"Content-Length: {len(body)}"] if body else []
    head = [f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, *framing, "", ""]
    return "\r\n".join(head).encode() + body.encode()


FORM = "Content-Type: application/x-www-form-urlencoded"
REQUESTS = {
    "plain": request("/"),
    "moved": request("/old?a=1"),
    "rewritten": request("/alias?a=1"),
    "skipped": request("/health?q=attack"),
    "ruleset": request("/", "User-Agent: none"),
    "blocked": request("/admin/users"),
    "attack": request("/?q=attack"),
    "attack-in-body": request("/", FORM, method="POST", body="q=an+attack"),
    "attack-in-chunks": (
        request("/", FORM, "Transfer-Encoding: chunked", method="POST") + b"4\r\nq=at\r\n4\r\ntack\r\n0\r\n\r\n"
    ),
    "scanner": request("/", "User-Agent: scanner"),
    "overridden": request("/quiet"),
    "leak": request("/leak"),
    "elsewhere": request("/", host="other.example"),
    "trace": request("/", method="TRACE"),
}
"""By what comes of them."""
