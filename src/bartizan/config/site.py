"""The settings of a site file, in the order in which a person writes them.

This is the one table of settings: the site file is read through these types, `docs/reference/site-file.md` and the JSON
Schema are made from them, and a test fails when a setting has no description. Units stand in the names (`_s` seconds,
`_ms` milliseconds, `_bytes` or "limit" in bytes) and descriptions say what the default means. Tables that the policy
document has in the same form (`Body`, `Hsts`, …) are written into it as they are.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from bartizan.config.sinks import Sink
from bartizan.config.transparency import Transparency

__all__ = [
    "Account",
    "Acme",
    "ActiveHealth",
    "Body",
    "CertificateFiles",
    "Compression",
    "Edge",
    "Events",
    "Geo",
    "Hsts",
    "ListItem",
    "ListSource",
    "Listener",
    "Logging",
    "Normalization",
    "OriginServer",
    "OriginTls",
    "PassiveHealth",
    "Pool",
    "Rule",
    "Ruleset",
    "Site",
    "Spool",
    "Tls",
    "Zone",
]

Phase = Literal[
    "http_request_sanitize",
    "http_request_dynamic_redirect",
    "http_request_transform",
    "http_config_settings",
    "http_request_origin",
    "ddos_l7",
    "http_request_firewall_custom",
    "http_ratelimit",
    "http_request_api_gateway_late",
    "http_request_firewall_managed",
    "http_request_sbfm",
    "http_request_redirect",
    "http_request_late_transform",
    "http_custom_errors",
    "http_response_headers_transform",
    "http_response_compression",
    "http_response_firewall_managed",
    "http_log_custom_fields",
]
"""The phases in the documented order. Which of them do something yet is for the edge to say."""

Action = Literal[
    "block",
    "challenge",
    "compress_response",
    "ddos_dynamic",
    "execute",
    "force_connection_close",
    "js_challenge",
    "log",
    "log_custom_field",
    "managed_challenge",
    "redirect",
    "rewrite",
    "route",
    "score",
    "serve_error",
    "set_cache_settings",
    "set_config",
    "skip",
]
"""The documented actions. Which of them do something yet, and in which phase, is for the edge to say."""

Seconds = Annotated[int, Meta(ge=1, le=86_400)] | Annotated[float, Meta(ge=0.001, le=86_400)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$(?!\n)")]
ListName = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,50}$(?!\n)")]
RuleRef = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}$(?!\n)")]
Category = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}$(?!\n)")]
RuleId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]


class Settings(Struct, forbid_unknown_fields=True):
    """What all tables of the site file share: a key that nobody knows is an error."""


class Listener(Settings):
    """The long form of an address to listen on."""

    address: Annotated[str, Meta(description="Numeric address and port, as in `0.0.0.0:443` or `[::]:443`.")]
    proxy_protocol: Annotated[
        bool,
        Meta(
            description=(
                "Every connection must begin with a PROXY protocol header (version 1 or 2), as a load balancer "
                "in front sends it. Only peers in `trusted_proxies` are believed."
            )
        ),
    ] = False


class Spool(Settings):
    """Where the edge writes events before they reach the event store."""

    dir: Annotated[
        str | None, Meta(description="Directory of the segments. Unset: `spool/` in the state directory.")
    ] = None
    segment_bytes: Annotated[
        int, Meta(ge=65_536, le=4_294_967_296, description="A segment is closed at this size, in bytes.")
    ] = 67_108_864
    segment_seconds: Annotated[
        int, Meta(ge=1, le=86_400, description="A segment is closed at this age, in seconds.")
    ] = 60
    max_bytes: Annotated[
        int,
        Meta(
            ge=1_048_576,
            le=1_125_899_906_842_624,
            description=(
                "All segments together, in bytes; a segment takes a quarter of it at most. Beyond it those go that "
                "every sink has, then the oldest events are sampled away: 1 in 10 stays, in 100, in 1,000, in 10,000, "
                "with its `SampleInterval` grown as much; then whole segments go. A full disk has the same effect."
            ),
        ),
    ] = 4_294_967_296
    fsync: Annotated[
        Literal["always", "interval", "never"],
        Meta(
            description=(
                "When events are forced to the disk, which decides what a power cut costs; a crash of the process "
                "costs the same with each. `always`: after every write, which comes at most 0.1 s behind the "
                "response. `interval`: every `fsync_interval_ms`. `never`: when the system likes."
            )
        ),
    ] = "interval"
    fsync_interval_ms: Annotated[
        int, Meta(ge=10, le=60_000, description='How often events are forced to the disk with `fsync = "interval"`.')
    ] = 1000


class Geo(Settings):
    """Databases of addresses that you have, in the MaxMind DB format (`.mmdb`), for the fields about geolocation."""

    location_file: Annotated[
        str | None,
        Meta(
            description=(
                "Database of cities or countries, such as `GeoLite2-City.mmdb`: fills the `ip.src` fields of places. "
                "It is held in memory, and read again by `bartizan apply` when it has changed."
            )
        ),
    ] = None
    asn_file: Annotated[
        str | None,
        Meta(description="Database of autonomous systems, such as `GeoLite2-ASN.mmdb`: fills `ip.src.asnum`."),
    ] = None


class Edge(Settings):
    """What belongs to the machine and not to one site: addresses, threads, limits."""

    listen: Annotated[
        list[str | Listener],
        Meta(
            description=(
                "Addresses for plain HTTP: strings as in `0.0.0.0:80`, or tables with `address` and `proxy_protocol`. "
                "Where neither `listen` nor `listen_tls` is set: `127.0.0.1:8080`."
            )
        ),
    ] = []
    listen_tls: Annotated[
        list[str | Listener],
        Meta(
            description=(
                "Addresses for HTTPS (HTTP/1.1 and HTTP/2). Zones without a certificate get one from the development "
                "CA of this installation."
            )
        ),
    ] = []
    trusted_proxies: Annotated[
        list[str],
        Meta(
            description=(
                "Networks whose PROXY header and `X-Forwarded-For` are believed, as addresses or CIDR prefixes. "
                "Everybody else is taken for the client itself."
            )
        ),
    ] = []
    colo: Annotated[
        str,
        Meta(
            pattern=r"^[A-Z]{3}$(?!\n)",
            description="Three capital letters that name this place; the end of every Ray ID.",
        ),
    ] = "LOC"
    threads: Annotated[int, Meta(ge=0, le=1024, description="Worker threads. 0: one for each core.")] = 0
    limits: Annotated[
        dict[str, int],
        Meta(description="Deadlines and caps by name; those not named keep their default. See the table of limits."),
    ] = {}
    geo: Annotated[Geo, Meta(description="Databases of addresses.")] = field(default_factory=Geo)
    spool: Annotated[Spool, Meta(description="Where the edge writes events.")] = field(default_factory=Spool)


class OriginServer(Settings):
    """The long form of an origin server."""

    url: Annotated[
        str,
        Meta(description="`http://host[:port]`, `https://host[:port]` or `unix:/path/to/socket`; no path, no query."),
    ]
    weight: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="Share of the requests, relative to the other servers. 0: only when all others are down.",
        ),
    ] = 1


class OriginTls(Settings):
    """TLS towards `https://` origins."""

    verify: Annotated[
        bool,
        Meta(description="Whether the certificate must be valid. Off accepts anything: for private networks only."),
    ] = True
    ca_file: Annotated[
        str | None, Meta(description="PEM file of the authorities to trust. Unset: those of the system.")
    ] = None
    server_name: Annotated[
        str | None, Meta(description="Name to ask for (SNI) and to verify. Unset: the host of the URL.")
    ] = None


class ActiveHealth(Settings):
    """Probes that the edge sends to each origin server by itself."""

    path: Annotated[str, Meta(description="Path that is asked for with GET.")] = "/"
    interval_s: Annotated[Seconds, Meta(description="Seconds between two probes of a server.")] = 10
    timeout_s: Annotated[Seconds, Meta(description="Seconds that a probe may take.")] = 2
    healthy: Annotated[int, Meta(ge=1, le=100, description="Good probes in a row that bring a server back.")] = 2
    unhealthy: Annotated[int, Meta(ge=1, le=100, description="Failed probes in a row that take a server out.")] = 3
    status: Annotated[
        str, Meta(description="Statuses that count as good: `200`, `200-399`, or a list as in `200-299,404`.")
    ] = "200-399"


class PassiveHealth(Settings):
    """What failed requests teach about an origin server."""

    failures: Annotated[
        int, Meta(ge=0, le=1000, description="Failures in a row after which a server rests. 0: it never rests.")
    ] = 3
    cooldown_s: Annotated[
        Seconds, Meta(description="Seconds of the first rest; it doubles while the server keeps failing.")
    ] = 10


class Pool(Settings):
    """How the edge chooses among the origins of a zone and speaks to them."""

    stickiness: Annotated[
        Literal["none", "cookie", "ip"],
        Meta(description="How a returning client finds the same server: not at all, by a cookie, by its address."),
    ] = "none"
    host_header: Annotated[str | None, Meta(description="`Host` sent to the origin. Unset: the client's own.")] = None
    http_version: Annotated[
        Literal["1.1", "2", "auto"],
        Meta(description="HTTP version spoken to the origin; `auto` is what ALPN agrees on, and 1.1 without TLS."),
    ] = "1.1"
    retries: Annotated[
        int,
        Meta(
            ge=0,
            le=10,
            description="How often a request that nothing answered is tried again, if its body can be sent again.",
        ),
    ] = 1
    connect_timeout_s: Annotated[Seconds, Meta(description="Seconds to connect to an origin, TLS included.")] = 5
    tls: Annotated[OriginTls, Meta(description="TLS towards `https://` origins.")] = field(default_factory=OriginTls)
    active_health: Annotated[
        ActiveHealth | None, Meta(description="Probes of the origins; `{}` takes every default. Unset: none are sent.")
    ] = None
    passive_health: Annotated[PassiveHealth, Meta(description="What failed requests teach about a server.")] = field(
        default_factory=PassiveHealth
    )


class CertificateFiles(Settings):
    """A certificate and its key."""

    certificate_file: Annotated[
        str, Meta(description="PEM file: the certificate, then its chain. Reread when it changes.")
    ]
    key_file: Annotated[str, Meta(description="PEM file of the private key. Only its path is stored.")]


class Hsts(Settings):
    """`Strict-Transport-Security` (RFC 6797) on HTTPS responses."""

    max_age_s: Annotated[int, Meta(ge=0, le=315_360_000, description="Seconds that a browser remembers.")] = 31_536_000
    include_subdomains: Annotated[bool, Meta(description="Whether it holds for all names below the host.")] = False
    preload: Annotated[bool, Meta(description="Whether the owner agrees to the preload lists of browsers.")] = False


class Acme(Settings):
    """A certificate from an ACME authority (RFC 8555), proved by HTTP-01. Setting it accepts the authority's terms."""

    email: Annotated[
        str,
        Meta(pattern=r"^[^@\s]+@[^@\s]+$(?!\n)", description="Address of the account, for the authority's notices."),
    ]
    directory_url: Annotated[str, Meta(description="Directory of the authority.")] = (
        "https://acme-v02.api.letsencrypt.org/directory"
    )
    ca_file: Annotated[
        str | None,
        Meta(
            description="PEM file to trust for the authority's own HTTPS (a private authority). Unset: the public ones."
        ),
    ] = None


