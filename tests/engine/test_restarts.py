"""Restart policies in the intent: who waits for another start, and who is stopped for good."""

from __future__ import annotations

import pytest

from plumb import Conflict, Host, StepFailed
from plumb.errors import KernelRefused
from plumb.kernel.memory import MemoryKernel
from plumb.model.cnm import Status
from plumb.things.host_ports import Agent
from plumb.things.sandbox import Process
from plumb.things.supervision import DelayedStart, HealthProbe


def there(host: Host, kind: type) -> list[object]:
    """What there is of a kind of thing."""
    assert isinstance(host.kernel, MemoryKernel)
    return [thing for thing in host.kernel.things.values() if isinstance(thing, kind)]


def dies(host: Host, box: str = "web", code: int = 1) -> Status:
    """Its command ends by itself; the status after that."""
    host.stop(box, exit_code=code)
    return host.container(box).status


def test_a_command_that_ends_waits_for_its_next_start(host: Host) -> None:
    """Its network is let go meanwhile, and the agent has the time."""
    host.run("web", command=("sleep", "1"), restart="always")
    assert dies(host) is Status.RESTARTING
    assert host.endpoints(host.container("web")) == []
    (delayed,) = there(host, DelayedStart)
    assert isinstance(delayed, DelayedStart)
    assert delayed.seconds == 0.1
    host.resume("web")
    box = host.container("web")
    assert (box.status, box.restarts.count) == (Status.RUNNING, 1)
    assert there(host, DelayedStart) == []
    assert len(there(host, Process)) == 1


def test_each_end_doubles_the_back_off(host: Host) -> None:
    """And counts."""
    host.run("web", command=("sleep", "1"), restart="always")
    for _ in range(3):
        dies(host)
        host.resume("web")
    dies(host)
    assert host.container("web").restarts.back_off == pytest.approx(0.8)
    assert host.container("web").restarts.count == 4


def test_the_agent_stays_between_two_starts(host: Host) -> None:
    """It would begin and end with each start else."""
    host.run("web", command=("sleep", "1"), restart="always", network="none")
    (agent,) = there(host, Agent)
    dies(host)
    assert there(host, Agent) == [agent]
    host.remove("web", force=True)
    assert there(host, Agent) == []


def test_stop_ends_the_wait(host: Host) -> None:
    """It is exited then, and a late start finds that."""
    host.run("web", command=("sleep", "1"), restart="always")
    dies(host)
    host.stop("web")
    assert host.container("web").status is Status.EXITED
    assert there(host, DelayedStart) == []
    host.resume("web")
    assert host.container("web").status is Status.EXITED


def test_start_by_hand_begins_anew(host: Host) -> None:
    """The count is of automatic starts since then."""
    host.run("web", command=("sleep", "1"), restart="always")
    dies(host)
    host.stop("web")
    host.start("web")
    assert host.container("web").restarts.count == 0
    assert dies(host) is Status.RESTARTING


def test_on_failure_gives_up(host: Host) -> None:
    """After as many starts as were asked for, and after a success."""
    host.run("web", command=("sleep", "1"), restart="on-failure:1")
    assert dies(host) is Status.RESTARTING
    host.resume("web")
    assert dies(host) is Status.EXITED
    host.start("web")
    assert dies(host, code=0) is Status.EXITED


def test_update_changes_the_policy(host: Host) -> None:
    """Of a running container too, but not of one that goes when its command ends."""
    host.run("web", command=("sleep", "1"))
    host.update("web", restart="always")
    assert dies(host) is Status.RESTARTING
    host.run("brief", command=("sleep", "1"), auto_remove=True)
    with pytest.raises(Conflict, match="AutoRemove"):
        host.update("brief", restart="always")


def test_what_waits_is_removed_by_force_only(host: Host) -> None:
    """As what runs."""
    host.run("web", command=("sleep", "1"), restart="always")
    dies(host)
    with pytest.raises(Conflict, match="container is restarting"):
        host.remove("web")
    host.remove("web", force=True)
    assert there(host, DelayedStart) == []


def test_what_cannot_start_again_is_stopped_and_says_why(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker does not try once more either."""
    host.run("web", command=("sleep", "1"), restart="always")
    dies(host)
    take = host.kernel.take

    def refuse(steps):  # type: ignore[no-untyped-def]
        wanted = next((step for step in steps if isinstance(step.after, Process)), None)
        if wanted is not None:
            raise StepFailed(KernelRefused("start it"), wanted, [])
        take(steps)

    monkeypatch.setattr(host.kernel, "take", refuse)
    with pytest.raises(StepFailed):
        host.resume("web")
    box = host.container("web")
    assert box.status is Status.EXITED
    assert "start it" in box.error


def test_repair_starts_a_lost_command_again(host: Host) -> None:
    """Its end was not seen; the policy holds all the same."""
    host.run("web", command=("sleep", "1"), restart="always")
    host.run("other", command=("sleep", "1"))
    assert isinstance(host.kernel, MemoryKernel)
    for key in [key for key in host.kernel.things if key[0] == "process"]:
        del host.kernel.things[key]
    host.repair()
    assert host.container("web").status is Status.RUNNING
    assert host.container("other").status is Status.EXITED
    assert host.check() == []


def test_a_health_check_lasts_as_long_as_the_container_runs(host: Host) -> None:
    """It has the container's capabilities and environment."""
    host.run(
        "web",
        command=("sleep", "1"),
        health_cmd="test -e /x",
        health_interval=1,
        environment=["A=b"],
    )
    (probe,) = there(host, HealthProbe)
    assert isinstance(probe, HealthProbe)
    assert probe.process.argv == ("/bin/sh", "-c", "test -e /x")
    assert "A=b" in probe.process.environment
    assert (probe.interval, probe.follows) == (1.0, True)
    host.stop("web")
    assert there(host, HealthProbe) == []
