"""An old version of the policy, put into effect again as a new one.

History goes forward only: version 9, rolled back to 4, is version 10 with the content of 4. Certificates that this
installation makes are made again where they have expired since.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from bartizan.config.convert import convert
from bartizan.config.load import Loaded
from bartizan.config.source import parse
from bartizan.layout import StateDirectory
from bartizan.policy import diagnostics
from bartizan.policy.apply import Applied
from bartizan.policy.build import made_here_before, provide_certificates
from bartizan.policy.effect import lock, open_versions, settle, take
from bartizan.policy.skeleton import Skeleton, restore

__all__ = ["rollback"]


def rollback(version: int, state: StateDirectory, *, author: str) -> Applied:
    """Puts the content of `version` into effect as a new version. The audit log has it first.

    Raises Failure where there is no such version, or the store or a running edge cannot be used.
    """
    from bartizan.store.packed import pack
    from bartizan.store.versions import NewVersion

    with lock(state), open_versions(state) as versions:
        settle(versions, state)
        document, acme = versions.document(version)
        source = versions.source(version).encode()
        skeleton = msgspec.json.decode(document, type=Skeleton)
        bodies = versions.parts(skeleton.digests())
        before = versions.in_effect()
        versions.about_to(author, "rollback", f"version {version}", {"from": None if before is None else before.id})
        policy = restore(skeleton, acme, bodies)
        provide_certificates(policy, made_here_before(policy, state), state)
        message = f"rollback to version {version}"
        again = NewVersion(author, message, pack(source), document, acme, bodies)
        new, effect = take(again, policy, versions, state)
    text = parse(f"version {version}", source)
    problems = diagnostics.problems(effect.diagnostics, Loaded(text, convert(text)[0], {}, {}, {}, [], []))
    outcome: Literal["applied", "refused"] = "applied" if effect.accepted else "refused"
    return Applied(outcome, new, effect.live, effect.changed_zones, effect.compile_ms, problems)