class Tls(Settings):
    """TLS towards the clients of a zone."""

    certificates: Annotated[
        list[CertificateFiles],
        Meta(
            description="Certificates by file, the first that covers the name is served. Unset: the development CA's."
        ),
    ] = []
    acme: Annotated[Acme | None, Meta(description="Have the certificate issued and renewed by an ACME authority.")] = (
        None
    )
    min_version: Annotated[Literal["1.2", "1.3"], Meta(description="Oldest TLS version accepted.")] = "1.2"
    https_redirect: Annotated[bool, Meta(description="Answer plain HTTP with a redirect to HTTPS.")] = False
    hsts: Annotated[
        Hsts | None, Meta(description="`Strict-Transport-Security`; `{}` takes every default. Unset: not sent.")
    ] = None


class Normalization(Settings):
    """URL normalisation: what rules see is the one spelling of a path, not the one that an attacker chose."""

    incoming: Annotated[
        Literal["cloudflare", "rfc3986", "none"],
        Meta(
            description="`rfc3986`: RFC 3986 §6.2.2; `cloudflare`: also backslashes and repeated /; `none`: as it came."
        ),
    ] = "cloudflare"
    to_origin: Annotated[bool, Meta(description="Whether the origin gets the normalised URL too.")] = False


class Body(Settings):
    """How request bodies are held for rules that read them. Nothing is held in a zone whose rules do not."""

    inspection_limit: Annotated[int, Meta(ge=1, le=67_108_864, description="Bytes of a body that rules can see.")] = (
        131_072
    )
    wait_ms: Annotated[
        int,
        Meta(ge=0, le=600_000, description="Milliseconds to wait for that much of a body. 0: as long as it takes."),
    ] = 1000
    past_limit: Annotated[
        Literal["inspect_prefix", "reject"] | None,
        Meta(
            description="A body that cannot be held whole: rules see its beginning, or the request is refused with 413 "
            "(too long), 408 (too slow) or 503 (no memory left for held bodies). Unset: they see its beginning, and "
            "`check` warns of it where a rule set of the WAF looks at bodies."
        ),
    ] = None


