"""The agent: one process for all ports of a root, spoken to on a socket, started and ended as a
thing of the plan.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import signal
import socket
import threading
import time
from contextlib import closing, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from plumb import StepFailed
from plumb.kernel import agent_client, agent_socket
from plumb.kernel.linux import LinuxKernel
from plumb.kernel.ports import host_ports
from plumb.kernel.process import start_time
from plumb.plan import Step, carry_out, plan
from plumb.things import Thing
from plumb.things.host_ports import Agent, HostPort, Proxy
from tests.labs import Lab, sh
from tests.waiting import until

ANY, LOCAL, SIX = ip_address("0.0.0.0"), ip_address("127.0.0.1"), ip_address("::1")
TARGET = ip_address("127.0.0.3")


def pid_of(folder: str) -> int:
    """The agent's pid, 0 if none lives."""
    return agent_socket.running(folder)[0]


def take(*steps: Step) -> None:
    """Take steps, by the kernel's door."""
    LinuxKernel().take(steps)


def look(*things: Thing) -> list[Thing | None]:
    """How things are."""
    return LinuxKernel().look(things)


def port(
    folder: str, number: int, protocol: str = "tcp", ip: Any = LOCAL, to: int = 80
) -> HostPort:
    """A host port."""
    return HostPort(folder, protocol, ip, number, TARGET, to)


def proxy(folder: str, number: int, protocol: str = "tcp", ip: Any = LOCAL, to: int = 80) -> Proxy:
    """Its proxy."""
    return Proxy(folder, protocol, ip, number, TARGET, to)


def added(*things: Thing) -> list[Step]:
    """The steps that add them."""
    return [Step(None, thing) for thing in things]


def removed(*things: Thing) -> list[Step]:
    """The steps that take them away."""
    return [Step(thing, None) for thing in things]


# -- the process ---------------------------------------------------------------


def test_the_agent_is_a_thing_of_the_plan(folder: str) -> None:
    """Agent, port and proxy come, are there, and go, and nothing is left.

    No process, no file, no socket.
    """
    things = [
        Agent(folder),
        port(folder, 8080),
        port(folder, 8080, "udp"),
        port(folder, 8080, ip=SIX),
        proxy(folder, 8080),
    ]
    assert look(*things) == [None] * 5
    carry_out(plan([], things), LinuxKernel())
    assert look(*things) == things
    assert len(sh("ss -Hlntu").splitlines()) == 3
    pid = pid_of(folder)
    carry_out(plan(things, []), LinuxKernel())
    assert look(*things) == [None] * 5
    assert (os.listdir(folder), sh("ss -Hlntu"), start_time.started(pid)) == ([], "", "")


def test_there_is_one_agent(running: str) -> None:
    """Adding it again is an error, and the one that is there stays."""
    pid = pid_of(running)
    with pytest.raises(StepFailed) as failure:
        take(*added(Agent(running)))
    assert getattr(failure.value.cause, "errno", 0) == errno.EEXIST
    assert pid_of(running) == pid


def test_it_is_a_daemon_of_its_own(running: str) -> None:
    """Its session and folder are its own, it is nobody's child who would wait for it, and ps names
    it.
    """
    pid = pid_of(running)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert int(fields[1]) != os.getpid()
    assert os.getsid(pid) != os.getsid(0)
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert Path(f"/proc/{pid}/comm").read_text().strip() == "plumb-agent"
    assert os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/thread-self/ns/net")


def test_it_inherits_nothing(folder: str) -> None:
    """No descriptor of the engine's leaks in.

    Not the store's lock, which is inheritable on purpose.
    """
    lock = os.open("/tmp", os.O_RDONLY)
    os.set_inheritable(lock, True)
    try:
        agent_client.start(folder)
    finally:
        os.close(lock)
    where = f"/proc/{pid_of(folder)}/fd"

    def links() -> list[str]:
        with suppress(FileNotFoundError):  # it is just closing one
            return sorted(
                os.readlink(f"{where}/{number}").partition("[")[0] for number in os.listdir(where)
            )
        return []

    mine = [
        f"{folder}/agent.pid",
        "anon_inode:",
        "socket:",
        "socket:",
    ]  # its lock, its loop, agent.sock and command.sock
    # Of /dev/null three are its streams, and two are kept so that somebody can be heard when no
    # other is left.
    until(
        lambda: links() == sorted(["/dev/null"] * 5 + mine),
        "it has said that it is ready, and has nothing else",
        1,
    )


def test_it_may_open_as_many_as_may_be(running: str) -> None:
    """Its limit of descriptors is the hard one."""
    limits = next(
        line
        for line in Path(f"/proc/{pid_of(running)}/limits").read_text().splitlines()
        if "open files" in line
    ).split()
    assert limits[3] == limits[4]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGPIPE])
def test_what_ends_a_command_does_not_end_the_agent(running: str, number: signal.Signals) -> None:
    """A terminal that is closed, a Ctrl-C: it stays."""
    os.kill(pid_of(running), number)
    assert look(Agent(running)) == [Agent(running)]


