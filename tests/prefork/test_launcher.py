"""The compiled launcher itself: when it does without Python, and when it does not.

What a command does by way of it is in test_server.py, beside the client in Python.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import labs
from tests.labs import Lab
from tests.prefork.prefork_lab import (
    agent,
    counted,
    install_launcher,
    publish,
    quiet,
    said,
    start,
    state,
    waiting,
    warm_up,
)
from tests.waiting import until


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with a container, an agent, a prefork server, and a launcher that this one knows."""
    with labs.lab() as made:
        made.launcher = install_launcher(tmp_path_factory.mktemp("bin"))
        publish(made)
        warm_up(made)
        yield made


def program_of(lab: Lab, env: dict[str, str] | None = None) -> str:
    """The file that the process of a command executes while a worker works for it."""
    with waiting(lab, "network", "create", "n", env=env) as (ran, _):
        found = os.readlink(f"/proc/{ran.pid}/exe")
    assert said(ran)[0] == 0
    said(start(lab, "network", "rm", "n"))
    until(lambda: quiet(lab), "there is a spare")
    return found


def test_a_command_needs_no_python(shop: Lab) -> None:
    """The process that was called stays the launcher."""
    assert program_of(shop) == shop.launcher


@pytest.mark.parametrize(
    "env", [{"LC_ALL": "C"}, {"PYTHONUNBUFFERED": "1"}, {"HOME": "/tmp"}], ids=str
)
def test_what_python_reads_at_its_start_is_learned(shop: Lab, env: dict[str, str]) -> None:
    """The first command with other variables goes by way of Python, the next does not."""
    python = os.path.realpath(sys.executable)
    assert [program_of(shop, env), program_of(shop, env)] == [python, shop.launcher]


def test_a_program_that_has_changed_is_asked_again(shop: Lab) -> None:
    """Another interpreter may have other packages."""
    program = Path(shop.launcher).parent / "plumb-python"
    program.write_text(f"{program.read_text()}# another\n")
    assert program_of(shop) == os.path.realpath(sys.executable)
    assert program_of(shop) == shop.launcher


def test_a_launcher_starts_no_server(shop: Lab, tmp_path: Path) -> None:
    """Its program does, which knows what the server is to serve."""
    with labs.lab() as other:
        other.launcher = shop.launcher
        publish(other)
        assert said(start(other, "ps", "-q"))[0] == 0
        until(lambda: quiet(other), "there is a prefork server")
        assert agent(other)


def test_who_has_closed_a_stream_goes_on_by_itself(shop: Lab) -> None:
    """A number that is not open cannot be sent."""
    with counted(shop, 0):
        assert said(start(shop, "ps", "-q", preexec_fn=lambda: os.close(0)))[0] == 0


@pytest.mark.parametrize("name", ["", "netns", "agent.sock", "command.sock"])
def test_what_others_may_write_is_not_trusted(shop: Lab, name: str) -> None:
    """As for the client in Python: who may write there could be the one who listens."""
    path = shop.root / name
    mode = path.stat().st_mode
    path.chmod(mode | 0o002)
    with counted(shop, 0):
        status, _, errors = said(start(shop, "ps"))
        path.chmod(mode)
    assert (status, "can be written by others" in errors) == (1, True)


MUSL = """
#define _GNU_SOURCE
#include <sys/socket.h>
struct padded {
    socklen_t cmsg_len;
    int pad, cmsg_level, cmsg_type;
    unsigned char __cmsg_data[];
};
#define cmsghdr padded
"""
"""struct cmsghdr as musl has it on 64 bits, little endian, for glibc's macros."""


def test_another_c_librarys_headers_send_the_same(shop: Lab, tmp_path: Path) -> None:
    """Members of the kernel's structures are in another order there."""
    (tmp_path / "musl.h").write_text(MUSL)
    launcher = install_launcher(tmp_path, "-include", str(tmp_path / "musl.h"))
    lab = Lab(shop.root, shop.netns, launcher=launcher)
    said(start(lab, "version"))
    until(lambda: quiet(lab), "there is a spare")
    assert program_of(lab) == launcher