class Compression(Settings):
    """Compression of responses (gzip, brotli) that the origin sent uncompressed."""

    enabled: Annotated[bool, Meta(description="Whether responses are compressed.")] = True
    min_bytes: Annotated[
        int, Meta(ge=0, le=1_073_741_824, description="Shorter responses are left as they are, in bytes.")
    ] = 1024


class Logging(Settings):
    """What a rule with the action `skip` leaves behind."""

    enabled: Annotated[bool, Meta(description="Whether a request that the rule lets through leaves a firewall event.")]


class Rule(Settings):
    """An expression over fields, and what to do with the requests for which it is true."""

    expression: Annotated[
        str,
        Meta(min_length=1, max_length=65_536, description="Condition in the rules language; `true` for every request."),
    ]
    action: Annotated[Action, Meta(description="What happens to a request for which the expression is true.")]
    action_parameters: Annotated[
        dict[str, Any] | None,
        Meta(description="Parameters of the action. `execute` and `skip` know a ruleset by its name or its id."),
    ] = None
    phase: Annotated[Phase, Meta(description="Phase in which the rule runs.")] = "http_request_firewall_custom"
    description: Annotated[str, Meta(max_length=500, description="What the rule is for; shown with its events.")] = ""
    ref: Annotated[
        RuleRef | None,
        Meta(description="A name that stays: with it the id of the rule outlives changes of its expression."),
    ] = None
    id: Annotated[
        RuleId | None,
        Meta(
            description=(
                "32 hexadecimal digits, as events name the rule. Unset: derived from the zone and `ref`, or without "
                "`ref` from phase, expression and action."
            )
        ),
    ] = None
    enabled: Annotated[bool, Meta(description="Whether the rule runs.")] = True
    logging: Annotated[Logging | None, Meta(description="For `skip` only. Unset: it leaves an event.")] = None
    categories: Annotated[
        list[Category],
        Meta(description="For rules of rulesets: words by which `execute` overrides several rules at once."),
    ] = []


