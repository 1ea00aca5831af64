"""`@detectSQLi` and `@detectXSS` against libinjection itself, the one inside Debian's libmodsecurity3; one JSON line.

The values are made by chance from words and marks of SQL and HTML, from what `--seeds` has, one a line, and from
changes to those. Each is judged by both; verdicts and fingerprints must be equal, and no gate may keep out what
matches. What differs is shown. The library is only asked, nothing of it is shipped: `apt-get download libmodsecurity3
libgeoip1 libmaxminddb0 libfuzzy2 libyajl2` and `dpkg-deb -x` are enough, with the folder in LD_LIBRARY_PATH.
"""

from __future__ import annotations

import argparse
import ctypes
import random
import struct
import subprocess
import sys
import time
from pathlib import Path

from proofs import ROOT, tell

BATCH = 20_000

SQL_AND_HTML = (
    "select union all from where and or not like between in is null insert into values update set delete drop table "
    "having group by order limit offset exec execute xp_cmdshell declare cast convert char concat sleep benchmark "
    "waitfor delay version user database information_schema.tables 0x31 1 2 0 1e5 1.0 .5 @@version @a a b x foo admin "
    "true false case when then else end if mod div xor rlike regexp sounds collate binary n'a' u&'a' e'a' x'41' b'01' "
    "$1 $$a$$ $tag$ procedure analyse outfile dumpfile load_file hello world the quick brown fox john@example.com "
    "script img svg iframe a body style div onload onerror onclick onfocus href src style=x xlink:href data:text/html "
    "javascript: vbscript: alert(1) expression( base embed object math xmlns set animate attributename formaction "
    "import meta http-equiv doctype ENTITY CDATA xml ?xml"
)
WORDS = SQL_AND_HTML.split()
SIGNS = r"""
' " ` ( ) , ; . -- # /* */ /*! /**/ = <> != < > <= >= + - * / % ^ & | && || ! ~ ? : := :: @ @@ $ { } [ ] \ \' '' ""
<!-- --> <! <? ?> </ /> <% %> <a <script > </a &#x6a; &#106; &colon; &# &#x _ =' =" =`
"""
MARKS = [*SIGNS.split(), "\x00", "\t", "\n", "\r", "\x0b", "\x0c", "\xa0"]


def value(chance: random.Random, seeds: list[bytes]) -> bytes:
    """One value: words and marks in a row, a seed, or one of the two with some bytes changed."""
    kind = chance.random()
    if seeds and kind < 0.4:
        made = chance.choice(seeds)
    elif kind > 0.95:
        # Names and numbers without anything between them: the gate of `@detectSQLi` keeps them out.
        parts = [chance.choice(WORDS) for _ in range(chance.randint(1, 3))]
        return "".join(part for part in parts if part.isidentifier() or part.isalnum()).encode()
    else:
        parts = []
        for _ in range(chance.randint(1, 12)):
            part = chance.choice(WORDS) if chance.random() < 0.5 else chance.choice(MARKS)
            parts.append(part.upper() if chance.random() < 0.1 else part)
            if chance.random() < 0.6:
                parts.append(chance.choice([" ", " ", " ", "\t", "\n", "/**/", "+", "\x00", "\xa0"]))
        made = "".join(parts).encode("latin-1")
    changed = bytearray(made)
    while changed and chance.random() < 0.4:
        place = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[place] = chance.randrange(256)
            case 1:
                del changed[place : place + chance.randint(1, 5)]
            case 2:
                changed[place:place] = chance.choice(MARKS).encode("latin-1")
            case _:
                changed = changed[:place]
    return bytes(changed)


def main() -> int:
    """Judge that many values twice. Returns 1 where the two do not agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="libmodsecurity.so.3", help="the library (default: libmodsecurity.so.3)")
    parser.add_argument("--values", type=int, default=1_000_000, help="how many (default: 1000000)")
    parser.add_argument("--seeds", type=Path, help="a file of values, one a line, with escapes of Python")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="where chance begins (default: the time)")
    arguments = parser.parse_args()
    library = ctypes.CDLL(arguments.library)
    library.libinjection_version.restype = ctypes.c_char_p
    chance = random.Random(arguments.seed)
    seeds = []
    if arguments.seeds:
        lines = arguments.seeds.read_text("ascii").splitlines()
        seeds = [line.encode().decode("unicode_escape").encode("latin-1") for line in lines]
    command = ["cargo", "run", "--quiet", "--example", "detect"]
    fingerprint = ctypes.create_string_buffer(16)
    counts = {"values": 0, "sql": 0, "scripts": 0, "differ": 0}
    different: set[bytes] = set()
    started = time.monotonic()
    while counts["values"] < arguments.values:
        made = [value(chance, seeds) for _ in range(min(BATCH, arguments.values - counts["values"]))]
        frames = b"".join(struct.pack("<I", len(each)) + each for each in made)
        ran = subprocess.run(command, cwd=ROOT, input=frames, stdout=subprocess.PIPE, check=True)
        for each, line in zip(made, ran.stdout.decode("ascii").splitlines(), strict=True):
            size = ctypes.c_size_t(len(each))
            sql = library.libinjection_sqli(each, size, fingerprint)
            script = library.libinjection_xss(each, size)
            theirs = f"{sql} {fingerprint.value.decode('latin-1') if sql else '-'} {script}"
            counts["values"] += 1
            counts["sql"] += sql
            counts["scripts"] += script
            if line != theirs:
                counts["differ"] += 1
                if len(different) < 50:
                    different.add(each)
                    sys.stderr.write(f"{each!r}: {line}, libinjection {theirs}\n")
    figure = {
        "figure": "detectSQLi and detectXSS against libinjection",
        "libinjection": library.libinjection_version().decode(),
        "seed": arguments.seed,
        "seconds": round(time.monotonic() - started, 1),
        **counts,
    }
    tell(figure)
    return 1 if counts["differ"] else 0


if __name__ == "__main__":
    sys.exit(main())
