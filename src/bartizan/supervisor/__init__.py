"""One command, several processes: what `bartizan up` runs.

`supervisor.py`  starts the processes, carries out signals and control commands, stops them in order
`process.py`     one process: started, listened to, started again when it dies
`attendant.py`   a process that runs while the policy asks for it
`backoff.py`     how long to wait before that
`lines.py`       the merged log, for people or for programs
`takeover.py`    processes that outlived their supervisor
`monitor.py`     the private listener: `/metrics`, `/healthz`, `/readyz`
`measures.py`    what the supervisor measures of the processes; the text of a scrape
`reference.py`   docs/reference/metrics.md
`systemd.py`     what systemd is told
`unit.py`        the systemd unit of an installation
`examination.py` what `bartizan doctor` looks at

The edge serves from its last good policy and needs none of the others. The event owner reads what the edge wrote to the
spool. Each dies and starts again alone; certificates are renewed on a thread of the supervisor, which does nothing
else.
"""
