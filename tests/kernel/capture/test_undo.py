"""After a trace all is as it was, to the handle.

And also when its process was killed in the middle.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from plumb.kernel.capture import tracefs, undo_log
from plumb.kernel.capture.drops import Drops
from plumb.kernel.capture.undo import sweep
from plumb.kernel.netns.namespaces import entered
from plumb.model.observations import Netns
from tests.kernel.capture.router_lab import Crossroads, flow
from tests.labs import sh
from tests.waiting import until

TOOLS = (
    "nft -a list ruleset",
    "iptables-nft-save",
    "iptables-legacy-save",
    "ip6tables-nft-save",
    "ip6tables-legacy-save",
)
LOGGERS = Path("/proc/sys/net/netfilter/nf_log")
RULES = """iptables-legacy -A FORWARD -p tcp -j ACCEPT; ip6tables-legacy -A FORWARD -p tcp -j ACCEPT
    iptables-nft -A FORWARD -p udp -j ACCEPT; ip6tables-nft -A FORWARD -p udp -j ACCEPT
    nft 'add table inet own; add chain inet own wall { type filter hook forward priority 5; }
    add rule inet own wall counter accept'"""


def state(place: Netns) -> dict[str, str]:
    """Rules with their handles, loggers, sysctls of netfilter, links with their flags, in a
    namespace."""
    with entered(place.ns):
        found = {
            tool: sh(
                f"{tool} | grep -v '^#' | sed 's/\\[[0-9:]*\\]//; s/packets [0-9]* bytes [0-9]*//'",
                check=False,
            )
            for tool in TOOLS
        }
        found["loggers"] = sh(
            "grep -r '' /proc/sys/net/netfilter/nf_log /proc/thread-self/net/ip_tables_names"
        )
        found["sysctls"] = sh(
            "sysctl -a 2>/dev/null | grep -E '^net\\.(netfilter|bridge|ipv[46])' | grep -v -E "
            "'count|mtu_expires|_mem'"
        )
        found["links"] = sh("ip -d link | grep -v -E 'age|timer'")
    return found


def instances() -> list[str]:
    """plumb's private instances of the kernel's tracing."""
    root = tracefs.mounted()
    try:
        folder = os.open("instances", os.O_RDONLY, dir_fd=root)
        try:
            return [
                name
                for name in os.listdir(folder)
                if name.startswith(f"{tracefs.PREFIX}{os.getpid()}-") or name in CHILDREN
            ]
        finally:
            os.close(folder)
    finally:
        os.close(root)


CHILDREN: set[str] = set()


def setting(number: int, value: str = "") -> str:
    """Which logger a family has in the calling thread's namespace; another one, if it is given."""
    if value:
        try:
            (LOGGERS / str(number)).write_text(value)
        except FileNotFoundError:
            pytest.skip(f"no logger {value} is loaded")
    return (LOGGERS / str(number)).read_text().strip()


@pytest.fixture
def ruled(crossroads: Crossroads) -> Crossroads:
    """With rules of all kinds in the host."""
    sh(RULES)
    return crossroads


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("logger", ["NONE", "nf_log_ipv4", "nfnetlink_log"])
def test_afterwards_all_is_as_it_was(ruled: Crossroads, version: int, logger: str) -> None:
    """Rules, handles, loggers, settings, links: of every place, whichever logger was bound."""
    logger = logger.replace("ipv4", f"ipv{version}")
    setting({4: 2, 6: 10}[version], logger)
    before = [state(place) for place in ruled.places]
    mine = flow(version)
    with ruled.collector(mine, bridges=[ruled.host]) as trace:
        assert trace.missing == []
        assert "plumb-trace-" in sh("nft list tables")
        assert setting({4: 2, 6: 10}[version]) == "nfnetlink_log"
        ruled.knock(mine, seconds=0.3)
        assert "legacy" in {step.backend for step in trace.collect(0.02).ruled}
    assert [state(place) for place in ruled.places] == before
    assert list(undo_log.orphaned(ruled.memory)) == []
    assert not any((Path(ruled.memory) / undo_log.FOLDER).glob("*"))


def test_a_logger_that_somebody_has_changed_meanwhile_stays(ruled: Crossroads) -> None:
    """What is put back is what plumb has changed, and no more."""
    with ruled.collector(flow()):
        setting(2, "nf_log_ipv4")
    assert setting(2) == "nf_log_ipv4"


