"""The systemd unit of an installation: hardened, supervised by a watchdog, checked before it starts.

`bartizan systemd` prints it. What it takes away from the service is what the service never needs: devices, other
people's homes, the kernel, new privileges, all capabilities but the one to bind low ports.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

WATCHDOG_S: Final = 30
START_S: Final = 300
"""Reading, checking and compiling the largest site file, on a slow machine that just booted."""

_UNIT: Final = """\
[Unit]
Description=Bartizan, {description} ({site})
Wants=network-online.target
After=network-online.target

[Service]
{service}
Restart=on-failure
RestartSec=1
TimeoutStopSec={stop}
# The process stops the others in order; what is left after the time above is killed with it.
KillMode=mixed

User={user}
{state_directory}
UMask=0077
LimitNOFILE=1048576

AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""

_UP: Final = """\
Type=notify
NotifyAccess=main
WatchdogSec={watchdog}
ExecStartPre={program} check {site} --state {state}
ExecStart={program} up {site} --state {state}{monitor}
ExecReload=/bin/kill -HUP $MAINPID
TimeoutStartSec={start}"""

_ALONE: Final = """\
Type=exec
ExecStart={program} {words} {site} --state {state}{monitor}"""

ALONE: Final = {
    "auditor": ("key transparency auditor", "transparency auditor serve"),
    "monitor": ("monitor of key transparency auditors", "transparency monitor serve"),
}
"""What can run without an edge: what it is called, and its command."""

_SYSTEM_STATE: Final = Path("/var/lib/bartizan")


def unit(
    *, program: Path, site: Path, state: Path, user: str, monitor: str | None, stop_s: float, alone: str | None = None
) -> str:
    """The text of the unit; paths are absolute, `stop_s` is how long a stop in order may take, in seconds.

    It is of `bartizan up`, or of what `ALONE` has under that name.
    """
    description, words = ("application-security edge", "up") if alone is None else ALONE[alone]
    service = (_UP if alone is None else _ALONE).format(
        program=_word(str(program)),
        words=words,
        site=_word(str(site)),
        state=_word(str(state)),
        monitor=f" --monitor {monitor}" if monitor is not None else "",
        watchdog=WATCHDOG_S,
        start=START_S,
    )
    return _UNIT.format(
        description=description,
        service=service,
        site=_word(str(site)),
        user=user,
        # systemd makes the usual directory, with its rights; another one has to be there, and is made writable.
        state_directory=(
            "StateDirectory=bartizan\nStateDirectoryMode=0700"
            if state == _SYSTEM_STATE
            else f"ReadWritePaths={_word(str(state))}"
        ),
        stop=round(stop_s),
    )


def _word(text: str) -> str:
    """A word of a unit file: its specifiers and variables are doubled, and it is quoted where it must be."""
    plain = text.replace("%", "%%").replace("$", "$$")
    if not any(character in plain for character in " \t\"'\\;"):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
