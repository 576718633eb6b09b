"""A detached command's log: bounded files, and `logs` that prints them in their order."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from plumb.cli.logs import span
from tests.host.trial_hosts import MARK, plumb, tried
from tests.labs import Lab
from tests.prefork.prefork_lab import said, start
from tests.waiting import until

LINES = 3000
COUNT = f"i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo line $i; done"


def run(lab: Lab, script: str, *words: str) -> Path:
    """`run -d` of a shell script as the container box; the folder of its log."""
    given = ("run", "-d", "--name", "box", "--network", "none", "-e", MARK, *words)
    ident = plumb(lab, *given, "sh", "-c", script).strip()
    return Path(lab.root, "containers", ident)


def test_times_far_away() -> None:
    """Are the ends of what a log's times can be."""
    asked = span("1900-01-01", "9" * 20, "all")
    assert (asked.since, asked.until) == (
        "1970-01-01T00:00:00.000000000Z",
        "9999-12-31T23:59:59.000000000Z",
    )


def ended(lab: Lab) -> None:
    """Wait until the command has ended, and its container with it."""
    until(lambda: "Exited" in plumb(lab, "ps", "-a"), "the command has ended", 60)


def test_logs_prints_output_as_output_and_errors_as_errors(emptied: Lab) -> None:
    """Each in its order, also after the command's end."""
    run(emptied, "echo one; echo two >&2; echo three")
    ended(emptied)
    assert said(start(emptied, "logs", "box")) == (0, "one\nthree\n", "two\n")
    assert plumb(emptied, "logs", "--tail", "0", "box") == ""


def test_tail_counts_lines_of_both_streams(emptied: Lab) -> None:
    """As lines of the file."""
    run(emptied, "echo one; sleep 0.1; echo two >&2; sleep 0.1; echo three")
    ended(emptied)
    assert plumb(emptied, "logs", "--tail", "1", "box") == "three\n"
    assert said(start(emptied, "logs", "-n", "2", "box")) == (0, "three\n", "two\n")


