"""What is measured beside: chDB that inserts the rows of a spool into one table, and nothing more.

    python -m benches.events.plain SPOOL DIRECTORY

The table is a MergeTree with the columns and the order of ours; no rollup, no index, no deduplication, no fsync, no
journal. The rows are read by our reader, as many at once as ours, and handed over as blocks in ClickHouse's Native
format, which is the fastest way in. Prints the seconds, then the answer to each line of SQL that it reads; ends when
its input does.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import chdb

from bartizan._native import SpoolReader
from bartizan.events import schema
from bartizan.events.sinks.contract import FULL_ROWS, SEGMENT_BYTES


def main(spool: Path, directory: Path) -> int:
    """Inserts all, prints the seconds, and answers what standard input asks until that ends."""
    engine: Any = chdb
    connection = engine.connect(str(directory))
    definition = schema.table("http_requests")
    columns = ", ".join(f"{schema.identifier(column.name)} {column.clickhouse}" for column in definition.columns)
    connection.query(
        f"CREATE TABLE http_requests ({columns}) ENGINE = MergeTree PARTITION BY toDate(EdgeStartTimestamp) "
        "ORDER BY (ZoneName, EdgeStartTimestamp)"
    )
    reader = SpoolReader(spool, "oldest")
    began = time.monotonic()
    while (batch := reader.next_batch(FULL_ROWS, SEGMENT_BYTES)) is not None:
        block = batch.native("http_requests")
        if block is not None:
            with connection.send_insert("INSERT INTO http_requests", "Native") as insert:
                insert.append(block)
                insert.finish()
    print(time.monotonic() - began, flush=True)
    for line in sys.stdin:
        print(connection.query(line, "TabSeparated").bytes().decode().replace("\n", "|"), flush=True)
    connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
