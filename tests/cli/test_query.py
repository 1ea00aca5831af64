from __future__ import annotations

import pytest
from tests.events.support import count, eventually, needs_chdb, request, running, write

from bartizan.cli.query import query
from bartizan.failure import Failure
from bartizan.layout import StateDirectory


def ask(state: StateDirectory, sql: str, form: str = "table") -> None:
    assert query(sql=sql, site=None, state=state.path, format=form, timeout=10, json=False) == 0


def test_an_unknown_question_lists_the_known(state: StateDirectory) -> None:
    with pytest.raises(Failure, match=r"no question named 'top-pats'(.|\n)*top-paths +the paths most asked for"):
        ask(state, "top-pats")


def test_without_a_question_those_that_have_a_name_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert query(sql=None, site=None, state=None, format="table", timeout=10, json=False) == 0
    assert "  top-paths            the paths most asked for in the last day\n" in capsys.readouterr().out


def test_without_an_owner_the_way_out_is_named(state: StateDirectory) -> None:
    with pytest.raises(Failure, match="`bartizan up` starts it"):
        ask(state, "SELECT 1")


@needs_chdb
def test_answers_come_as_table_json_and_csv(state: StateDirectory, capfd: pytest.CaptureFixture[str]) -> None:
    write(state.spool, *(("http_requests", request(number, ClientRequestPath="/\x1b[2J")) for number in range(3)))
    with running(state):
        eventually(lambda: count(state) == 3, "the rows are stored")
        sql = "SELECT RayID, ClientRequestPath, EdgeResponseStatus FROM http_requests ORDER BY RayID LIMIT 1"
        ask(state, sql)
        table = capfd.readouterr().out
        assert query(sql=sql, site=None, state=state.path, format="table", timeout=10, json=True) == 0
        ask(state, sql + ";", "csv")
        ask(state, "top-paths", "csv")
        ask(state, "SELECT 1 AS one FORMAT TSVWithNames")
        plain = capfd.readouterr().out
    assert [line.split() for line in table.splitlines() if line.strip() and "─" not in line] == [
        ["RayID", "ClientRequestPath", "EdgeResponseStatus"],
        ["0000000000000000", "/\\x1b[2J", "200"],
        ["1", "row"],
    ]
    assert plain == (
        '{"RayID":"0000000000000000","ClientRequestPath":"/\\u001B[2J","EdgeResponseStatus":200}\n'
        '"RayID","ClientRequestPath","EdgeResponseStatus"\n'
        '"0000000000000000","/\x1b[2J",200\n'
        '"host","path","requests","clients"\n"shop.example","/\x1b[2J",3,3\n'
        "one\n1\n"
    )
