"""kill, rename and wait, as scripts use them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from plumb.cli.lifecycle.signals import ended
from plumb.engine.reader import Reader
from tests.host.trial_hosts import MARK, end_all, plumb, tried
from tests.labs import Lab
from tests.prefork.prefork_lab import said, start
from tests.waiting import until


@pytest.fixture
def net(lab: Lab) -> Iterator[Lab]:
    """A lab with a network of the name net; in the end nothing of the test's runs."""
    plumb(lab, "network", "create", "net")
    yield lab
    try:
        plumb(lab, "reset", "--force")
    finally:
        end_all(lab)


def run(lab: Lab, *words: str) -> None:
    """`run -d --name box` on the network net."""
    plumb(lab, "run", "-d", "--name", "box", "--network", "net", "-e", MARK, *words)


def shown(lab: Lab, template: str) -> str:
    """What inspect shows of the container."""
    return plumb(lab, "inspect", "-f", template, "box").strip()


def test_kill_returns_when_the_container_has_stopped(net: Lab) -> None:
    """With 137; a restart policy does not start it again."""
    run(net, "--restart", "always", "sleep", "1000")
    assert plumb(net, "kill", "box") == "box\n"
    assert shown(net, "{{.State.Status}} {{.State.ExitCode}}") == "exited 137"
    status, printed = tried(net, "kill", "box")
    assert (status, "is not running" in printed) == (1, True)


@pytest.mark.parametrize("name", ["USR1", "SIGUSR1", "usr1", "10"])
def test_kill_sends_any_signal(net: Lab, name: str) -> None:
    """By name or number; the command may go on."""
    run(net, "sh", "-c", "trap 'echo came' USR1; echo ready; while :; do sleep 0.05; done")
    until(lambda: "ready" in plumb(net, "logs", "box"), "the trap is set")
    plumb(net, "kill", "-s", name, "box")
    until(lambda: "came" in plumb(net, "logs", "box"), "the signal has come")
    assert shown(net, "{{.State.Running}}") == "true"


def test_kill_refuses_what_is_no_signal(net: Lab) -> None:
    """Before it does anything."""
    status, printed = tried(net, "kill", "-s", "NOPE", "box")
    assert (status, "invalid signal: NOPE" in printed) == (1, True)


def test_kill_stops_a_container_without_a_command(net: Lab) -> None:
    """128 and the signal's number, as if it had had one."""
    run(net)
    plumb(net, "kill", "-s", "TERM", "box")
    assert shown(net, "{{.State.Status}} {{.State.ExitCode}}") == "exited 143"


def test_wait_prints_the_exit_code(net: Lab) -> None:
    """When the command has ended, or at once."""
    run(net, "sh", "-c", "sleep 1; exit 7")
    status, out, errors = said(start(net, "wait", "box"))
    assert (status, out, errors) == (0, "7\n", "")
    assert plumb(net, "wait", "box") == "7\n"


def test_wait_knows_the_code_of_what_goes(net: Lab) -> None:
    """Of a container that is removed when its command ends."""
    run(net, "--rm", "sh", "-c", "trap 'exit 7' USR1; echo ready; while :; do sleep 0.05; done")
    until(lambda: "ready" in plumb(net, "logs", "box"), "the trap is set")
    with Reader(net.root, settings={}) as reader, ThreadPoolExecutor(1) as pool:
        box = reader.container("box")
        pool.submit(plumb, net, "kill", "-s", "USR1", "box")
        assert ended(reader, box) == 7


def test_a_renamed_container_is_found_by_its_new_name(net: Lab) -> None:
    """By plumb and by DNS."""
    run(net, "sleep", "1000")
    plumb(net, "rename", "box", "other")
    assert tried(net, "inspect", "box")[0] == 1
    assert "other" in plumb(net, "ps")
    look = ("exec", "other", "getent", "hosts", "other")
    assert plumb(net, *look).split()[0].count(".") == 3
    assert plumb(net, "check") == ""


def test_rename_refuses_a_name_in_use(net: Lab) -> None:
    """Its own one too."""
    run(net)
    plumb(net, "run", "-d", "--name", "other", "--network", "none")
    for name, words in (("other", "already in use"), ("box", "same name")):
        status, printed = tried(net, "rename", "box", name)
        assert (status, words in printed) == (1, True)


def test_containers_and_networks_have_dockers_longer_names(net: Lab) -> None:
    """The same commands; `container inspect` knows no networks."""
    plumb(net, "container", "run", "-d", "--name", "box", "--network", "net")
    listed = [plumb(net, "container", verb, "-q") for verb in ("ls", "list")]
    assert listed[0] == listed[1] != ""
    assert plumb(net, "container", "inspect", "-f", "{{.Name}}", "box") == "/box\n"
    status, printed = tried(net, "container", "inspect", "net")
    assert (status, "No such container: net" in printed) == (1, True)
    assert plumb(net, "network", "list") == plumb(net, "network", "ls")
    plumb(net, "container", "remove", "-f", "box")
    plumb(net, "network", "remove", "net")
    assert tried(net, "container", "run", "--nope")[0] == 125


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["nework", "ls"], "did you mean network?"),
        (["network", "creat"], "did you mean create?"),
        (["container", "stopp"], "did you mean stop?"),
    ],
)
def test_a_slip_of_the_pen_is_told(lab: Lab, words: list[str], meant: str) -> None:
    """With the verb that was probably meant."""
    status, printed = tried(lab, *words)
    assert (status, "unknown command: plumb " in printed, meant in printed) == (1, True, True)
