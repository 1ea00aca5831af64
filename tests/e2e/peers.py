"""nginx and HAProxy in front of an origin, each with the settings of its documentation for a keep-alive proxy.

They stand beside the edge so that what it refuses can be weighed: the same bytes, the same origin. Nothing of their
strictness is turned off, and nothing that is off by default is turned on.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from tests.e2e import strict
from tests.ports import reserved_port

NGINX = """
daemon off;
worker_processes 1;
error_log {folder}/error.log warn;
pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_header_timeout 2s;
    client_body_timeout 2s;
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{port}{http2};
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_read_timeout 3s;
        }}
    }}
}}
"""

HAPROXY = """
global
    log stderr local0 emerg
    stats socket {folder}/haproxy.sock
defaults
    mode http
    option http-keep-alive
    timeout connect 2s
    timeout client 2s
    timeout server 3s
    timeout http-request 2s
frontend client
    bind 127.0.0.1:{port}{http2}
    default_backend origin
backend origin
    http-reuse safe
    server origin 127.0.0.1:{origin}
"""

PATIENCE_S = 0.7
"""How long a proxy may be silent before that is its answer."""

HTTP2 = {"nginx": " http2", "haproxy": " proto h2"}
"""What makes the listener speak HTTP/2 by prior knowledge."""

CONFIGURATIONS = {"nginx": NGINX, "haproxy": HAPROXY}


def installed() -> list[str]:
    """The peers that this machine has."""
    return [name for name in CONFIGURATIONS if program(name)]


def program(name: str) -> str | None:
    """Where a peer is, `None` if it is not. Debian puts it where only root's PATH looks."""
    return shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


def version(name: str) -> str:
    """The first line that a peer says of itself."""
    said = subprocess.run([program(name) or name, "-v"], capture_output=True, text=True, check=True)
    return (
        (said.stdout + said.stderr)
        .splitlines()[0]
        .removeprefix("nginx version: ")
        .removesuffix(" - https://haproxy.org/")
    )


def exchange(port: int, data: bytes, patience_s: float = PATIENCE_S) -> tuple[bytes, bool]:
    """What comes until the proxy closes or says no more, and whether it closed."""
    received, said_end = b"", False
    with socket.create_connection(("127.0.0.1", port), timeout=patience_s) as client:
        try:
            client.sendall(data)
            while part := client.recv(1 << 16):
                received += part
                if not said_end and _whole(received):
                    said_end = True
                    client.shutdown(socket.SHUT_WR)
        except TimeoutError:
            return received, False
        except OSError:
            pass
    return received, True


def _whole(received: bytes) -> bool:
    """Whether an answer is there from its first byte to its last."""
    try:
        answer = strict.response(received)
    except strict.Ambiguous:
        return False
    return answer is not None and answer.whole


class Peer:
    """A running nginx or HAProxy; a context manager."""

    def __init__(self, name: str, origin: int, folder: Path, *, http2: bool = False) -> None:
        """Starts `name` in front of the origin at that port of loopback; its files go to `folder`."""
        self.name = name
        self.port = reserved_port()
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{name}.conf"
        told = HTTP2[name] if http2 else ""
        file.write_text(CONFIGURATIONS[name].format(folder=folder, origin=origin, port=self.port, http2=told))
        binary = program(name)
        if binary is None:
            raise FileNotFoundError(f"{name} is not installed: apt-get install {name}")
        arguments = ["-c", str(file), "-p", str(folder)] if name == "nginx" else ["-db", "-f", str(file)]
        self._log = (folder / f"{name}.log").open("wb")
        self._process = subprocess.Popen([binary, *arguments], stdout=self._log, stderr=self._log)
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        self.stop()
        raise RuntimeError(f"{self.name} did not start; see {self._log.name}")

    def stop(self) -> None:
        """Ends it."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def __enter__(self) -> Peer:
        """The peer itself; it listens already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it."""
        self.stop()
