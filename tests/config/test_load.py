"""Every mistake that a site file can hold, with the message that a person gets for it: file, line, column, thing, way out."""

# ruff: noqa: E501  messages are quoted whole, to be read as people get them

from __future__ import annotations

from pathlib import Path

import pytest

from bartizan.config.load import load

ZONE = """[zones.shop]
hosts = ["shop.example"]
origins = ["http://127.0.0.1:8001"]
"""
RULE = """[[zones.shop.rules]]
expression = 'http.host eq "shop.example"'
action = "block"
"""

# Title, site file, and its problems. {here} is the directory of the site file.
MISTAKES: list[tuple[str, str, list[str]]] = [
    (
        "an empty file",
        "",
        [
            'site.toml:1:1: site file: "zones" is missing; add a table such as [zones.shop] with hosts and origins',
        ],
    ),
    (
        "no value",
        """a =
b = 1
c = [1, 2
""",
        [
            "site.toml:1:4: site file: not valid TOML: a value is missing",
            "site.toml:3:10: site file: not valid TOML: unclosed array, expected `]`",
        ],
    ),
    (
        "a key twice",
        ZONE + 'hosts = ["b.example"]\n',
        [
            'site.toml:4:1: site file: not valid TOML: "hosts" is there twice; leave one of the two out',
        ],
    ),
    (
        "a table twice",
        ZONE + ZONE,
        [
            'site.toml:4:8: site file: not valid TOML: "shop" is there twice; leave one of the two out',
            'site.toml:5:1: site file: not valid TOML: "hosts" is there twice; leave one of the two out',
            'site.toml:6:1: site file: not valid TOML: "origins" is there twice; leave one of the two out',
        ],
    ),
    (
        "an unknown table",
        ZONE
        + """[zone.b]
hosts = []
""",
        [
            'site.toml:4:2: site file: unknown key "zone"; did you mean "zones"?',
        ],
    ),
    (
        "an unknown key of a zone",
        """[zones.shop]
hots = ["shop.example"]
origins = ["http://127.0.0.1:8001"]
""",
        [
            'site.toml:2:1: zone "shop": unknown key "hots"; did you mean "hosts"?',
        ],
    ),
    (
        "an unknown key deep inside",
        ZONE
        + """[zones.shop.pool.active_health]
intervall_s = 5
""",
        [
            'site.toml:5:1: zone "shop" pool active_health: unknown key "intervall_s"; did you mean "interval_s"?',
        ],
    ),
    (
        "an unknown key that resembles nothing",
        ZONE
        + """[edge]
xyzzy = 1
""",
        [
            'site.toml:5:1: edge: unknown key "xyzzy"; known: listen, listen_tls, trusted_proxies, colo, threads, limits, geo, spool',
        ],
    ),
    (
        "no origins",
        """[zones.shop]
hosts = ["shop.example"]
""",
        [
            'site.toml:1:8: zone "shop": "origins" is missing; say where the application is, as in origins = ["http://127.0.0.1:8000"]',
        ],
    ),
    (
        "empty origins",
        """[zones.shop]
hosts = ["shop.example"]
origins = []
""",
        [
            'site.toml:3:11: zone "shop": "origins" is empty; name at least one server, as in "http://127.0.0.1:8000"',
        ],
    ),
    (
        "no hosts",
        """[zones.shop]
origins = ["http://127.0.0.1:8001"]
""",
        [
            'site.toml:1:8: zone "shop": answers to no host; add hosts = ["..."], or default = true for every other name',
        ],
    ),
    (
        "text for a number",
        ZONE
        + """[edge]
threads = "4"
""",
        [
            'site.toml:5:11: edge: "threads" must be a whole number, found text ("4")',
        ],
    ),
    (
        "a number for text",
        """[zones.shop]
hosts = [80]
origins = ["http://127.0.0.1:8001"]
""",
        [
            'site.toml:2:10: zone "shop" host 1: must be text in quotes, found 80',
        ],
    ),
    (
        "a number for a list",
        """[zones.shop]
hosts = 80
origins = ["http://127.0.0.1:8001"]
""",
        [
            'site.toml:2:9: zone "shop": "hosts" must be a list, found 80',
        ],
    ),
    (
        "text for a list",
        """[zones.shop]
hosts = ["shop.example"]
origins = "http://127.0.0.1:8001"
""",
        [
            'site.toml:3:11: zone "shop": "origins" must be a list, found text ("http://127.0.0.1:8001")',
        ],
    ),
    (
        "a list for a table",
        ZONE
        + """[[edge]]
threads = 1
""",
        [
            'site.toml:4:1: site file: "edge" must be a table, found a list',
        ],
    ),
    (
        "text for yes or no",
        ZONE
        + """[zones.shop.tls]
https_redirect = "yes"
""",
        [
            'site.toml:5:18: zone "shop" tls: "https_redirect" must be true or false, found text ("yes")',
        ],
    ),
    (
        "a date",
        ZONE
        + """[zones.shop.body]
wait_ms = 2026-01-01
""",
        [
            'site.toml:5:11: zone "shop" body: "wait_ms" must be a whole number, found text ("2026-01-01")',
        ],
    ),
    (
        "a number out of range",
        ZONE
        + """[zones.shop.pool]
retries = 99
""",
        [
            'site.toml:5:11: zone "shop" pool: "retries" is 99; it must be from 0 to 10',
        ],
    ),
    (
        "a fraction out of range",
        ZONE
        + """[zones.shop.pool]
connect_timeout_s = 0.0
""",
        [
            'site.toml:5:21: zone "shop" pool: "connect_timeout_s" is 0.0; it must be from 0.001 to 86400',
        ],
    ),
    (
        "an unknown choice",
        ZONE
        + """[zones.shop.pool]
stickiness = "cookies"
""",
        [
            'site.toml:5:14: zone "shop" pool: "stickiness" is "cookies", which is unknown; did you mean "cookie"?',
        ],
    ),
    (
        "a number for a choice",
        ZONE
        + """[zones.shop.tls]
min_version = 1.2
""",
        [
            'site.toml:5:15: zone "shop" tls: "min_version" must be text in quotes, found 1.2; known: 1.2, 1.3',
        ],
    ),
    (
        "a bad colo",
        ZONE
        + """[edge]
colo = "ams"
""",
        [
            'site.toml:5:8: edge: "colo" is "ams"; it must be three capital letters, as in "LOC"',
        ],
    ),
    (
        "a bad zone name",
        """[zones."Shop One"]
hosts = ["shop.example"]
origins = ["http://127.0.0.1:8001"]
""",
        [
            'site.toml:1:8: zone "Shop One": the name is not accepted; use small letters, digits, - and _, beginning with a letter or digit',
        ],
    ),
    (
        "a bad list name",
        ZONE
        + """[lists."my-list"]
kind = "ip"
items = []
""",
        [
            'site.toml:4:8: list "my-list": the name is not accepted; use small letters, digits and _, at most 50',
        ],
    ),
    (
        "an unknown limit",
        ZONE
        + """[edge.limits]
head_byte = 65536
""",
        [
            'site.toml:5:1: edge limits: unknown limit "head_byte"; did you mean "head_bytes"?',
        ],
    ),
    (
        "a limit out of range",
        ZONE
        + """[edge.limits]
head_bytes = 1
""",
        [
            'site.toml:5:14: edge limits: "head_bytes" is 1; it must be from 1024 to 1048576, or leave it out for 65536',
        ],
    ),
    (
        "a limit that is text",
        ZONE
        + """[edge.limits]
head_bytes = "64k"
""",
        [
            'site.toml:5:14: edge limits: "head_bytes" must be a whole number, found text ("64k")',
        ],
    ),
    (
        "a listener without a port",
        ZONE
        + """[edge]
listen = ["127.0.0.1"]
""",
        [
            'site.toml:5:11: edge listen 1: "127.0.0.1" has no port; write it as in "0.0.0.0:8080" or "[::]:8080"',
        ],
    ),
    (
        "a listener by name",
        ZONE
        + """[edge]
listen = ["localhost:80"]
""",
        [
            'site.toml:5:11: edge listen 1: "localhost:80" is not a numeric address; write it as in "0.0.0.0:8080" or "[::]:8080"',
        ],
    ),
    (
        "a listener with a port too high",
        ZONE
        + """[edge]
listen = ["127.0.0.1:70000"]
""",
        [
            'site.toml:5:11: edge listen 1: "127.0.0.1:70000" has port 70000, but ports end at 65535',
        ],
    ),
    (
        "a bare IPv6 listener",
        ZONE
        + """[edge]
listen = [":::80"]
""",
        [
            'site.toml:5:11: edge listen 1: ":::80" is ambiguous; an IPv6 address stands in brackets, as in "[::]:8080"',
        ],
    ),
    (
        "an address listened on twice",
        ZONE
        + """[edge]
listen = ["127.0.0.1:80"]
listen_tls = [{ address = "127.0.0.1:80" }]
""",
        [
            'site.toml:6:15: edge listen_tls 1: "127.0.0.1:80" is listened on twice, here and in listen 1; leave one out',
        ],
    ),
    (
        "a bad trusted proxy",
        ZONE
        + """[edge]
trusted_proxies = ["10.0.0.0/8", "10.1.2.3/8", "proxy"]
""",
        [
            'site.toml:5:34: edge trusted_proxies 2: "10.1.2.3/8" has bits set after its prefix; did you mean "10.0.0.0/8"?',
            'site.toml:5:48: edge trusted_proxies 3: "proxy" is not an address or a CIDR prefix; write it as in "10.0.0.0/8"',
        ],
    ),
    (
        "a host in two zones",
        ZONE
        + """[zones.b]
hosts = ["SHOP.example"]
origins = ["http://127.0.0.1:8002"]
""",
        [
            'site.toml:5:10: zone "b" host 1: "SHOP.example" belongs to zone "shop" already; a host can be in one zone',
        ],
    ),
    (
        "a host twice in a zone",
        """[zones.shop]
hosts = ["shop.example", "shop.example"]
origins = ["http://127.0.0.1:8001"]
""",
        [
            'site.toml:2:26: zone "shop" host 2: "shop.example" is there twice; leave one out',
        ],
    ),
    (
        "a host with scheme",
        """[zones.shop]
hosts = ["https://shop.example"]
origins = ["http://127.0.0.1:8001"]
""",
        [
            'site.toml:2:10: zone "shop" host 1: "https://shop.example" is a URL; leave out the scheme: "shop.example"',
        ],
    ),
    (
        "a host with port",
        """[zones.shop]
hosts = ["shop.example:8443"]
origins = ["http://127.0.0.1:8001"]
""",
        [
            'site.toml:2:10: zone "shop" host 1: "shop.example:8443" has a port; leave it out: the listeners say the ports',
        ],
    ),
    (
        "a host with a wildcard in the middle",
        """[zones.shop]
hosts = ["a.*.example"]
origins = ["http://127.0.0.1:8001"]
""",
        [
            'site.toml:2:10: zone "shop" host 1: "a.*.example" is no wildcard that can be served; only the whole first label can be *, as in "*.shop.example"',
        ],
    ),
    (
        "a host in other letters",
        """[zones.shop]
hosts = ["bücher.example"]
origins = ["http://127.0.0.1:8001"]
""",
        [
            'site.toml:2:10: zone "shop" host 1: "bücher.example" must be written as DNS has it: "xn--bcher-kva.example"',
        ],
    ),
    (
        "a host with a space",
        """[zones.shop]
hosts = ["shop example"]
origins = ["http://127.0.0.1:8001"]
""",
        [
            'site.toml:2:10: zone "shop" host 1: "shop example" is not a host name; labels of letters, digits and hyphens, with dots between',
        ],
    ),
    (
        "a host with a dot at its end",
        """[zones.shop]
hosts = ["shop.example."]
origins = ["http://127.0.0.1:8001"]
""",
        [
            'site.toml:2:10: zone "shop" host 1: "shop.example." ends with a dot; leave it out',
        ],
    ),
    (
        "two default zones",
        """[zones.a]
default = true
origins = ["http://127.0.0.1:1"]
[zones.b]
default = true
origins = ["http://127.0.0.1:1"]
""",
        [
            'site.toml:5:11: zone "b": zone "a" is the default already; one zone can be',
        ],
    ),
    (
        "an origin without scheme",
        """[zones.shop]
hosts = ["shop.example"]
origins = ["127.0.0.1:8001"]
""",
        [
            'site.toml:3:12: zone "shop" origin 1: "127.0.0.1:8001" has no scheme; did you mean "http://127.0.0.1:8001"?',
        ],
    ),
    (
        "an origin of another scheme",
        """[zones.shop]
hosts = ["shop.example"]
origins = ["ftp://127.0.0.1:8001"]
""",
        [
            'site.toml:3:12: zone "shop" origin 1: "ftp://127.0.0.1:8001" has scheme "ftp"; origins are http://, https:// or unix:/path',
        ],
    ),
    (
        "an origin with a path",
        """[zones.shop]
hosts = ["shop.example"]
origins = ["http://127.0.0.1:8001/app"]
""",
        [
            'site.toml:3:12: zone "shop" origin 1: "http://127.0.0.1:8001/app" has a path; leave it out: requests keep the path that the client sent',
        ],
    ),
    (
        "an origin with a port too high",
        """[zones.shop]
hosts = ["shop.example"]
origins = ["http://127.0.0.1:80010"]
""",
        [
            'site.toml:3:12: zone "shop" origin 1: "http://127.0.0.1:80010" is not a URL with a valid host and port; write it as in "http://127.0.0.1:8000"',
        ],
    ),
    (
        "an origin with a user",
        """[zones.shop]
hosts = ["shop.example"]
origins = ["http://me:secret@127.0.0.1:8001"]
""",
        [
            'site.toml:3:12: zone "shop" origin 1: the URL holds a user name; leave it out: the edge sends no credentials of its own',
        ],
    ),
    (
        "an origin socket without a path",
        """[zones.shop]
hosts = ["shop.example"]
origins = ["unix:app.sock"]
""",
        [
            'site.toml:3:12: zone "shop" origin 1: "unix:app.sock" is not an absolute path; write it as in "unix:/run/app.sock"',
        ],
    ),
    (
        "an origin twice",
        """[zones.shop]
hosts = ["shop.example"]
origins = ["http://a:1", { url = "http://a:1", weight = 3 }]
""",
        [
            'site.toml:3:26: zone "shop" origin 2: "http://a:1" is origin 1 already; give that one a higher weight instead',
        ],
    ),
    (
        "no weight at all",
        """[zones.shop]
hosts = ["shop.example"]
origins = [{ url = "http://a:1", weight = 0 }]
""",
        [
            'site.toml:3:11: zone "shop": every weight is 0, so no server would get a request; give one a weight',
        ],
    ),
    (
        "an origin table without url",
        """[zones.shop]
hosts = ["shop.example"]
origins = [{ weight = 1 }]
""",
        [
            'site.toml:3:12: zone "shop" origin 1: "url" is missing; add url = ...',
        ],
    ),
    (
        "a bad host header",
        ZONE
        + """[zones.shop.pool]
host_header = "a b"
""",
        [
            'site.toml:5:15: zone "shop" pool: "host_header" is "a b"; it must be a host name, with or without a port',
        ],
    ),
    (
        "a bad health check",
        ZONE
        + """[zones.shop.pool.active_health]
path = "health"
status = "2xx"
""",
        [
            'site.toml:5:8: zone "shop" pool active_health: "path" is "health"; it must begin with /',
            'site.toml:6:10: zone "shop" pool active_health: "status" is "2xx"; write statuses as in "200", "200-399" or "200-299,404"',
        ],
    ),
    (
        "a database of addresses that is not there",
        '[edge.geo]\nlocation_file = "no.mmdb"\n' + ZONE,
        [
            'site.toml:2:17: edge geo: "location_file" names {here}/no.mmdb, which cannot be read (no such file or directory); correct the path or its permissions',
        ],
    ),
    (
        "an error page that is not there, one without text and one with two",
        ZONE
        + """[zones.shop.error_pages]
waf_block = { file = "no.html" }
500_errors = {}
[account.error_pages]
waf_block = { file = "no.html", content = "x" }
""",
        [
            'site.toml:5:22: zone "shop" error_pages waf_block: "file" names {here}/no.html, which cannot be read (no such file or directory); correct the path or its permissions',
            'site.toml:6:1: zone "shop" error_pages: "500_errors" has neither a file nor content; give it file = "..." or content = "..."',
            'site.toml:8:1: account error_pages: "waf_block" has both a file and content; give it file = "..." or content = "..."',
        ],
    ),
    (
        "a certificate that is not there",
        ZONE
        + """[[zones.shop.tls.certificates]]
certificate_file = "no.pem"
key_file = "no.key"
""",
        [
            'site.toml:5:20: zone "shop" tls certificate 1: "certificate_file" names {here}/no.pem, which cannot be read (no such file or directory); correct the path or its permissions',
            'site.toml:6:12: zone "shop" tls certificate 1: "key_file" names {here}/no.key, which cannot be read (no such file or directory); correct the path or its permissions',
        ],
    ),
    (
        "a certificate without a key",
        ZONE
        + """[[zones.shop.tls.certificates]]
certificate_file = "no.pem"
""",
        [
            'site.toml:4:1: zone "shop" tls certificate 1: "key_file" is missing; add key_file = ...',
        ],
    ),
    (
        "a redirect to nowhere",
        ZONE
        + """[zones.shop.tls]
https_redirect = true
""",
        [
            'site.toml:5:18: zone "shop" tls: there is no HTTPS to redirect to; set listen_tls in [edge], or trusted_proxies if a proxy in front has it',
        ],
    ),
    (
        "ACME beside files and without TLS",
        ZONE
        + """[zones.shop.tls]
certificates = [{ certificate_file = "here.pem", key_file = "here.pem" }]
acme = { email = "ops@shop.example" }
""",
        [
            'site.toml:6:1: zone "shop" tls: has certificates by file and by ACME; leave one of the two out',
            'site.toml:6:1: zone "shop" tls: there is no HTTPS to use the certificate; set listen_tls in [edge]',
        ],
    ),
    (
        "ACME for a wildcard",
        """[edge]
listen = ["0.0.0.0:80"]
listen_tls = ["0.0.0.0:443"]
[zones.shop]
hosts = ["*.shop.example"]
origins = ["http://127.0.0.1:8001"]
[zones.shop.tls.acme]
email = "ops"
directory_url = "http://ca.example"
""",
        [
            'site.toml:8:9: zone "shop" tls acme: "email" is "ops"; it must be an e-mail address, as in "ops@shop.example"',
        ],
    ),
    (
        "a rule without expression",
        ZONE
        + """[[zones.shop.rules]]
action = "block"
""",
        [
            'site.toml:4:1: zone "shop" rule 1: "expression" is missing; say which requests are meant, as in expression = \'http.host eq "shop.example"\'',
        ],
    ),
    (
        "an empty expression",
        ZONE
        + """[[zones.shop.rules]]
expression = ""
action = "block"
""",
        [
            'site.toml:5:14: zone "shop" rule 1: "expression" is empty; say which requests are meant, as in expression = \'http.host eq "shop.example"\'',
        ],
    ),
    (
        "an unknown action",
        ZONE
        + """[[zones.shop.rules]]
expression = 'http.host eq "shop.example"'
action = "blok"
""",
        [
            'site.toml:6:10: zone "shop" rule 1: "action" is "blok", which is unknown; did you mean "block"?',
        ],
    ),
    (
        "an unknown phase",
        ZONE + RULE + 'phase = "http_request_firewall_costum"\n',
        [
            'site.toml:7:9: zone "shop" rule 1: "phase" is "http_request_firewall_costum", which is unknown; did you mean "http_request_firewall_custom"?',
        ],
    ),
    (
        "a bad rule id",
        ZONE + RULE + 'id = "1234"\n',
        [
            'site.toml:7:6: zone "shop" rule 1: "id" is "1234"; it must be 32 hexadecimal digits in small letters; leave it out to have one derived',
        ],
    ),
    (
        "a rule id twice",
        ZONE + RULE + 'id = "0123456789abcdef0123456789abcdef"\n' + RULE + 'id = "0123456789abcdef0123456789abcdef"\n',
        [
            'site.toml:11:6: zone "shop" rule 2: id "0123456789abcdef0123456789abcdef" is that of zone "shop" rule 1 already; leave it out to have one derived',
        ],
    ),
    (
        "a ref twice",
        ZONE + RULE + 'ref = "scrapers"\n' + RULE + 'ref = "scrapers"\n',
        [
            'site.toml:11:7: zone "shop" rule 2: ref "scrapers" is that of rule 1 already; a ref names one rule',
        ],
    ),
    (
        "a bad ref",
        ZONE + RULE + 'ref = "two words"\n',
        [
            'site.toml:7:7: zone "shop" rule 1: "ref" is "two words"; it must be 1 to 64 letters, digits, _ . : or -',
        ],
    ),
    (
        "execute without a ruleset",
        ZONE
        + """[[zones.shop.rules]]
expression = 'http.host eq "shop.example"'
action = "execute"
""",
        [
            'site.toml:6:10: zone "shop" rule 1: action "execute" does not say which ruleset; add action_parameters = { id = "NAME" }',
        ],
    ),
    (
        "execute of an unknown ruleset",
        ZONE
        + """[[zones.shop.rules]]
expression = 'http.host eq "shop.example"'
action = "execute"
action_parameters = { id = "bassic" }
[rulesets.basic]
""",
        [
            'site.toml:7:28: zone "shop" rule 1 action_parameters: there is no ruleset "bassic"; did you mean "basic"?',
        ],
    ),
    (
        "settings of SecLang without its rules, and its rules beside others",
        ZONE
        + """[rulesets.basic]
paranoia_level = 2
setup = ""
[rulesets.both]
phase = "http_request_firewall_custom"
seclang = "rules.conf"
rules = [{ expression = "true", action = "log" }]
[rulesets.crs]
seclang = "crs"
paranoia_level = 5
""",
        [
            'site.toml:5:1: ruleset "basic": "paranoia_level" is for rules of SecLang; add seclang = "crs", or leave it out',
            'site.toml:6:1: ruleset "basic": "setup" is for rules of SecLang; add seclang = "crs", or leave it out',
            'site.toml:8:9: ruleset "both": phase is "http_request_firewall_custom", but SecLang begins in "http_request_firewall_managed"; leave the phase out',
            'site.toml:9:1: ruleset "both": has both rules and seclang; make two rulesets of them',
            'site.toml:9:11: ruleset "both": "seclang" names {here}/rules.conf, which is not there; name a rule file, a folder of rules, or "crs"',
            'site.toml:12:11: ruleset "crs": no Core Rule Set is installed; `bartizan crs install 4.25.0` installs it',
            'site.toml:13:18: ruleset "crs": "paranoia_level" is 5; it must be from 1 to 4',
        ],
    ),
    (
        "a phase that is not the ruleset's",
        ZONE
        + """[rulesets.basic]
[[rulesets.basic.rules]]
expression = "true"
action = "block"
phase = "http_request_redirect"
""",
        [
            'site.toml:8:9: ruleset "basic" rule 1: phase is "http_request_redirect", but the ruleset runs in "http_request_firewall_custom"; leave the phase out',
        ],
    ),
    (
        "a list without items",
        ZONE
        + """[lists.office]
kind = "ip"
""",
        [
            'site.toml:4:8: list "office": has neither items nor a file; add items = [...] or file = "..."',
        ],
    ),
    (
        "a list with both",
        ZONE
        + """[lists.office]
kind = "ip"
items = []
file = "here.txt"
""",
        [
            'site.toml:4:8: list "office": has both items and a file; keep one of them',
        ],
    ),
    (
        "a list of unknown kind",
        ZONE
        + """[lists.office]
kind = "ips"
items = []
""",
        [
            'site.toml:5:8: list "office": "kind" is "ips", which is unknown; did you mean "ip"?',
        ],
    ),
    (
        "a list file that is not there",
        ZONE
        + """[lists.office]
kind = "ip"
file = "office.txt"
""",
        [
            'site.toml:6:8: list "office": "file" names {here}/office.txt, which cannot be read (no such file or directory); correct the path or its permissions',
        ],
    ),
    (
        "a list file that is not UTF-8",
        ZONE
        + """[lists.office]
kind = "ip"
file = "latin.txt"
""",
        [
            'latin.txt:2:1: list "office": is not UTF-8 here; save the list as UTF-8, one item on each line',
        ],
    ),
    (
        "no zone",
        "[zones]\n",
        [
            "site.toml:1:1: site file: there is no zone; add a table such as [zones.shop] with hosts and origins",
        ],
    ),
    (
        "a zone that is broken beside other mistakes",
        """[edge]
listen = ["x"]
[zones.shop]
hosts = ["a b"]
[lists.l]
kind = "ip"
""",
        [
            'site.toml:2:11: edge listen 1: "x" has no port; write it as in "0.0.0.0:8080" or "[::]:8080"',
            'site.toml:3:8: zone "shop": "origins" is missing; say where the application is, as in origins = ["http://127.0.0.1:8000"]',
            'site.toml:4:10: zone "shop" host 1: "a b" is not a host name; labels of letters, digits and hyphens, with dots between',
            'site.toml:5:8: list "l": has neither items nor a file; add items = [...] or file = "..."',
        ],
    ),
    (
        "everything at once",
        """[edge]
listen = ["x"]
colo = "l"
[zones.shop]
hots = ["a"]
origins = ["ftp://x"]
[[zones.shop.rules]]
expression = 'http.host eq "shop.example"'
action = "blok"
[[zones.shop.rules]]
expression = 'http.host eq "shop.example"'
aktion = "block"
[lists.l]
kind = "ip"
""",
        [
            'site.toml:2:11: edge listen 1: "x" has no port; write it as in "0.0.0.0:8080" or "[::]:8080"',
            'site.toml:3:8: edge: "colo" is "l"; it must be three capital letters, as in "LOC"',
            'site.toml:5:1: zone "shop": unknown key "hots"; did you mean "hosts"?',
            'site.toml:6:12: zone "shop" origin 1: "ftp://x" has scheme "ftp"; origins are http://, https:// or unix:/path',
            'site.toml:9:10: zone "shop" rule 1: "action" is "blok", which is unknown; did you mean "block"?',
            'site.toml:12:1: zone "shop" rule 2: unknown key "aktion"; did you mean "action"?',
            'site.toml:13:8: list "l": has neither items nor a file; add items = [...] or file = "..."',
        ],
    ),
]


