"""Control sockets answer their owner, whatever is sent."""

from __future__ import annotations

import errno
import json
import socket
import threading
from pathlib import Path

import pytest

from bartizan.control import ControlServer, Message, ask, ask_for_bytes


def echo(request: Message) -> Message:
    if request["command"] == "fail":
        raise ZeroDivisionError("no")
    return {"ok": True, "said": request}


def test_a_question_gets_its_answer(tmp_path: Path) -> None:
    with ControlServer(tmp_path / "x.sock", echo):
        assert ask(tmp_path / "x.sock", {"command": "a", "b": "ü"}) == {"ok": True, "said": {"command": "a", "b": "ü"}}


def test_bytes_may_follow_a_reply(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000

    def answer(request: Message) -> tuple[Message, bytes]:
        return {"ok": True}, content if request["command"] == "much" else b""

    with ControlServer(tmp_path / "x.sock", answer):
        much = ask_for_bytes(tmp_path / "x.sock", {"command": "much"}, timeout_s=30)
        none = ask_for_bytes(tmp_path / "x.sock", {"command": "none"}, timeout_s=30)
    assert much == ({"ok": True, "bytes": len(content)}, content)
    assert none == ({"ok": True}, b"")


def test_only_the_owner_may_ask(tmp_path: Path) -> None:
    with ControlServer(tmp_path / "x.sock", echo):
        assert (tmp_path / "x.sock").stat().st_mode & 0o777 == 0o600


def test_a_path_may_be_longer_than_a_socket_address(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 80) / ("e" * 80)
    deep.mkdir(parents=True)
    with ControlServer(deep / "x.sock", echo):
        reply = ask(deep / "x.sock", {"command": "a"})
    assert reply is not None
    assert reply["ok"]


def test_nobody_there_is_no_answer(tmp_path: Path) -> None:
    assert ask(tmp_path / "x.sock", {"command": "a"}) is None
    assert ask(tmp_path / ("d" * 120) / "x.sock", {"command": "a"}) is None
    (tmp_path / "file").touch()
    assert ask(tmp_path / "file" / "x.sock", {"command": "a"}) is None
    with ControlServer(tmp_path / "x.sock", echo):
        pass
    assert ask(tmp_path / "x.sock", {"command": "a"}) is None


def test_a_socket_left_by_the_dead_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "x.sock"))
    with ControlServer(tmp_path / "x.sock", echo):
        assert ask(tmp_path / "x.sock", {"command": "a"}) is not None


def test_who_finds_a_socket_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listen = socket.socket.listen
    there: list[bool] = []

    def look_and_listen(self: socket.socket, backlog: int) -> None:
        there.append((tmp_path / "x.sock").exists())
        listen(self, backlog)

    monkeypatch.setattr(socket.socket, "listen", look_and_listen)
    with ControlServer(tmp_path / "x.sock", echo):
        assert [file.name for file in tmp_path.iterdir()] == ["x.sock"]
    assert there == [False]


def test_a_moment_without_descriptors_or_threads_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, start = socket.socket.accept, threading.Thread.start
    troubles = iter([OSError(errno.EMFILE, "Too many open files"), OSError(errno.ECONNABORTED, "aborted")])
    refused = iter([RuntimeError("can't start new thread")])

    def accept_later(self: socket.socket) -> tuple[socket.socket, object]:
        for trouble in troubles:
            raise trouble
        return accept(self)

    def start_later(self: threading.Thread) -> None:
        for trouble in refused if self.name == "control peer" else ():
            raise trouble
        start(self)

    monkeypatch.setattr(socket.socket, "accept", accept_later)
    monkeypatch.setattr(threading.Thread, "start", start_later)
    with ControlServer(tmp_path / "x.sock", echo):
        with pytest.raises(ConnectionError):
            ask(tmp_path / "x.sock", {"command": "a"})
        assert ask(tmp_path / "x.sock", {"command": "a"}) == {"ok": True, "said": {"command": "a"}}


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"{\n", "JSONDecodeError"),
        (b"[1]\n", 'a request is a JSON object with a "command"'),
        (b'{"command": 5}\n', 'a request is a JSON object with a "command"'),
        (b'{"command": "fail"}\n', "ZeroDivisionError: no"),
        (b"\xff\xfe\n", "UnicodeDecodeError"),
    ],
)
def test_nonsense_is_answered_and_the_next_question_too(sent: bytes, error: str, tmp_path: Path) -> None:
    with ControlServer(tmp_path / "x.sock", echo), socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(30)
        peer.connect(str(tmp_path / "x.sock"))
        incoming = peer.makefile("rb")
        peer.sendall(sent)
        answer = incoming.readline().decode()
        assert '"ok": false' in answer
        assert error.replace('"', '\\"') in answer
        peer.sendall(b'{"command": "next"}\n')
        assert b'"ok": true' in incoming.readline()
        incoming.close()


def test_a_request_that_is_too_long_is_refused_by_its_length(tmp_path: Path) -> None:
    with ControlServer(tmp_path / "x.sock", echo, request_bytes=100):
        assert ask(tmp_path / "x.sock", {"command": "x" * 60}) is not None
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(tmp_path / "x.sock"))
            peer.sendall(b"x" * 100)
            with peer.makefile("rb") as incoming:
                assert json.loads(incoming.readline())["error"] == "a request has at most 100 bytes"
                assert incoming.read() == b""
