"""Labs of a user without root or capabilities: all of plumb works there, nothing is left."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests import REPOSITORY
from tests.lab.user import User, user
from tests.labs import sh

MACHINE = (
    "ip -o link; ip -o address; ip route; iptables -S; iptables -t nat -S; "
    "sysctl net.ipv4.ip_forward; findmnt -n -o TARGET"
)


MARKED = f"sleep 1000.{os.getpid()}"
"""A command of this test's alone."""


@pytest.fixture(scope="module")
def nobody() -> Iterator[User]:
    with user() as made:
        yield made


@pytest.fixture(scope="module")
def lab(nobody: User) -> Iterator[User]:
    """Two hosts of that user's, with a published container on the first."""
    nobody.plumb("lab", "hosts", "2")
    try:
        on(nobody, "plumb network create --subnet 172.20.0.0/24 shop")
        on(nobody, "plumb run -d --name web --network shop -p 8080:80 python3 -m http.server 80")
        yield nobody
    finally:
        nobody.plumb("lab", "rm")


def on(lab: User, line: str, host: str = "h1", status: int | None = 0) -> str:
    """Run a shell line on a host of the user's lab."""
    return lab.plumb("lab", "exec", host, "sh", "-c", line, status=status)


def running(line: str) -> bool:
    """True if a process of the machine has that command line."""
    wanted = line.replace(" ", "\0").encode()
    found = False
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found |= path.read_bytes().startswith(wanted)
    return found


def test_its_root_is_the_user_for_the_machine(lab: User) -> None:
    assert on(lab, "id -u") == "0\n"
    assert "0      65534          1" in on(lab, "cat /proc/self/uid_map")


def test_a_name_is_resolved_and_a_container_reached(lab: User) -> None:
    said = on(lab, "plumb run --rm --network shop ping -c 1 -q -W 30 web")
    assert "1 received" in said


def test_the_neighbour_reaches_a_published_port(lab: User) -> None:
    ask = "curl -s --retry 20 --retry-connrefused -o /dev/null -w '%{http_code}' 192.0.2.10:8080"
    assert on(lab, ask, "h2") == "200"


def test_nothing_differs_from_the_record(lab: User) -> None:
    """The group that may ping is all that exist there."""
    assert on(lab, "plumb check") == ""
    assert on(lab, "plumb exec web cat /proc/sys/net/ipv4/ping_group_range").split() == ["0", "0"]


def test_all_promises_are_kept(lab: User) -> None:
    assert "all as promised" in on(lab, "plumb matrix")


def test_traffic_is_counted(lab: User) -> None:
    assert "web" in on(lab, "plumb stats --no-stream")


def test_a_trace_finds_the_cause_without_the_kernels_word(lab: User) -> None:
    """What the kernel says of drops is out of reach; the rule is found, and a setting is."""
    on(lab, "iptables -I FORWARD -p icmp -j DROP")
    said = on(lab, "plumb trace web 198.51.100.1", status=1)
    on(lab, "iptables -D FORWARD -p icmp -j DROP; sysctl -qw net.ipv4.ip_forward=0")
    assert "the question was dropped in host by filter FORWARD #1: -p icmp -j DROP" in said
    said = on(lab, "plumb trace web 198.51.100.1", status=1)
    on(lab, "plumb repair")
    assert "cause: host does not forward what is not for itself" in said


def test_a_host_is_cut_off_and_connected_again(lab: User) -> None:
    lab.plumb("lab", "cut", "h2")
    on(lab, "ping -c 1 -W 1 192.0.2.11", status=1)
    lab.plumb("lab", "mend", "h2")
    on(lab, "ping -c 1 -W 30 192.0.2.11")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("--user 1000", "in a lab without root there is no user but root"),
        ("--read-only-host", "make device nodes, which takes the real root"),
    ],
)
def test_what_takes_the_real_root_is_said(lab: User, flags: str, reason: str) -> None:
    assert reason in on(lab, f"plumb run --rm {flags} true", status=None)


def test_a_shells_lab_ends_with_the_shell(nobody: User) -> None:
    """It has a neighbour and an internet, and leaves nothing of the machine changed."""
    before = sh(MACHINE)
    typed = (
        f"plumb run -d -p 80:80 --name c1 {MARKED}; ping -c 1 -q 192.0.2.11; plumb ps -q; "
        f"pgrep -f '^{MARKED}'\n"
    )
    own = ("env", f"XDG_RUNTIME_DIR={nobody.programs}", "python", "-m", "plumb")
    said = nobody.run(*own, "lab", "shell", typed=typed).stdout
    assert "1 received" in said
    *_, container, pid = said.split()
    assert len(container) == 12
    assert int(pid)
    assert sh(MACHINE) == before
    assert not running(MARKED)


def test_nothing_is_left(nobody: User) -> None:
    """No process, no file."""
    nobody.plumb("lab", "hosts", "1", "--lab", "gone")
    own = ("lab", "exec", "--lab", "gone", "h1")
    nobody.plumb(*own, "plumb", "run", "-d", "--name", "c1", *MARKED.split())
    assert running(MARKED)
    nobody.plumb("lab", "rm", "gone")
    assert not running(MARKED)
    assert not list(Path(nobody.home).glob("plumb-labs-*/gone*"))


def test_a_system_that_forbids_it_is_told_the_setting(nobody: User) -> None:
    """A user namespace of its own has that limit too; without capabilities it cannot be passed."""
    line = (
        "mount -t tmpfs run /run; echo 0 >/proc/sys/user/max_user_namespaces; "
        "exec setpriv --inh-caps=-all --bounding-set=-all python -m plumb lab hosts 1"
    )
    ran = nobody.run("unshare", "-U", "-r", "-m", "sh", "-c", line, status=1)
    assert ran.stderr.startswith("plumb: a lab without root needs a user namespace: cannot make a ")
    assert "user.max_user_namespaces is 0, 'sysctl -w user.max_user_namespaces=15000'" in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_the_demo_needs_no_root(nobody: User) -> None:
    """As the Makefile runs it for an ordinary user."""
    alone = re.search(r"^ALONE .*?lab$", (REPOSITORY / "Makefile").read_text(), re.M | re.S)
    assert alone
    words = alone[0].partition(":= ")[2].replace("\\\n", "").replace("$$", "$")
    line = f"cd {REPOSITORY} && exec {words} python -m examples.three_tier"
    assert "0 broken" in nobody.run("sh", "-c", line).stdout
