"""Each refused statement below reached a file, a host or a write when given to chDB 4.4 with `readonly = 1`, or is a
variant of one that did."""

from __future__ import annotations

import pytest

from bartizan.events.statement import HARMLESS_TABLE_FUNCTIONS, refusal

TABLE_FUNCTIONS = frozenset({"url", "s3", "file", "numbers", "view", "eval", "remote"}) - HARMLESS_TABLE_FUNCTIONS


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count() FROM http_requests",
        "select 1;",
        "  -- a comment with file('x')\n select 1 /* url('y') */ ; ",
        "WITH 1 AS x SELECT x",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "SHOW TABLES",
        "DESCRIBE http_requests",
        "EXPLAIN SELECT 1",
        "EXISTS http_requests",
        "SELECT 'it''s; file(1) \\' url(2) “quoted”' AS `a; b`, \"c``d\" FROM t",
        "SELECT ClientRequestURI AS url, count() FROM http_requests GROUP BY url",
        "SELECT '\\' , file(1) , '",
        "SELECT number FROM numbers(3)",
        "SELECT * FROM view(SELECT 1)",
        "SELECT format('{}', 1), 1.5e3, 0xff, a$b FROM t",
        "SELECT 'größer' FROM t WHERE path LIKE '%/ü%'",
        "SELECT URLHash(ClientRequestURI), cutURLParameter(ClientRequestURI, 'q') FROM http_requests",
    ],
)
def test_what_reads_events_is_run(sql: str) -> None:
    assert refusal(sql, TABLE_FUNCTIONS) is None


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("", "there is no statement"),
        (" ; ;", "there is no statement"),
        ("-- nothing", "there is no statement"),
        ("DROP TABLE http_requests", "a statement begins with"),
        ("(DROP TABLE http_requests)", "a statement begins with"),
        ("SET readonly = 0", "a statement begins with"),
        ("SYSTEM SHUTDOWN", "a statement begins with"),
        ("KILL QUERY WHERE 1", "a statement begins with"),
        ("INSERT INTO t VALUES (1)", "a statement begins with"),
        ("SELECT 1; DROP TABLE t", "only one statement"),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", "OUTFILE is not possible"),
        ("SELECT 1 into/**/outfile '/tmp/x'", "OUTFILE is not possible"),
        ("EXPLAIN SYNTAX SELECT 1 INTO OUTFILE '/tmp/x'", "OUTFILE is not possible"),
        ("SELECT file('/etc/passwd')", "file() reaches outside"),
        ("SELECT FILE ('/etc/passwd')", "file() reaches outside"),
        ("SELECT `file`('/etc/passwd')", "file() reaches outside"),
        ("SELECT \"file\"('/etc/passwd')", "file() reaches outside"),
        ("SELECT file/* */('/etc/passwd')", "file() reaches outside"),
        ("SELECT * APPLY(file) FROM (SELECT '/etc/passwd')", "file() reaches outside"),
        ("SELECT * APPLY file FROM (SELECT '/etc/passwd')", "file() reaches outside"),
        ("SELECT arrayMap(file, ['/etc/passwd'])", "file() reaches outside"),
        ("SELECT aiGenerate('x')", "aigenerate() reaches outside"),
        ("DESCRIBE url('http://192.0.2.1/')", "url() reaches outside"),
        ("SELECT * FROM s3('http://192.0.2.1/x')", "s3() reaches outside"),
        ("SELECT * FROM eval('select 1')", "eval() reaches outside"),
        ("SELECT 'a\\'", "nothing closes"),
        ('SELECT "a', "nothing closes"),
        ("SELECT \"fi\\x6ce\"('/etc/passwd')", "a name with a backslash"),
        ("SELECT `fi\\x6ce`('/etc/passwd')", "a name with a backslash"),
        ("SELECT “file”('/etc/passwd')", "outside quotes"),
        ("SELECT * FROM s3\u00a0('x')", "outside quotes"),
        ("SELECT x$$, file('/etc/passwd') AS y$$ FROM t", "file() reaches outside"),
        ("SELECT $ $ ' $ $, file('/etc/passwd') -- '", "outside quotes"),
        ("SELECT $$a$$", "outside quotes"),
        ("SELECT 1 \0", "outside quotes"),
    ],
)
def test_what_reaches_out_is_refused_and_said(sql: str, why: str) -> None:
    answer = refusal(sql, TABLE_FUNCTIONS)
    assert answer is not None
    assert why in answer
