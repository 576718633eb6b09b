"""Signals to a foreground run: they reach the command, and nothing is left when they end it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.host.trial_hosts import MARK, end_all, host, marked, plumb
from tests.labs import Lab
from tests.prefork.prefork_lab import said, start
from tests.programs import line
from tests.waiting import until

PASSED_ON = [
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGALRM,
    signal.SIGRTMIN,
]
COLD = {"PLUMB_WARM": "0"}
MOMENTS = 8
BEGUN = """
import sys

from plumb import __main__

main = __main__._forwarded_or_here


def begun():
    print("begun", flush=True)  # before that the interpreter has its own way to be interrupted
    return main()


__main__._forwarded_or_here = begun
sys.exit(__main__.main())
"""


@pytest.fixture
def net(lab: Lab) -> Iterator[Lab]:
    """A lab with a network of the name net, and all folders that a container needs.

    In the end nothing of the test's runs.
    """
    plumb(lab, "network", "create", "net", "-o", "com.docker.network.advertise_addr_nmsgs=0")
    plumb(lab, "run", "--rm", "--network", "net", "true")
    yield lab
    try:
        plumb(lab, "reset", "--force")
    finally:
        end_all(lab)


def foreground(lab: Lab, *words: str, **asked: Any) -> subprocess.Popen[str]:
    """`run --rm` of a command that bears the lab's mark, by a process of its own."""
    mark = ("-e", f"{MARK}={lab.root}")
    return start(lab, "run", "--rm", "--network", "net", *mark, *words, env=COLD, **asked)


def counting(number: int) -> tuple[str, ...]:
    """A command that prints a line for each such signal, and ends with status 7 by its input."""
    return (
        "bash",
        "-c",
        f"trap 'echo came' {number}; echo ready; until read -t 60; do :; done; exit 7",
    )


@pytest.mark.parametrize("number", PASSED_ON, ids=lambda number: str(int(number)))
def test_a_signal_reaches_the_command_once(net: Lab, number: int) -> None:
    """As Docker's client passes it on; the exit status stays the command's."""
    ran = foreground(net, *counting(number), stdin=subprocess.PIPE)
    assert line(ran) == "ready\n"
    ran.send_signal(number)
    assert line(ran) == "came\n"
    assert said(ran, "\n") == (7, "", "")


def sleeping(lab: Lab) -> list[int]:
    """The processes of the lab's containers that execute sleep."""
    return [pid for pid, words in marked(lab).items() if words.startswith("sleep")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=int)
def test_a_command_that_a_signal_ends_gives_its_status(net: Lab, number: signal.Signals) -> None:
    """128 + N, and the container is gone: as it is with Docker."""
    ran = foreground(net, "sh", "-c", "echo ready; exec sleep 1000")
    assert line(ran) == "ready\n"
    if number == signal.SIGKILL:
        until(lambda: sleeping(net), "the shell has executed it")
        os.kill(sleeping(net)[0], number)
    else:
        ran.send_signal(number)
    assert said(ran)[0] == 128 + number
    assert plumb(net, "ps", "-aq") == ""


def test_ctrl_c_at_the_terminal_comes_once(net: Lab) -> None:
    """The kernel sends it to the terminal's whole group, so plumb does not send it once more."""
    master, slave = pty.openpty()
    ran = foreground(
        net,
        "bash",
        "-c",
        "trap 'echo came' INT; echo ready; read; read; exit 7",
        stdin=slave,
        preexec_fn=lambda: _own_terminal(slave),
    )
    os.close(slave)
    assert line(ran) == "ready\n"
    os.write(master, b"\x03")
    assert line(ran) == "came\n"
    os.write(master, b"\n\n")
    assert said(ran) == (7, "", "")
    os.close(master)


def _own_terminal(slave: int) -> None:
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


def test_without_sig_proxy_the_command_goes_on(net: Lab) -> None:
    """SIGTERM ends plumb alone, as it ends Docker's client."""
    ran = foreground(net, "--sig-proxy=false", "sh", "-c", "echo ready; exec sleep 1000")
    assert line(ran) == "ready\n"
    ran.send_signal(signal.SIGTERM)
    assert ran.wait(30) == -signal.SIGTERM
    assert "sleep 1000" in str(marked(net))
    plumb(net, "rm", "-f", plumb(net, "ps", "-q").strip())
    until(lambda: not marked(net), "the command has ended")
    ran.communicate(timeout=30)


def test_a_timeout_leaves_nothing(net: Lab) -> None:
    """`timeout 2 plumb run --rm …`: the status is SIGTERM's, the container is gone."""
    before = host(net)
    ran = start(
        net,
        "run",
        "--rm",
        "--network",
        "net",
        "-e",
        f"{MARK}={net.root}",
        "sleep",
        "1000",
        env=COLD,
        prefix=("timeout", "2"),
    )
    assert said(ran)[0] == 124
    until(lambda: not marked(net), "the command has ended")
    assert plumb(net, "ps", "-aq") == ""
    assert host(net) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=int)
def test_a_signal_while_it_starts_leaves_nothing(
    net: Lab, tmp_path: Path, number: signal.Signals
) -> None:
    """At any moment: at most one line, no container, no process, and the host as before."""
    before = host(net)
    script = tmp_path / "begun.py"
    script.write_text(BEGUN)
    for moment in range(MOMENTS):
        ran = foreground(net, "sleep", "1000", program=(str(script),))
        assert line(ran) == "begun\n"
        with suppress(subprocess.TimeoutExpired):
            ran.wait(0.6 * moment / MOMENTS)
        ran.send_signal(number)
        status, out, errors = said(ran)
        assert status in (128 + number, -number), errors
        assert out == ""
        assert errors.strip() in ("", f"plumb: {_words(number)}"), errors
        assert not marked(net)
        assert plumb(net, "ps", "-aq") == ""
        assert host(net) == before


def _words(number: signal.Signals) -> str:
    return "interrupted" if number == signal.SIGINT else f"interrupted by {number.name}"


@pytest.mark.parametrize("verb", [("run", "-d"), ("create",)], ids=lambda verb: verb[0])
def test_a_container_whose_id_nobody_receives_is_removed(net: Lab, verb: tuple[str, ...]) -> None:
    """`run -d >/dev/full`: one line, a failure's status, and the host as before."""
    before = host(net)
    mark = ("-e", f"{MARK}={net.root}")
    with open("/dev/full", "w") as full:
        ran = start(net, *verb, "--network", "net", *mark, "sleep", "1000", stdout=full, env=COLD)
        status, _, errors = said(ran)
    assert status == (125 if verb[0] == "run" else 1)
    assert errors == "plumb: No space left on device\n"
    assert plumb(net, "ps", "-aq") == ""
    assert host(net) == before


def test_a_command_s_end_is_heard_of_where_the_caller_blocks_sigchld(net: Lab) -> None:
    """As a program that reads signals from a descriptor does, and its children inherit."""

    def block() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})

    assert said(foreground(net, "sh", "-c", "exit 7", preexec_fn=block)) == (7, "", "")