class ErrorPage(Settings):
    """HTML in the place of an error of the edge's own, up to 1,500,000 bytes with a `<head>`.

    `::CLIENT_IP::`, `::RAY_ID::` and `::GEO::` stand for the client's address, the Ray ID and the code of the country.
    """

    file: Annotated[str | None, Meta(description="The page as a UTF-8 file. Read again by every apply.")] = None
    content: Annotated[str | None, Meta(description="The page itself, in the place of a file.")] = None


ErrorPages = Annotated[
    dict[str, ErrorPage],
    Meta(
        description=(
            "Pages by type of error: `waf_block` for what a rule blocks without words of its own, `500_errors` for "
            "502, 504 and 508 of the edge's own, in which `::CLOUDFLARE_ERROR_500S_BOX::` says what happened. A page "
            "of the zone goes before one of the account, a rule with `serve_error` before both where it is no block."
        )
    ),
]


class Zone(Settings, kw_only=True):
    """One site: the host names it answers to, the servers behind it, its certificates and its rules."""

    hosts: Annotated[
        list[str],
        Meta(description="Host names, exact (`shop.example`) or with one leading wildcard (`*.shop.example`)."),
    ] = []
    default: Annotated[
        bool, Meta(description="Takes every host name that no other zone claims. At most one zone can.")
    ] = False
    origins: Annotated[
        list[str | OriginServer],
        Meta(
            description=(
                "Servers behind the edge, at least one: URLs as in `http://127.0.0.1:8000`, `https://app.internal` or "
                "`unix:/run/app.sock`, or tables with `url` and `weight`."
            )
        ),
    ]
    pool: Annotated[Pool, Meta(description="How the edge chooses among the origins and speaks to them.")] = field(
        default_factory=Pool
    )
    tls: Annotated[Tls, Meta(description="Certificates and TLS towards clients.")] = field(default_factory=Tls)
    normalization: Annotated[Normalization, Meta(description="URL normalisation.")] = field(
        default_factory=Normalization
    )
    body: Annotated[Body, Meta(description="Holding of request bodies for rules that read them.")] = field(
        default_factory=Body
    )
    compression: Annotated[Compression, Meta(description="Compression of responses.")] = field(
        default_factory=Compression
    )
    ip_geolocation: Annotated[
        bool,
        Meta(
            description=(
                "Whether the origin is told the client's country in `CF-IPCountry` (`XX`: not known), where "
                "`location_file` in `[edge.geo]` names a database."
            )
        ),
    ] = True
    error_pages: ErrorPages = {}
    rules: Annotated[list[Rule], Meta(description="Rules of the zone, run phase by phase in the order written.")] = []


