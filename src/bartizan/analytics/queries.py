"""The named questions: `bartizan query NAME`, and what the demo shows."""

from __future__ import annotations

from typing import Final, NamedTuple


class Query(NamedTuple):
    """A question: its name on the command line, what it answers, and its SQL."""

    name: str
    summary: str
    sql: str


QUERIES: Final = (
    Query(
        "events-by-rule",
        "what each rule did in the last day",
        """\
SELECT ZoneName AS zone, Source AS source, RuleID AS rule, any(Description) AS description, Action AS action,
       sum(SampleInterval) AS events, uniq(ClientIP) AS clients, max(Datetime) AS last
FROM firewall_events WHERE Datetime > now() - INTERVAL 1 DAY
GROUP BY zone, source, rule, action ORDER BY events DESC LIMIT 50""",
    ),
    Query(
        "requests-by-zone",
        "requests, refusals and latency of each zone in the last day",
        """\
SELECT ZoneName AS zone, sum(Requests) AS requests,
       sumIf(Requests, SecurityAction != '') AS mitigated,
       sumIf(Requests, EdgeResponseStatus >= 500) AS errors,
       quantilesBFloat16WeightedMerge(0.5, 0.9, 0.99)(TimeToFirstByteMs)[1] AS p50_ms,
       quantilesBFloat16WeightedMerge(0.5, 0.9, 0.99)(TimeToFirstByteMs)[3] AS p99_ms
FROM requests_per_minute WHERE Minute >= toStartOfMinute(now() - INTERVAL 1 DAY)
GROUP BY zone ORDER BY requests DESC LIMIT 50""",
    ),
    Query(
        "requests-by-minute",
        "requests and what was mitigated of them, per minute of the last hour",
        """\
SELECT Minute AS minute, sum(Requests) AS requests, sumIf(Requests, SecurityAction != '') AS mitigated
FROM requests_per_minute WHERE Minute >= toStartOfMinute(now() - INTERVAL 1 HOUR)
GROUP BY minute ORDER BY minute""",
    ),
    Query(
        "latency-by-host",
        "how long each host took to the first byte in the last day, to 0.4 %",
        """\
SELECT host, requests, ms[1] AS p50_ms, ms[2] AS p90_ms, ms[3] AS p99_ms
FROM (
  SELECT ClientRequestHost AS host, sum(Requests) AS requests,
         quantilesBFloat16WeightedMerge(0.5, 0.9, 0.99)(TimeToFirstByteMs) AS ms
  FROM requests_per_minute WHERE Minute >= toStartOfMinute(now() - INTERVAL 1 DAY)
  GROUP BY host
)
ORDER BY requests DESC LIMIT 50""",
    ),
    Query(
        "top-paths",
        "the paths most asked for in the last day",
        """\
SELECT ClientRequestHost AS host, ClientRequestPath AS path, sum(SampleInterval) AS requests,
       uniq(ClientIP) AS clients
FROM http_requests WHERE EdgeStartTimestamp > now() - INTERVAL 1 DAY
GROUP BY host, path ORDER BY requests DESC LIMIT 20""",
    ),
    Query(
        "top-clients",
        "the addresses that asked most in the last day",
        """\
SELECT ClientIP AS client, sum(SampleInterval) AS requests,
       sumIf(SampleInterval, SecurityAction != '') AS mitigated, any(ClientRequestUserAgent) AS user_agent
FROM http_requests WHERE EdgeStartTimestamp > now() - INTERVAL 1 DAY
GROUP BY client ORDER BY requests DESC LIMIT 20""",
    ),
    Query(
        "refusals-by-reason",
        "what was refused before it was a request, in the last day",
        """\
SELECT Reason AS reason, sum(SampleInterval) AS refusals, uniq(ClientIP) AS clients, max(Datetime) AS last
FROM bartizan_refusals WHERE Datetime > now() - INTERVAL 1 DAY
GROUP BY reason ORDER BY refusals DESC""",
    ),
    Query(
        "outcomes",
        "how exchanges ended in the last day",
        """\
SELECT BartizanOutcome AS outcome, EdgeResponseStatus AS status, sum(SampleInterval) AS requests
FROM http_requests WHERE EdgeStartTimestamp > now() - INTERVAL 1 DAY
GROUP BY outcome, status ORDER BY requests DESC LIMIT 50""",
    ),
)


def find(name: str) -> Query | None:
    """The question of that name."""
    return next((query for query in QUERIES if query.name == name), None)
