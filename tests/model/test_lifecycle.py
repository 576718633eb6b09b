"""A container's life by Docker's rules: durations, restart policies, back-off, health, STATUS."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plumb import Sandbox
from plumb.errors import Invalid
from plumb.model import keywords
from plumb.model.cnm import Status
from plumb.model.lifecycle import (
    Health,
    HealthCheck,
    Restart,
    RestartPolicy,
    Restarts,
    durations,
    health,
    restart,
    status,
)

# -- durations ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("300ms", 0.3), ("1.5s", 1.5), ("1m30s", 90), ("2h", 7200), ("-5s", -5)],
)
def test_durations_are_gos(text: str, seconds: float) -> None:
    """Numbers with units, one after the other."""
    assert durations.duration(text, "--x") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "1x", "1 s", "1s2", "5s "])
def test_other_durations_are_refused(text: str) -> None:
    """A number without a unit too."""
    with pytest.raises(Invalid, match="duration"):
        durations.duration(text, "--x")


@pytest.mark.parametrize(
    "text", ["0s", "300ms", "1.5s", "1m30s", "2h0m0s", "1h0m1s", "2\N{MICRO SIGN}s", "10ns"]
)
def test_durations_are_spelt_as_go_does(text: str) -> None:
    """Minutes and seconds stay where hours are there."""
    assert durations.spelt(durations.duration(text, "--x")) == text


# -- restart policies ---------------------------------------------------------------


def test_policies_are_parsed() -> None:
    """on-failure may have a number."""
    assert restart.policy("unless-stopped") == RestartPolicy(Restart.UNLESS_STOPPED)
    assert restart.policy("on-failure:3") == RestartPolicy(Restart.ON_FAILURE, 3)
    assert str(restart.policy("on-failure:3")) == "on-failure:3"
    assert restart.policy("") == RestartPolicy()


@pytest.mark.parametrize(
    "text", ["never", "always:3", "on-failure:x", "on-failure:-1", ":3", "on-failure:"]
)
def test_other_policies_are_refused(text: str) -> None:
    """In Docker's words."""
    with pytest.raises(Invalid, match="invalid restart policy"):
        restart.policy(text)