class ListItem(Settings, omit_defaults=True):
    """The long form of an item of a list. Redirects have no other; their parameters are those of Bulk Redirects."""

    item: Annotated[str | None, Meta(description="The item, of every kind but `redirect`.")] = None
    source_url: Annotated[
        str | None,
        Meta(
            description=(
                "Host and path that are redirected, as in `shop.example/old`; with `http://` or `https://` in front "
                "for one of them only. Each source is there once."
            )
        ),
    ] = None
    target_url: Annotated[
        str | None, Meta(description="Where it leads: an http or https URL, or a path that begins with one `/`.")
    ] = None
    status_code: Annotated[
        Annotated[int, Meta(ge=301, le=308)] | None, Meta(description="301, 302, 307 or 308. Unset: 301.")
    ] = None
    include_subdomains: Annotated[
        bool | None, Meta(description="Whether the hosts below that of the source are meant too. Unset: no.")
    ] = None
    subpath_matching: Annotated[
        bool | None, Meta(description="Whether the paths below that of the source are meant too. Unset: no.")
    ] = None
    preserve_query_string: Annotated[
        bool | None, Meta(description="Whether the request's query is appended to the target. Unset: no.")
    ] = None
    preserve_path_suffix: Annotated[
        bool | None,
        Meta(
            description=(
                "With `subpath_matching`: whether what the request's path has below that of the source is appended. "
                "Unset: yes."
            )
        ),
    ] = None
    comment: Annotated[str | None, Meta(description="For people, at most 500 characters.")] = None
    expires: Annotated[
        str | None,
        Meta(
            description=(
                "The moment from which the item matches no more, without another apply: a date and time of RFC 3339 "
                "such as `2026-12-01T00:00:00Z`, in quotes or as a date of TOML."
            )
        ),
    ] = None


class ListSource(Settings):
    """A list that expressions name as `$name`."""

    kind: Annotated[
        Literal["ip", "hostname", "asn", "string", "redirect"],
        Meta(
            description=(
                "What it holds: IP addresses and CIDR prefixes, host names (`*.shop.example` for all below one), "
                "numbers of autonomous systems, strings that are compared whole, or URLs and where each leads."
            )
        ),
    ]
    items: Annotated[
        list[str | ListItem] | UnsetType,
        Meta(description="The items themselves, each as text or as a table that says more of it."),
    ] = UNSET
    file: Annotated[
        str | None,
        Meta(
            description=(
                "A UTF-8 file with one item on each line, where `#` begins a comment; or CSV, its columns named in the "
                "first line as the keys of `items` are. Read again by every apply."
            )
        ),
    ] = None


