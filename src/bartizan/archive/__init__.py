"""Events taken out, brought back, given up, and read in Python.

    event store ─┐                 ┌─► export: NDJSON, Parquet
    spool        ├─► rows of a ────┤
    a file       ┘   table         └─► bartizan.events.open(): dicts, Arrow

    a file ─► import ─► event owner ─► event store

`excerpt.py`  which rows of a table, and which of their columns
`rows.py`     what can be read, and rows that stand in batches of the spool's form
`spool.py`    rows of a spool directory
`file.py`     rows of a file: NDJSON, gzip, Parquet
`store.py`    rows of the event store, asked of its owner in windows of time
`reading.py`  `bartizan.events.open()`
`export.py`   a file made of rows, whole or not at all
`bring.py`    a file's rows brought into the event store
`purge.py`    events deleted wherever this machine keeps them

Nothing here holds more than a window, a batch or a block of a file at a time, however many rows there are.
"""