def test_sigterm_ends_it_cleanly(running: str) -> None:
    """Its files go with it."""
    os.kill(pid_of(running), signal.SIGTERM)
    until(lambda: os.listdir(running) == [], "it has tidied up")
    assert look(Agent(running)) == [None]


def test_one_that_was_killed_is_not_there_and_can_be_started_again(running: str) -> None:
    """kill -9 leaves its files.

    Look is not taken in, removing its ports is done, and the next agent clears them away.
    """
    held = port(running, 8080), proxy(running, 8080)
    take(*added(*held))
    os.kill(pid_of(running), signal.SIGKILL)
    until(lambda: not pid_of(running), "it is gone")
    assert sorted(os.listdir(running)) == ["agent.pid", "agent.sock", "command.sock"]
    assert look(Agent(running), *held) == [None] * 3
    take(*removed(*reversed(held)))
    with pytest.raises(StepFailed, match="no agent runs there"):
        take(*added(held[0]))
    take(*added(Agent(running), *held))
    assert look(*held) == [*held]


def test_one_that_was_killed_is_removed(running: str) -> None:
    """Removing what is gone counts as done, and takes its files away."""
    os.kill(pid_of(running), signal.SIGKILL)
    until(lambda: not pid_of(running), "it is gone")
    take(*removed(Agent(running)))
    assert os.listdir(running) == []


def test_one_that_hangs_is_killed(running: str) -> None:
    """SIGKILL follows SIGTERM after a while."""
    pid = pid_of(running)
    os.kill(pid, signal.SIGSTOP)
    agent_client.stop(running, agent_client.Deadlines(end=0.2))
    assert not start_time.started(pid)
    assert os.listdir(running) == []


def test_a_pid_that_is_somebody_elses_by_now_is_left_alone(folder: str) -> None:
    """The start time tells: a stale pid file names nobody."""
    os.makedirs(folder)
    Path(folder, "agent.pid").write_text(f"{os.getpid()} 1")
    assert pid_of(folder) == 0
    take(*removed(Agent(folder)))
    assert os.listdir(folder) == []


def test_one_whose_folder_was_deleted_ends(running: str) -> None:
    """Nobody could reach it any more, nor release its ports."""
    take(*added(port(running, 8080)))
    shutil.rmtree(running)
    until(lambda: host_ports.trial("tcp", LOCAL, 8080) == 0, "it has ended")


def test_two_starts_at_a_time_make_one_agent(folder: str) -> None:
    """The lock on the pid file decides."""
    failures: list[StepFailed] = []

    def start() -> None:
        try:
            agent_client.take(added(Agent(folder)), [])
        except StepFailed as failure:
            failures.append(failure)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 3
    assert look(Agent(folder)) == [Agent(folder)]


def test_a_deep_folder_will_do(folder: str) -> None:
    """A Unix socket's address has 107 bytes; the folder's path may be longer."""
    deep = f"{folder}/{'deep/' * 60}root"
    take(*added(Agent(deep), port(deep, 8080)))
    try:
        assert look(port(deep, 8080)) == [port(deep, 8080)]
    finally:
        take(*removed(Agent(deep)))


def test_a_folder_that_cannot_be_is_an_error(lab: Lab) -> None:
    """It says what was being done, and why not."""
    with pytest.raises(StepFailed, match=r"cannot add agent /dev/null/x: .*ENOTDIR"):
        take(*added(Agent("/dev/null/x")))
    assert look(Agent("/dev/null/x")) == [None]


# -- ports ---------------------------------------------------------------


def test_a_held_port_is_taken_and_silent(running: str) -> None:
    """Nobody else can bind it, and who connects gets no answer, not even a refusal."""
    take(*added(port(running, 8080, ip=ANY)))
    assert host_ports.trial("tcp", LOCAL, 8080) == errno.EADDRINUSE
    with closing(socket.socket()) as client:
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.connect(("127.0.0.1", 8080))


def test_a_proxied_port_hands_on_and_a_removed_proxy_cuts_off(running: str) -> None:
    """Removing the proxy resets its connections at once.

    The port stays taken and is silent again, until it is proxied again.
    """
    with closing(socket.create_server((str(TARGET), 80))) as server:
        take(*added(port(running, 8080), proxy(running, 8080)))
        with closing(socket.create_connection(("127.0.0.1", 8080), 30)) as client:
            peer, _ = server.accept()
            with closing(peer):
                client.sendall(b"hello")
                assert peer.recv(100) == b"hello"
                take(*removed(proxy(running, 8080)))
                for sock in (client, peer):
                    sock.settimeout(30)
                    with pytest.raises(ConnectionResetError):
                        sock.recv(1)
        assert look(port(running, 8080), proxy(running, 8080)) == [port(running, 8080), None]
        with closing(socket.socket()) as client:
            client.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.connect(("127.0.0.1", 8080))
        take(*added(proxy(running, 8080)))
        with closing(socket.create_connection(("127.0.0.1", 8080), 30)):
            server.accept()[0].close()