class Ruleset(Settings):
    """Rules under a name, run where a rule with the action `execute` names them: of the edge, or of SecLang."""

    phase: Annotated[
        Phase | None,
        Meta(
            description=(
                "Phase whose rules may execute it. Unset: `http_request_firewall_custom`; of SecLang always "
                "`http_request_firewall_managed`, and a rule in `http_response_firewall_managed` that executes it too "
                "has it look at responses."
            )
        ),
    ] = None
    id: Annotated[RuleId | None, Meta(description="32 hexadecimal digits. Unset: derived from the name.")] = None
    rules: Annotated[list[Rule], Meta(description="The rules, in order. Their `phase` is that of the ruleset.")] = []
    seclang: Annotated[
        str | None,
        Meta(
            description=(
                "Rules of the ModSecurity rule language in their place: `crs` for the newest Core Rule Set that "
                "`bartizan crs install` has installed, `crs@4.25.0` for one version, or a rule file or a folder of "
                "rules, relative to the site file. Read again by every apply, with all that it includes."
            )
        ),
    ] = None
    paranoia_level: Annotated[
        Annotated[int, Meta(ge=1, le=4)] | None,
        Meta(
            description=(
                "With `seclang`: how much of a Core Rule Set runs where `execute` does not say another. It wins over "
                "the setup of the rule set. Unset: 1."
            ),
        ),
    ] = None
    setup: Annotated[
        str | None,
        Meta(
            description=(
                "With `seclang`: more of the rule language, read after the setup of the rule set and before its "
                "rules, as exclusions and `SecAction`s."
            )
        ),
    ] = None


class Account(Settings):
    """What holds for all zones."""

    rules: Annotated[list[Rule], Meta(description="Rules that run before those of the zone, in every zone.")] = []
    error_pages: ErrorPages = {}


class Events(Settings):
    """What the events of requests keep, and for how long. `docs/security/what-is-stored.md` lists all of it."""

    client_ip: Annotated[
        Literal["full", "truncated", "hashed"],
        Meta(
            description=(
                "How addresses of clients are kept: whole; as their network, 24 bits of IPv4 and 48 of IPv6; or as a "
                "pseudonym that stays the same for a day (UTC) and cannot be joined with that of another day."
            )
        ),
    ] = "full"
    redact: Annotated[
        bool,
        Meta(
            description=(
                "Whether URLs are kept without the values of parameters that are named like secrets (`token`, "
                "`password`, `key`, `code` and so on) and without user information, and matches of WAF rules without "
                "the values that matched. Off keeps passwords of visitors."
            )
        ),
    ] = True
    secret_parameters: Annotated[
        list[str],
        Meta(
            description="More names of parameters whose values are not kept; capitals, `-`, `_` and the like are one."
        ),
    ] = []
    retention_days: Annotated[
        int, Meta(ge=1, le=3650, description="Days that the event store keeps events; whole days are dropped.")
    ] = 30
    retention: Annotated[
        dict[str, Annotated[int, Meta(ge=1, le=3650)]],
        Meta(
            description=(
                "Days that the event store keeps the values of single columns, by name, where they are fewer: after "
                "them the column is empty. In every event table that has the column."
            )
        ),
    ] = {}


class Site(Settings, kw_only=True):
    """A whole site file."""

    edge: Annotated[Edge, Meta(description="The machine: addresses, threads, limits.")] = field(default_factory=Edge)
    events: Annotated[Events, Meta(description="What events keep, and for how long.")] = field(default_factory=Events)
    zones: Annotated[
        dict[Name, Zone],
        Meta(
            description="The sites, at least one, by a name of small letters, digits, `-` and `_`.",
            extra_json_schema={"minProperties": 1},
        ),
    ]
    lists: Annotated[
        dict[ListName, ListSource],
        Meta(description="Lists for expressions, by a name of small letters, digits and `_`."),
    ] = {}
    rulesets: Annotated[dict[Name, Ruleset], Meta(description="Rulesets for `execute`, by name.")] = {}
    account: Annotated[Account, Meta(description="What holds for all zones.")] = field(default_factory=Account)
    sinks: Annotated[
        dict[Name, Sink], Meta(description="Where events are sent, by a name of your own and of one `type` each.")
    ] = {}
    transparency: Annotated[Transparency, Meta(description="Key transparency. Unset: none of it runs.")] = field(
        default_factory=Transparency
    )
