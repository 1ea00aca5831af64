"""The site file: one TOML file that says all there is to say about a site, and the policy document made from it.

    text ─► `source`   TOML values and where each stands        (native parser; positions only when asked for)
         ─► `site`     typed settings, the one table of settings (docs and JSON Schema are made from it)
         ─► `convert`  values into those types; every mistake at once
         ─► `validate` what only makes sense between settings: hosts claimed twice, files that are not there
         ─► `document` the policy document of the edge, in parts that are hashed one by one
         ─► `native`   what only the edge can judge: expressions, actions, patterns

A mistake becomes a `Problem` (`problem.py`): file, line, column, the thing, what is wrong, the way out. Nothing here
writes a file or opens a socket; `bartizan.policy` does.
"""
