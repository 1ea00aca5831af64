"""The Core Rule Set on three engines: ours beside libmodsecurity 3 and Coraza, in process.

* `shapes`: the requests, made by chance from a seed, with `words` to fill them.
* `rules`: the rule files of CRS 4.25.0, as all three engines can read them.
* `harness`: the programs that embed an engine each, how they are built, and what is said to them.
* `measuring`: a shape asked of all sides in turns.
* `verdicts`: where the engines do not agree.
* `figures`: what came out: medians, ratios, growth with the body, the table and the line of JSON.
"""
