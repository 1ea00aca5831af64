"""Servers that sinks are tested with, as their makers publish them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.ports import reserved_port

CACHE = Path(__file__).parents[3] / ".cache"
GO_MINOR = 21
"""From this version on Go fetches whatever newer version a module asks for; Debian 12 has 1.19."""

VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"


OTELCOL = Path(__file__).with_name("otelcol")
"""The sources of a collector, with the versions of what it is made of."""


def versitygw() -> Path:
    """An S3 server, built by Go where it is not here yet; skips the test where there is no Go."""
    program = CACHE / "bin" / "versitygw"
    if not program.exists():
        environment = {**os.environ, "GOBIN": str(program.parent)}
        command = [_go("the S3 server"), "install", VERSITYGW]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=500)
    return program


def otelcol() -> Path:
    """An OpenTelemetry collector, likewise."""
    program = CACHE / "bin" / "otelcol"
    if not program.exists() or program.stat().st_mtime < (OTELCOL / "go.mod").stat().st_mtime:
        command = [_go("the OpenTelemetry collector"), "build", "-o", str(program), "."]
        subprocess.run(command, cwd=OTELCOL, check=True, capture_output=True, timeout=500)
    return program


def _go(what: str) -> str:
    """The program `go`; skips the test where there is none that can build."""
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"go is not installed, and it builds {what}; https://go.dev/dl has it")
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"go1\.(\d+)", said)
    if version is None or int(version[1]) < GO_MINOR:
        pytest.skip(f"{what} needs Go 1.{GO_MINOR} or newer, and {go} is older; https://go.dev/dl has it")
    return go


@contextmanager
def listening(
    command: list[str], port: int, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that listens on a port, until the end of the block."""
    process = subprocess.Popen(
        command, env=os.environ | (environment or {}), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while not _accepts(port):
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{command[0]} does not listen"
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


KAFKA = "4.1.0"

_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion><groupId>test</groupId><artifactId>broker</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA}</version>
  </dependency></dependencies>
</project>
"""

_BROKER = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={directory}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
num.partitions=2
"""


def kafka() -> Path:
    """A directory with the broker's jars, fetched by Maven where they are not here yet; skips the test without both."""
    jars = CACHE / f"kafka-{KAFKA}"
    if shutil.which("java") is None or shutil.which("mvn") is None:
        pytest.skip("java or mvn is not installed, and the Kafka broker needs both")
    if not any(jars.glob("kafka_*.jar")):
        jars.mkdir(parents=True, exist_ok=True)
        (jars / "pom.xml").write_text(_POM)
        fetch = ["mvn", "-q", "-B", "-f", str(jars / "pom.xml"), "dependency:copy-dependencies"]
        more = [f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
        subprocess.run([*fetch, *more], check=True, capture_output=True, timeout=300)
    return jars


@contextmanager
def broker(directory: Path) -> Iterator[int]:
    """A broker that is its own controller (KRaft), with an empty store; its port."""
    java = ["java", "-Xmx384m", "-XX:TieredStopAtLevel=1", "-cp", f"{kafka()}/*"]
    port, controller = reserved_port(), reserved_port()
    file = directory / "server.properties"
    file.write_text(_BROKER.format(port=port, controller=controller, directory=directory))
    name = "MkU3OEVBNTcwNTJENDM2Qg"
    format_store = [*java, "kafka.tools.StorageTool", "format", "-t", name, "-c", str(file)]
    subprocess.run(format_store, check=True, capture_output=True, timeout=280)
    with listening([*java, "kafka.Kafka", str(file)], port):
        yield port
