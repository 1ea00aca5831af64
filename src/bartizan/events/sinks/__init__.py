"""Where events go: one file for each type of sink (`[sinks.NAME]` in the site file), and what they share.

`contract.py`     what a sink is, and how it says that it failed or refused
`opening.py`      a sink, made from its settings
`secret.py`       a secret, read from where the settings say
`encoding.py`     the rows of a batch as one file: NDJSON, gzip, Parquet

`chdb.py`         the embedded event store
`files.py`        files in a directory
`access_log.py`   the combined access log
`https.py`        a log collector behind a URL; `http.py` is the connection
`clickhouse.py`   a ClickHouse server
`s3.py`           objects in a bucket
`nats.py`         messages of a JetStream
`kafka.py`        messages of topics, in transactions
`syslog.py`       RFC 5424; `cef.py` puts CEF into its messages

A sink gets the rows of one range of the spool under a token, and the same range under the same token after a failure
or a crash, however much of it had arrived. What it makes of that is said in each file, and in docs/guide/sinks.md.
"""
