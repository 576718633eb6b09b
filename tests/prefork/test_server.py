"""A command line in a warm process is the command line.

The same words, the same end, the same caller.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from plumb.kernel.process import shim, start_time
from tests import labs
from tests.host.trial_hosts import printed_so_far
from tests.labs import Lab, sh
from tests.prefork.prefork_lab import (
    agent,
    counted,
    environment,
    install_launcher,
    publish,
    said,
    start,
    state,
    waiting,
    warm_up,
)
from tests.waiting import until

COLD = {"PLUMB_WARM": "0"}


@pytest.fixture(scope="module", params=["python", "launcher"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with a container `base` on a network `home`, and a warm process.

    Commands come from the client in Python, and from the one in C. A test takes back what it
    changes.
    """
    with labs.lab() as made:
        if request.param == "launcher":
            made.launcher = install_launcher(tmp_path_factory.mktemp("bin"))
        publish(made)
        warm_up(made)
        yield made


@pytest.mark.parametrize("env", [COLD, {}])
def test_a_program_that_fails_is_noticed_where_the_caller_ignores_sigchld(
    shop: Lab, tmp_path: Path, env: dict[str, str]
) -> None:
    """The kernel keeps no exit status of children then, and Python takes none for success."""
    for name in ("iptables", "iptables-restore", "iptables-save"):
        said_version = "case $1 in --version) echo v1.8.7; exit;; esac"
        (tmp_path / name).write_text(f"#!/bin/sh\n{said_version}\necho no rules >&2\nexit 4\n")
        (tmp_path / name).chmod(0o755)

    def ignore() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    path = {**env, "PATH": f"{tmp_path}:{environment(shop)['PATH']}"}
    ran = start(shop, "network", "create", "refused", env=path, preexec_fn=ignore)
    status, _, errors = said(ran)
    said(start(shop, "network", "rm", "refused"))
    assert (status, "no rules" in errors) == (1, True), errors


# -- the same words and the same end ---------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        ["network", "ls"],
        ["ps", "-a"],
        ["ps", "--json"],
        ["port"],
        ["inspect", "base", "home"],
        ["agent", "ls"],
        ["version"],
        [],
        ["--help"],
        ["network", "create", "--help"],
        ["network", "rm", "--dry-run", "bridge"],
        ["rm", "-f", "--dry-run", "base"],
        ["check"],
        ["nonsense"],
        ["network", "rm", "nosuch"],
        ["network", "rm", "nosuch", "home"],
        ["run", "-d", "--network", "nosuch"],
        ["--config", "/nonexistent", "ps"],
        ["network", "create"],
        ["exec", "nosuch", "true"],
    ],
    ids=" ".join,
)
def test_it_prints_the_same_and_ends_the_same(shop: Lab, argv: list[str]) -> None:
    """Output, error lines and exit status are those of a command in its own process."""
    with counted(shop, 1):
        warm = said(start(shop, *argv))
    assert timeless(warm) == timeless(said(start(shop, *argv, env=COLD)))


LENGTHS = r"(?:Less than a second|\d+ seconds?|About a minute|\d+ minutes)"


def timeless(ended: tuple[int, str, str]) -> tuple[int, str, str]:
    """The same without lengths of time, which go on between two listings, nor their padding."""
    status, out, err = ended
    return status, re.sub(rf"{LENGTHS}|(?<= ) +", "", out), err


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (["exec", "base", "sh", "-c", "exit 7"], 7),
        (["exec", "base", "nosuchcommand"], 127),
        (["exec", "base", "/etc/passwd"], 126),
        (["exec", "-e", "A=b", "base", "sh", "-c", "test $A = b"], 0),
        (["exec", "-w", "/nosuch", "base", "true"], 1),
    ],
    ids=str,
)
def test_exec_ends_as_its_command_does(shop: Lab, argv: list[str], status: int) -> None:
    """All but the last step is done warm, with the same end."""
    with counted(shop, 1):
        warm = said(start(shop, *argv))
    assert warm == said(start(shop, *argv, env=COLD))
    assert warm[0] == status


def test_what_changes_something_is_done_warm(shop: Lab) -> None:
    """A network and a container come and go."""
    with counted(shop, 5):
        for argv in (
            ["network", "create", "n"],
            ["run", "-d", "--name", "cc", "-p", "80", "--network", "home", "sleep", "100"],
            ["network", "connect", "n", "cc"],
            ["rm", "-f", "cc"],
            ["network", "rm", "n"],
        ):
            status, _, errors = said(start(shop, *argv))
            assert (status, errors) == (0, "")