@pytest.mark.parametrize(("text", "problems"), [each[1:] for each in MISTAKES], ids=[each[0] for each in MISTAKES])
def test_a_mistake_is_told_with_its_place_and_the_way_out(
    text: str, problems: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here.pem").write_text("")
    Path("here.txt").write_text("")
    Path("latin.txt").write_bytes(b"one\ntw\xe9\n")
    Path("site.toml").write_text(text)
    expected = [problem.replace("{here}", str(tmp_path)) for problem in problems]
    assert [str(problem) for problem in load(Path("site.toml"), Path("crs")).problems] == expected


def test_a_site_file_that_is_not_there_names_the_way_to_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [str(problem) for problem in load(Path("site.toml"), Path("crs")).problems] == [
        "site.toml:1:1: site file: cannot be read (No such file or directory); name a site file that exists, or write one with: bartizan init URL"
    ]


def test_a_site_file_that_is_not_utf_8_names_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("site.toml").write_bytes(b"# one\n# tw\xe9\n")
    assert [str(problem) for problem in load(Path("site.toml"), Path("crs")).problems] == [
        "site.toml:2:1: site file: is not UTF-8 here; save the file as UTF-8"
    ]


def test_a_broken_rule_among_good_ones_leaves_the_places_of_the_others_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("site.toml").write_text(ZONE + RULE.replace("action", "aktion") + (RULE + 'ref = "a"\n') * 2)
    assert [str(problem) for problem in load(Path("site.toml"), Path("crs")).problems] == [
        'site.toml:6:1: zone "shop" rule 1: unknown key "aktion"; did you mean "action"?',
        'site.toml:14:7: zone "shop" rule 3: ref "a" is that of rule 2 already; a ref names one rule',
    ]
