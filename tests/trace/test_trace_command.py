"""plumb trace on the command line: output, exit status, JSON, capture file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.utils import PcapNgReader

from tests import REPOSITORY
from tests.trace.fault_lab import Bench, bench


@pytest.fixture(scope="module")
def lab() -> Iterator[Bench]:
    """Bench for all tests."""
    with bench("nf_tables") as made:
        yield made


def test_an_answer_is_a_success(lab: Bench) -> None:
    """The story, without colours outside of a terminal, and exit status 0."""
    ran = lab.lab.plumb("trace", "c2", "c1:80")

    assert ran.stdout.startswith("c2 → c1:80")
    assert "answered after" in ran.stdout
    assert "\x1b" not in ran.stdout


def test_anything_else_is_a_failure(lab: Bench) -> None:
    """The cause, evidence, remedies, and exit status 1."""
    ran = lab.lab.plumb("trace", "--wait", "0.2", lab.lab.lan, "c1:80", status=1)

    assert "cause: lan routes to 172.20.0.2" in ran.stdout
    assert "  seen: host: raw PREROUTING" in ran.stdout
    assert "  try: " in ran.stdout


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (("trace", "c1"), "requires"),
        (("trace", "nobody", "c1"), "there is no container"),
        (("trace", "c2", "c1:80", "--pcap", "-"), "cannot both go to standard output"),
        (("trace", "c2", "c1:80", "--pcap", "/nowhere/file"), "cannot write the capture file"),
        (("trace", "c2", "c1:80", "--size", "1000"), "of a given size"),
        (("trace", "-6", "c2", "c3"), "has no IPv6 address"),
        (("trace", "c2", "c1:80", "--source-port", "0"), "0"),
    ],
)
def test_what_cannot_be_asked(lab: Bench, line: tuple[str, ...], says: str) -> None:
    """One line on stderr, exit status 1, nothing on stdout."""
    ran = lab.lab.plumb(*line, status=1)

    assert says in ran.stderr
    assert (ran.stdout, ran.stderr.count("\n")) == ("", 1)


def test_without_root(lab: Bench) -> None:
    """The error names the remedy."""
    line = [sys.executable, "-m", "plumb", "trace", "host", "127.0.0.1"]
    ran = subprocess.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--", *line],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={
            **os.environ,
            "PLUMB_ROOT": str(lab.lab.root),
            "PYTHONPATH": str(REPOSITORY),
            "PLUMB_WARM": "0",
        },
    )

    assert ran.returncode == 1
    assert "run it as root" in ran.stderr


def test_the_document(lab: Bench) -> None:
    """--json prints the whole story; its keys stay."""
    ran = lab.lab.plumb("trace", "--json", lab.lab.lan, "host:8080")
    found = json.loads(ran.stdout)

    assert set(found) == {
        "From",
        "To",
        "Address",
        "Port",
        "Protocol",
        "SourcePort",
        "Published",
        "There",
        "Back",
        "End",
        "Cause",
        "Notes",
        "Choice",
        "Good",
        "Proxied",
    }
    assert (found["Good"], found["End"]["Ending"], found["Published"]["Container"]) == (
        True,
        "answered",
        "c1",
    )
    assert {step["Kind"] for step in found["There"]} == {"link", "rule", "nat", "route"}
    assert [step["Place"] for step in found["There"] if step["Kind"] == "link"] == [
        "lan",
        "host",
        "host",
        "host",
        "c1",
    ]


def test_the_documents_cause(lab: Bench) -> None:
    """The cause has an id for programs, besides the sentence."""
    found = json.loads(lab.lab.plumb("trace", "--json", "c2", "c1:82", status=1).stdout)

    assert (found["Cause"]["Id"], found["Cause"]["Sure"], found["End"]["Place"]) == (
        "listens-on-loopback",
        True,
        "c1",
    )


def test_the_capture_file(lab: Bench, tmp_path: Path) -> None:
    """Interfaces for links, a direction for each frame, decisions as comments."""
    path = tmp_path / "story.pcapng"
    lab.lab.plumb("trace", "--pcap", str(path), lab.lab.lan, "host:8080")
    with PcapNgReader(str(path)) as reader:
        packets = list(reader)
    comments = " ".join(str(packet.comment) for packet in packets if packet.comment)

    assert all(name in path.read_bytes() for name in (b"lan:port0", b"host:eth0", b"c1:eth0"))
    assert len(packets) >= 10
    assert "nat PLUMB" in comments
    assert "destination 192.0.2.10:8080 to 172.20.0.2:80" in comments
