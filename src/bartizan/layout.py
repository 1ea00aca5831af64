"""Where a running Bartizan keeps its files.

One directory, the *state directory*, holds everything that one installation writes: the policy store, the last good
policy, the spool, certificates and the control sockets. Every process is told this directory and nothing else, so this
page is the only place that knows the names inside it. Standard library only: the edge process imports it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

SITE_FILE: Final = "bartizan.toml"
"""Name of the site file that commands read when none is named."""

STATE_VARIABLE: Final = "BARTIZAN_STATE"
"""Environment variable that names the state directory."""

_OWNER_ONLY: Final = 0o700

_VERSION: Final = re.compile(rb'\{"format":\d+,"version":(\d+),')
"""How a policy begins."""


class StateDirectory:
    """The files of one installation, by what they are for.

    Directories are created by `create`, files by whoever owns them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def locate(cls, *, state: Path | None = None, site: Path | None = None) -> StateDirectory:
        """The state directory that a command means.

        `state` (the option `--state`) wins over the variable `BARTIZAN_STATE`, which wins over `.bartizan` beside the
        site file, by default the one in the working directory.
        """
        if state is not None:
            return cls(state.absolute())
        if named := os.environ.get(STATE_VARIABLE):
            return cls(Path(named).absolute())
        beside = site.absolute().parent if site is not None else Path.cwd()
        return cls(beside / ".bartizan")

    def create(self) -> None:
        """Make the directories, readable by their owner only: they hold keys and requests of visitors.

        Raises OSError where the parent is missing its rights or its space.
        """
        for directory in (self.path, self.policy, self.spool, self.run, self.ca, self.acme, self.sinks):
            directory.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)

    @property
    def store(self) -> Path:
        """SQLite database of the policy versions."""
        return self.path / "store.sqlite3"

    @property
    def policy(self) -> Path:
        """Directory of the policy that the edge starts from."""
        return self.path / "policy"

    @property
    def current_policy(self) -> Path:
        """The last good policy, canonical JSON, mode 0600; replaced by rename only."""
        return self.policy / "current.json"

    @property
    def spool(self) -> Path:
        """Segment files of events, written by the edge."""
        return self.path / "spool"

    @property
    def analytics(self) -> Path:
        """Data of the embedded analytics engine; one process at a time, the event owner."""
        return self.path / "analytics"

    @property
    def sinks(self) -> Path:
        """How far each sink has come, and what it refused, in a directory of its name."""
        return self.path / "sinks"

    @property
    def policy_version(self) -> int | None:
        """The version of the last good policy; None where there is none yet, or it does not say."""
        try:
            with self.current_policy.open("rb") as handle:
                found = _VERSION.match(handle.read(64))
        except FileNotFoundError:
            return None
        return None if found is None else int(found[1])

    @property
    def current_sinks(self) -> Path:
        """The sinks of the policy in effect; which file that is, the policy says, so that both change at once."""
        return self.sinks_of(self.policy_version)

    def sinks_of(self, version: int | None) -> Path:
        """The sinks of that version of the policy, JSON, mode 0600; secrets stand in it as references."""
        return self.sinks / ("sinks.json" if version is None else f"sinks-{version}.json")

    def transparency_of(self, version: int | None) -> Path:
        """The settings of key transparency of that version of the policy, JSON, mode 0600."""
        return self.policy / f"transparency-{version or 0}.json"

    @property
    def current_transparency(self) -> Path:
        """Those of the policy in effect."""
        return self.transparency_of(self.policy_version)

    @property
    def transparency(self) -> Path:
        """The auditor's database, keys and name; made by the auditor, mode 0700."""
        return self.path / "transparency"

    @property
    def imports(self) -> Path:
        """Rows of files on their way into the event store, and how many of each file have arrived."""
        return self.path / "imports"

    @property
    def purge(self) -> Path:
        """What the event owner was asked to delete and has not yet; removed when it has."""
        return self.analytics / "purge.json"

    @property
    def ca(self) -> Path:
        """The development certificate authority and the leaves it signed."""
        return self.path / "ca"

    @property
    def acme(self) -> Path:
        """ACME account key, certificates and open challenges."""
        return self.path / "acme"

    @property
    def sticky_key(self) -> Path:
        """Key of the cookies by which clients keep their origin server, mode 0600; made by the edge."""
        return self.path / "sticky.key"

    @property
    def address_key(self) -> Path:
        """Key of the day under which events hash the addresses of clients, mode 0600; made by the edge."""
        return self.path / "address.key"

    @property
    def audit_logs(self) -> Path:
        """Audit logs of rule sets in the ModSecurity rule language, mode 0700; made by the edge."""
        return self.path / "audit"

    @property
    def rule_sets(self) -> Path:
        """Installed versions of the Core Rule Set, each in a directory of its number; made by what installs them."""
        return self.path / "crs"

    @property
    def run(self) -> Path:
        """Control sockets and lock files; nothing in it outlives the processes."""
        return self.path / "run"

    @property
    def edge_socket(self) -> Path:
        """Control socket of the edge process."""
        return self.run / "edge.sock"

    @property
    def events_socket(self) -> Path:
        """Control socket of the event owner."""
        return self.run / "events.sock"

    @property
    def auditor_socket(self) -> Path:
        """Control socket of the key transparency auditor."""
        return self.run / "auditor.sock"

    @property
    def auditor_lock(self) -> Path:
        """Held by the key transparency auditor for as long as it lives; contains its process id."""
        return self.run / "auditor.pid"

    @property
    def monitor_socket(self) -> Path:
        """Control socket of the monitor of auditors."""
        return self.run / "monitor.sock"

    @property
    def monitor_lock(self) -> Path:
        """Held by the monitor of auditors for as long as it lives; contains its process id."""
        return self.run / "monitor.pid"

    @property
    def directory_socket(self) -> Path:
        """Control socket of a key directory that is served."""
        return self.run / "directory.sock"

    @property
    def directory_lock(self) -> Path:
        """Held by the process that has the key directory; contains its process id."""
        return self.run / "directory.pid"

    @property
    def supervisor_socket(self) -> Path:
        """Control socket of the supervisor."""
        return self.run / "supervisor.sock"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the supervisor for as long as it lives; contains its process id."""
        return self.run / "supervisor.pid"

    @property
    def edge_lock(self) -> Path:
        """Held by the edge process for as long as it lives; contains its process id."""
        return self.run / "edge.pid"

    @property
    def events_lock(self) -> Path:
        """Held by the event owner for as long as it lives; contains its process id."""
        return self.run / "events.pid"
