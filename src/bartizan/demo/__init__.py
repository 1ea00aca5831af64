"""What `bartizan demo` shows: a real application behind Bartizan, requests of both kinds, and their verdicts.

`application.py`  datasette with a sample database, on a free loopback port
`site.py`         the site file that protects it
`requests.py`     the requests, each with the verdict that it must get
`drive.py`        sends them over TLS and finds the stored event of each
`report.py`       the table and the questions that show the same
"""
