"""The warm process itself: when it comes, whom it listens to, what it holds, and when it ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from plumb.kernel import agent_client, agent_socket
from plumb.kernel.process import shim, start_time
from plumb.prefork import client
from plumb.prefork.own_files import OwnFiles
from plumb.prefork.server import TAKEN, PreforkServer, Worker
from tests import REPOSITORY, labs
from tests.host.trial_hosts import printed_so_far
from tests.labs import Lab, sh
from tests.prefork.prefork_lab import (
    agent,
    counted,
    environment,
    killed,
    named,
    publish,
    quiet,
    said,
    served,
    start,
    waiting,
    warm_of,
    warm_up,
)
from tests.waiting import until

NOBODY = 65534
SO_SNDBUFFORCE = 32


@pytest.fixture
def busy(lab: Lab) -> Lab:
    """A lab with a container that has a published port, so with an agent."""
    publish(lab)
    return lab


# -- it comes ---------------------------------------------------------------


def test_without_a_command_there_is_none(busy: Lab) -> None:
    """An agent that the library started has no warm process.

    A command without an agent works by itself.
    """
    assert shim.descendants(agent(busy)) == []
    with labs.lab() as other:
        assert said(start(other, "network", "ls"))[0] == 0
        assert not other.root.exists()


def test_the_first_command_goes_by_itself_and_the_next_is_warm(busy: Lab) -> None:
    """The first one has a warm process started, and does not wait for it."""
    assert said(start(busy, "network", "ls"))[0] == 0
    until(lambda: warm_of(busy), "there is a warm process")
    assert served(busy) == 0
    said(start(busy, "network", "ls"))
    until(lambda: served(busy) == 1, "a command was carried out warm")


def test_one_that_cannot_come_is_told_of(busy: Lab, tmp_path: Path) -> None:
    """In the agent's log; commands go by themselves."""
    shutil.copytree(
        REPOSITORY / "plumb", tmp_path / "plumb", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "plumb/cli/broken.py").write_text("import nothing_of_that_name\n")
    log = busy.root / agent_socket.LOG
    assert said(start(busy, "ps", "-q", env={"PYTHONPATH": str(tmp_path)}))[0] == 0
    until(lambda: log.exists() and "cannot be imported" in log.read_text(), "the log says so")
    assert said(start(busy, "ps", "-q", env={"PYTHONPATH": str(tmp_path)}))[0] == 0


def test_a_deep_root_is_reached(lab: Lab) -> None:
    """A Unix socket's path has room for 107 bytes; a root may lie deeper."""
    deep = Lab(lab.root / ("d" * 100) / ("e" * 100), lab.netns)
    try:
        publish(deep)
        warm_up(deep)
        with counted(deep, 1):
            said(start(deep, "ps"))
    finally:
        with deep.host() as host:
            host.reset()


def test_many_at_a_time(busy: Lab) -> None:
    """Whoever comes while the spare is taken waits for the next one, and gets the answer to its own
    question."""
    warm_up(busy)
    running = [start(busy, "ps", "--format", f"{number} {{{{.Names}}}}") for number in range(20)]
    assert [said(ran) for ran in running] == [(0, f"{number} base\n", "") for number in range(20)]


# -- whom it listens to ---------------------------------------------------------------


def answered(folder: str, become: Callable[[], object]) -> list[bytes]:
    """What the agent's two sockets say to a process that has become somebody.

    B"" where they hang up.
    """
    reader, writer = os.pipe()
    asked = (
        (agent_socket.SOCKET, socket.SOCK_STREAM, b'{"list": true}\n'),
        (agent_socket.COMMAND, socket.SOCK_SEQPACKET, b"x"),
    )
    if os.fork() == 0:
        try:
            os.chdir(folder)
            become()
            for name, kind, words in asked:
                with socket.socket(socket.AF_UNIX, kind) as conn, suppress(ConnectionError):
                    conn.connect(name)
                    conn.send(words)
                    os.write(writer, conn.recv(1) or b"-")
        finally:
            os._exit(0)
    os.close(writer)
    os.wait()
    with os.fdopen(reader, "rb") as heard:
        return [bytes([byte]) for byte in heard.read()]