def test_plumb_warm_0_keeps_a_command_in_its_own_process(shop: Lab) -> None:
    """As for a debugger, or strace."""
    with counted(shop, 0):
        assert said(start(shop, "ps", env=COLD))[0] == 0


def test_a_run_in_the_foreground_is_its_callers_own(shop: Lab) -> None:
    """Its command is a child of the process that was called, with that one's terminal and
    streams."""
    with counted(shop, 0):
        ran = start(
            shop,
            "run",
            "--rm",
            "sh",
            "-c",
            "read it; echo $it; ps -o ppid= $$; exit 5",
            stdin=subprocess.PIPE,
        )
        status, out, errors = said(ran, "hello\n")
    assert (status, out.split(), errors) == (5, ["hello", str(ran.pid)], "")


# -- the same caller ---------------------------------------------------------------


def settings(folder: Path, mtu: int) -> None:
    """A settings file there."""
    (folder / "settings.json").write_text(f'{{"mtu": {mtu}}}')


def test_the_folder_is_the_callers(shop: Lab, tmp_path: Path) -> None:
    """A path that a command names is looked for where the caller is."""
    settings(tmp_path, 1)
    with counted(shop, 2):
        assert said(start(shop, "--config", "settings.json", "ps"))[0] == 1
        assert (
            "invalid mtu"
            in said(
                start(shop, "--config", "settings.json", "network", "create", "n", cwd=tmp_path)
            )[2]
        )


def test_the_environment_is_the_callers(shop: Lab, tmp_path: Path) -> None:
    """Both what plumb reads from it and what it hands on to a container."""
    settings(tmp_path, 1)
    with counted(shop, 4):
        assert (
            said(
                start(
                    shop,
                    "network",
                    "create",
                    "n",
                    env={"PLUMB_CONFIG": f"{tmp_path}/settings.json"},
                )
            )[0]
            == 1
        )
        for value in ("one", "two"):
            said(start(shop, "create", "--name", value, "-e", "GREETING", env={"GREETING": value}))
        found = said(start(shop, "inspect", "-f", "{{.Config.Env}}", "one", "two"))[1]
    assert re.findall(r"GREETING=(\w+)", found) == ["one", "two"]
    said(start(shop, "rm", "one", "two"))


def test_limits_umask_and_signals_are_the_callers(shop: Lab) -> None:
    """A container's command inherits them from whoever called for it, not from the agent."""
    show = (
        "umask; ulimit -n; nice; taskset -p $$ | sed 's/.*://'; cat /proc/self/oom_score_adj; "
        "grep SigIgn /proc/self/status; "
        "chrt -p $$ | sed -n 's/.*policy: //p'; grep Groups /proc/self/status; exec sleep 100"
    )
    results = []
    for env in ({}, COLD):
        before = os.sched_getaffinity(0)

        def handicap() -> None:
            import resource

            os.umask(0o027)
            os.nice(3)
            os.sched_setaffinity(0, {min(before)})  # noqa: B023  # it runs at once
            resource.setrlimit(resource.RLIMIT_NOFILE, (77, 99))
            Path("/proc/self/oom_score_adj").write_text("5")
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            os.setgroups([4, 27])
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)

        with counted(shop, 0 if env else 1):
            box = said(start(shop, "run", "-d", "sh", "-c", show, env=env, preexec_fn=handicap))[
                1
            ].strip()
        log = shop.root / "containers" / box / "log"
        until(lambda: "Groups" in printed_so_far(log), "it has said all")  # noqa: B023  # it waits here
        # Signals 32 and 33 are the C library's own (nptl(7)): nobody may set what becomes of them.
        results.append(
            re.sub(
                r"(?<=SigIgn:\t)\w+",
                lambda found: f"{int(found[0], 16) & ~(3 << 31):x}",
                printed_so_far(log),
            ).split()
        )
        said(start(shop, "rm", "-f", box))
    assert results[0] == results[1]
    assert results[0][:3] == ["0027", "77", str(os.nice(0) + 3)]
    assert results[0][4] == "5"
    assert results[0][-4:] == ["SCHED_BATCH", "Groups:", "4", "27"]


