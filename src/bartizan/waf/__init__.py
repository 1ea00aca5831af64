r"""The web application firewall: rule sets in the ModSecurity rule language, such as the OWASP Core Rule Set.

    from bartizan import waf

    rules = waf.RuleSet.load("/usr/share/modsecurity-crs", paranoia_level=2)
    verdict = rules.inspect(b"GET /?id=1'+OR+'1'='1 HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    verdict.blocked, verdict.status, verdict.scores["inbound"], [match.id for match in verdict.matches]

* `ruleset`: rule sets as objects; `verdict`: what they say of a request.
* `ftw` and `regression`: tests of rule sets, in the format of go-ftw.
* `recorded`: recorded requests; `replay`: through a rule set; `policies`: through a policy.
* `releases` and `installed`: versions of the Core Rule Set, and what of them is in the state directory.

Which files a rule set is, and in which order they are read, says `bartizan.config.rule_sets`, for site files too.
The language itself, its operators and its engine are in `crates/seclang`.
"""

from bartizan.waf.ruleset import Problem, RuleSet, RulesRefused
from bartizan.waf.verdict import Hit, Match, Verdict

__all__ = ["Hit", "Match", "Problem", "RuleSet", "RulesRefused", "Verdict"]
