"""Reads events in Python: slow answers of the shop by path, first as dicts, then as an Arrow table."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from bartizan import Failure, events

# As `bartizan events export requests.ndjson` writes it; events.open(".bartizan") reads what is there without that.
FILE = Path("requests.ndjson")
FILE.write_text(
    "".join(
        json.dumps(
            {
                "EdgeStartTimestamp": f"2026-11-21T16:15:{second:02}Z",
                "ClientRequestMethod": "GET",
                "ClientRequestHost": "shop.example",
                "ClientRequestPath": "/basket" if second % 3 else "/",
                "EdgeResponseStatus": 200,
                "EdgeTimeToFirstByteMs": second * 20,
            }
        )
        + "\n"
        for second in range(60)
    )
)

book = events.open(FILE)
slow = Counter(
    row["ClientRequestPath"]
    for row in book.http_requests(since="2026-11-21T16:15:30Z", where='http.host eq "shop.example"')
    if row["EdgeTimeToFirstByteMs"] >= 1000
)
print(slow.most_common())

times = book.http_requests(columns=["EdgeStartTimestamp", "EdgeTimeToFirstByteMs"])
print(times.count(), "rows,", times.schema.field("EdgeStartTimestamp").type)
print(max(times.to_arrow().column("EdgeTimeToFirstByteMs").to_pylist()), "ms at most")

try:
    book.http_requests(where="http.hots eq 1")
except Failure as failure:
    print(str(failure).splitlines()[0])
