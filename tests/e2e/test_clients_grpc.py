"""A gRPC client and server with the edge between them: HTTP/2 on both sides, trailers kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.e2e.applications import GrpcApplication
from tests.e2e.authority import Authority, listen
from tests.e2e.conftest import StartEdge, rule, zone

MIB = 1 << 20
WAIT_S = 60.0


@pytest.fixture(params=["tls", "cleartext"])
def channel(start_edge: StartEdge, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[grpc.Channel]:
    authority = Authority(tmp_path)
    phases = {
        "http_request_firewall_custom": [
            rule('http.request.uri.path eq "/shop.Echo/Forbidden"'),
            # A rule that reads bodies must not make a gRPC call wait for its end.
            rule('http.request.body.raw contains "never said"'),
        ]
    }
    with GrpcApplication() as application:
        tls = authority.tls("shop", "shop.test")
        site = zone(application.url, tls=tls, phases=phases, origin={"http_version": "2"})
        edge = start_edge(site, edge=listen())
        if request.param == "tls":
            credentials = grpc.ssl_channel_credentials(authority.file.read_bytes())
            options = [("grpc.ssl_target_name_override", "shop.test"), ("grpc.max_receive_message_length", -1)]
            made = grpc.secure_channel(f"127.0.0.1:{edge.tls_port}", credentials, options=options)
        else:
            made = grpc.insecure_channel(f"127.0.0.1:{edge.port}", options=[("grpc.default_authority", "shop.test")])
        with made:
            yield made


def test_a_unary_call_with_metadata_both_ways(channel: grpc.Channel) -> None:
    answer, call = channel.unary_unary("/shop.Echo/Unary").with_call(
        b"hello", timeout=WAIT_S, metadata=(("x-asked", "how"),)
    )
    initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
    assert (answer, call.code()) == (b"hello", grpc.StatusCode.OK)
    assert initial["x-initial"] == "how"
    assert (trailing["x-trailing"], trailing["x-binary-bin"]) == ("at the end", b"\x00\xff")


@pytest.mark.parametrize("size", [0, 1, 16384, 65536, 3 * MIB])
def test_messages_of_every_size(channel: grpc.Channel, size: int) -> None:
    message = bytes(index % 251 for index in range(min(size, 4096))) * max(1, size // 4096)
    assert channel.unary_unary("/shop.Echo/Unary")(message, timeout=WAIT_S) == message


def test_a_stream_from_the_server(channel: grpc.Channel) -> None:
    answers = channel.unary_stream("/shop.Echo/Stream")(b"abcdef", timeout=WAIT_S)
    assert list(answers) == [b"a", b"b", b"c", b"d", b"e", b"f"]


def test_a_stream_to_the_server(channel: grpc.Channel) -> None:
    parts = [b"%d," % number for number in range(500)]
    assert channel.stream_unary("/shop.Echo/Gather")(iter(parts), timeout=WAIT_S) == b"".join(parts)


def test_a_conversation_where_each_waits_for_the_other(channel: grpc.Channel) -> None:
    """The next word is said only when the one before was heard: with any buffering the call would hang."""
    heard = threading.Semaphore(1)

    def words() -> Iterator[bytes]:
        for word in (b"one", b"two", b"three"):
            heard.acquire(timeout=WAIT_S)
            yield word

    answers = []
    for answer in channel.stream_stream("/shop.Echo/Both")(words(), timeout=WAIT_S):
        answers.append(answer)
        heard.release()
    assert answers == [b"ONE", b"TWO", b"THREE"]


def failure(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as failed:
        call()
    error: Any = failed.value
    return error.code(), error.details()


def test_a_status_and_its_message_arrive(channel: grpc.Channel) -> None:
    failed = failure(lambda: channel.unary_unary("/shop.Echo/Fail")("not öpen".encode(), timeout=WAIT_S))
    assert failed == (grpc.StatusCode.FAILED_PRECONDITION, "not öpen")


def test_a_status_after_the_first_message_arrives(channel: grpc.Channel) -> None:
    answers = channel.unary_stream("/shop.Echo/Break")(b"first", timeout=WAIT_S)
    assert next(answers) == b"first"
    assert failure(lambda: next(answers)) == (grpc.StatusCode.DATA_LOSS, "no more of it")


def test_an_unknown_method_is_the_servers_to_refuse(channel: grpc.Channel) -> None:
    assert failure(lambda: channel.unary_unary("/shop.Echo/Nothing")(b"", timeout=WAIT_S))[0] == (
        grpc.StatusCode.UNIMPLEMENTED
    )


def test_a_deadline_ends_a_call_and_the_channel_goes_on(channel: grpc.Channel) -> None:
    # On a machine that does not answer before the deadline it is a later one.
    assert any(deadline_behind_an_answer(channel, deadline_s) for deadline_s in (2.0, 10.0, WAIT_S))
    assert channel.unary_unary("/shop.Echo/Unary")(b"still here", timeout=WAIT_S) == b"still here"


def deadline_behind_an_answer(channel: grpc.Channel, deadline_s: float) -> bool:
    """Holds a conversation past its deadline, which must end it; whether there was an answer before."""
    silent = threading.Event()

    def words() -> Iterator[bytes]:
        yield b"one"
        silent.wait(2 * WAIT_S)

    heard: list[bytes] = []

    def listen() -> None:
        for answer in channel.stream_stream("/shop.Echo/Both")(words(), timeout=deadline_s):
            heard.append(answer)  # noqa: PERF402  what was heard before it fails is looked at

    assert failure(listen)[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    silent.set()
    assert heard in ([], [b"ONE"])
    return bool(heard)


def test_a_blocked_call_fails_with_permission_denied(channel: grpc.Channel) -> None:
    """gRPC's mapping of HTTP 403."""
    failed = failure(lambda: channel.unary_unary("/shop.Echo/Forbidden")(b"", timeout=WAIT_S))
    assert failed[0] == grpc.StatusCode.PERMISSION_DENIED


def test_a_hundred_calls_at_once(channel: grpc.Channel) -> None:
    call = channel.unary_unary("/shop.Echo/Unary")
    pending = [call.future(b"%d" % number, timeout=WAIT_S) for number in range(100)]
    assert [future.result() for future in pending] == [b"%d" % number for number in range(100)]
