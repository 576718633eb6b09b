"""`plumb events`: what becomes of containers and networks, in Docker's words and order."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plumb.kernel.events import journal, journal_file
from plumb.model.lifecycle.events import CONTAINER, Event
from tests.host.trial_hosts import MARK, end_all, plumb, tried
from tests.labs import Lab
from tests.memory_host import MemoryHosts
from tests.prefork.prefork_lab import start
from tests.programs import line
from tests.waiting import until


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[MemoryHosts]:
    """A host that is a dict."""
    with MemoryHosts(tmp_path / "root") as made:
        yield made


@pytest.fixture
def net(lab: Lab) -> Iterator[Lab]:
    """A lab; in the end nothing of the test's runs."""
    yield lab
    try:
        plumb(lab, "reset", "--force")
    finally:
        end_all(lab)


def written(root: Path) -> list[dict[str, Any]]:
    """Events in a root's journal."""
    return [*map(json.loads, (root / "events").read_text().splitlines())]


def told(root: Path) -> list[str]:
    """The same, as the type, the action and the name of each."""
    return [
        f"{event['Type']} {event['Action']} {event['Actor']['Attributes']['name']}"
        for event in written(root)
    ]


def test_events_of_a_container_s_life(hosts: MemoryHosts) -> None:
    """In Docker's order."""
    host = hosts()
    host.create_network("n1")
    host.run("web", network="n1")
    host.stop("web")
    host.remove("web")
    host.remove_network("n1")
    assert told(hosts.root) == [
        "network create n1",
        "container create web",
        "network connect n1",
        "container start web",
        "container kill web",
        "container die web",
        "network disconnect n1",
        "container stop web",
        "container destroy web",
        "network destroy n1",
    ]


def test_events_of_changes(hosts: MemoryHosts) -> None:
    """restart, rename, update, and rm -f, which does not stop but kill."""
    host = hosts()
    host.run("web", network="none")
    host.restart("web")
    host.rename("web", "shop")
    host.update("shop", restart="always")
    host.remove("shop", force=True)
    assert [line.split()[1] for line in told(hosts.root)[2:]] == [
        *("kill", "die", "stop", "start", "restart"),
        *("rename", "update"),
        *("kill", "die", "destroy"),
    ]
    renamed = next(event for event in written(hosts.root) if event["Action"] == "rename")
    assert renamed["Actor"]["Attributes"] == {"name": "shop", "oldName": "/web"}
    kills = [event for event in written(hosts.root) if event["Action"] == "kill"]
    assert [event["Actor"]["Attributes"]["signal"] for event in kills] == ["15", "9"]


def test_places_in_networks_are_told(hosts: MemoryHosts) -> None:
    """With the container, and the network's name and driver."""
    host = hosts()
    net = host.create_network("n1")
    other = host.run("other", network="n1")
    host.disconnect("n1", "other")
    (left,) = [event for event in written(hosts.root) if event["Action"] == "disconnect"]
    assert left["Actor"] == {
        "ID": net.id,
        "Attributes": {"container": other.id, "name": "n1", "type": "bridge"},
    }


def test_an_operation_that_fails_has_no_events(hosts: MemoryHosts) -> None:
    host = hosts()
    host.create_network("n1")
    with pytest.raises(Exception, match="already exists"):
        host.create_network("n1")
    assert told(hosts.root) == ["network create n1"]


def test_an_operation_of_many_is_one_append(hosts: MemoryHosts) -> None:
    """Their times differ, so that their order is known."""
    host = hosts()
    with host.operation() as op:
        for number in range(10):
            op.run(f"c{number}", network="none")
    times = [event["timeNano"] for event in written(hosts.root)]
    assert len(times) == 20
    assert times == sorted(set(times))


def test_the_journal_is_bounded_and_private(tmp_path: Path) -> None:
    """Two files, of which the older goes."""
    path = tmp_path / "events"
    event = Event(CONTAINER, "start", "x" * 64, (("name", "n" * 100_000),))
    for _ in range(100):
        journal.append(str(path), [event])
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["events", "events.1"]
    assert all(file.stat().st_size <= journal_file.SIZE for file in files)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_events_are_followed(net: Lab) -> None:
    """From before there is a root; the end of a command, too; filters and templates choose."""
    form = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}"
    following = start(net, "events", "-f", "container=box", "--format", form)
    until(lambda: _watches(following.pid), "it waits")
    plumb(net, "run", "-d", "-e", MARK, "--name", "box", "--network", "none", "sh", "-c", "exit 3")
    found = [line(following).strip() for _ in range(3)]
    following.terminate()
    following.communicate(timeout=30)
    assert found == [
        "container create box <no value>",
        "container start box <no value>",
        "container die box 3",
    ]


def _watches(pid: int) -> bool:
    """Tell whether it watches the journal, which it does after all else it listens to."""
    try:
        return any("inotify" in path.read_text() for path in Path(f"/proc/{pid}/fdinfo").iterdir())
    except FileNotFoundError:  # one was closed meanwhile
        return False


def test_a_span_of_events(net: Lab) -> None:
    """--since and --until; text, JSON; a template that is wrong."""
    plumb(net, "network", "create", "--label", "a=b", "n1")
    plumb(net, "run", "-d", "-e", MARK, "--name", "box", "--label", "a=b", "--network", "none")
    span = ("events", "--since", "1h", "--until", "0s")
    lines = plumb(net, *span, "-f", "label=a=b").splitlines()
    form = r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{9}[-+]\d\d:\d\d container (create|start) \w{64} "
    assert all(re.fullmatch(form + r"\(a=b, name=box\)", line) for line in lines)
    assert len(lines) == 2
    (network,) = plumb(net, *span, "-f", "type=network", "--format", "json").splitlines()
    assert json.loads(network)["Actor"]["Attributes"] == {"name": "n1", "type": "bridge"}
    middle = json.loads(network)["timeNano"]
    until = f"{middle // 10**9}.{middle % 10**9:09}"
    assert len(plumb(net, "events", "--until", until).splitlines()) == 1
    assert tried(net, *span, "--format", "{{")[0] == 64
    assert tried(net, *span, "-f", "nosuch=1")[0] == 1


