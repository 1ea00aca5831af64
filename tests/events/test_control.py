from __future__ import annotations

import socket
import threading

import pytest

from bartizan.events import control
from bartizan.failure import Failure
from bartizan.layout import StateDirectory


def test_without_an_owner_the_way_out_is_named(state: StateDirectory) -> None:
    with pytest.raises(Failure, match=r"no event owner is running .*`bartizan up` starts it"):
        control.query(state.events_socket, "SELECT 1", "CSV")


def test_a_socket_that_a_dead_owner_left_is_no_owner(state: StateDirectory) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(state.events_socket))
    with pytest.raises(Failure, match="no event owner is running"):
        control.status(state.events_socket)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"", "in the middle of its answer"),
        (b"hello\n", "gave no answer"),
        (b'{"ok":true,"bytes":5}\nabc', "in the middle of its answer"),
        (b'{"ok":false,"error":"because"}\n', "^because$"),
        (b'{"ok":true}\n', "of another release"),
    ],
)
def test_an_answer_that_is_none_is_said(state: StateDirectory, answer: bytes, complaint: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(state.events_socket))
        listener.listen()

        def reply() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        answering = threading.Thread(target=reply)
        answering.start()
        with pytest.raises(Failure, match=complaint):
            control.status(state.events_socket)
        answering.join()
