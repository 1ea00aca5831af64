"""Every `@rx` of rule files against PCRE2, which ModSecurity runs them with: verdicts and groups; one JSON line.

The values are made by chance from the words and marks of the pattern itself, and from what `--seeds` has, one a line.
PCRE2 runs with the options that ModSecurity sets (a dot matches a line end, `^` and `$` match at lines) and
`ALT_CIRCUMFLEX`: that `^` matches behind a line end at the very end is where we and Coraza differ from it. Patterns
with macros are left out. The library is the machine's `libpcre2-8.so.0`, which is only asked.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import random
import re
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from proofs import ROOT, tell

OPTIONS = 0x20 | 0x400 | 0x200000  # DOTALL, MULTILINE, ALT_CIRCUMFLEX
UNSET = ctypes.c_size_t(-1).value
GROUPS = 10


class Pattern:
    """A pattern compiled by PCRE2."""

    def __init__(self, library: ctypes.CDLL, pattern: bytes) -> None:
        self.library = library
        error, place = ctypes.c_int(), ctypes.c_size_t()
        self.code = library.pcre2_compile_8(
            pattern, len(pattern), OPTIONS, ctypes.byref(error), ctypes.byref(place), None
        )
        if not self.code:
            message = f"PCRE2 refuses {pattern!r} at {place.value}: error {error.value}"
            raise ValueError(message)
        self.data = library.pcre2_match_data_create_from_pattern_8(self.code, None)
        self.count = library.pcre2_get_ovector_count_8(self.data)

    def spans(self, value: bytes) -> str | None:
        """Where the groups lie, as the example `spans` writes it; nothing where PCRE2 gives up."""
        found = self.library.pcre2_match_8(self.code, value, len(value), 0, 0, self.data, None)
        if found < -1:
            return None
        if found == -1:
            return "no"
        ends = self.library.pcre2_get_ovector_pointer_8(self.data)
        pairs = [(ends[2 * group], ends[2 * group + 1]) for group in range(min(self.count, GROUPS))]
        taken = [
            (0, 0) if group >= found or start == UNSET else (start, end) for group, (start, end) in enumerate(pairs)
        ]
        return " ".join(f"{start}-{end}" for start, end in taken)


def load() -> ctypes.CDLL:
    """PCRE2 with the types of the functions used."""
    library = ctypes.CDLL("libpcre2-8.so.0")
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    library.pcre2_compile_8.restype = pointer
    library.pcre2_compile_8.argtypes = [
        ctypes.c_char_p,
        size,
        ctypes.c_uint32,
        ctypes.POINTER(ctypes.c_int),
        ctypes.POINTER(size),
        pointer,
    ]
    library.pcre2_match_data_create_from_pattern_8.restype = pointer
    library.pcre2_match_data_create_from_pattern_8.argtypes = [pointer, pointer]
    library.pcre2_match_8.argtypes = [pointer, ctypes.c_char_p, size, size, ctypes.c_uint32, pointer, pointer]
    library.pcre2_get_ovector_pointer_8.restype = ctypes.POINTER(size)
    library.pcre2_get_ovector_pointer_8.argtypes = [pointer]
    library.pcre2_get_ovector_count_8.argtypes = [pointer]
    return library


def patterns(folder: Path) -> list[tuple[str, str]]:
    """Each pattern with the number of its rule; a link of a chain has none."""
    found = []
    for path in sorted(folder.glob("*.conf")):
        lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
        text = re.sub(r"\\\n\s*", "", "\n".join(lines))
        rule = r'^\s*SecRule\s+(?:"[^"]*"|\S+)\s+"!?(?:@rx |(?=[^@!]))((?:[^"\\]|\\.)*)"(.*)$'
        for pattern, rest in re.findall(rule, text, re.MULTILINE):
            number = re.search(r"id:(\d+)", rest)
            if "%{" not in pattern:
                found.append((number[1] if number else "a link of a chain", pattern.replace('\\"', '"')))
    return found


def values(chance: random.Random, pattern: str, seeds: list[bytes], count: int) -> list[bytes]:
    """Values that have much of what the pattern looks for."""
    parts = re.findall(r"[A-Za-z0-9_]{2,12}|[^A-Za-z0-9\s]", pattern) + list("aZ0 \t\n\r_.x")
    made = []
    for _ in range(count):
        text = "".join(chance.choice(parts) for _ in range(chance.randint(0, 10))).encode()
        if seeds and chance.random() < 0.5:
            seed = chance.choice(seeds)
            place = chance.randint(0, len(seed))
            text = seed if chance.random() < 0.5 else seed[:place] + text + seed[place:]
        made.append(text)
    return made


def build() -> str:
    """The path of the example `spans`."""
    command = ["cargo", "build", "--workspace", "--example", "spans", "--message-format", "json"]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    built = [json.loads(line).get("executable") for line in ran.stdout.splitlines()]
    return next(str(path) for path in built if path)


def main() -> int:
    """Run every pattern on that many values. Returns 1 where a verdict differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rules", type=Path, nargs="+", help="folders with rule files (*.conf)")
    parser.add_argument("--values", type=int, default=4000, help="values for each pattern (default: 4000)")
    parser.add_argument("--seeds", type=Path, help="a file of values, one a line, with escapes of Python")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="where chance begins (default: the time)")
    arguments = parser.parse_args()
    asked = [(folder, patterns(folder)) for folder in arguments.rules]
    for folder, found in asked:
        if not found:
            parser.error(f"{folder} has no rule file (*.conf) with a pattern; name the folder that the files are in")
    library = load()
    chance = random.Random(arguments.seed)
    seeds = []
    if arguments.seeds:
        lines = arguments.seeds.read_text("ascii").splitlines()
        seeds = [line.encode().decode("unicode_escape").encode("latin-1") for line in lines]
    program = build()
    counts: Counter[str] = Counter()
    started = time.monotonic()
    for number, pattern in [each for _, found in asked for each in found]:
        peer = Pattern(library, pattern.encode())
        made = values(chance, pattern, seeds, arguments.values)
        frames = b"".join(struct.pack("<I", len(each)) + each for each in [pattern.encode(), *made])
        ran = subprocess.run([program], input=frames, stdout=subprocess.PIPE, check=True)
        counts["patterns"] += 1
        for each, ours in zip(made, ran.stdout.decode("ascii").splitlines(), strict=True):
            theirs = peer.spans(each)
            if theirs is None:
                counts["given up by PCRE2"] += 1
                continue
            counts["values"] += 1
            counts["matches"] += theirs != "no"
            if ours != theirs:
                kind = "verdicts" if "no" in (ours, theirs) else "groups"
                counts[kind] += 1
                if counts[kind] <= 20:
                    sys.stderr.write(f"{number} {pattern[:60]} on {each!r}: {ours}, PCRE2 {theirs}\n")
    figure = {
        "figure": "patterns against PCRE2: verdicts and groups that differ",
        "seed": arguments.seed,
        "seconds": round(time.monotonic() - started, 1),
        **{key: counts[key] for key in ("patterns", "values", "matches", "given up by PCRE2", "verdicts", "groups")},
    }
    tell(figure)
    return 1 if counts["verdicts"] else 0


if __name__ == "__main__":
    sys.exit(main())
