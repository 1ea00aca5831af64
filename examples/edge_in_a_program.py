"""An edge inside a Python program: it blocks one path, then a second policy takes effect without a restart.

Run it: python examples/edge_in_a_program.py
"""

import http.client
import http.server
import tempfile
import threading
from typing import Any

import bartizan


class Application(http.server.BaseHTTPRequestHandler):
    """The application that is protected."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answers every request alike."""
        body = b"the application\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def policy(version: int, origin: str, spool: str, expression: str) -> dict[str, Any]:
    """One zone for every host name, with one rule."""
    rule = {"id": f"{version:032x}", "expression": expression, "action": "block", "description": "an example"}
    return {
        "format": 1,
        "version": version,
        "edge": {"listen": [{"address": "127.0.0.1:0"}], "spool": {"dir": spool}},
        "zones": [
            {
                "name": "example",
                "hosts": [],
                "default": True,
                "origin": {"servers": [{"url": origin}]},
                "phases": {"http_request_firewall_custom": [rule]},
            }
        ],
    }


def status(address: str, path: str) -> int:
    """The status with which the edge answers a request."""
    connection = http.client.HTTPConnection(address)
    connection.request("GET", path)
    answer = connection.getresponse().status
    connection.close()
    return answer


def main() -> None:
    """Serves, asks, swaps the policy and asks again."""
    application = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application)
    threading.Thread(target=application.serve_forever, daemon=True).start()
    origin = f"http://127.0.0.1:{application.server_port}"
    with tempfile.TemporaryDirectory() as spool:
        first = policy(1, origin, spool, 'http.request.uri.path eq "/admin"')
        with bartizan.Edge(first) as edge:
            address, _tls = edge.listening[0]
            print("policy 1:", status(address, "/"), status(address, "/admin"))
            report = edge.apply(policy(2, origin, spool, 'starts_with(http.request.uri.path, "/")'))
            print(f"policy {report['version']}:", status(address, "/"), status(address, "/admin"))
    application.shutdown()
    application.server_close()


if __name__ == "__main__":
    main()
