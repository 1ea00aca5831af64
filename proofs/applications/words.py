"""What people type: names, prose, and what programmers paste into a ticket or an article."""

from __future__ import annotations

import random
import struct
import zlib
from typing import Final

PASSWORD: Final = "a-long-winter-2026"  # noqa: S105  the applications live for minutes
STRONG_PASSWORD: Final = "x'; 7$-{Tür}&<ü>\"=9"  # noqa: S105  as a generator makes them

NAMES: Final = ("Zoë O'Brien", "Jürgen Müller & Söhne", "Nguyễn Thị Ánh", "李小龍", "Łukasz d'Arc-Świątek")

PROSE: Final = (
    "We met at the union on Saturday and had to select a new chair from the members; where the old one went nobody "
    "could say. If you drop the table on the way in, insert a wedge or the leg comes off again -- it did twice. "
    'I\'d order by phone: "two coffees; and a cake", 1=1 as we used to say, and/or tea (the green one).'
)
SQL: Final = (
    "SELECT name, price FROM products WHERE category = 'light' AND price < 40 ORDER BY price;\n"
    "-- the cheap lamps; without them:\n"
    "SELECT category, count(*) FROM products GROUP BY category HAVING count(*) > 1 UNION SELECT 'all', 8;"
)
SHELL: Final = (
    "$ curl -fsSL https://example.org/install.sh | sh\n$ cat /etc/passwd | grep '^root'\n"
    '$ for f in *.txt; do mv "$f" "${f%.txt}.md"; done && rm -rf ./build'
)
HTML: Final = (
    '<div class="box" onclick="toggle(this)"><a href="https://example.org/?a=1&amp;b=2">More</a>\n'
    '<script src="/static/box.js"></script><iframe src="https://video.example.org/embed/12"></iframe></div>'
)
PYTHON: Final = (
    "import os\n\ndef main() -> None:\n    print(os.environ['HOME'], __import__('sys').path)\n\n"
    "if __name__ == '__main__':\n    main()\n"
)
PHP: Final = "<?php\nfunction greet($name) {\n    echo \"Hello $name\";\n}\ngreet($_GET['name'] ?? 'you');\n"
TRACE: Final = (
    'Traceback (most recent call last):\n  File "/srv/app/main.py", line 12, in <module>\n'
    "    open('../etc/app.ini')\n"
    "FileNotFoundError: [Errno 2] No such file or directory: '../etc/app.ini'\n"
    "java.lang.NullPointerException at org.example.Shop.main(Shop.java:42)"
)
URL: Final = "https://example.org/a/../b?q=caf%C3%A9+%26+bar&next=http://10.0.0.5:8080/login#top"
MARKDOWN: Final = (
    "# Release 2.0\n\n* [docs](https://example.org/docs?v=2#new)\n* `git push --force`; see **#12** & <https://a.example>\n\n"
    "| a | b |\n| --- | --- |\n| 1 | `x || y` |\n\n```sh\nls -la | wc -l\n```\n"
)
EQUATION: Final = "f(x) = (x^2 - 1) / (x + 1); lim x->0 = -1 && x != 1 || x <> 2"


def picture(side: int = 96) -> bytes:
    """A picture in PNG whose bytes look as those of a photograph do: like noise, the same each time."""
    noise = random.Random(side).randbytes(side * side * 3)
    rows = b"".join(b"\0" + noise[start : start + side * 3] for start in range(0, len(noise), side * 3))
    parts = (b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(rows), b"IEND")
    chunks = (struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
