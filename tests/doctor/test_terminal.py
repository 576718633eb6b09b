"""Names that somebody else gave: none of them writes on the terminal."""

from __future__ import annotations

import pytest

from plumb import cli
from plumb.cli import common
from plumb.doctor import document
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import ContainerState, NamespaceState, Snapshot
from plumb.views.diagnosis.doctor import lines

CLEARS = "eth0\x1b[2J\rno problem found\nproblem: eth1"
"""A name that a link may have in the kernel, or a program in /proc."""


@pytest.mark.parametrize("colour", [False, True])
def test_a_finding_prints_no_escape_sequence(colour: bool) -> None:
    """Of the host's links and programs neither: a container may name its own."""
    finding = Finding(
        "link-down", Grade.PROVEN, Severity.PROBLEM, CLEARS, (CLEARS,), (CLEARS,), CLEARS, (CLEARS,)
    )
    snapshot = Snapshot(NamespaceState("host"), engines=(CLEARS,))

    printed = list(lines([finding], snapshot, ("links",), "page", colour))

    colours = ("\x1b[31m", "\x1b[0m")
    for line in printed:
        for each in colours if colour else ():
            line = line.replace(each, "")
        assert line.isprintable(), line


def test_a_name_of_a_snapshot_has_no_second_line() -> None:
    """Only the text of a file has lines."""
    host = NamespaceState("host", resolv="nameserver 192.0.2.1\n", hosts="192.0.2.1\ta\n")
    sent = Snapshot(host, containers=(ContainerState("a\nb", "docker", "a\tb"),))

    found = document.read(document.written(sent).encode(), "it")

    assert found.host == host
    assert (found.containers[0].name, found.containers[0].place) == ("a\ufffdb", "a\ufffdb")


def test_a_message_prints_no_escape_sequence(capsys: pytest.CaptureFixture[str]) -> None:
    """Errors and remarks quote what is in others' files."""
    assert cli.complain(CLEARS, CLEARS, 3) == 3
    common.tell(CLEARS)

    said = capsys.readouterr().err.splitlines()

    assert len(said) == 2
    assert all(line.isprintable() and "eth0\ufffd[2J" in line for line in said), said