def test_the_back_off_doubles_up_to_a_minute() -> None:
    """So a command that dies at once is started a dozen times in the first two minutes."""
    so_far, waits = Restarts(), []
    for _ in range(12):
        found = restart.again(RestartPolicy(Restart.ALWAYS), so_far, 1, 0.01)
        assert found is not None
        so_far = found
        waits.append(so_far.back_off)
    assert waits[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert waits[-2:] == [60.0, 60.0]
    assert so_far.count == 12


def test_ten_seconds_of_running_reset_the_back_off() -> None:
    """The count goes on."""
    found = restart.again(RestartPolicy(Restart.ALWAYS), Restarts(7, 12.8), 1, 10.0)
    assert found == Restarts(8, 0.1)


@pytest.mark.parametrize(
    ("policy", "so_far", "code", "again"),
    [
        ("no", Restarts(), 1, False),
        ("always", Restarts(), 0, True),
        ("always", Restarts(stopped=True), 1, False),
        ("unless-stopped", Restarts(), 0, True),
        ("unless-stopped", Restarts(stopped=True), 0, False),
        ("on-failure", Restarts(100), 1, True),
        ("on-failure", Restarts(), 0, False),
        ("on-failure:2", Restarts(1), 1, True),
        ("on-failure:2", Restarts(2), 1, False),
    ],
)
def test_who_starts_again(policy: str, so_far: Restarts, code: int, again: bool) -> None:
    """Whoever was stopped by hand does not."""
    assert (restart.again(restart.policy(policy), so_far, code, 1.0) is not None) is again


def test_who_starts_with_the_host() -> None:
    """Only always starts what the user has stopped."""
    stopped = Restarts(stopped=True)
    found = {name: restart.after_boot(RestartPolicy(name), stopped) for name in Restart}
    assert found == {
        Restart.NO: False,
        Restart.ALWAYS: True,
        Restart.UNLESS_STOPPED: False,
        Restart.ON_FAILURE: False,
    }
    assert restart.after_boot(RestartPolicy(Restart.UNLESS_STOPPED), Restarts())


# -- health ---------------------------------------------------------------


def line(code: int = 0, output: bytes = b"") -> dict[str, Any]:
    """A result of a check."""
    return health.result(0.0, 1.0, code, output)


def checked(check: HealthCheck, *codes: int, running: float = 100.0) -> Health:
    """The state after these results."""
    state = health.starting()
    for code in codes:
        state = health.after(state, check, running, code, line(code))
    return state


def test_three_failures_in_a_row_make_it_unhealthy() -> None:
    """One success makes it healthy."""
    assert checked(HealthCheck(), 1, 1)["Status"] == "starting"
    assert checked(HealthCheck(), 1, 1, 1)["Status"] == "unhealthy"
    assert checked(HealthCheck(), 0, 1, 1)["Status"] == "healthy"
    assert checked(HealthCheck(), 1, 1, 1, 0) == {
        "Status": "healthy",
        "FailingStreak": 0,
        "Log": [line(1), line(1), line(1), line(0)],
    }
    assert checked(HealthCheck(retries=1), 1)["Status"] == "unhealthy"


def test_failures_in_the_start_period_do_not_count() -> None:
    """Until the first success, which ends it."""
    slow = HealthCheck(retries=1, start_period=60)
    assert checked(slow, 1, 1, running=59)["FailingStreak"] == 0
    assert checked(slow, 1, running=60)["Status"] == "unhealthy"
    assert checked(slow, 0, 1, running=1)["Status"] == "unhealthy"


def test_five_results_are_kept_and_4096_bytes_of_each() -> None:
    """The output's end is cut, and says so."""
    assert len(checked(HealthCheck(), *[0] * 9)["Log"]) == 5
    assert line(output=b"x" * 4096)["Output"] == "x" * 4096
    assert line(output=b"x" * 4097)["Output"] == "x" * 4096 + "..."


def test_the_pause_is_the_start_interval_while_it_starts() -> None:
    """Docker's defaults are 30 and 5 seconds."""
    check = HealthCheck(interval=10, start_period=60, start_interval=2)
    assert health.pause(check, "starting", 59) == 2
    assert health.pause(check, "starting", 61) == 10
    assert health.pause(check, "healthy", 1) == 10
    assert health.pause(HealthCheck(start_period=60), "starting", 0) == 5
    assert health.pause(HealthCheck(), "starting", 0) == 30


def test_docker_shows_what_was_asked_for_in_nanoseconds() -> None:
    """What was not given is not shown."""
    assert health.configured(HealthCheck("true", interval=1.5, retries=2)) == {
        "Test": ["CMD-SHELL", "true"],
        "Interval": 1_500_000_000,
        "Retries": 2,
    }
    assert health.configured(HealthCheck(disabled=True)) == {"Test": ["NONE"]}
    assert health.configured(HealthCheck()) == {}


# -- keywords ---------------------------------------------------------------


def test_the_librarys_keywords() -> None:
    """Times are text or seconds."""
    box = keywords.sandbox(
        "web", {"restart": "always", "health_cmd": "true", "health_interval": "1m"}
    )
    assert box.restart == RestartPolicy(Restart.ALWAYS)
    assert box.health == HealthCheck("true", interval=60.0)
    assert keywords.sandbox("web", {"health_timeout": 2}).health == HealthCheck(timeout=2.0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"restart": "always", "auto_remove": True}, "both --restart and --rm"),
        ({"health_cmd": "true", "no_healthcheck": True}, "--no-healthcheck conflicts"),
        ({"health_interval": "-1s"}, "--health-interval cannot be negative"),
        ({"health_interval": "10us"}, "Interval in Healthcheck cannot be less than 1ms"),
        ({"health_retries": -1}, "--health-retries cannot be negative"),
        ({"health_start_period": 0.0001}, "StartPeriod in Healthcheck cannot be less"),
    ],
)
def test_what_does_not_go_together(given: dict[str, Any], words: str) -> None:
    """In Docker's words."""
    with pytest.raises(Invalid, match=words):
        keywords.sandbox("web", given)


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({}, {"driver": "syslog", "options": {"tag": "lab", "syslog-facility": "local0"}}),
        (
            {"log_opt": ["tag=own"]},
            {"driver": "syslog", "options": {"syslog-facility": "local0", "tag": "own"}},
        ),
        ({"log_driver": "json-file"}, {"driver": "json-file", "options": {}}),
        ({"log_driver": "none"}, {"driver": "none", "options": {}}),
    ],
)
def test_the_logging_driver_of_the_settings(given: dict[str, Any], options: object) -> None:
    """Is a container's that asks for none; its options are those of no other driver."""
    usual = (("tag", "lab"), ("syslog-facility", "local0"))
    log = keywords.sandbox("web", given, "syslog", usual).log
    assert {"driver": log.driver, "options": dict(log.options)} == options


# -- STATUS ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (150, "2 minutes"),
        (3600, "About an hour"),
        (47 * 3600, "47 hours"),
        (5 * 86400, "5 days"),
        (20 * 86400, "2 weeks"),
        (100 * 86400, "3 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_lengths_of_time(seconds: float, words: str) -> None:
    """In Docker's words."""
    assert status.human(seconds) == words


def test_status_words() -> None:
    """State, time, health."""
    now = datetime(2026, 1, 31, tzinfo=UTC)
    before = (now - timedelta(seconds=3)).isoformat()
    up = Sandbox("1", "web", status=Status.RUNNING, started=before)
    ended = {"finished": before, "exit_code": 2}
    assert status.shown(up, None, now) == "Up 3 seconds"
    assert status.shown(up, {"Status": "healthy"}, now) == "Up 3 seconds (healthy)"
    assert status.shown(up, health.starting(), now) == "Up 3 seconds (health: starting)"
    found = [
        status.shown(Sandbox("1", "web", status=state, **ended), None, now)  # type: ignore[arg-type]
        for state in (Status.CREATED, Status.EXITED, Status.RESTARTING)
    ]
    assert found == ["Created", "Exited (2) 3 seconds ago", "Restarting (2) 3 seconds ago"]