def test_only_root_with_all_of_its_capabilities_is_listened_to(busy: Lab) -> None:
    """Another user is refused.

    So is a root that may not itself change the network, as in a container, or is one of its own
    namespace.

    And who is refused costs no fork.
    """
    warm_up(busy)
    spare = named(busy, "plumb-spare")
    folder = str(busy.root)
    assert answered(folder, lambda: None)[0] == b"{"
    until(
        lambda: named(busy, "plumb-spare") not in ([], spare) and quiet(busy),
        "a spare has been taken",
    )
    spare = named(busy, "plumb-spare")
    for name in (agent_socket.SOCKET, agent_socket.COMMAND):
        assert os.stat(f"{folder}/{name}").st_mode & 0o777 == 0o600
        os.chmod(f"{folder}/{name}", 0o666)
    os.chmod(folder, 0o755)
    for become in (
        lambda: os.setresuid(NOBODY, NOBODY, NOBODY),
        lambda: shim._drop_held({0, 1, 2}),
        lambda: shim._call("unshare", 0x10000000),
    ):
        assert b"{" not in answered(folder, become)
        assert named(busy, "plumb-spare") == spare


def test_what_a_container_may_not_do_is_not_done_for_it(busy: Lab) -> None:
    """A command line in a container goes on by itself, and the kernel refuses it."""
    warm_up(busy)
    given = [
        word
        for name in ("PYTHONPATH", "PLUMB_ROOT")
        for word in ("-e", f"{name}={environment(busy)[name]}")
    ]
    with counted(busy, 1):  # exec alone
        status, _, errors = said(
            start(
                busy,
                "exec",
                *given,
                "base",
                sys.executable,
                "-m",
                "plumb",
                "network",
                "create",
                "n",
            )
        )
    assert status == 1
    assert "Operation not permitted" in errors or "Permission denied" in errors


# -- what it holds ---------------------------------------------------------------