def test_a_caller_in_another_network_namespace_is_served_there(shop: Lab) -> None:
    """What is recorded is missing where the caller is."""
    with counted(shop, 1):
        ran = start(shop, "check", preexec_fn=lambda: shim._libc.unshare(shim.CLONE_NEWNET))
        status, out, _ = said(ran)
    assert status == 1
    assert "missing: bridge plumb0" in out
    assert said(start(shop, "check"))[:2] == (0, "")


def run(lab: Lab, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run any command line in the environment of plumb's."""
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=environment(lab))


def test_a_caller_in_another_mount_namespace_is_served_there(shop: Lab, tmp_path: Path) -> None:
    """Files are those that the caller sees, from the folder that it is in."""
    line = (
        f'mount -t tmpfs none {tmp_path}; cd {tmp_path}; echo \'{{"mtu": 1}}\' > x.json; exec "$@"'
    )
    with counted(shop, 1):
        ran = run(
            shop,
            "unshare",
            "-m",
            "--propagation",
            "private",
            "sh",
            "-c",
            line,
            "sh",
            *shop.words,
            "--config",
            "x.json",
            "network",
            "create",
            "n",
        )
    assert "invalid mtu" in ran.stderr
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["unshare", "--pid", "--fork"],
        ["unshare", "--cgroup"],
        ["setpriv", "--bounding-set", "-chown"],
        ["setpriv", "--no-new-privs"],
        ["setarch", "-R"],
        ["env", "PYTHONHASHSEED=0"],
        ["env", "=nameless"],
    ],
    ids=" ".join,
)
def test_who_cannot_be_imitated_goes_on_by_itself(shop: Lab, words: list[str]) -> None:
    """Another pid namespace, other credentials, another interpreter, a variable that cannot be set.

    The command works, only not warm.
    """
    with counted(shop, 0):
        ran = run(shop, *words, *shop.words, "ps", "-q")
    assert (ran.returncode, len(ran.stdout), ran.stderr) == (0, 13, "")


# -- streams and signals ---------------------------------------------------------------


def test_stdin_is_read(shop: Lab) -> None:
    """A question is answered through a pipe, to the caller's own process."""
    said(start(shop, "network", "create", "n"))
    with counted(shop, 0):
        for answer, status in (("n\n", 0), ("y\n", 0)):
            assert said(start(shop, "network", "prune", stdin=subprocess.PIPE), answer)[0] == status
    assert said(start(shop, "network", "rm", "n"))[0] == 1


