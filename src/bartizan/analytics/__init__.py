"""Questions about events that are asked often, as SQL under a name.

One dialect, ClickHouse's, from the embedded engine to a cluster. Every sum weights by `SampleInterval`, so that a
question need not know what was sampled.
"""