def test_an_incomplete_installation_is_told(shop: Lab, tmp_path: Path) -> None:
    """There is nothing that the launcher could execute."""
    alone = Path(install_launcher(tmp_path))
    (tmp_path / "plumb-python").unlink()
    shop = Lab(shop.root, shop.netns, launcher=str(alone))
    assert said(start(shop, "ps", env={"PATH": "/usr/bin:/bin"})) == (
        126,
        "",
        f"plumb: {tmp_path}/plumb-python: No such file or directory; install plumb again\n",
    )


@pytest.mark.parametrize("copy", [os.link, shutil.copy], ids=["link", "copy"])
def test_elsewhere_it_takes_the_program_from_path(
    shop: Lab, tmp_path: Path, copy: Callable[[str, str], object]
) -> None:
    """A hard link and a copy have nothing beside them."""
    installed = install_launcher(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    copy(installed, f"{tmp_path}/elsewhere/plumb")
    lab = Lab(shop.root, shop.netns, launcher=f"{tmp_path}/elsewhere/plumb")
    path = f"relative:{tmp_path}:{os.environ['PATH']}"
    assert said(start(lab, "ps", "-q", env={"PATH": path, "PLUMB_WARM": "0"}))[::2] == (0, "")


def test_it_does_not_run_setuid(shop: Lab, tmp_path: Path) -> None:
    """Its variables would be another user's, who names programs in them."""
    launcher = install_launcher(tmp_path)
    os.chown(launcher, 0, 0)
    os.chmod(launcher, 0o4755)
    tmp_path.chmod(0o755)
    words = ["setpriv", "--reuid", "65534", "--clear-groups", launcher, "version"]
    reader = subprocess.run(words, check=False, capture_output=True, text=True, close_fds=True)
    assert (reader.returncode, reader.stdout) == (126, "")
    assert "runs neither setuid nor" in reader.stderr


def test_a_stream_that_is_a_folder_is_told_by_python(shop: Lab) -> None:
    """The interpreter does not start with one."""
    folder = os.open("/", os.O_RDONLY)
    with counted(shop, 0):
        warm = said(start(shop, "ps", stdin=folder))
    assert (warm[0], "is a directory" in warm[2], "plumb/prefork" in warm[2]) == (1, True, False)
    os.close(folder)


@pytest.mark.parametrize("client", ["python", "launcher"])
def test_a_folder_that_is_gone_is_told(shop: Lab, tmp_path: Path, client: str) -> None:
    """A relative root is not found from there."""
    lab = shop if client == "launcher" else Lab(shop.root, shop.netns)
    words = ["sh", "-c", f'cd {tmp_path} && rmdir {tmp_path} && exec "$@"', "sh"]
    status, _, errors = said(start(lab, "ps", env={"PLUMB_ROOT": "r"}, prefix=tuple(words)))
    assert status == 1
    assert "Traceback" not in errors


@pytest.mark.parametrize("client", ["python", "launcher"])
def test_ctrl_z_without_a_shell_stops_nothing(shop: Lab, client: str) -> None:
    """In a group that no shell waits for nobody would continue it; the kernel discards the signal.

    The leader of a session is in such a group.
    """
    lab = shop if client == "launcher" else Lab(shop.root, shop.netns)
    with waiting(lab, "network", "create", "n", start_new_session=True) as (ran, worker):
        ran.send_signal(signal.SIGTSTP)
        ran.send_signal(signal.SIGTERM)  # arrives behind it, at a process that runs
        assert said(ran)[0] == -signal.SIGTERM
        until(lambda: state(worker) == "", "the work has ended")


def test_an_ignored_signal_stays_ignored(shop: Lab) -> None:
    """As nohup has it."""

    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with waiting(shop, "network", "create", "n", preexec_fn=ignore) as (ran, _):
        ran.send_signal(signal.SIGHUP)
    assert said(ran)[0] == 0
    said(start(shop, "network", "rm", "n"))
