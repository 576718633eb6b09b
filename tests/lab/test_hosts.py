"""Labs of several hosts: what they share, what they don't, and that nothing of them stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plumb.errors import Conflict, Invalid, KernelRefused, NotFound
from plumb.kernel.netns import fake_host
from plumb.lab.hosts import Hosts
from tests import REPOSITORY
from tests.programs import line, running
from tests.waiting import until

PING = ("ping", "-c", "1", "-W", "5")


@pytest.fixture(scope="module")
def two() -> Iterator[Hosts]:
    with Hosts(2) as hosts:
        yield hosts


def reaches(hosts: Hosts, source: str, address: str) -> bool:
    return hosts[source].run("ping", "-c", "1", "-W", "1", address, check=False).returncode == 0


def test_hosts_reach_each_other(two: Hosts) -> None:
    two["h1"].run(*PING, two["h2"].address)
    two["h1"].run(*PING, two["h2"].address6)


def test_hosts_reach_the_internet_of_the_lab(two: Hosts) -> None:
    two["h2"].run(*PING, "198.51.100.1")
    two["h2"].run(*PING, "2001:db8:64::1")


def test_each_host_has_its_name(two: Hosts) -> None:
    assert [host.run("hostname").stdout.strip() for host in two] == ["h1", "h2"]


def test_each_host_has_its_own_plumb(two: Hosts) -> None:
    two["h1"].plumb("network", "create", "only-here")
    names = [host.plumb("network", "ls", "--format", "{{.Name}}").stdout.split() for host in two]
    assert ["only-here" in found for found in names] == [True, False]
    two["h1"].plumb("network", "rm", "only-here")


def test_a_container_of_one_host_reaches_the_other_host(two: Hosts) -> None:
    two["h1"].plumb("run", "-d", "--name", "c1", "sleep", "1000")
    two["h1"].plumb("exec", "c1", *PING, two["h2"].address)
    two["h1"].plumb("rm", "-f", "c1")


def test_a_host_has_its_prefork_server(two: Hosts) -> None:
    """Commands on a host take as long as on any other that has been up for a while."""
    two["h1"].plumb("network", "create", "named")  # names need the agent, and it starts the server
    two["h1"].plumb("run", "-d", "--name", "c1", "--network", "named", "sleep", "1000")

    def served() -> bool:
        two["h1"].plumb("ps")
        return "plumb-warm" in two["h1"].run("ps", "-eo", "comm").stdout

    until(served, "a command has started it")
    two["h1"].plumb("rm", "-f", "c1")
    two["h1"].plumb("network", "rm", "named")


def test_a_host_sees_its_own_processes_only(two: Hosts) -> None:
    assert int(two["h1"].run("sh", "-c", "ls -d /proc/[0-9]* | wc -l").stdout) < 20


def test_a_host_that_is_cut_off_is_reached_by_nobody(two: Hosts) -> None:
    two["h2"].cut()
    try:
        assert not reaches(two, "h1", two["h2"].address)
    finally:
        two["h2"].mend()
    two["h1"].run(*PING, two["h2"].address)


def test_a_command_that_fails_is_reported_with_what_it_said(two: Hosts) -> None:
    with pytest.raises(Conflict, match=r"on h1: exit status 1: .*No such file"):
        two["h1"].run("sh", "-c", "cat /nowhere; exit 1")


def test_a_command_that_takes_too_long_is_reported_with_what_it_said(two: Hosts) -> None:
    with pytest.raises(
        KernelRefused, match=r"not done after 1 s: (halfway|it has printed nothing)"
    ):
        two["h1"].run("sh", "-c", "echo halfway; exec sleep 60", seconds=1)


def test_hosts_on_two_segments_reach_each_other_by_a_router() -> None:
    with Hosts(2, "router") as hosts:
        assert hosts["h2"].address.startswith("203.0.113.")
        hosts["h1"].run(*PING, hosts["h2"].address)
        hosts["h2"].run(*PING, hosts["h1"].address6)


def test_behind_nat_a_host_reaches_out_with_the_routers_address() -> None:
    with Hosts(2, "nat") as hosts:
        listening = (
            "import socket; s = socket.create_server(('192.0.2.10', 7)); "
            "print('ready', flush=True); print(s.accept()[1][0])"
        )
        enter = ("nsenter", "--net", f"--target={hosts['h1'].init.pid}", "--")
        words = [*enter, sys.executable, "-c", listening]
        with running(words, stdout=subprocess.PIPE) as server:
            assert line(server) == "ready\n"
            asking = "import socket; socket.create_connection(('192.0.2.10', 7), 30)"
            hosts["h2"].run(sys.executable, "-c", asking)
            assert line(server) == "192.0.2.1\n"


def test_links_have_the_mtu_that_was_asked_for() -> None:
    with Hosts(1, mtu=9000) as hosts:
        assert "mtu 9000" in hosts["h1"].run("ip", "link", "show", "eth0").stdout


def test_fifty_hosts_are_there_at_once() -> None:
    with Hosts(50) as hosts:
        assert len(hosts) == 50
        hosts["h1"].run(*PING, hosts["h50"].address)


def test_a_lab_ends_with_its_with_block_and_its_agents_too() -> None:
    with Hosts(1) as hosts:
        hosts["h1"].plumb("run", "-d", "--name", "c1", "-p", "8080:80", "sleep", "1000")
        held = os.open(f"/proc/{hosts['h1'].init.pid}/ns/pid", os.O_RDONLY)
        inside = os.fstat(held).st_ino
        assert in_pid_namespace(inside)
    assert not in_pid_namespace(inside)
    os.close(held)


def in_pid_namespace(number: int) -> list[str]:
    """Processes of a pid namespace that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/ns/pid"):
        try:
            state = path.parents[1].joinpath("stat").read_text().rpartition(")")[2].split()[0]
            if path.stat().st_ino == number and state != "Z":
                found.append(path.parts[2])
        except OSError:
            continue
    return found


def test_a_lab_ends_with_the_process_that_made_it_however_that_ends() -> None:
    code = (
        "import os, signal; from plumb.lab.hosts import Hosts; hosts = Hosts(1); "
        "print(hosts['h1'].init.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    assert ran.returncode == -signal.SIGKILL
    try:
        init = os.pidfd_open(int(ran.stdout))
    except ProcessLookupError:
        return
    fake_host.end(init)  # waits for the end that is under way
    os.close(init)


@pytest.mark.parametrize("count", [0, 201])
def test_a_lab_has_one_to_two_hundred_hosts(count: int) -> None:
    with pytest.raises(Invalid, match="a lab of"):
        Hosts(count)


def test_an_unknown_connection_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(Invalid) as refused:
        Hosts(2, "hub")
    assert refused.value.hint == "there are switch, router, nat"


def test_an_unknown_host_is_named(two: Hosts) -> None:
    with pytest.raises(NotFound, match="no host 'h3'"):
        two["h3"]


def test_a_lab_that_does_not_get_ready_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process is stopped here, as by a kernel that does not answer."""
    launched: list[subprocess.Popen[bytes]] = []

    def stopped(module: str, control: int) -> subprocess.Popen[bytes]:
        process = launch(module, control)
        process.send_signal(signal.SIGSTOP)
        launched.append(process)
        return process

    launch = fake_host.launch
    monkeypatch.setattr(fake_host, "launch", stopped)
    monkeypatch.setattr("plumb.lab.hosts.PATIENCE", 2.0)
    with pytest.raises(Conflict, match="the lab was not ready within 2 s") as refused:
        Hosts(1)
    assert "fewer hosts" in refused.value.hint
    assert launched[0].returncode == -signal.SIGKILL
