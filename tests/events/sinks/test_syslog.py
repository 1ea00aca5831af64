"""Syslog messages are those of RFC 5424, framed as each transport asks, and CEF is what SIEMs read."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trustme
from tests.events.sinks.delivery import batches, put
from tests.events.support import firewall_event, request, write
from tests.ports import reserved_port

from bartizan.config.sinks import Cef, Syslog
from bartizan.events.sinks.cef import CefSink, event
from bartizan.events.sinks.contract import RowsRefused, SinkFailed
from bartizan.events.sinks.syslog import SyslogSink
from bartizan.layout import StateDirectory

MESSAGE = re.compile(
    r"<(\d+)>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z) (\S+) bartizan - (\S+) - (.*)", re.DOTALL
)


class Receiver:
    """Takes one connection and keeps what comes over it."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.received = bytearray()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self._context = context
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def _run(self) -> None:
        connection, _ = self.listener.accept()
        if self._context is not None:
            connection = self._context.wrap_socket(connection, server_side=True)
        with connection:
            while part := connection.recv(65_536):
                self.received += part

    def messages(self) -> list[str]:
        """What was received, taken apart by the counts in front (RFC 6587 §3.4.1)."""
        self.thread.join(60)
        rest, messages = bytes(self.received), []
        while rest:
            length, _, rest = rest.partition(b" ")
            messages.append(rest[: int(length)].decode())
            rest = rest[int(length) :]
        return messages


@contextmanager
def receiver(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    made = Receiver(context)
    try:
        yield made
    finally:
        made.listener.close()


def send(state: StateDirectory, sink: SyslogSink) -> None:
    with closing(sink):
        for batch, token in batches(state):
            sink.insert(batch, token)


def test_messages_over_tcp_have_their_length_in_front(state: StateDirectory) -> None:
    blocked = request(
        2, SecurityAction="block", EdgeStartTimestamp=1_709_210_096_000_000_001, ClientRequestPath="/\u00fc"
    )
    write(
        state.spool, ("http_requests", request(1)), ("http_requests", blocked), ("firewall_events", firewall_event(2))
    )
    with receiver() as peer:
        send(state, SyslogSink(Syslog(address=f"tcp://127.0.0.1:{peer.port}", facility="local3")))
        found = [MESSAGE.fullmatch(message) for message in peer.messages()]
    parts = [match.groups() for match in found if match is not None]
    assert len(parts) == len(found) == 3
    # Facility 19; severity 6 informational, 4 warning.
    assert [(part[0], part[3]) for part in parts] == [
        ("158", "http_requests"), ("156", "http_requests"), ("156", "firewall_events"),
    ]  # fmt: skip
    assert parts[1][1].startswith("2024-02-29T12:34:56")
    ((batch, _),) = batches(state)
    assert [part[4] for part in parts] == [row for _, row in batch.json_rows()]


def test_messages_over_tls_go_to_a_peer_that_is_known_only(state: StateDirectory, tmp_path: Path) -> None:
    put(state, range(3))
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with receiver(server) as peer:
        send(state, SyslogSink(Syslog(address=f"tls://127.0.0.1:{peer.port}", ca_file=str(tmp_path / "ca.pem"))))
        assert len(peer.messages()) == 3
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_shake_hands, args=(listener, server))
        thread.start()
        address = f"tls://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(SinkFailed, match=r"cannot be reached: .*certificate verify failed"):
            send(state, SyslogSink(Syslog(address=address, ca_file=str(tmp_path / "other.pem"))))
        thread.join(60)


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listener.accept()
    with connection, pytest.raises(ssl.SSLError):
        context.wrap_socket(connection, server_side=True)


@pytest.mark.parametrize("scheme", ["udp", "unix"])
def test_datagrams_hold_one_message_each_and_too_long_ones_are_refused(state: StateDirectory, scheme: str) -> None:
    long = request(
        2, ClientRequestUserAgent="x" * 16_000, ClientRequestReferer="y" * 16_000, ClientRequestURI="/" * 16_000
    )
    long |= {"ClientRequestPath": "/" * 16_000, "BartizanOriginError": "z" * 16_000}
    rows = [request(1), long, request(3)] if scheme == "udp" else [request(1), request(3)]
    write(state.spool, *(("http_requests", row) for row in rows))
    family = socket.AF_INET if scheme == "udp" else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_DGRAM) as listener:
        listener.settimeout(60)
        if scheme == "udp":
            listener.bind(("127.0.0.1", 0))
            address = f"udp://127.0.0.1:{listener.getsockname()[1]}"
            with pytest.raises(RowsRefused, match="too many for a datagram") as refused:
                send(state, SyslogSink(Syslog(address=address)))
            assert [json.loads(row)["RayID"] for _, row, _ in refused.value.rows] == [f"{2:016x}"]
        else:
            listener.bind(str(state.run / "log"))
            send(state, SyslogSink(Syslog(address=f"unix:{state.run / 'log'}")))
        messages = [MESSAGE.fullmatch(listener.recv(65_536).decode()) for _ in range(2)]
    assert [json.loads(match[5])["RayID"] for match in messages if match] == [f"{1:016x}", f"{3:016x}"]


def test_a_peer_that_hangs_up_did_not_get_the_batch(state: StateDirectory) -> None:
    put(state, range(100))
    port = reserved_port()
    with socket.create_server(("127.0.0.1", port)) as listener:
        sink = SyslogSink(Syslog(address=f"tcp://127.0.0.1:{port}"))
        ((batch, token),) = batches(state)
        sink.insert(batch, token)
        connection, _ = listener.accept()
        connection.close()
        with pytest.raises(SinkFailed, match="took no whole batch"):
            sink.insert(batch, token)
    with pytest.raises(SinkFailed, match=r"cannot be reached: .*refused"):
        sink.insert(batch, token)


def test_cef_has_the_fields_of_its_dictionary(state: StateDirectory) -> None:
    moment = 1_709_210_096_123_456_789
    acted = firewall_event(
        5, Datetime=moment, Description="no | scanners", ClientIP="192.0.2.1", ClientRequestPath="/a=b\\"
    )
    write(state.spool, ("http_requests", request(5)), ("firewall_events", acted))
    with receiver() as peer:
        send(state, CefSink(Cef(address=f"tcp://127.0.0.1:{peer.port}")))
        (message,) = peer.messages()
    found = MESSAGE.fullmatch(message)
    assert found is not None
    assert found[5] == (
        rf"CEF:0|Bartizan|edge|0.1.0|{'a' * 32}|no \| scanners|7|"
        r"rt=1709210096123 src=192.0.2.1 request=/a\=b\\ act=block "
        f"cs1={5:016x} cs1Label=RayID cs2=shop cs2Label=zone cs3={'a' * 32} cs3Label=rule "
        "cs4=firewallCustom cs4Label=source cnt=1"
    )


def test_a_line_in_a_value_ends_no_cef_event() -> None:
    said = event("http_requests", {"ClientRequestUserAgent": "a\nb\r", "EdgeResponseStatus": 200}, "-")
    assert said.endswith(r"requestClientApplication=a\nb\r cn1=200 cn1Label=status")
    assert "\n" not in said
