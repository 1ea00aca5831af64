"""Key transparency: an auditor that vouches for the epochs of a log of keys, in the form that Plexi asks for.

A *log* publishes epochs: a number, and a digest that stands for all keys of its users. The *auditor* signs each epoch
once, so that two users can find out whether they were shown the same one, and checks in the background, from the proof
that the log serves, that nothing was changed or removed since the epoch before.

`namespaces.py`  the logs that are audited, and their states
`publishing.py`  an epoch is asked for and signed
`epochs.py`      what was signed, and how far it is proved
`reports.py`     what others saw the log sign
`keys.py`        the auditor's keys, past and present
`api.py`         all of it as requests and answers, without a socket
`page.py`        the history of a namespace for people
`listener.py`    HTTP and TLS: the sockets, deadlines and bounds around `api`
`queue.py`       epochs that wait for their proof; each is claimed once
`download.py`    the proof, from the directory of the log
`worker.py`      the process that claims, fetches and verifies
`auditor.py`     the process that listens and keeps the workers running
`monitoring.py`  the process that watches auditors, and tells whoever should know
`watching.py`    one look at them: what no honest auditor and log can bring about
`control.py`     what auditor and monitor have in common as processes
`peer.py`        an auditor as its clients see it
`directory.py`   a key directory; `directory_api.py` what it answers, `directory_control.py` who commands it
`client.py`      a client of it that believes what is proved
`models.py`, `database.py`, `migrations`   the tables

What is hashed, decoded and signed is in the crate `transparency`. The settings are `[transparency.auditor]` of the site
file; nothing here needs the edge.
"""
