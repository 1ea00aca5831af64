"""ClickHouse's HTTP interface on the embedded engine, as far as the sink speaks it: `python clickhouse_front.py DIR`.

It prints its port. Statements come as the body, inserts as `?query=` with their block behind. A file `DIR/mute` has it
carry out the next insert and hang up before the answer.
"""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import chdb as engine

chdb: Any = engine

USER, PASSWORD = "edge", "planted-password"

directory = Path(sys.argv[1])
connection = chdb.connect(str(directory / "store"))
in_turn = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if (self.headers["X-ClickHouse-User"], self.headers["X-ClickHouse-Key"]) != (USER, PASSWORD):
            self._answer(403, b"Code: 516. DB::Exception: edge: Authentication failed")
            return
        (statement,) = parse_qs(urlsplit(self.path).query).get("query", [""])
        try:
            with in_turn:
                answer = self._insert(statement, body) if statement else self._run(body)
        except chdb.ChdbError as error:
            self._answer(500, str(error).encode())
            return
        if statement and (directory / "mute").exists():
            (directory / "mute").unlink()
            self.close_connection = True
            return
        self._answer(200, answer or b"")

    def _run(self, statement: bytes) -> bytes | None:
        answer: bytes | None = connection.query(statement.decode(), "TabSeparated").bytes()
        return answer

    def _insert(self, statement: str, block: bytes) -> bytes:
        plain, _, form = statement.rpartition(" FORMAT ")
        with connection.send_insert(plain, form) as insert:
            insert.append(block)
            insert.finish()
        return b""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler)
print(server.server_port, flush=True)
server.serve_forever()
