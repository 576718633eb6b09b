"""The agent spoken to.

On its control socket, by anybody and in any words, and by the command line.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import threading
import time
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from plumb.agent.server import MAX_REQUEST, MAX_SESSIONS
from plumb.kernel import agent_client, agent_socket
from plumb.kernel.agent_client import DEADLINES, RECENT
from plumb.kernel.net.gratuitous_arp import Target
from plumb.plan import plan
from plumb.things.host_ports import Agent
from plumb.views.shell import commands
from tests.agent.test_server import added, look, pid_of, port, proxy, take
from tests.host.trial_hosts import plumb, tried
from tests.labs import Lab
from tests.waiting import until

ANY, SIX = ip_address("0.0.0.0"), ip_address("::1")
NOBODY = 65534


def ask(folder: str, line: bytes) -> Any:
    """Say a line; the answer."""
    with agent_socket.connect(folder, 5) as client:
        client.sendall(line)
        return json.loads(client.makefile().readline())


def row(
    word: str = "hold",
    protocol: object = "tcp",
    ip: object = "127.0.0.1",
    number: object = 1,
    to_ip: object = "127.0.0.1",
) -> bytes:
    """A request about one port."""
    return json.dumps({"take": [[word, protocol, ip, number, to_ip, 1]]}).encode()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"[]",
        b"{}",
        b"null",
        b"\xff\xfe",
        b"[" * 5000,
        b'{"take": 1}',
        b'{"take": [1]}',
        b'{"take": [[]]}',
        row("explode"),
        b'{"list": 1}',
        b'{"list": [1]}',
        b'{"list": {"ports": [[[], 1, 2]]}}',
        b'{"list": {"ports": 1}}',
        row(protocol="icmp"),
        row(protocol=["tcp"]),
        row(ip="localhost"),
        row(ip=1),
        row(number=0),
        row(number=70000),
        row(number=True),
        row(to_ip="::g"),
    ],
)
def test_nonsense_is_answered_as_such(running: str, line: bytes) -> None:
    """Whatever it is, it is answered, and nothing has been done."""
    answer = ask(running, line + b"\n")
    assert (answer["done"], answer["errno"]) == (0, errno.EINVAL)
    assert ask(running, b'{"list": true}\n')["ports"] == []


def test_several_requests_on_one_connection(running: str) -> None:
    """One after the other, or two in one breath, or one in pieces."""
    with agent_socket.connect(running, 5) as client, client.makefile() as heard:
        client.sendall(b'{"list": true}\n{"take": []}\n{"li')
        assert [json.loads(heard.readline())["done"] for _ in range(2)] == [0, 0]
        client.sendall(b'st": true}\n')
        assert json.loads(heard.readline())["pid"] == pid_of(running)


def test_a_process_keeps_its_connection(running: str) -> None:
    """A request is asked on the connection of the one before it."""
    with agent_socket.connected(running, 5) as first:
        assert look(Agent(running)) == [Agent(running)]  # on another one, as this one is in use
    with agent_socket.connected(running, 5) as second:
        assert second is first


def test_a_connection_is_not_kept_beyond_its_agent(running: str) -> None:
    """An agent that was started anew is asked on a connection of its own."""
    assert agent_client.held(running) == []
    agent_client.stop(running)
    assert agent_client.held(running) is None
    agent_client.start(running)
    assert agent_client.held(running) == []


def test_an_answer_is_a_sign_of_life_for_a_while(running: str) -> None:
    """An agent that has just answered and has not hung up need not be asked whether it lives."""
    (alive,) = agent_client.look([Agent(running)])
    assert isinstance(alive, Agent)
    assert alive.who.startswith(f"{pid_of(running)} ")
    agent_socket._keep(_answered_now())
    assert agent_client.just_answered(running) == alive
    agent_socket._keep(_answered_now()._replace(answered=time.monotonic() - 2 * RECENT))
    assert agent_client.just_answered(running) is None


def test_an_agent_that_was_killed_this_moment_is_missed(folder: str) -> None:
    """Though the kernel has not come to closing its sockets yet: an operation starts another."""
    for _ in range(8):
        agent_client.start(folder)
        assert agent_client.look([Agent(folder)]) != [None]
        agent_socket._keep(_answered_now())
        os.kill(pid_of(folder), signal.SIGKILL)
        assert agent_client.just_answered(folder) is None
        assert agent_client.look([Agent(folder)]) == [None]


def test_an_agent_that_is_stopped_must_be_asked(running: str) -> None:
    """As it does not answer, an operation ends it and starts another."""
    assert agent_client.look([Agent(running)]) != [None]

    def seems_alive() -> bool:
        agent_socket._keep(_answered_now())
        return agent_client.just_answered(running) is not None

    assert seems_alive()
    os.kill(pid_of(running), signal.SIGSTOP)
    until(lambda: not seems_alive(), "the agent to stop")
    os.kill(pid_of(running), signal.SIGCONT)


def _answered_now() -> agent_socket._Kept:
    """The connection that is kept, as if its agent had answered over it this moment."""
    return agent_socket._KEPT.pop()._replace(answered=time.monotonic())


def test_a_process_works_while_its_agent_does(running: str) -> None:
    """Once, between a request and its answer; what asks nobody leaves the work undone."""
    worked: list[object] = []

    def work() -> None:
        worked.append(agent_socket._KEPT[:])

    with agent_client.meanwhile(work):
        assert worked == []
        assert agent_client.held(running) == []
        assert agent_client.held(running) == []
    assert worked == [[]]  # the connection was in use
    with agent_client.meanwhile(work):
        pass
    assert agent_client.held(running) == []
    assert len(worked) == 1


TARGET = Target("/nowhere", "eth0", "02:42:0a:09:00:02", ("10.9.0.2",), 1, 100)


def test_an_announcement_is_not_waited_for(running: str) -> None:
    """An agent that is busy is sent it all the same, and the next answer is the next request's."""
    agent_client.look([Agent(running)])
    os.kill(pid_of(running), signal.SIGSTOP)
    assert agent_client.announce(running, [TARGET], at_once=False)
    os.kill(pid_of(running), signal.SIGCONT)
    kept = agent_socket._KEPT[0].client
    assert agent_client.held(running) == []
    assert agent_socket._KEPT[0].client is kept


