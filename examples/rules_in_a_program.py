"""A rule tried on requests, explained and asked of the event store, all without an edge.

Run it: python examples/rules_in_a_program.py
"""

import bartizan
from bartizan import rules

rule = rules.compile(
    'http.request.uri.path matches "^/admin" && !(ip.src in $office)', lists={"office": ["192.0.2.0/24"]}
)
print(rule)

requests = [
    bartizan.Request(url="https://shop.example/admin", client_ip="198.51.100.7"),
    bartizan.Request(url="https://shop.example/admin", client_ip="192.0.2.7"),
    bartizan.Request(url="https://shop.example/", client_ip="198.51.100.7"),
]
print(rule.matches_all(requests))

print("reads", *rule.fields)
print(rules.compile('http.request.uri.path wildcard "/admin*"').sql())

try:
    rules.compile('http.hots eq "shop.example"')
except rules.ExpressionError as error:
    print(error)