def test_a_changed_proxy_goes_to_the_new_target(running: str) -> None:
    """A change of target cuts off the old connections; look tells which target there is."""
    take(*added(port(running, 8080), proxy(running, 8080)))
    new = proxy(running, 8080, to=81)
    with closing(socket.create_server((str(TARGET), 81))) as server:
        assert look(new) == [proxy(running, 8080)]
        take(Step(proxy(running, 8080), new))
        assert look(new) == [new]
        with closing(socket.create_connection(("127.0.0.1", 8080), 30)):
            server.accept()[0].close()


def test_a_changed_port_stays_bound(running: str) -> None:
    """Its target is only remembered: no packet of it passes here."""
    take(*added(port(running, 8080)))
    before = sh("ss -Hlnte")
    take(Step(port(running, 8080), port(running, 8080, to=81)))
    assert look(port(running, 8080)) == [port(running, 8080, to=81)]
    assert sh("ss -Hlnte") == before


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_that_is_taken_is_said_in_dockers_words(running: str, protocol: str) -> None:
    """With who has it; what came before it is done, and what was meant to come after is not."""
    with closing(socket.socket(socket.AF_INET, host_ports.KINDS[protocol][0])) as sock:
        sock.bind(("127.0.0.1", 8081))
        if protocol == "tcp":
            sock.listen()
        ports = [port(running, number, protocol) for number in (8080, 8081, 8082)]
        with pytest.raises(StepFailed) as failure:
            take(*added(*ports))
    assert (
        str(failure.value)
        == f"failed to bind host port 127.0.0.1:8081/{protocol}: address already in use"
    )
    mine = Path("/proc/self/comm").read_text().strip()
    assert (
        failure.value.hint
        == f"{mine} (pid {os.getpid()}) has it: stop that, or publish another port"
    )
    assert (failure.value.step, failure.value.done) == (Step(None, ports[1]), added(ports[0]))
    assert look(*ports) == [ports[0], None, None]


def test_an_address_that_the_host_has_not(running: str) -> None:
    """The same for other reasons."""
    with pytest.raises(
        StepFailed,
        match=r"failed to bind host port 192\.0\.2\.99:80/tcp: cannot assign requested address",
    ):
        take(*added(port(running, 80, ip=ip_address("192.0.2.99"))))


def test_what_is_there_already_is_an_error(running: str) -> None:
    """A port that is held, a proxy that runs; and a proxy needs its port."""
    take(*added(port(running, 8080), proxy(running, 8080)))
    for thing in (port(running, 8080), proxy(running, 8080)):
        with pytest.raises(StepFailed) as failure:
            take(*added(thing))
        assert getattr(failure.value.cause, "errno", 0) == errno.EEXIST
    with pytest.raises(StepFailed, match="the port is not held"):
        take(*added(proxy(running, 8081)))


def test_what_is_gone_already_counts_as_removed(running: str) -> None:
    """A proxy, a port, and a port with its proxy at once."""
    take(*removed(proxy(running, 8080), port(running, 8080)))
    take(*added(port(running, 8080), proxy(running, 8080)))
    take(*removed(port(running, 8080)))
    take(*removed(proxy(running, 8080)))
    assert host_ports.trial("tcp", LOCAL, 8080) == 0


@pytest.mark.alone
def test_many_ports_are_one_request(running: str) -> None:
    """Two thousand ports and proxies come and go in well under a second each, and cost the agent
    next to no memory.
    """

    def memory() -> int:
        return int(
            re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid_of(running)}/status").read_text())[0]
        )

    before = memory()
    ports = [
        port(running, number, protocol)
        for number in range(20000, 21000)
        for protocol in ("tcp", "udp")
    ]
    proxies = [proxy(running, held.port, held.protocol) for held in ports]
    start = time.monotonic()
    take(*added(*ports, *proxies))
    assert look(*ports, *proxies) == [*ports, *proxies]
    took = time.monotonic() - start
    grown = memory() - before
    take(*removed(*reversed(proxies), *reversed(ports)))
    assert sh("ss -Hlntu") == ""
    assert took < 3
    assert grown < 4 * len(ports), "a page for a port"


def test_an_agent_without_room_says_so(folder: str) -> None:
    """No descriptor left is an error of that port; the agent still answers."""
    starter = os.fork()
    if starter == 0:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
        agent_client.start(folder)
        os._exit(0)
    os.waitpid(starter, 0)
    ports = [port(folder, number) for number in range(20000, 20300)]
    with pytest.raises(StepFailed, match="too many open files") as failure:
        take(*added(*ports))
    take(*removed(*(step.thing for step in failure.value.done)))
    assert look(ports[0]) == [None]


def test_its_log_is_bounded(tmp_path: Path) -> None:
    """Two files of a megabyte, and something more, however much goes wrong."""
    for _ in range(55):
        agent_socket.log(str(tmp_path), "wrong " * 20_000)
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert sum(sizes) < 3 << 20