def test_an_announcement_that_is_not_understood_is_not_answered_either(running: str) -> None:
    """Its answer would be taken for the next request's."""
    agent_client.look([Agent(running)])
    assert agent_socket.send(running, b'{"announce": [[]], "answer": false}\n', 1.0)
    assert agent_client.ask(running, {"health": []}, DEADLINES) == {"done": 0, "health": {}}


def test_an_agent_of_an_earlier_version_answers_announcements(tmp_path: Path) -> None:
    """It stays when plumb is replaced: what it says is not taken for the next answer."""
    folder = str(tmp_path)
    replies = {
        "list": {"done": 0, "pid": os.getpid(), "ports": [], "resolvers": [], "names": []}
        | {"checks": [], "starts": []},
        "announce": {"done": 1},
        "take": {"done": 0, "errno": errno.EADDRINUSE, "said": "Address already in use"},
    }

    def serve() -> None:
        """Answer each request, late: where another one follows at once, only after that."""
        listener.setblocking(True)
        client, _ = listener.accept()
        with client, client.makefile("rb") as lines:
            while line := lines.readline():
                select.select([client], [], [], 0.3)
                (word,) = replies.keys() & json.loads(line).keys()
                client.sendall(json.dumps(replies[word]).encode() + b"\n")

    with agent_socket.listen(folder) as listener:
        agent = threading.Thread(target=serve)
        agent.start()
        agent_client.look([Agent(folder)])
        assert agent_client.announce(folder, [TARGET], at_once=False)
        assert agent_client.ask(folder, {"take": [[]]}, DEADLINES) == replies["take"]
        agent_socket._KEPT.pop().client.close()
        agent.join()


def test_nobody_announces_without_an_agent(running: str) -> None:
    """Then whoever asks does it himself."""
    agent_client.stop(running)
    assert not agent_client.announce(running, [], at_once=False)


@pytest.mark.alone
def test_who_does_not_come_to_an_end_is_hung_up_on(running: str) -> None:
    """A line of more than a mebibyte is refused."""
    with agent_socket.connect(running, 120) as client:
        with suppress(ConnectionError):
            client.sendall(b"x" * (2 * MAX_REQUEST))
        with suppress(ConnectionError):
            assert client.recv(1) == b""
    assert look(Agent(running)) == [Agent(running)]


def test_who_vanishes_or_never_reads_stops_nobody(running: str) -> None:
    """Half a request, no request, an answer that nobody reads: the next one is served."""
    take(*added(*(port(running, number) for number in range(20000, 21000))))
    with ExitStack() as open_:
        for said in (b"", b'{"list"', b'{"list": true}\n' * 100):
            agent_socket.connect(running, 5).close()
            open_.enter_context(agent_socket.connect(running, 5)).sendall(said)
        for _ in range(2 * MAX_SESSIONS):
            open_.enter_context(agent_socket.connect(running, 5))
        assert len(ask(running, b'{"list": true}\n')["ports"]) == 1000


