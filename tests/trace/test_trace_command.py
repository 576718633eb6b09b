"""plumb trace, as it is typed: what it prints, its exit status, its JSON, its capture file."""

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
    """One bench for all."""
    with bench("nf_tables") as made:
        yield made


def test_an_answer_is_a_success(lab: Bench) -> None:
    """The story, in plain text where nobody sees colours, and exit status 0."""
    ran = lab.lab.plumb("trace", "c2", "c1:80")

    assert ran.stdout.startswith("c2 → c1:80")
    assert "answered after" in ran.stdout
    assert "\x1b" not in ran.stdout


def test_anything_else_is_a_failure(lab: Bench) -> None:
    """The cause, what was read, what to try, and exit status 1."""
    ran = lab.lab.plumb("trace", "--wait", "0.2", lab.lab.lan, "c1:80", status=1)

    assert "cause: lan routes to 172.20.0.2" in ran.stdout
    assert "  seen: host: raw PREROUTING" in ran.stdout
    assert "  try: " in ran.stdout


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (("trace", "c1"), "Missing argument"),
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
    """It says what it takes."""
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
    """--json has all of the story, and its keys stay."""
    ran = lab.lab.plumb("trace", "--json", lab.lab.lan, "host:8080")
    told = json.loads(ran.stdout)

    assert set(told) == {
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
        "Good",
        "Proxied",
    }
    assert (told["Good"], told["End"]["Ending"], told["Published"]["Container"]) == (
        True,
        "answered",
        "c1",
    )
    assert {step["Kind"] for step in told["There"]} == {"link", "rule", "nat", "route"}
    assert [step["Place"] for step in told["There"] if step["Kind"] == "link"] == [
        "lan",
        "host",
        "host",
        "host",
        "c1",
    ]


def test_the_documents_cause(lab: Bench) -> None:
    """It has a word for programs, besides the sentence."""
    told = json.loads(lab.lab.plumb("trace", "--json", "c2", "c1:82", status=1).stdout)

    assert (told["Cause"]["Id"], told["Cause"]["Sure"], told["End"]["Place"]) == (
        "listens-on-loopback",
        True,
        "c1",
    )


def test_the_capture_file(lab: Bench, tmp_path: Path) -> None:
    """An interface for each link, each frame in its direction, decisions as a comment."""
    path = tmp_path / "story.pcapng"
    lab.lab.plumb("trace", "--pcap", str(path), lab.lab.lan, "host:8080")
    with PcapNgReader(str(path)) as reader:
        packets = list(reader)
    comments = " ".join(str(packet.comment) for packet in packets if packet.comment)

    assert all(name in path.read_bytes() for name in (b"lan:port0", b"host:eth0", b"c1:eth0"))
    assert len(packets) >= 10
    assert "nat PLUMB" in comments
    assert "destination 192.0.2.10:8080 to 172.20.0.2:80" in comments
