"""From a site file to the policy in effect, and back to an earlier one.

    `check`     everything wrong with a site file, judged by the edge's own compiler
    `apply`     site file ─► version in the store ─► candidate ─► edge compiles and swaps ─► `current.json`
    `rollback`  an old version as a new one, by the same way
    `replay`    recorded requests through a site file or a version, by the edge's own code
    `diff`      two versions, or a version and a site file, in terms of zones and rules

One rule holds throughout: `current.json` is only ever replaced, by rename, with a document that the edge has taken (or,
with no edge running, that its compiler accepts). So whatever happens to the rest, the edge starts from a good policy.

The command line prints what these functions return and decides nothing.
"""