def test_one_session_too_many_ends_the_first(running: str) -> None:
    """And only that one: who holds all places keeps nobody out."""

    def spoken(client: socket.socket) -> bytes:
        client.sendall(b'{"take": []}\n')
        return client.recv(100)

    with ExitStack() as open_:
        clients = [
            open_.enter_context(agent_socket.connect(running, 5)) for _ in range(MAX_SESSIONS)
        ]
        assert [spoken(client) for client in clients] == [b'{"done": 0}\n'] * MAX_SESSIONS
        assert spoken(open_.enter_context(agent_socket.connect(running, 5))) == b'{"done": 0}\n'
        assert clients[0].recv(1) == b""
        assert [spoken(client) for client in clients[1:]] == [b'{"done": 0}\n'] * (MAX_SESSIONS - 1)


def test_nobody_but_root_is_listened_to(running: str) -> None:
    """The socket is root's alone; and were it not, the agent looks at who speaks."""
    assert os.stat(f"{running}/agent.sock").st_mode & 0o777 == 0o600

    def outcome() -> str:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                os.chdir(running)
                os.setresuid(NOBODY, NOBODY, NOBODY)
                client.connect("agent.sock")
                client.sendall(b'{"list": true}\n')
                return "answered" if client.recv(100) else "hung up"
            except ConnectionError:
                return "hung up"
            except PermissionError:
                return "refused"

    def in_a_fork() -> str:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(writer, outcome().encode())
            os._exit(0)
        os.waitpid(pid, 0)
        os.close(writer)
        with os.fdopen(reader) as said:
            return said.read()

    assert in_a_fork() == "refused"
    os.chmod(f"{running}/agent.sock", 0o666)
    os.chmod(running, 0o755)
    assert in_a_fork() == "hung up"


def test_stop_is_a_request_too(running: str) -> None:
    """It is answered, and then the agent ends."""
    assert ask(running, b'{"stop": true}\n') == {"done": 1}
    until(lambda: not pid_of(running), "it has ended")
    assert os.listdir(running) == []


# -- the command line ---------------------------------------------------------------


def test_what_is_printed_can_be_typed(lab: Lab, folder: str) -> None:
    """The commands of --dry-run do what the steps do, and undo them."""
    things = [
        Agent(folder),
        port(folder, 8080, ip=ANY),
        port(folder, 8080, ip=SIX),
        proxy(folder, 8080, ip=SIX),
    ]
    changed = [
        Agent(folder),
        port(folder, 8080, ip=ANY, to=81),
        port(folder, 8080, ip=SIX),
        proxy(folder, 8080, ip=SIX, to=81),
    ]
    for before, after in (([], things), (things, changed), (changed, [])):
        lines = list(commands(plan(before, after)))
        for line in lines:
            words = line.split()
            assert words[:2] == [f"PLUMB_ROOT={folder}", "plumb"]
            plumb(lab, *(word.strip("'") for word in words[2:]))
        assert [thing for thing in look(*changed) if thing] == after
    assert list(commands(added(Agent("/run/plumb")))) == ["plumb agent start"]


def test_ls_shows_what_is_held(lab: Lab, running: str) -> None:
    """In columns, or in JSON; nothing where there is no agent."""
    take(*added(port(running, 8080), port(running, 8081, "udp", SIX), proxy(running, 8080)))
    assert [line.split() for line in plumb(lab, "agent", "ls").splitlines()[1:]] == [
        ["tcp", "127.0.0.1:8080", "127.0.0.3:80", "127.0.0.3:80"],
        ["udp", "[::1]:8081", "127.0.0.3:80"],
    ]
    assert json.loads(plumb(lab, "agent", "ls", "--json").splitlines()[1]) == {
        "Protocol": "udp",
        "Address": "[::1]:8081",
        "Target": "127.0.0.3:80",
        "Proxy": "",
    }
    agent_client.stop(running)
    assert plumb(lab, "agent", "ls", "--format", "{{.Address}}") == ""


@pytest.mark.parametrize(
    ("protocol", "address"),
    [
        ("tcp", "8080"),
        ("tcp", "localhost:8080"),
        ("tcp", "::1:8080"),
        ("tcp", "127.0.0.1:0"),
        ("tcp", "127.0.0.1:99999"),
        ("tcp", "[127.0.0.1]:80"),
        ("tcp", "127.0.0.1:\uff18\uff10"),
        ("tcp", ""),
        ("icmp", "127.0.0.1:1"),
    ],
)
def test_bad_words_are_refused(lab: Lab, running: str, protocol: str, address: str) -> None:
    """One line, exit status 1, and nothing is held."""
    status, printed = tried(lab, "agent", "hold", protocol, address, "172.20.0.2:80")
    assert (status, len(printed.splitlines())) == (1, 1), printed
    assert agent_client.held(running) == []
