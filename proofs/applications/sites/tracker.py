"""Serves a tracker of Roundup by WSGI, since its own server runs for no root: `python tracker.py HOME PORT`."""

from __future__ import annotations

import sys
from wsgiref.simple_server import make_server

from roundup.cgi.wsgi_handler import RequestDispatcher

make_server("127.0.0.1", int(sys.argv[2]), RequestDispatcher(sys.argv[1])).serve_forever()
