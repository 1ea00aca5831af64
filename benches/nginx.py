"""The peer: Debian's nginx as a reverse proxy, configured to do the same work as the edge and no less well.

One worker, kept-alive connections to the origin, the headers that the edge sends to an origin, a buffered access log.
The limits on requests for each connection are lifted on both sides of it: reconnecting is not what is compared.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from benches.certificates import certificate
from benches.machine import PROXY_CORE, pinned
from benches.proxies import HOST, Proxy, free_port

from bartizan.failure import Failure

Manner = Literal["as the edge", "large buffers", "bare"]
"""`large buffers`: whole 64 KiB bodies fit; `bare`: neither the headers nor the log, for what those cost."""

_LARGE_BUFFERS: Final = "proxy_buffers 8 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 128k;"

_AS_THE_EDGE: Final = r"""
    access_log {directory}/access.log combined buffer=64k flush=1s;
    add_header CF-Ray $request_id-LOC;
    proxy_set_header Host $host;
    proxy_set_header CF-Connecting-IP $remote_addr;
    proxy_set_header CF-Ray $request_id-LOC;
    proxy_set_header CF-Visitor '{{"scheme":"$scheme"}}';
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $host;
    proxy_set_header Via "1.1 nginx";
    proxy_set_header CDN-Loop "nginx; edge=0123456789abcdef0123456789abcdef";
"""

_MODSECURITY: Final = r"""
    modsecurity on;
    modsecurity_rules_file {rules};
    client_max_body_size 16m;
    client_body_buffer_size 256k;
"""
"""A body that stays in memory: what a temporary file costs is not what is compared."""

_MODULE: Final = "load_module /usr/lib/nginx/modules/ngx_http_modsecurity_module.so;"

_CONFIGURATION: Final = r"""
{module}
worker_processes 1;
daemon off;
user root;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
worker_rlimit_nofile 20000;
events {{ worker_connections 8192; }}
http {{
    client_body_temp_path {directory}/client;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    access_log off;
    server_tokens off;
    keepalive_requests 1000000000;
    keepalive_timeout 75s;
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 1024; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{http};
        listen 127.0.0.1:{https} ssl http2;
        server_name {host};
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            {manner}
        }}
    }}
}}
"""


@contextmanager
def nginx(manner: Manner, origin: int, directory: Path, *, modsecurity: Path | None = None) -> Iterator[Proxy]:
    """An nginx on the proxy's core for as long as the block lasts; `pid` is its worker's.

    `modsecurity` names the rules that requests have to pass, with the module of libnginx-mod-http-modsecurity.
    """
    directory.mkdir()
    http, https = free_port(), free_port()
    certificate_file, key_file = certificate(HOST)
    extra = "" if manner == "bare" else _AS_THE_EDGE.format(directory=directory)
    if manner == "large buffers":
        extra += _LARGE_BUFFERS
    if modsecurity is not None:
        extra += _MODSECURITY.format(rules=modsecurity)
    file = directory / "nginx.conf"
    file.write_text(
        _CONFIGURATION.format(
            module="" if modsecurity is None else _MODULE,
            directory=directory,
            origin=origin,
            http=http,
            https=https,
            host=HOST,
            certificate=certificate_file,
            key=key_file,
            manner=extra,
        )
    )
    command = pinned(PROXY_CORE, ["nginx", "-p", directory, "-c", file])
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Proxy(f"nginx {manner}", _worker(process), http, https)
        finally:
            process.terminate()


def _worker(master: subprocess.Popen[str]) -> int:
    children = Path(f"/proc/{master.pid}/task/{master.pid}/children")
    for _ in range(100):
        if master.poll() is not None:
            assert master.stderr is not None
            raise Failure(f"nginx did not start: {master.stderr.read().strip()[:500]}")
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.05)
    raise Failure("nginx started no worker within 5 s; see its error.log")