def test_a_log_is_docker_s_json_file(emptied: Lab) -> None:
    """One object a line, with the text, the stream and the time."""
    folder = run(emptied, "printf 'a \\042quoted\\042 \\303\\251\\n'; printf unended >&2")
    ended(emptied)
    entries = sorted(map(json.loads, (folder / "log").read_text().splitlines()), key=str)
    assert [(entry["log"], entry["stream"]) for entry in entries] == [
        ('a "quoted" \N{LATIN SMALL LETTER E WITH ACUTE}\n', "stdout"),
        ("unended", "stderr"),
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{1,9}Z", e["time"]) for e in entries)
    assert (folder / "log").stat().st_mode & 0o777 == 0o600


def test_output_comes_back_byte_for_byte(emptied: Lab) -> None:
    """A line that is longer than 16 KiB, in parts, and bytes that are no UTF-8."""
    folder = run(emptied, r"head -c 40000 /dev/zero | tr '\0' x; printf '\377\200\n\r\n\0'")
    ended(emptied)
    with (folder / "printed").open("wb") as file:
        assert said(start(emptied, "logs", "box", stdout=file))[0] == 0
    assert (folder / "printed").read_bytes() == b"x" * 40000 + b"\xff\x80\n\r\n\0"
    lengths = [
        len(line["log"]) for line in map(json.loads, (folder / "log").read_text().split("\n")[:-1])
    ]
    assert lengths == [16384, 16384, 40000 - 2 * 16384 + 3, 2, 1]


def test_timestamps_stand_before_lines(emptied: Lab) -> None:
    """With nine digits behind the point, in UTC."""
    run(emptied, "echo one")
    ended(emptied)
    printed = plumb(emptied, "logs", "-t", "box")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z one\n", printed)


def test_since_and_until_choose_lines_by_their_times(emptied: Lab) -> None:
    """A date, Unix seconds with nanoseconds, a duration."""
    run(emptied, "echo one; sleep 0.1; echo two; sleep 0.1; echo three")
    ended(emptied)
    times = [line.split()[0] for line in plumb(emptied, "logs", "-t", "box").splitlines()]
    second = times[1]
    assert plumb(emptied, "logs", "--since", second, "box") == "two\nthree\n"
    assert plumb(emptied, "logs", "--until", second, "box") == "one\ntwo\n"
    seconds = int(datetime.fromisoformat(second[:19] + "Z").timestamp())
    unix = f"{seconds}.{second[20:29]}"
    assert plumb(emptied, "logs", "--since", unix, "--until", unix, "box") == "two\n"
    assert plumb(emptied, "logs", "--since", "1h", "box") == "one\ntwo\nthree\n"
    assert plumb(emptied, "logs", "--until", "1h", "box") == ""
    status, printed = tried(emptied, "logs", "--since", "soon", "box")
    assert (status, printed.count("\n")) == (1, 1)
    assert 'value for "since"' in printed


def test_a_log_of_an_older_plumb_is_read(emptied: Lab) -> None:
    """It was kept as it came; what comes after its end is on a line of its own."""
    run(emptied, "echo new")
    ended(emptied)
    folder = next(Path(emptied.root, "containers").iterdir())
    (folder / "log").write_text("older\nunended")
    assert plumb(emptied, "logs", "-t", "box") == "older\nunended"
    plumb(emptied, "start", "box")
    ended(emptied)
    until(lambda: "new" in plumb(emptied, "logs", "box"), "the second line is there")
    assert plumb(emptied, "logs", "box") == "older\nunended\nnew\n"


def test_a_log_is_bounded(emptied: Lab) -> None:
    """A file that is full is followed by another, and the oldest goes; `logs` prints all."""
    folder = run(emptied, COUNT, "--log-opt", "max-size=1k", "--log-opt", "max-file=3")
    ended(emptied)
    sizes = {path.name: path.stat().st_size for path in folder.glob("log*")}
    assert set(sizes) == {"log", "log.1", "log.2"}
    assert max(sizes.values()) <= 1024
    printed = plumb(emptied, "logs", "box").splitlines()
    kept = sum(path.read_text().count("\n") for path in folder.glob("log*"))
    assert printed == [f"line {number}" for number in range(LINES - kept + 1, LINES + 1)]


def test_a_log_of_one_file_is_emptied(emptied: Lab) -> None:
    """With max-file=1 there is no older one."""
    folder = run(emptied, COUNT, "--log-opt", "max-size=1k", "--log-opt", "max-file=1")
    ended(emptied)
    assert [path.name for path in folder.glob("log*")] == ["log"]
    assert (folder / "log").stat().st_size <= 1024


def test_logs_follows_until_the_end(emptied: Lab) -> None:
    """Lines that come later, in files that are begun later."""
    script = "i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo line $i; sleep 0.1; done"
    run(emptied, script, "--log-opt", "max-size=400", "--log-opt", "max-file=5")
    status, out, errors = said(start(emptied, "logs", "--follow", "box"))
    assert (status, errors) == (0, "")
    assert out.splitlines() == [f"line {number}" for number in range(1, 21)]


def test_logs_follows_both_streams(emptied: Lab) -> None:
    """Those that come after `logs` has begun, too."""
    run(emptied, "sleep 0.3; echo out; echo err >&2; sleep 0.3; echo end")
    following = start(emptied, "logs", "-f", "--since", "1h", "box")
    assert said(following) == (0, "out\nend\n", "err\n")


@pytest.mark.parametrize(
    "word", ["max-size=x", "max-size=0", "max-file=0", "maxsize=1", "max-file"]
)
def test_nonsense_is_refused(emptied: Lab, word: str) -> None:
    """In one line."""
    status, printed = tried(emptied, "run", "-d", "--log-opt", word, "true")
    assert (status, printed.count("\n")) == (125, 1)
