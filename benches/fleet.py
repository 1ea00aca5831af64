"""A thousand sites in one site file, each with what a site has: 20 rules, 5 of them regexes, a certificate, a list.

No two zones share an expression or a list, and a *generation* is in everything that a change would change: a zone of
another generation has other regexes, other addresses, and refuses `/generation/N` of its own generation only, which is
how a client sees which policy answered it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benches.certificates import certificate

LIST_ITEMS: Final = 1_000


def host(zone: int) -> str:
    """The name of a zone."""
    return f"zone-{zone}.example"


def write_site(file: Path, generations: Sequence[int], *, origin: int, http: int, https: int) -> None:
    """The site file of as many zones as there are generations, zone by zone."""
    parts = [
        f'[edge]\nlisten = ["127.0.0.1:{http}"]\nlisten_tls = ["127.0.0.1:{https}"]\nthreads = 1',
        "limits.requests_per_connection = 1_000_000_000\n",
    ]
    for zone, generation in enumerate(generations):
        parts.append(_zone(zone, generation, origin))
    file.write_text("\n".join(parts))


def make_certificates(zones: int) -> None:
    """The certificates of the zones, if they are not kept from before."""
    for zone in range(zones):
        certificate(host(zone))


def _zone(zone: int, generation: int, origin: int) -> str:
    name = f"zone-{zone}"
    certificate_file, key_file = certificate(host(zone))
    rules = "\n".join(
        f"[[zones.{name}.rules]]\nexpression = '{expression}'\naction = \"block\"\n"
        for expression in _expressions(zone, generation)
    )
    third = ", ".join(f'"{address}"' for address in _addresses(zone, generation))
    return (
        f'[zones.{name}]\nhosts = ["{host(zone)}"]\norigins = ["http://127.0.0.1:{origin}"]\n'
        f'[[zones.{name}.tls.certificates]]\ncertificate_file = "{certificate_file}"\nkey_file = "{key_file}"\n'
        f"{rules}\n"
        f'[lists.list_{zone}]\nkind = "ip"\nitems = [{third}]\n'
    )


def _expressions(zone: int, generation: int) -> list[str]:
    mark = f"z{zone}g{generation}"
    return [
        f'http.request.uri.path eq "/generation/{generation}"',
        f"ip.src in $list_{zone}",
        f'http.request.uri.path matches "^/{mark}/[a-z0-9]{{4,12}}\\.php$"',
        f'http.request.uri.path matches "(?i)/{mark}[-_]?(backup|dump|old)\\.(zip|sql|tar)$"',
        f'http.request.uri.query matches "(^|&){mark}=[^&]*(%27|%22|<)"',
        f'http.user_agent matches "(?i)^{mark}-(bot|crawler|spider)/[0-9]+\\."',
        f'http.cookie matches "session_{mark}=[0-9a-f]{{32}}(;|$)"',
        *(f'starts_with(http.request.uri.path, "/{mark}/{part}/")' for part in ("admin", "internal", "debug", "tmp")),
        *(f'http.request.uri.query contains "{mark}-{word}"' for word in ("union", "script", "passwd", "jndi")),
        f'lower(http.user_agent) contains "{mark}-scanner"',
        f'http.request.method eq "PUT" and http.request.uri.path eq "/{mark}"',
        f'http.referer contains "{mark}.spam.example"',
        f'any(http.request.headers["x-{mark}"][*] ne "")',
        f'http.host eq "{mark}.example" and not ip.src in {{127.0.0.0/8}}',
    ]


def _addresses(zone: int, generation: int) -> list[str]:
    # 1,000 addresses of 2000::/3 that no two zones or generations share, sorted by nobody.
    return [f"2a00:{zone:x}:{generation:x}:{(item * 7919) % 65_521:x}::/64" for item in range(LIST_ITEMS)]