@contextmanager
def killed(act: Callable[[ExitStack], object]) -> Iterator[int]:
    """A process that has done something, and was then killed before it could undo it; its pid."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with ExitStack() as stack:
                act(stack)
                os.write(writer, b"x")
                select.select([], [], [], 60)
        finally:
            os._exit(status)
    os.close(writer)
    try:
        assert os.read(reader, 1) == b"x"
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        yield pid
    finally:
        os.close(reader)


@pytest.mark.parametrize("version", [4, 6])
def test_after_a_kill_the_kernel_itself_removes_the_triggers(
    ruled: Crossroads, version: int
) -> None:
    """A table that a socket owns goes with it: nobody needs to sweep."""
    before = [state(place) for place in ruled.places]

    def rules() -> list[str]:
        return [after["nft -a list ruleset"] for after in map(state, ruled.places)]

    with killed(
        lambda stack: stack.enter_context(ruled.collector(flow(version), bridges=[ruled.host]))
    ):
        until(
            lambda: rules() == [each["nft -a list ruleset"] for each in before],
            "the triggers are gone",
            2,
        )


@pytest.mark.parametrize("version", [4, 6])
def test_after_a_kill_the_next_command_puts_the_loggers_back(
    ruled: Crossroads, version: int
) -> None:
    """From the note that was written before they were changed; the note is gone then."""
    before = [state(place) for place in ruled.places]
    with killed(lambda stack: stack.enter_context(ruled.collector(flow(version)))):
        assert setting({4: 2, 6: 10}[version]) == "nfnetlink_log"
        sweep(ruled.memory)
        until(lambda: [state(place) for place in ruled.places] == before, "all is as it was", 2)
        assert not any((Path(ruled.memory) / undo_log.FOLDER).glob("*"))


def test_after_a_kill_the_next_trace_sweeps_by_itself(ruled: Crossroads) -> None:
    """And remembers what was there before the first one."""
    before = setting(2)
    with killed(lambda stack: stack.enter_context(ruled.collector(flow()))):
        with ruled.collector(flow()) as trace:
            assert trace.missing == []
        assert setting(2) == before


def test_a_sweep_leaves_those_that_are_still_at_work_alone(ruled: Crossroads) -> None:
    """A note whose process lives is no orphan."""
    before = setting(2)
    with ruled.collector(flow()):
        sweep(ruled.memory)
        assert setting(2) == "nfnetlink_log"
    assert setting(2) == before


def test_a_note_about_a_namespace_that_is_gone_is_thrown_away(ruled: Crossroads) -> None:
    """Its loggers went with it."""
    gone = {"ns": "/run/gone", "device": 4, "inode": 1}
    undo_log.write(
        ruled.memory, 1, {"setting": "/proc/sys/net/netfilter/nf_log/2", "value": "NONE", **gone}
    )
    (note,) = (Path(ruled.memory) / undo_log.FOLDER).glob("*")
    note.rename(note.with_name("999999999-1-1"))
    sweep(ruled.memory)
    assert not any((Path(ruled.memory) / undo_log.FOLDER).glob("*"))


def test_a_sweep_with_nothing_to_do_makes_nothing(tmp_path: Path) -> None:
    """Not even its folder."""
    sweep(str(tmp_path / "root"))
    assert list(tmp_path.iterdir()) == []


def test_drops_leave_no_instance_behind(crossroads: Crossroads) -> None:
    """The kernel's tracing is as it was."""
    with Drops(flow(), crossroads.places, memory=crossroads.memory) as drops:
        if drops.source != "tracefs":
            pytest.skip(drops.missing or f"this kernel has {drops.source}")
        assert len(instances()) == 1
    assert instances() == []
    assert not any((Path(crossroads.memory) / undo_log.FOLDER).glob("*"))


def watching(crossroads: Crossroads) -> Callable[[ExitStack], object]:
    """What a process does that watches drops."""
    return lambda stack: stack.enter_context(
        Drops(flow(), crossroads.places, memory=crossroads.memory)
    )


def test_after_a_kill_the_next_command_removes_the_instance(crossroads: Crossroads) -> None:
    """By its note as well."""
    with killed(watching(crossroads)):
        found = [
            note["tracefs"] for _, note in undo_log.orphaned(crossroads.memory) if "tracefs" in note
        ]
        if not found:
            sweep(crossroads.memory)
            pytest.skip("this kernel has another source of drops")
        CHILDREN.update(found)
        assert instances() == found
        sweep(crossroads.memory)
        assert instances() == []


def test_after_a_kill_the_next_command_stops_the_drop_monitor(crossroads: Crossroads) -> None:
    """It would run on, and be nobody's; the next who watches drops has it."""
    with Drops(flow(), crossroads.places, memory=crossroads.memory) as drops:
        if drops.source != "drop_monitor":
            pytest.skip("this kernel has no drop monitor for us")
        with Drops(flow(), crossroads.places, memory=crossroads.memory) as second:
            assert second.source == "tracefs"  # one at a time
    with (
        killed(watching(crossroads)),
        Drops(flow(), crossroads.places, memory=crossroads.memory) as drops,
    ):
        assert drops.source == "drop_monitor"
    assert not any((Path(crossroads.memory) / undo_log.FOLDER).glob("*"))
