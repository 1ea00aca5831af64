"""Run one fuzz target for a time and print one JSON line: executions, edges, crashes, processor time.

The targets are in `proofs/fuzz`; they are built by nightly `cargo fuzz` without a sanitizer, since what they drive is
safe Rust, but with debug assertions, so that an overflow is a crash. With ``--planted`` a panic is compiled in behind
the deepest branch, and the run succeeds only if it is found: a fuzzer that cannot get there proves nothing by finding
nothing. No input may take a minute beside whatever else the machine does, and no run a gibibyte.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from proofs import ROOT, tell

FUZZ = ROOT / "proofs" / "fuzz"
CASES = ROOT / "crates" / "http1" / "tests" / "cases"
RULES_CASES = ROOT / "crates" / "rules" / "tests" / "rules" / "cases"
FINGERPRINT_CASES = ROOT / "crates" / "fingerprint" / "tests" / "cases"
TRIPLE = "x86_64-unknown-linux-gnu"
LONGEST_INPUT = 4096
"""Bytes of an input; longer seeds are left out, since their length is their point and not what follows from it."""
MEMORY_MIB = 1024
"""What a run may take: the corpus, and the input that takes most."""
SECONDS_PER_INPUT = 60


def http1_cases(file: str, key: str) -> Iterator[bytes]:
    """The messages of a case table, as a peer sends them."""
    for case in tomllib.loads((CASES / file).read_text())[key]:
        raw: str = case["raw"]
        if fill := case.get("fill"):
            mark, text, times = fill
            raw = raw.replace(mark, text * times)
        yield raw.encode("latin-1")


def fingerprint_cases(file: str) -> Iterator[bytes]:
    """The last column of a case table of the fingerprints."""
    for line in (FINGERPRINT_CASES / file).read_text().splitlines():
        if not line.startswith("#"):
            yield bytes.fromhex(line.split("; ")[-1])


HELLO_EXTENSIONS = bytes.fromhex(
    "01 000008 000005612e636f6d 001003 026832 000d02 0403 002b04 03040303 000b01 00 000a02 001d"
)
"""The other form that the target takes: a server name, a protocol, and short lists, without the lengths around them."""

SPOOL_SEGMENTS = tuple(
    bytes.fromhex(case)
    for case in (
        # Every column of the first table, then a row of the second, a gap, the end.
        (
            "00  01 2a 00ff03 01 9003 8301 0700ca9a3b000000 000000000000f83f 026869 027b7d 04c0000201 020178 00 010161"
            "01 05 01 01 02 6869  02 19 01 0300000000000000 2900000000000000 2b00000000000000  03 00"
        ),
        # Thinned: rows that were sampled away, a damaged record before a sound one, a kind from later, raw bytes, an
        # address of sixteen bytes.
        (
            "01  02 19 03 0900000000000000 0000000000000000 0800000000000000"
            "09 04 01 01 01 61  01 04 01 01 01 62  07 02 0000"
            "01 14 00 8000 10 20010db8000000000000000000000001  80 03 000000"
        ),
    )
)
"""Whether it was thinned, then control byte, length and payload of each record, as the target takes them."""


@dataclass
class RulesSetting:
    """What stands before the expressions of a hand-written case: `crates/rules/tests/rules/cases/README.md`.

    Addresses and ports are left as they are where the target does not know the ones that a file sets.
    """

    used_as: str = "filter"
    phase: str = ""
    known: int = 0
    response: list[bytes] = field(default_factory=list)
    request: list[bytes] = field(default_factory=list)

    PLACES: ClassVar = {"filter": "0", "response": "1", "uri": "3", "redirect": "4", "header": "5"}
    """The letter under which the target knows the place of an expression."""
    KNOWN: ClassVar = {"tls": 1, "client 2001:db8::7": 2, "client ::ffff:192.0.2.7": 4, "truncated": 8}
    """The bits by which it knows what is known of a request."""

    def set(self, words: str) -> None:
        """Takes a line that begins with an at sign."""
        match words.split():
            case ["phase", phase]:
                self.phase = phase
            case ["use", used_as]:
                self.used_as = used_as
            case ["plain"]:
                self.known &= ~self.KNOWN["tls"]
            case ["truncated", _]:
                self.known |= self.KNOWN["truncated"]
            case _:
                self.known |= self.KNOWN.get(words, 0)

    def input(self, expressions: list[bytes]) -> bytes:
        """The expressions and the request as the target takes them."""
        sees_response = self.phase.startswith("http_response_") and self.used_as == "filter"
        place = self.PLACES["response" if sees_response else self.used_as]
        end = self.request.index(b"") if b"" in self.request else len(self.request)
        head = b"\r\n".join([*self.request[:end], b"", b""])
        response = b"\r\n".join([*self.response, b"", b""]) if self.response else b""
        body = b"\n".join(self.request[end + 1 :])
        sections = [b"\1".join(expressions), head, response, body]
        return f"{place}{chr(ord('@') + self.known)}".encode() + b"\0".join(sections)


def rules_cases(file: Path) -> Iterator[tuple[RulesSetting, list[bytes]]]:
    """The expressions of a file of hand-written cases, those that stand together with what stands before them."""
    setting, expressions = RulesSetting(), list[bytes]()
    for written in file.read_text().replace("\n    ", "\r    ").split("\n"):
        line = written.replace("\r", "\n")
        if line[:1] in {"@", "<", ">"} and expressions:
            yield setting, expressions
            known = setting.known & ~setting.KNOWN["truncated"]
            setting, expressions = replace(setting, known=known, response=[], request=[]), []
        if line.startswith("@ "):
            setting.set(line[2:])
        elif line.startswith("< "):
            setting.response.append(sent(line[2:]))
        elif line.startswith(">"):
            setting.request.append(sent(line[2:]))
        elif line and not line.startswith("#"):
            _, expression = re.split(r'(?:"(?:[^"\\]|\\.)*"|[a-z]+)\s+', line, maxsplit=1)
            expressions.append(expression.encode())
    yield setting, expressions


def sent(line: str) -> bytes:
    r"""A line of a request, with a byte for each `\xHH`."""
    return re.sub(rb"\\x([0-9A-Fa-f]{2})", lambda found: bytes([int(found[1], 16)]), line.encode())


def rules_evaluator_seeds() -> Iterator[bytes]:
    """Each expression on its request, and up to twelve of one request together."""
    for file in sorted(RULES_CASES.glob("*.txt")):
        for setting, expressions in rules_cases(file):
            for expression in expressions:
                yield setting.input([expression])
            for start in range(0, len(expressions), 12):
                yield setting.input(expressions[start : start + 12])


def rules_parser_seeds() -> Iterator[bytes]:
    """Every expression of the cases, once."""
    files = sorted(RULES_CASES.glob("*.txt"))
    yield from dict.fromkeys(each for file in files for _, expressions in rules_cases(file) for each in expressions)


def rules_words() -> Iterator[str]:
    """The names that the language knows, from the tables that the edge is made of."""
    from bartizan.rules import reference

    yield from (field.name for field in reference.fields())
    yield from (f"{function.name}(" for function in reference.functions())


def seclang_words() -> Iterator[str]:
    """The words of the ModSecurity rule language."""
    from bartizan._native import waf_words

    before = {"directive": "", "variable": "", "operator": "@", "transformation": "t:", "action": ","}
    yield from (before[kind] + name for kind, name, _, standing in waf_words() if standing != "refused")


WORDS: dict[str, Callable[[], Iterable[str]]] = {"rules": rules_words, "seclang": seclang_words}
"""Words from the tables of what a target reads, by the beginning of its name."""

BODIES = {
    "body_json": (
        (b"", b'{"a":[{"b":"\\u00e9\\ud83d\\ude00"},-1.5e+3,true,null,[]],"c":{"d":{"e":"f"}}}'),
        (b"", b'"\\"\\\\\\/\\b\\f\\n\\r\\t"'),
    ),
    "body_multipart": (
        (
            b"multipart/form-data; boundary=x",
            (
                b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
                b'--x\r\nContent-Disposition: form-data;\r\n name=c; filename="d\\"e"; filename*=utf-8\'\'%64\r\n'
                b"Content-Type: text/plain\r\n\r\nf\n--y\r\n--x--\r\n"
            ),
        ),
        (
            b'multipart/form-data; boundary = "x"',
            b"before\n--x\nContent-Disposition: form-data; name='a'\n\nb\n--x--\nafter",
        ),
    ),
    "body_urlencoded": ((b"", b"a=1&b%5B%5D=%3Cc%3e+d&&e&=f&g=%zz%4"),),
    "body_xml": (
        (
            b"//b",
            b"<?xml version='1.0' encoding=\"utf-8\"?><!DOCTYPE a><a b='&lt;'><b>c&#x41;</b><![CDATA[d]]><?e f?></a>",
        ),
        (b"/a//@*", b"<p:a xmlns:p='u' xmlns='v' p:b='c'><!-- d --><e xml:lang='f'/>\r\n</p:a>"),
        (b"//a/text()", b"<a>b<c/>d</a>"),
    ),
}
"""Bodies with the line that a target takes before one: the content type of a form, a query for XML."""


def suite_bodies() -> Iterator[tuple[str, bytes, bytes]]:
    """The target, the content type and the body of each test of the suite that has one."""
    kinds = {"json": "body_json", "multipart/": "body_multipart", "xml": "body_xml", "urlencoded": "body_urlencoded"}
    for file in sorted(suite().glob("*/*.yaml")):
        for stage in re.split(r"^ *- (?:stage|input):", file.read_text(), flags=re.MULTILINE)[1:]:
            written = re.search(r"^ *Content-Type: *(.*)$", stage, re.MULTILINE | re.IGNORECASE)
            block = re.search(r"^( *)data: (?:\|-?\n((?:\1 +.*\n|\n)*)|(.+))", stage, re.MULTILINE)
            if block is None:
                continue
            lines = unquoted(block[3]) if block[3] else re.sub(rf"^{block[1]}  ", "", block[2], flags=re.MULTILINE)
            content_type = unquoted(written[1]) if written else "application/x-www-form-urlencoded"
            for word, target in kinds.items():
                if word in content_type.lower():
                    yield target, content_type.encode(), lines.encode()
                    break


def unquoted(value: str) -> str:
    """A scalar of YAML on one line; what only looks quoted stays as it is, since any text is a seed."""
    value = value.strip()
    if value.startswith('"'):
        with suppress(ValueError):
            return str(json.loads(value, strict=False))
    return value[1:-1].replace("''", "'") if value[:1] == value[-1:] == "'" else value


def body_seeds(target: str) -> Iterator[bytes]:
    """The bodies for a target: ours, then those of the suite."""
    takes_line = target in {"body_multipart", "body_xml"}
    for first, body in BODIES[target]:
        yield first + b"\n" + body if takes_line else body
    for known, content_type, body in suite_bodies():
        if known == target == "body_multipart":
            yield content_type + b"\n" + body
            yield content_type + b"\n" + body.replace(b"\n", b"\r\n")
        elif known == target:
            yield b"//@*\n" + body if takes_line else body


AUDIT_PROOFS = tuple(
    bytes.fromhex(case)
    for case in (
        # A leaf of which the zeros are left out, and two nodes beside it, one with bits behind its length.
        (
            f"05  0a2a 0a06 0a01c0 108002 1220{'11' * 32} 1229 0a05 0a0180 1002 1220{'22' * 32}"
            f"1229 0a05 0a017f 1001 1220{'33' * 32}"
        ),
        # A field and a group that nobody knows, a label that comes twice, numbers written longer than they need.
        f"40  1805 1b 2001 1c 12b38000 0a05 0a0140 1003 0a06 0a0140 108200 1a00 1220{'44' * 32}",
        # Labels of which the length stands before the bits, all of even lengths.
        "01"
        + "".join(
            f"{kind} 30 0a0c 1040 0a08 {bits * 8} 1220{'66' * 32}"
            for kind, bits in (("0a", "15"), ("0a", "55"), ("12", "95"), ("12", "d5"))
        ),
    )
)
"""The size of the pieces, then the proof."""

AUDIT_STATEMENTS = tuple(
    bytes.fromhex(case)
    for case in (
        f"00 83 0000018fca7ab6b1 0000000000000001 6c6f67 {'11' * 32} 01",
        f"03 83 0000018fca7ab6b1 0000000000000001 6c6f67 {'11' * 32} {'00' * 32} edd3f55c1a631258d69cf7a2def9de14",
        f"05 83 ffffffffffffffff 8000000000000000 6c6f67 {'11' * 32} {'11' * 31} 10",
    )
)
"""Suite and change, lengths, timestamp, epoch, then namespace, digest and change."""


SECLANG_RULES = (
    b"""SecRule ARGS|!ARGS:/^a/ "@rx (?i)(a)b" "id:1,phase:2,deny,capture,t:urlDecodeUni,t:lowercase,multiMatch,chain"
