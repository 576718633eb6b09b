"""Filters of listings and of prune: the engine's rules, by key."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Interface

import pytest

from plumb.cli.filters.containers import NOT_HERE, of_containers
from plumb.cli.filters.prune import prunable
from plumb.errors import Invalid
from plumb.model.cnm import Attachment, Endpoint, Ends, Network, Sandbox, Status
from plumb.model.lifecycle.moments import LATEST, moment
from plumb.model.ports import Port
from tests import REPOSITORY, labs
from tests.labs import Lab

FRONT = Network("f" * 64, "front", "bridge", labels=(("tier", "web"), ("keep", "1")))
BACK = Network("b" * 64, "back", "bridge")
KNOWN = {net.id: net for net in (FRONT, BACK)}
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 10**9


def made(number: int, name: str, network: Network, **fields: object) -> tuple[Sandbox, Ends]:
    """A container on a network; that which runs publishes 127.0.0.1:8080:80 and exposes 443."""
    box = Sandbox(
        f"{number:064x}",
        name,
        attachments=(Attachment(network.id),),
        number=number,
        exposed=("443/tcp",),
        **fields,  # type: ignore[arg-type]
    )
    port = Port(80, "tcp", IPv4Address("127.0.0.1"), 8080)
    ip = IPv4Interface("10.0.0.2/24")
    end = Endpoint("e", network.id, box.id, "veth1", "eth0", "", ip, ports=(port,))
    return box, [(end, network)] if box.status is Status.RUNNING else []


FOUND = [
    made(3, "webapp", BACK, status=Status.EXITED, exit_code=137, labels=(("a", "1"),)),
    made(2, "db", BACK, labels=(("a", "1"), ("b", "2"))),
    made(1, "web", FRONT, status=Status.RUNNING, labels=(("a", "2"), ("b", "2"))),
]
"""The newest first, as `ps` lists them."""


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("name=web", "webapp web"),
        ("name=^web$", "web"),
        ("name=^/web$", "web"),
        ("name=d.", "db"),
        ("name=^web$ name=db", "db web"),
        ("name=[", ""),
        (f"id={3:064x}", "webapp"),
        ("id=03$", "webapp"),
        ("label=a", "webapp db web"),
        ("label=a=1", "webapp db"),
        ("label=a=1 label=b", "db"),
        ("label=a=1 label=a=2", ""),
        ("network=front", "web"),
        ("network=bbbb", "webapp db"),
        ("network=fron", ""),
        ("status=exited", "webapp"),
        ("status=created status=running", "db web"),
        ("status=paused", ""),
        ("exited=137", "webapp"),
        ("exited=0", ""),
        ("publish=8080", "web"),
        ("publish=8080/udp", ""),
        ("publish=8000-9000/tcp", "web"),
        ("publish=80", ""),
        ("expose=80", "web"),
        ("expose=443/tcp", "web"),
        ("expose=1 publish=8080", "web"),
        ("before=db", "web"),
        ("since=db", "webapp"),
        ("since=web before=webapp", "db"),
        ("health=none", "webapp db web"),
        ("health=healthy", ""),
        ("NAME=db", "db"),
        ("is-task=true", ""),
        ("name=web status=exited", "webapp"),
    ],
)
def test_filters_of_ps(words: str, names: str) -> None:
    """Values of a key are alternatives, labels must all be there, keys must all fit."""
    assert [box.name for box, _ in of_containers(words.split(), FOUND, KNOWN, {})] == names.split()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("bogus=1", "invalid filter 'bogus'"),
        ("name", "invalid filter 'name'"),
        ("status=bogus", "invalid filter 'status=bogus'"),
        ("exited=x", "invalid filter 'exited=x'"),
        ("health=x", "invalid filter 'health=x'"),
        ("publish=x", "invalid filter 'publish=x'"),
        ("before=nosuch", "no such container nosuch"),
        *((f"{key}=x", f"invalid filter '{key}': {why}") for key, why in NOT_HERE.items()),
    ],
)
def test_words_that_ps_refuses(word: str, message: str) -> None:
    """In the engine's words, also where there is no container."""
    for found in (FOUND, []):
        with pytest.raises(Invalid) as refused:
            of_containers([word], found, KNOWN, {})
        assert str(refused.value) == message


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("2h", timedelta(hours=2)),
        ("1h30m", timedelta(minutes=90)),
        ("1.5h", timedelta(minutes=90)),
        ("-5h", timedelta(hours=-5)),
        ("90s500ms", timedelta(seconds=90.5)),
        ("2026-01-31T11:00:00", timedelta(hours=1)),
        ("2026-01-31T13:00:00+02:00", timedelta(hours=1)),
        ("2026-01-31", timedelta(hours=12)),
        ("1769857200", timedelta(hours=1)),
        ("1769857200.5", timedelta(minutes=59, seconds=59.5)),
    ],
)
def test_points_in_time(text: str, ago: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    """Durations as Go's, dates in the host's time zone, Unix times."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert NOW_NS - moment(text, NOW_NS, "time") == ago // timedelta(microseconds=1) * 1000


def test_a_date_may_have_nanoseconds() -> None:
    """And a Unix time."""
    same = ("1769857200.123456789", "2026-01-31T12:00:00.123456789+01:00")
    assert [moment(text, NOW_NS, "time") for text in same] == [1769857200123456789] * 2


@pytest.mark.parametrize("text", ["9" * 20, "-99999999h", "9999-12-31T23:59:59-12:00"])
def test_a_point_in_time_has_a_year_of_four_digits(text: str) -> None:
    """As dates have: what is later is at the end of the year 9999."""
    assert moment(text, NOW_NS, "time") == LATEST


@pytest.mark.parametrize("text", ["bogus", "", "5", "5x", "1h30", "2026-13-01", "z" + "9" * 5000])
def test_what_is_no_point_in_time(text: str) -> None:
    """A single number is a Unix time; all else is refused."""
    if text.isdigit():
        assert moment(text, NOW_NS, "filter") == int(text) * 10**9
        return
    with pytest.raises(Invalid, match="failed to parse value as time or duration"):
        moment(text, NOW_NS, f"filter 'until={text}'")


@pytest.mark.parametrize(
    ("words", "pruned"),
    [
        ("", True),
        ("label=tier", True),
        ("label=tier=web label=keep", True),
        ("label=tier=web label=nosuch", False),
        ("label!=tier", False),
        ("label!=nosuch", True),
        ("label!=tier label!=nosuch", True),
        ("until=0s", True),
        ("until=-1h", True),
        ("until=87600h", False),
        ("until=946684800", False),
    ],
)
def test_filters_of_prune(words: str, pruned: bool) -> None:
    """Labels that are there, labels of which one is not, and networks made before a time."""
    net = Network("f" * 64, "front", "bridge", labels=FRONT.labels, created="2026-01-31T12:00:00Z")
    assert prunable(words.split())(net) is pruned


def test_prune_asks_and_takes_a_no(lab: Lab) -> None:
    """Nothing is removed, and that is no failure."""
    lab.plumb("network", "create", "idle")
    line = [sys.executable, "-m", "plumb", "network", "prune"]
    env = {**os.environ, "PLUMB_ROOT": str(lab.root), "PYTHONPATH": str(REPOSITORY)}
    ran = subprocess.run(line, input="n\n", capture_output=True, text=True, check=True, env=env)
    assert "WARNING!" in ran.stdout
    assert lab.plumb("network", "ls", "-q", "--filter", "name=^idle$").stdout
    assert lab.plumb("network", "prune", "-f").stdout == "Deleted Networks:\nidle\n\n"


@pytest.fixture(scope="module")
def networks() -> Iterator[Lab]:
    """A lab with two networks, which nobody changes."""
    with labs.lab() as made:
        made.plumb("network", "create", "--label", "tier=web", "--label", "keep=1", "front")
        made.plumb("network", "create", "back")
        yield made


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["name=^fro.*t$"], "front"),
        (["name=ro", "name=^back$"], "back front"),
        (["label=tier", "label=keep=1"], "front"),
        (["label=tier", "label=nosuch"], ""),
        (["driver=null"], "none"),
        (["scope=local", "type=custom"], "back front"),
        (["dangling=true"], "back front"),
        (["scope=swarm"], ""),
    ],
)
def test_filters_of_network_ls(networks: Lab, words: list[str], names: str) -> None:
    """As those of ps."""
    chosen = [part for word in words for part in ("--filter", word)]
    ran = networks.plumb("network", "ls", *chosen, "--format", "{{.Name}}")
    assert ran.stdout.split() == names.split()
