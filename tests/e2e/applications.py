"""Small origin applications behind the edge: one by ASGI for browsers and HTTP clients, one by gRPC."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import grpc
import uvicorn

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PIECE = bytes(range(256)) * 256
"""64 KiB; a download repeats it."""

TEXT = b"The edge stands between a site and those who visit it.\n" * 400
"""Content that is worth compressing."""

PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Behind the edge</title>
<link rel="icon" href="data:,"><h1>Behind the edge</h1><script src="/script.js"></script></html>"""

_TYPES = {
    "/": (b"text/html; charset=utf-8", PAGE),
    "/script.js": (b"text/javascript", b'document.body.dataset.script = "ran";\n'),
    "/text": (b"text/plain", TEXT),
}


def download_bytes(count: int) -> Iterator[bytes]:
    """What `/download?COUNT` answers."""
    while count > 0:
        yield PIECE[: min(count, len(PIECE))]
        count -= len(PIECE)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application.

    `/` and `/script.js`  a page and its script
    `/text`               22 KB of prose
    `/download?COUNT`     that many bytes, with a length; ranges are served of `/text` only
    `/upload`             counts what it is sent: JSON with bytes, sha256, pieces, and the request's headers
    `/echo`               sends each piece of the body back as it comes
    `/events`             server-sent events; the next one is sent when `/next` is asked for
    `/socket`             a WebSocket that sends back what it gets; the text `close CODE` closes it so
    """
    match scope["type"], scope.get("path"):
        case "websocket", _:
            await _socket(receive, send)
        case "http", "/text":
            await _text(scope, send)
        case "http", "/download":
            await _download(int(scope["query_string"]), send)
        case "http", "/upload":
            await _upload(scope, receive, send)
        case "http", "/echo":
            await _echo(receive, send)
        case "http", "/events":
            await _events(send)
        case "http", "/next":
            _next_event().set()
            await _whole(send, 204, b"text/plain", b"")
        case "http", path if path in _TYPES:
            await _whole(send, 200, *_TYPES[path])
        case "http", _:
            await _whole(send, 404, b"text/plain", b"no such page\n")


async def _whole(send: Send, status: int, kind: bytes, body: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _text(scope: Scope, send: Send) -> None:
    wanted = dict(scope["headers"]).get(b"range", b"").removeprefix(b"bytes=")
    if not wanted:
        return await _whole(send, 200, b"text/plain", TEXT, (b"accept-ranges", b"bytes"), (b"etag", b'"prose"'))
    first, last = (int(number) for number in wanted.split(b"-"))
    place = b"bytes %d-%d/%d" % (first, last, len(TEXT))
    await _whole(send, 206, b"text/plain", TEXT[first : last + 1], (b"content-range", place))
    return None


async def _download(count: int, send: Send) -> None:
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % count)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for piece in download_bytes(count):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _pieces(receive: Receive) -> Any:
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        if piece := message.get("body", b""):
            yield piece


async def _upload(scope: Scope, receive: Receive, send: Send) -> None:
    digest, count, pieces = hashlib.sha256(), 0, 0
    async for piece in _pieces(receive):
        digest.update(piece)
        count += len(piece)
        pieces += 1
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    seen = {"bytes": count, "sha256": digest.hexdigest(), "pieces": pieces, "headers": headers}
    await _whole(send, 200, b"application/json", json.dumps(seen).encode())


async def _echo(receive: Receive, send: Send) -> None:
    headers = [(b"content-type", b"application/octet-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async for piece in _pieces(receive):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


_next: dict[asyncio.AbstractEventLoop, asyncio.Event] = {}


def _next_event() -> asyncio.Event:
    return _next.setdefault(asyncio.get_running_loop(), asyncio.Event())


async def _events(send: Send) -> None:
    """Five events; all but the first wait until the client says that it got the one before."""
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    said = _next_event()
    said.set()
    for number in range(5):
        await said.wait()
        said.clear()
        await send(
            {"type": "http.response.body", "body": b"id: %d\ndata: event %d\n\n" % (number, number), "more_body": True}
        )
    await send({"type": "http.response.body", "body": b""})


async def _socket(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept", "subprotocol": None})
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        if text is not None and text.startswith("close "):
            return await send({"type": "websocket.close", "code": int(text.split()[1]), "reason": "as asked"})
        await send({"type": "websocket.send", "text": text, "bytes": message.get("bytes")})
    return None


class Application:
    """The ASGI application on a free port of loopback, in a thread; a context manager."""

    def __init__(self) -> None:
        """Binds the port; it listens from `__enter__` on."""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        settings = uvicorn.Config(
            application,
            log_config=None,
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=64 << 20,
            # Nobody sends a body on a connection that it closes at that moment.
            timeout_keep_alive=600,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> Application:
        """Starts it."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops it."""
        self._server.should_exit = True
        self._thread.join(60)
        self._socket.close()


def _unary(request: bytes, context: grpc.ServicerContext) -> bytes:
    sent = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-initial", str(sent.get("x-asked", ""))),))
    context.set_trailing_metadata((("x-trailing", "at the end"), ("x-binary-bin", b"\x00\xff")))
    return request


def _fail(request: bytes, context: grpc.ServicerContext) -> None:
    context.set_trailing_metadata((("x-why", "asked to"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.decode())


def _break(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    yield request
    context.abort(grpc.StatusCode.DATA_LOSS, "no more of it")


_CALLS = {
    "Unary": grpc.unary_unary_rpc_method_handler(_unary),
    "Stream": grpc.unary_stream_rpc_method_handler(lambda request, _: (bytes([byte]) for byte in request)),
    "Gather": grpc.stream_unary_rpc_method_handler(lambda requests, _: b"".join(requests)),
    "Both": grpc.stream_stream_rpc_method_handler(lambda requests, _: (part.upper() for part in requests)),
    "Fail": grpc.unary_unary_rpc_method_handler(_fail),
    "Break": grpc.unary_stream_rpc_method_handler(_break),
}
"""Messages are bytes as they are, so no generated code is needed."""


class GrpcApplication:
    """The gRPC service `shop.Echo` on a free port of loopback, without TLS; a context manager."""

    def __init__(self) -> None:
        """Starts it."""
        handlers = (grpc.method_handlers_generic_handler("shop.Echo", _CALLS),)
        self._server = grpc.server(ThreadPoolExecutor(4), handlers=handlers)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.url = f"http://127.0.0.1:{self.port}"
        self._server.start()

    def __enter__(self) -> GrpcApplication:
        """The application; it listens already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops it and waits."""
        self._server.stop(None).wait(60)
