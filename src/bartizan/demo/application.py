"""The application behind the demo: datasette, from its own package, with a small shop in SQLite."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bartizan.failure import Failure

_STARTS_S: Final = 30.0
_SERVES: Final = re.compile(r"Uvicorn running on (http://\S+)")

_PRODUCTS: Final = (
    (1, "Rope, 30 m", "tools", 24.5),
    (2, "Lantern", "light", 39.0),
    (3, "Candle, box of 12", "light", 7.2),
    (4, "Iron hinge", "hardware", 3.9),
    (5, "Oak plank", "timber", 11.0),
    (6, "Mortar, 5 kg", "masonry", 8.4),
    (7, "Arrow loop shutter", "hardware", 64.0),
    (8, "Bell, bronze", "signals", 210.0),
)
_ORDERS: Final = ((1, 1, 2, "2026-10-02"), (2, 3, 5, "2026-10-02"), (3, 8, 1, "2026-10-09"), (4, 5, 12, "2026-11-01"))


def make_database(file: Path) -> None:
    """Write the sample shop: products and orders."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, category TEXT, price REAL)")
        connection.execute(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, product REFERENCES products, quantity INTEGER, placed TEXT)"
        )
        connection.executemany("INSERT INTO products VALUES (?, ?, ?, ?)", _PRODUCTS)
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", _ORDERS)


@contextmanager
def application(directory: Path) -> Iterator[str]:
    """Run the application while the block runs; gives its address.

    Raises Failure where datasette is not installed or does not start.
    """
    if find_spec("datasette") is None:
        raise Failure("datasette is not installed; pip install 'bartizan[demo]'")
    database = directory / "shop.db"
    if not database.exists():
        make_database(database)
    log = directory / "application.log"
    command = [sys.executable, "-m", "datasette", str(database), "--port", "0"]
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output, process_group=0) as process:
        try:
            yield _address(process, log)
        finally:
            process.terminate()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where it serves, once it says so. It takes a port by itself: one that we chose might be another's by then."""
    end = time.monotonic() + _STARTS_S
    while time.monotonic() < end and process.poll() is None:
        if said := _SERVES.search(log.read_text()):
            return said[1]
        time.sleep(0.05)
    raise Failure(f"the sample application did not start; its last words: {log.read_text()[-500:]}")
