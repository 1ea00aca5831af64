"""Questions about events that are asked often, as SQL: those that have a name, and the values that come most often.

One dialect, ClickHouse's, from the embedded engine to a cluster. Every sum weights by `SampleInterval`, so that a
question need not know what was sampled.
"""
