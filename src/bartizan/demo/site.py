"""The site file of the demo: one of each kind of rule that a small site wants."""

from __future__ import annotations

import json
from typing import Final

FIRST_LINE: Final = "# Written by `bartizan demo`."
"""How the demo's own site file begins: no other is ever replaced."""

_TEMPLATE: Final = """\
# Written by `bartizan demo`. Edit it, then: bartizan apply {file}

[edge]
listen = [{plain}]
listen_tls = [{tls}]

[zones.shop]
hosts = ["localhost", "127.0.0.1"]
origins = [{origin}]

# From where the application may be administered. Nobody in this demo is among them.
[lists.operators]
kind = "ip"
items = ["192.0.2.0/24", "2001:db8:5::/48"]

[[zones.shop.rules]]
ref = "sale"
description = "Last season's link"
phase = "http_request_dynamic_redirect"
expression = '''http.request.uri.path eq "/sale"'''
action = "redirect"
action_parameters = {{ from_value = {{ status_code = 302, target_url = {{ value = "/shop/products?_sort=price" }} }} }}

[[zones.shop.rules]]
ref = "path-traversal"
description = "Path traversal"
expression = '''raw.http.request.uri contains "../" or lower(raw.http.request.uri) contains "%2e%2e"'''
action = "block"

[[zones.shop.rules]]
ref = "scanners"
description = "A vulnerability scanner that says so"
expression = '''lower(http.user_agent) contains "sqlmap" or lower(http.user_agent) contains "nikto"'''
action = "block"

# The application takes SQL by design, so one keyword is no attack; reading a second table on the side is.
[[zones.shop.rules]]
ref = "sql-injection"
description = "SQL injection in the query string"
expression = '''lower(http.request.uri.query) matches "union([+/*]|%20|%0a|%09)+(all([+/*]|%20)+)?select"'''
action = "block"

[[zones.shop.rules]]
ref = "administration"
description = "Administration, for operators only"
expression = '''starts_with(http.request.uri.path, "/-/") and not ip.src in $operators'''
action = "block"

[[zones.shop.rules]]
ref = "command-line"
description = "A command-line client"
expression = '''starts_with(http.user_agent, "curl/") or starts_with(http.user_agent, "Wget/")'''
action = "log"
"""


def site_file(file: str, origin: str, plain: str, tls: str) -> str:
    """The text of the site file in front of `origin`, listening on the addresses `plain` and `tls`."""
    return _TEMPLATE.format(file=file, origin=json.dumps(origin), plain=json.dumps(plain), tls=json.dumps(tls))
