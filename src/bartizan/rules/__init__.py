"""The rules language for people. Parsing, checking and running it is in `crates/rules`.

    from bartizan import rules

    rule = rules.compile('http.request.uri.path matches "^/wp-" and not ip.src in $office', lists={"office": [...]})
    rule.matches(rules.Request(url="https://shop.example/wp-login.php", client_ip="192.0.2.7"))

* `rule`: expressions as objects: verdicts, explanations, SQL.
* `request`: requests for them to judge.
* `stored`: which of the requests of which only the event is left an expression matches.
* `considered`: what the rules of a policy say of such a request, or that it is not to be known.
* `editor`: what is wrong with an expression that is being written, and what could come next.
* `trace`: which part of an expression decided.
* `reference`: docs/reference/rules.md, made from the tables.

Nothing here is asked by the edge, which runs the same compiled rules without Python.
"""

from bartizan.rules.editor import Completion, Diagnostic, complete, diagnose
from bartizan.rules.request import Request, Response, Tls
from bartizan.rules.rule import ExpressionError, Rule, Untranslatable, canonical, compile  # noqa: A004  its name in re too

__all__ = [
    "Completion",
    "Diagnostic",
    "ExpressionError",
    "Request",
    "Response",
    "Rule",
    "Tls",
    "Untranslatable",
    "canonical",
    "compile",
    "complete",
    "diagnose",
]