SecRule TX:1 "@streq %{MATCHED_VAR}" "setvar:'tx.a_%{MATCHED_VAR_NAME}=+%{tx.b}'"
""",
    b"""SecDefaultAction "phase:1,pass,status:418"
SecAction "id:1,phase:1,setvar:tx.level=2,setvar:!tx.b"
SecRule TX:level "@lt 2" "id:2,phase:1,skipAfter:END"
SecRule &ARGS "!@eq 1" "id:3,phase:1,allow:request"
SecMarker END
SecRuleRemoveById 2
SecRuleUpdateTargetById 3 "!ARGS:x|XML:/*"
""",
    b"""SecRule REQUEST_URI "@pm a|41|b" "id:1,phase:1,pass,ctl:ruleRemoveTargetByTag=t;ARGS:a,ctl:ruleEngine=On"
SecRule ARGS "!@within %{tx.a}" "id:2,tag:t,block,msg:'%{rule.id} %{TX.0}',severity:2,expirevar:ip.a=1"
""",
)
"""Rules of many kinds, two or three together."""


def seclang_rules_seeds() -> Iterator[bytes]:
    """Our rules, then those of the Core Rule Set, each with its chain."""
    yield from SECLANG_RULES
    for file in sorted(suite().parent.glob("rules/@owasp_crs/*.conf")):
        text = re.sub(r"\\\n *", "", re.sub(r"^ *#.*\n", "", file.read_text(), flags=re.MULTILINE))
        for block in re.findall(r"^(?:Sec\w+ .*chain.*\n\s*)*Sec\w+ .*\n", text, re.MULTILINE):
            yield block.encode()


def seclang_request_seeds() -> Iterator[bytes]:
    """A request of each kind of body, then those of the first two tests of each rule in the suite.

    All 4,000 would take a minute of a run before a first change is tried.
    """
    for target, bodies in BODIES.items():
        for first, body in bodies:
            content_type = first or {"body_json": b"application/json"}.get(target, b"application/x-www-form-urlencoded")
            kind = b"text/xml" if target == "body_xml" else content_type
            head = b"POST /a/b.php?c=%%64+e HTTP/1.1\r\nHost: a.example\r\nContent-Type: %b\r\n" % kind
            yield head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    yield b"GET http://[::1]/?a=%u0041%2527&off=1 HTTP/1.1\r\nCookie: a=union select; _b=1\r\n\r\n"
    if suite().is_dir():
        from bartizan.waf import ftw

        few = (test for test in ftw.read(suite()) if test.title.endswith(("-1", "-2")))
        yield from (stage.request for test in few for stage in test.stages)


def seclang_transform_seeds() -> Iterator[bytes]:
    """Each transformation of a text with all that any of them reads."""
    text = (
        b"A+%41%u0041 &lt;&#x41;&#65 \\x41\\u0041\\101\\n\\41 /*a*/ b--<!--c-->#d /a/./../b\\c:d. 0x4142 QUJD 414243 "
        b"\xc3\xa9\xe2\x80\xaf\xa0\x00\"'^,;"
    )
    yield from (bytes([number]) + part for number in range(40) for part in (text, b"QUJDRA==", b"4142", b"../a/"))


def suite() -> Path:
    """The regression suite of CRS, beside its rules: that which Go fetches, or the folder that `CRS_TESTS` names."""
    if named := os.environ.get("CRS_TESTS"):
        return Path(named)
    from proofs import _core_rules

    return _core_rules.fetched() / "tests"


SEEDS: dict[str, Callable[[], Iterable[bytes]]] = {
    "audit_proof": lambda: AUDIT_PROOFS,
    "audit_statement": lambda: AUDIT_STATEMENTS,
    **{target: partial(body_seeds, target) for target in BODIES},
    "client_hello": lambda: (*fingerprint_cases("client_hello.txt"), HELLO_EXTENSIONS),
    "h2_preface": lambda: fingerprint_cases("h2_preface.txt"),
    "http1_request": lambda: http1_cases("requests.toml", "request"),
    "http1_response": lambda: http1_cases("responses.toml", "response"),
    "rules_evaluator": rules_evaluator_seeds,
    "rules_parser": rules_parser_seeds,
    "seclang_request": seclang_request_seeds,
    "seclang_rules": seclang_rules_seeds,
    "seclang_transform": seclang_transform_seeds,
    "spool_segment": lambda: SPOOL_SEGMENTS,
}
"""Where the first inputs of a target come from."""


def main() -> int:
    """Build, seed, run, report. Returns 1 if the run did not show what it is for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(SEEDS), help="a target of proofs/fuzz")
    parser.add_argument("seconds", type=int, help="how long to run")
    parser.add_argument("--planted", action="store_true", help="compile the planted panic in and expect it to be found")
    parser.add_argument("--inputs", type=int, help="begin at the seeds and end after so many, the same in every run")
    arguments = parser.parse_args()
    target: str = arguments.target
    planted: bool = arguments.planted

    # A folder for each run: a short run beside a long one must not take its log away.
    run = FUZZ / "runs" / f"{target}{'-planted' if planted else ''}-{os.getpid()}"
    run.mkdir(parents=True)
    binary = build(target, run, planted=planted)
    # The proof of reach starts from the seeds alone; a corpus that had it already would be no proof.
    is_fresh = planted or arguments.inputs is not None
    corpus = run / "corpus" if is_fresh else FUZZ / "corpus" / target
    seeds = write_seeds(target, run / "seeds")
    corpus.mkdir(parents=True, exist_ok=True)
    artifacts = run / "artifacts" if planted else FUZZ / "artifacts" / target
    artifacts.mkdir(parents=True, exist_ok=True)
    known = set(artifacts.iterdir())

    started, spent_s = time.monotonic(), processor_time_s()
    command = [
        str(binary),
        f"-max_total_time={arguments.seconds}",
        f"-max_len={LONGEST_INPUT}",
        f"-artifact_prefix={artifacts}/",
        "-print_final_stats=1",
        f"-timeout={SECONDS_PER_INPUT}",
        f"-rss_limit_mb={MEMORY_MIB}",
    ]
    if arguments.inputs is not None:
        command += ["-seed=1", f"-runs={arguments.inputs}"]
    if dictionary := write_dictionary(target, run / "dictionary"):
        command.append(f"-dict={dictionary}")
    with (run / "log").open("wb") as log:
        words, around = [*command, str(corpus), str(seeds)], environment(target, run)
        code = subprocess.run(words, env=around, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    seconds, spent_s = time.monotonic() - started, processor_time_s() - spent_s
    crashes = sorted(set(artifacts.iterdir()) - known)
    text = (run / "log").read_text(errors="replace")
    found = planted and "planted:" in text
    figure = {
        "figure": f"fuzz {target}" + (", planted panic" if planted else ""),
        "seconds": round(seconds, 1),
        "cpu_s": round(spent_s, 1),
        "executions": last_number(text, r"stat::number_of_executed_units:\s+(\d+)") or last_number(text, r"^#(\d+)"),
        "edges": last_number(text, r"cov: (\d+)"),
        "features": last_number(text, r"ft: (\d+)"),
        "rss_mib": last_number(text, r"stat::peak_rss_mb:\s+(\d+)"),
        "slowest_s": last_number(text, r"stat::slowest_unit_time_sec:\s+(\d+)"),
        "corpus": sum(1 for _ in corpus.iterdir()),
        "crashes": len(crashes),
        "crash_files": [str(crash.relative_to(ROOT)) for crash in crashes],
        **({"planted_found": found} if planted else {}),
    }
    tell(figure)
    shown = found if planted else clean(code, figure["executions"], len(crashes))
    if shown:
        # The binary and the log of a run that showed what it is for are of no use to anybody.
        shutil.rmtree(run)
    return 0 if shown else 1


def processor_time_s() -> float:
    """What programs that were started and have ended took of the processor, which others may have had most of."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def environment(target: str, run: Path) -> dict[str, str]:
    """What stands around a run: for requests a file of the Core Rule Set, if that is beside its suite."""
    if target != "seclang_request" or not (suite().parent / "rules").is_dir():
        return dict(os.environ)
    from proofs.gates import rule_file

    return {**os.environ, "RULES": str(rule_file(suite().parent, 4, run))}


def clean(code: int, executions: object, crashes: int) -> bool:
    """Whether a run found nothing, and was a run: a binary that cannot start finds nothing, too."""
    return code == 0 and isinstance(executions, int) and executions > 0 and crashes == 0


def build(target: str, run: Path, *, planted: bool) -> Path:
    """Build a target and copy it into the run, so that another build does not change it while it runs."""
    if shutil.which("cargo-fuzz") is None:
        subprocess.run(["cargo", "install", "cargo-fuzz", "--locked", "--quiet"], check=True)
    target_dir = Path(os.environ.get("CARGO_TARGET_DIR", FUZZ / "target"))
    command = [
        "cargo",
        "+nightly",
        "fuzz",
        "build",
        "--fuzz-dir",
        str(FUZZ),
        "--sanitizer",
        "none",
        "--target-dir",
        str(target_dir),
    ]
    if planted:
        command += ["--features", "planted"]
    built = subprocess.run([*command, target], cwd=FUZZ, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        sys.exit(f"{target} does not build; {' '.join(command)} says:\n{built.stderr}")
    return Path(shutil.copy2(target_dir / TRIPLE / "release" / target, run / target))


def write_seeds(target: str, directory: Path) -> Path:
    """Write the seeds of a target, one file each."""
    directory.mkdir()
    for number, seed in enumerate(SEEDS[target]()):
        if len(seed) <= LONGEST_INPUT:
            (directory / f"{number:04}").write_bytes(seed)
    return directory


def write_dictionary(target: str, file: Path) -> Path | None:
    """Write the words of what a target reads, if it has any: those of its file, and those of the tables."""
    kind = target.split("_", maxsplit=1)[0]
    known = FUZZ / f"{kind}.dict"
    if not known.exists():
        return None
    words = WORDS[kind]() if kind in WORDS else ()
    file.write_text(known.read_text() + "".join(f'"{word}"\n' for word in words))
    return file


def last_number(text: str, pattern: str) -> int | None:
    """The last number in the log of libFuzzer that a pattern finds."""
    found: list[str] = re.findall(pattern, text, re.MULTILINE)
    return int(found[-1]) if found else None


if __name__ == "__main__":
    sys.exit(main())