def test_an_end_that_is_centuries_away(net: Lab) -> None:
    """Is waited for as any other."""
    form = ("--format", "{{.Action}}")
    following = start(net, "events", "--until", "9999-12-31", *form)
    until(lambda: _watches(following.pid), "it waits")
    plumb(net, "network", "create", "n1")
    plumb(net, "network", "rm", "n1")
    assert [line(following) for _ in range(2)] == ["create\n", "destroy\n"]
    following.terminate()
    following.communicate(timeout=30)


def test_arguments_that_are_no_text_are_told(net: Lab) -> None:
    """In each form: bytes that are no UTF-8, newlines, a terminal's escapes."""
    plumb(net, "run", "-d", "-e", MARK, "--name", "box", "--network", "none")
    plumb(net, "exec", "box", "true", os.fsdecode(b"\xff"), "a\nb", "\x1b[2J")
    span = ("events", "--since", "1h", "--until", "0s", "-f", "event=exec_start")
    (line,) = plumb(net, *span).splitlines()
    assert r"exec_start: true ? a\nb \x1b[2J " in line
    (line,) = plumb(net, *span, "--format", "json").splitlines()
    assert json.loads(line)["Action"] == "exec_start: true ? a\nb \x1b[2J"


def test_events_of_an_older_plumb_with_bytes_that_are_no_text(net: Lab) -> None:
    """Do not end the list, whatever the form."""
    path = Path(net.root, "events")
    path.parent.mkdir(parents=True, exist_ok=True)
    journal.append(str(path), [Event(CONTAINER, "exec_start: \udcff", "x", (("name", "box"),))])
    span = ("events", "--since", "1h", "--until", "0s")
    assert r"exec_start: \udcff x" in plumb(net, *span)
    for form in ("json", "{{.Action}}"):
        assert "exec_start: ?" in plumb(net, *span, "--format", form)


def test_commands_of_exec_are_told(net: Lab) -> None:
    """With the container's name, which the command's process does not know."""
    plumb(net, "run", "-d", "-e", MARK, "--name", "box", "--network", "none")
    tried(net, "exec", "box", "sh", "-c", "exit 3")
    assert exec_events(net) == [
        "container exec_create: sh -c exit 3  (execID=, name=box)",
        "container exec_start: sh -c exit 3  (execID=, name=box)",
        "container exec_die  (execID=, exitCode=3, name=box)",
    ]


def test_a_command_in_the_background_is_told(net: Lab) -> None:
    """Its end too, with the id with which it has begun."""
    plumb(net, "run", "-d", "-e", MARK, "--name", "box", "--network", "none")
    plumb(net, "exec", "-d", "box", "sh", "-c", "exit 3")
    until(lambda: len(exec_events(net)) == 3, "its end is told", 60)
    (ident,) = set(re.findall(r"execID=(\w{64})", plumb(net, *ALL)))
    assert f"exec_die {box_id(net)} (execID={ident}, exitCode=3, name=box)" in plumb(net, *ALL)


ALL = ("events", "--since", "1h", "--until", "0s")


def exec_events(net: Lab) -> list[str]:
    """Events of commands of `exec`, without times and ids."""
    lines = plumb(net, *ALL, "-f", "container=box").splitlines()
    told = [re.sub(r"^\S+ |\w{64}", "", line) for line in lines]
    return [line for line in told if "exec_" in line]


def box_id(net: Lab) -> str:
    """Id of the container box."""
    return plumb(net, "inspect", "-f", "{{.Id}}", "box").strip()


def test_health_is_told(net: Lab) -> None:
    """By the agent, when the status changes."""
    words = ("--name", "box", "--network", "none", "--health-cmd", "true")
    plumb(net, "run", "-d", "-e", MARK, *words, "--health-interval", "100ms", "sleep", "1000")
    span = ("events", "--since", "1h", "--until", "0s", "-f", "event=health_status")
    until(lambda: plumb(net, *span) != "", "the status is healthy", 60)
    (line,) = plumb(net, *span).splitlines()
    assert "health_status: healthy" in line
    assert "name=box" in line


def test_the_kernel_s_changes_are_told_too(net: Lab) -> None:
    """Links, addresses and routes of the host, between what plumb tells."""
    form = "{{.Type}} {{.Action}} {{.Actor.ID}} {{.Actor.Attributes.type}}"
    following = start(net, "events", "--kernel", "--format", form)
    until(lambda: _watches(following.pid), "it waits")
    words = ("--subnet", "10.77.0.0/24", "-o", "com.docker.network.bridge.name=shop0", "shop")
    plumb(net, "network", "create", *words)
    plumb(net, "network", "rm", "shop")
    found: list[str] = []
    while "network destroy" not in found and len(found) < 1000:
        found.append(line(following).rpartition("\n")[0])
        found[-1] = " ".join(found[-1].split()[:2]) if "network" in found[-1] else found[-1]
    following.terminate()
    following.communicate(timeout=30)
    assert "link add shop0 bridge" in found
    assert "address add 10.77.0.1/24 <no value>" in found
    assert "link del shop0 bridge" in found
    assert found.index("link add shop0 bridge") < found.index("network create")


def test_reset_removes_the_journal(hosts: MemoryHosts) -> None:
    host = hosts()
    host.run("web", network="none")
    assert (hosts.root / "events").exists()
    host.reset()
    assert not hosts.root.exists()