def held(pid: int) -> list[str]:
    """What the descriptors of a process are, those of its standard streams left out."""
    links = {int(entry.name): os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    return sorted(where.partition("[")[0] for number, where in links.items() if number > 2)


def test_it_holds_nothing_of_the_agents(busy: Lab) -> None:
    """No published port: that would stay bound when the agent lets go of it."""
    warm = warm_up(busy)
    assert held(warm) == [
        "anon_inode:",
        "anon_inode:inotify",
        "pipe:",
        "pipe:",
        "socket:",
    ]  # its spare's pidfd, changes of its files, what forks say, command.sock
    assert held(named(busy, "plumb-spare")[0])[-1:] == ["socket:"]
    assert os.stat(f"/proc/{warm}/fd/0").st_mode & 0o170000 == 0o010000
    with busy.host() as host:
        host.run("other", network="home", publish="127.0.0.1:18081:80")
        host.remove("other", force=True)
    with socket.create_server(("127.0.0.1", 18081)):
        assert warm_of(busy) == warm


def test_a_containers_command_inherits_nothing(busy: Lab) -> None:
    """Neither of the warm process nor of the agent: only its three streams, and what lists them."""
    warm_up(busy)
    with counted(busy, 1):
        box = said(
            start(
                busy,
                "run",
                "-d",
                "--network",
                "home",
                "sh",
                "-c",
                "ls /proc/self/fd; exec sleep 100",
            )
        )[1].strip()
    log = busy.root / "containers" / box / "log"
    until(lambda: len(printed_so_far(log).split()) == 4, "0, 1, 2 and the folder")
    said(start(busy, "rm", "-f", box))


# -- it ends ---------------------------------------------------------------


def test_nothing_is_left_after_a_reset(busy: Lab) -> None:
    """The command that ends the agent is carried out warm, and comes to its end."""
    warm_up(busy)
    assert said(start(busy, "reset", "--force")) == (0, "", "")
    until(lambda: not labs.processes(), "no process is left")
    assert not busy.root.exists()


def test_the_last_published_port_takes_the_agent_along(busy: Lab) -> None:
    """`rm` reports to the end, though the agent whose fork's fork it is has gone."""
    warm = warm_up(busy)
    assert said(start(busy, "rm", "-f", "base")) == (0, "base\n", "")
    assert not agent(busy)
    until(lambda: not start_time.started(warm), "the warm process has ended")
    until(lambda: not labs.processes(), "no process is left")


def test_killed_it_is_started_anew(busy: Lab) -> None:
    """The next command goes by itself, and has another warm process started."""
    first = warm_up(busy)
    spare = named(busy, "plumb-spare")[0]
    killed(first)
    until(lambda: not start_time.started(spare), "its spare has ended with it")
    assert warm_up(busy) != first


def test_it_comes_and_goes_where_whoever_started_the_agent_ignores_sigchld(lab: Lab) -> None:
    """The agent would inherit that, and hear nothing of how its children end."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        publish(lab)
    finally:
        signal.signal(signal.SIGCHLD, before)
    first = warm_up(lab)
    killed(first)
    assert warm_up(lab) != first


def test_an_agent_that_is_killed_takes_it_along(busy: Lab) -> None:
    """Nobody else would end it."""
    warm = warm_up(busy)
    spare = named(busy, "plumb-spare")[0]
    os.kill(agent(busy), signal.SIGKILL)
    until(lambda: not start_time.started(warm) and not start_time.started(spare), "both have ended")
    assert said(start(busy, "ps", "-q"))[0] == 0


def test_work_goes_on_when_the_warm_process_is_killed(busy: Lab) -> None:
    """A fork that has begun is nobody's any more."""
    warm = warm_up(busy)
    with waiting(busy, "reset", "--force") as (ran, _):
        killed(warm)
    assert said(ran)[0] == 0
    assert not busy.root.exists()


def test_work_goes_on_when_the_warm_process_ends_as_it_begins(busy: Lab) -> None:
    """Even if the warm process has not heard yet that its spare has been taken."""
    warm = warm_up(busy)
    os.kill(warm, signal.SIGSTOP)
    with waiting(busy, "network", "create", "n") as (ran, _):
        os.kill(warm, signal.SIGTERM)
        os.kill(warm, signal.SIGCONT)
        until(lambda: not start_time.started(warm), "the warm process has ended")
    assert said(ran)[::2] == (0, "")


def test_who_does_not_answer_is_not_waited_for(busy: Lab) -> None:
    """A warm process that is stopped costs a second, and does nothing when it goes on."""
    warm_up(busy)
    pids = [warm_of(busy), *named(busy, "plumb-spare")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    assert said(start(busy, "network", "create", "n"))[0] == 0
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    with counted(busy, 0):
        pass
    assert sh("ip -o link show type bridge").count("br-") == 2


def test_changed_files_are_read_again(busy: Lab, tmp_path: Path) -> None:
    """After an edit the next command has the new text, by itself.

    Then a warm process has it too.
    """
    shutil.copytree(
        REPOSITORY / "plumb", tmp_path / "plumb", ignore=shutil.ignore_patterns("__pycache__")
    )
    env = {"PYTHONPATH": str(tmp_path)}
    first = warm_up(busy, env=env)
    edited = tmp_path / "plumb/cli/listings.py"
    edited.write_text(edited.read_text().replace("CONTAINER ID", "IDENTITY"))
    with_edit = said(start(busy, "ps", env=env))
    assert with_edit[1].startswith("IDENTITY")
    until(lambda: not start_time.started(first), "the old one has ended")
    second = warm_up(busy, env=env)
    assert said(start(busy, "ps", env=env))[1].startswith("IDENTITY")
    until(lambda: served(busy) == 1, "it was carried out warm")
    assert second == warm_of(busy)


def test_another_plumb_goes_by_itself(busy: Lab, tmp_path: Path) -> None:
    """A warm process serves the package that it has imported, and no other."""
    shutil.copytree(
        REPOSITORY / "plumb", tmp_path / "plumb", ignore=shutil.ignore_patterns("__pycache__")
    )
    warm_up(busy)
    with counted(busy, 0):
        assert said(start(busy, "ps", "-q", env={"PYTHONPATH": str(tmp_path)}))[0] == 0


# -- the request ---------------------------------------------------------------


def test_a_request_is_read_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments and environment may be any bytes but NUL, and empty."""
    argv, environment = ["plumb", "", "a\nb", "\udcff", "ä="], {"EMPTY": "", "ODD": "a=b\n\udcfe"}
    monkeypatch.setattr(sys, "argv", argv)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        monkeypatch.setattr(
            sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False)
        )
    found = client.Request(client.compose({signal.SIGUSR1}))
    assert (found.argv, found.blocked, found.home) == (argv, [signal.SIGUSR1], str(REPOSITORY))
    assert found.environment == dict(os.environ)


def test_a_request_that_is_too_long_is_not_carried_out(busy: Lab, tmp_path: Path) -> None:
    """Not even as far as it has come, where the kernel lets datagrams be longer
    (net.core.wmem_default): it goes on by itself."""
    script = tmp_path / "plumb-with-a-large-buffer"
    script.write_text(
        "import socket, sys\n"
        "from plumb.__main__ import main\n"
        "from plumb.prefork import client\n"
        "connected = client._connect\n"
        "def roomy(folder):\n"
        "    connection = connected(folder)\n"
        f"    connection.setsockopt(socket.SOL_SOCKET, {SO_SNDBUFFORCE}, 1 << 23)\n"
        "    return connection\n"
        "client._connect = roomy\n"
        "sys.exit(main())\n"
    )
    warm_up(busy)
    for words, warm in ((1, 1), (4, 0)):
        with counted(busy, warm):
            ran = subprocess.run(
                [sys.executable, script, "rm", "-f", *["x" * 100_000] * words],
                env=environment(busy),
                check=False,
            )
            assert ran.returncode == 0


def test_a_fork_that_ends_at_once_ends_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be no such process any more when it is looked for.

    What it said is heard all the same.
    """
    before, fork = signal.signal(signal.SIGCHLD, signal.SIG_IGN), os.fork
    found = []

    def slow() -> int:
        pid = fork()
        if pid:
            until(lambda: not os.path.exists(f"/proc/{pid}"), "it has ended")
        return pid

    monkeypatch.setattr(os, "fork", slow)
    monkeypatch.setattr(Worker, "wait_for_command", lambda taken, parent: taken._report(TAKEN))
    try:
        with socket.socket() as listener:
            warm = PreforkServer(listener, "", OwnFiles())
            found += [warm._fork()]
            assert warm._receive(found[0]) == TAKEN
            assert warm._receive(found[0]) == b""
    finally:
        signal.signal(signal.SIGCHLD, before)
        for descriptor in (*found, warm.reports, warm.report_writer):
            os.close(descriptor)


def test_an_interrupt_while_nobody_answers_is_told(lab: Lab, tmp_path: Path) -> None:
    """In one line, with the status of an interrupt.

    The command waits for as long as a busy machine may need to send it.
    """
    lab.root.mkdir()
    patient = tmp_path / "patient.py"
    patient.write_text(
        "import sys\n"
        "from plumb import __main__\n"
        "from plumb.prefork import client\n"
        "client.TIMEOUT = 600\n"
        "sys.exit(__main__.main())\n"
    )
    with agent_socket.listen(
        str(lab.root), agent_socket.COMMAND, socket.SOCK_SEQPACKET
    ) as listener:
        listener.settimeout(60)
        ran = start(lab, "ps", program=(str(patient),))
        conn, _ = listener.accept()
        conn.recv(1)
        ran.send_signal(signal.SIGINT)
        conn.close()
        assert said(ran) == (130, "", "plumb: interrupted\n")


@pytest.mark.parametrize("message", [b"", b"x", b"\0" * 7, b"\0\0\0x\0", b"\0\0\0\0\0\0\0many"])
def test_nonsense_is_no_request(busy: Lab, message: bytes) -> None:
    """Whoever says it is hung up on."""
    warm = warm_up(busy)
    with pytest.raises(ValueError):  # noqa: PT011  # whatever does not unpack
        client.Request(message)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as conn, suppress(ConnectionError):
        conn.connect(f"{busy.root}/{agent_socket.COMMAND}")
        conn.send(message)
        assert conn.recv(1) == b""
    assert agent_client.held(str(busy.root))
    until(lambda: warm_of(busy) == warm, "there is another spare")