@pytest.mark.parametrize("argv", [["reset"], ["network", "prune"]], ids=str)
def test_in_the_background_nothing_is_asked(shop: Lab, argv: list[str]) -> None:
    """A command that would read the terminal's input is stopped, as that is the shell's.

    What is typed is no answer.
    """
    master, slave = pty.openpty()
    with os.fdopen(master, "r+b", 0) as terminal:
        shell = [
            "setsid",
            "--ctty",
            "bash",
            "-c",
            'set -m; "$@" & echo $!; read answer; echo got $answer; kill -9 %1',
            "bash",
        ]
        ran = subprocess.Popen(
            [*shell, *shop.words, *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment(shop),
        )
        os.close(slave)
        job = int(terminal.readline())
        until(lambda: state(job) == "T", "it is stopped")
        terminal.write(b"y\n")
        assert ran.wait(30) == 0
    assert said(start(shop, "check"))[:2] == (0, "")


def test_a_file_may_be_a_descriptor(shop: Lab, tmp_path: Path) -> None:
    """As the shell's <(…) is: its number means something in the caller's own process alone."""
    settings(tmp_path, 1)
    with open(tmp_path / "settings.json") as file, counted(shop, 0):
        path, create = f"/dev/fd/{file.fileno()}", ["network", "create", "n"]
        for ran in (
            start(shop, "--config", path, *create, pass_fds=[file.fileno()]),
            start(
                shop,
                *create,
                env={"PLUMB_CONFIG": f"/proc/self/fd/{file.fileno()}"},
                pass_fds=[file.fileno()],
            ),
        ):
            assert "invalid mtu" in said(ran)[2]
            file.seek(0)


@pytest.mark.parametrize(
    ("argv", "env", "status"),
    [(["ps"], {}, 141), (["ps"], {"PYTHONUNBUFFERED": "1"}, 1), (["--help"], {}, 1)],
    ids=str,
)
def test_a_reader_that_goes_away_ends_it_quietly(
    shop: Lab, argv: list[str], env: dict[str, str], status: int
) -> None:
    """As `plumb ps | true`.

    SIGPIPE's status where plumb finds out, click's where click does, and not a word.
    """
    reader, writer = os.pipe()
    os.close(reader)
    with counted(shop, 1):
        warm, cold = (
            said(start(shop, *argv, stdout=writer, env={**env, **more})) for more in ({}, COLD)
        )
    assert warm == cold
    assert warm[::2] == (status, "")
    os.close(writer)


def test_a_full_disk_is_told(shop: Lab) -> None:
    """With the status of a Python that could not write all."""
    with open("/dev/full", "w") as full:
        warm, cold = (said(start(shop, "ps", stdout=full, env=env)) for env in ({}, COLD))
    assert (warm[0], warm[2]) == (cold[0], cold[2].splitlines(keepends=True)[0])


def test_who_is_called_has_a_terminal(shop: Lab) -> None:
    """exec's command is a child of the process that was called, with its terminal."""
    master, slave = pty.openpty()
    with counted(shop, 1):
        ran = start(
            shop,
            "exec",
            "-t",
            "base",
            "sh",
            "-c",
            "echo $PPID; tty",
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        assert said(ran)[0] == 0
    printed = b""
    while printed.count(b"\n") < 2:  # the kernel hands a terminal's output on in parts
        assert select.select([master], [], [], 60)[0], printed
        printed += os.read(master, 1000)
    assert printed.split() == [str(ran.pid).encode(), os.ttyname(slave).encode()]
    for descriptor in (master, slave):
        os.close(descriptor)


def test_ctrl_c_interrupts_it(shop: Lab) -> None:
    """The process that works is told."""
    with waiting(shop, "network", "create", "n") as (ran, _):
        ran.send_signal(signal.SIGINT)
        assert said(ran) == (130, "", "\nplumb: interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_what_ends_the_caller_ends_the_work(shop: Lab, number: signal.Signals) -> None:
    """Whoever waits sees that it died of the signal, and nobody works on."""
    with waiting(shop, "network", "create", "n") as (ran, worker):
        ran.send_signal(number)
        assert said(ran)[0] == -number
        until(lambda: not start_time.started(worker), "the work has ended")


def test_a_stopped_command_goes_on(shop: Lab) -> None:
    """Ctrl-Z stops the work as well; fg lets both go on.

    It has a group of its own, as a shell's jobs have: the kernel discards SIGTSTP in an orphaned
    one, which the suite's may be.
    """
    with waiting(shop, "network", "create", "n", process_group=0) as (ran, worker):
        ran.send_signal(signal.SIGTSTP)
        until(lambda: state(ran.pid) == state(worker) == "T", "both are stopped")
        ran.send_signal(signal.SIGCONT)
        until(lambda: "T" not in (state(ran.pid), state(worker)), "both go on")
    assert said(ran)[0] == 0
    said(start(shop, "network", "rm", "n"))


@pytest.mark.parametrize(
    ("argv", "status"), [(["network", "create", "n"], 1), (["run", "-d"], 125)]
)
def test_work_that_is_killed_is_told(shop: Lab, argv: list[str], status: int) -> None:
    """One line, and a failure's exit status."""
    with waiting(shop, *argv) as (ran, worker):
        os.kill(worker, signal.SIGKILL)
        found = said(ran)
    assert found == (
        status,
        "",
        (
            "plumb: the process that carried out the command was killed; "
            "run 'plumb check' to verify the host's state\n"
        ),
    )


def test_a_command_that_ends_by_itself_is_settled_warm(shop: Lab) -> None:
    """The shim becomes `plumb settle`, which finds out that the shim is itself."""
    with counted(shop, 2):
        box = said(start(shop, "run", "-d", "--rm", "-p", "80", "sleep", "0.2"))[1].strip()
        until(lambda: box[:12] not in said(start(shop, "ps", "-aq", env=COLD))[1], "it is settled")
        until(lambda: not any(box in line for line in labs.processes()), "its shim has ended")
    assert not sh("ss -Hlnt sport = :80")
    assert agent(shop)
