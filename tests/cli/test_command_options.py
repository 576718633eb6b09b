"""Options of a container's command: its user, its folder, its environment; exec's as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.host.trial_hosts import MARK, marked, plumb, tried
from tests.labs import Lab
from tests.prefork.prefork_lab import start
from tests.programs import line
from tests.waiting import until

NOBODY = "65534"
ASK = ("sh", "-c", 'echo "$(id -u):$(id -g) $(pwd)"; exec sleep 1000')


def run(lab: Lab, *words: str) -> None:
    """`run -d --name box`."""
    plumb(lab, "run", "-d", "--name", "box", "--network", "none", "-e", MARK, *words)


def logged(lab: Lab) -> str:
    """What the command has printed, once it has."""
    until(lambda: "\n" in plumb(lab, "logs", "box"), "the command has printed a line")
    return plumb(lab, "logs", "box")


@pytest.mark.parametrize("isolation", [[], ["--isolate"]])
@pytest.mark.parametrize(
    ("user", "ids"), [("", "0:0"), ("nobody:12", f"{NOBODY}:12"), ("4711", "4711:0")]
)
def test_a_command_has_the_user_and_the_folder_asked_for(
    emptied: Lab, isolation: list[str], user: str, ids: str
) -> None:
    """As inspect shows them; a number need not be anybody's."""
    run(emptied, *isolation, "-u", user, "-w", "/usr", "--init", *ASK)
    assert logged(emptied) == f"{ids} /usr\n"
    shown = "{{.Config.User}} {{.Config.WorkingDir}} {{.HostConfig.Init}}"
    assert plumb(emptied, "inspect", "-f", shown, "box") == f"{user} /usr true\n"
    assert plumb(emptied, "exec", "box", *ASK[:2], "pwd") == "/usr\n"


def test_a_user_who_is_not_root_has_no_capabilities(emptied: Lab) -> None:
    """As in Docker: setuid(2) takes them."""
    run(emptied, "sleep", "1000")
    held = plumb(emptied, "exec", "-u", "nobody", "box", "grep", "CapEff", "/proc/self/status")
    assert int(held.split()[1], 16) == 0


def test_a_killed_exec_ends_the_command_of_another_user(emptied: Lab) -> None:
    """setuid(2) takes back that the kernel ends it with its parent."""
    run(emptied, "sleep", "1000")
    words = ("-u", NOBODY, "-e", f"{MARK}={emptied.root}", "box")
    ran = start(emptied, "exec", *words, "sh", "-c", "echo ready; exec sleep 2000")
    assert line(ran) == "ready\n"
    ran.kill()
    until(lambda: "sleep 2000 " not in str(marked(emptied)), "the command has ended")
    ran.communicate(timeout=30)


def test_exec_takes_a_user_and_a_folder(emptied: Lab) -> None:
    """Beside a command that has others; a container in the foreground takes them too."""
    run(emptied, "sleep", "1000")
    ask = ("sh", "-c", 'echo "$(id -u) $(pwd)"')
    assert plumb(emptied, "exec", "-u", NOBODY, "-w", "/usr", "box", *ask) == f"{NOBODY} /usr\n"
    run_words = ("run", "--rm", "--network", "none", "-u", NOBODY, "-w", "/usr", *ask)
    assert plumb(emptied, *run_words) == f"{NOBODY} /usr\n"


def test_what_is_no_user_and_no_folder_is_refused(emptied: Lab) -> None:
    """In one sentence, and nothing remains."""
    for words, said in (
        (["-u", "nobody-there"], "unable to find user nobody-there"),
        (["-u", "0:nobody-there"], "unable to find group nobody-there"),
        (["-w", "usr"], "needs to be an absolute path"),
        (["-w", "/nowhere"], 'chdir to cwd ("/nowhere") failed'),
    ):
        status, printed = tried(emptied, "run", "-d", "--network", "none", *words, "sleep", "1000")
        assert (status != 0, said in printed, "Traceback" in printed) == (True, True, False)
    assert plumb(emptied, "ps", "-aq") == ""


def test_exec_in_the_background_returns_at_once(emptied: Lab, tmp_path: Path) -> None:
    """Its command is one of the container's, and ends with it."""
    run(emptied, "sleep", "1000")
    told = tmp_path / "told"
    script = f"readlink /proc/self/ns/net > {told}.new; mv {told}.new {told}; exec sleep 1000"
    assert plumb(emptied, "exec", "-d", "box", "sh", "-c", script) == ""
    until(told.exists, "the command in the background has come so far")
    assert told.read_text() == plumb(emptied, "exec", "box", "readlink", "/proc/self/ns/net")
    status, printed = tried(emptied, "exec", "-d", "box", "no-such-command")
    assert (status != 0, "no-such-command" in printed) == (True, True)


def test_variables_come_from_files_and_from_flags(emptied: Lab, tmp_path: Path) -> None:
    """Flags have the last word; # begins a comment."""
    file = tmp_path / "env"
    file.write_text("# of the shop\nCOLOUR=red\n  SIZE=a b \nNOT_SET_ANYWHERE\n")
    run(emptied, "--env-file", str(file), "-e", "COLOUR=blue", "sleep", "1000")
    ask = ("sh", "-c", 'echo "$COLOUR,$SIZE,${NOT_SET_ANYWHERE-unset}"')
    assert plumb(emptied, "exec", "box", *ask) == "blue,a b ,unset\n"
    assert plumb(emptied, "exec", "--env-file", str(file), "box", *ask) == "red,a b ,unset\n"
    file.write_text("A B=1\n")
    status, printed = tried(emptied, "run", "--env-file", str(file))
    assert (status, "contains whitespaces" in printed) == (125, True)


def test_a_variable_without_a_value_is_the_caller_s_or_none(
    emptied: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is a default of plumb's goes."""
    monkeypatch.setenv("COLOUR", "red")
    monkeypatch.delenv("TERM", raising=False)
    run(emptied, "-e", "COLOUR", "-e", "TERM", "sleep", "1000")
    ask = ("sh", "-c", "echo ${COLOUR-unset},${TERM-unset}")
    assert plumb(emptied, "exec", "-e", "COLOUR", "-e", "TERM", "box", *ask) == "red,unset\n"
    shown = plumb(emptied, "inspect", "-f", "{{.Config.Env}}", "box")
    assert "COLOUR=red" in shown
