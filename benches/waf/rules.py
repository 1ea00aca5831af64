"""The rules of CRS 4.25.0, from the Go module that carries them, laid out so that all engines read the same files.

libmodsecurity 3.0.9 reads no file below a folder with `@` in its name, and takes a rule without actions together with
the directive on the next line: the files are copied to plain names, with an empty line before each directive. What a
rule says is not changed. The copies stand in `.cache`; the rules are no part of this repository.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from benches.machine import ROOT

CACHE: Final = ROOT / ".cache" / "benches" / "waf"

_ENGINE: Final = """\
SecRuleEngine On
SecRequestBodyAccess On
SecRequestBodyLimit 13107200
SecRequestBodyLimitAction Reject
SecRequestBodyJsonDepthLimit 1024
SecArgumentsLimit 1000
SecResponseBodyAccess Off
SecAuditEngine Off

SecRule REQUEST_HEADERS:Content-Type "@rx ^application/(?:[a-z0-9.-]+\\+)?json(?:[ ;]|$)" \\
    "id:10002,phase:1,pass,nolog,t:lowercase,ctl:requestBodyProcessor=JSON"

SecRule REQBODY_ERROR "!@eq 0" "id:10003,phase:2,deny,status:400,log,msg:'The body cannot be read'"

SecRule MULTIPART_STRICT_ERROR "!@eq 0" "id:10004,phase:2,deny,status:400,log,msg:'The body is no strict multipart'"
"""

_LEVEL: Final = """
SecAction "id:10001,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level={level},\\
    setvar:tx.detection_paranoia_level={level}"
"""

_OF_RESPONSES: Final = "RESPONSE-95"
"""The request's side alone is measured: rules about responses are left out."""

PREFILTER: Final = "SecRxPreFilter On\n"
"""Of Coraza alone, and off by default: it skips patterns whose literals are not in a value."""


def lay_out(source: Path, target: Path) -> None:
    """Copies the rules of the module into a folder, and makes a file to load for each paranoia level."""
    shutil.rmtree(target, ignore_errors=True)
    (target / "rules").mkdir(parents=True)
    setup = target / "crs-setup.conf"
    setup.write_text(_spaced((source / "rules" / "@crs-setup.conf.example").read_text()))
    rules = []
    for file in sorted((source / "rules" / "@owasp_crs").iterdir()):
        copy = target / "rules" / file.name
        if file.name.startswith(_OF_RESPONSES):
            continue
        if file.suffix == ".conf":
            copy.write_text(_spaced(file.read_text()))
            rules.append(copy)
        else:
            copy.write_bytes(file.read_bytes())
    for level in range(1, 5):
        text = "\n\n".join(
            [_ENGINE, f"Include {setup}", _LEVEL.format(level=level), *(f"Include {file}" for file in rules), ""]
        )
        entry(target, level).write_text(text)
        entry(target, level, prefilter=True).write_text(PREFILTER + text)


def entry(folder: Path, level: int, *, prefilter: bool = False) -> Path:
    """The file that an engine loads."""
    return folder / f"level-{level}{'-prefilter' if prefilter else ''}.conf"


def _spaced(text: str) -> str:
    lines: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith("Sec") and not (lines and lines[-1].endswith("\\")):
            lines.append("")
        lines.append(line)
    return "\n".join([*lines, ""])
