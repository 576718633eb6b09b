"""The command line: help, listings, formats, exit statuses, and errors of one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from plumb.cli import VERBS, first_verb
from plumb.kernel.capture import undo_log
from tests import REPOSITORY, labs
from tests.labs import Lab

CONTAINER = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]


@pytest.fixture(scope="module")
def shop() -> Iterator[Lab]:
    """A lab with a network `shop`, a running container `web` and a stopped one `old` on it.

    Nobody changes it.
    """
    with labs.lab() as made:
        made.plumb("network", "create", "--subnet", "10.9.0.0/24", "--label", "a=b", "shop")
        made.plumb("run", "-d", "--name", "web", "--network", "shop", "--label", "tier=front")
        made.plumb("create", "--name", "old", "--network", "shop")
        yield made


def lines(lab: Lab, *argv: str) -> list[str]:
    """What a command prints."""
    return lab.plumb(*argv).stdout.splitlines()


# -- help and versions ---------------------------------------------------------------


@pytest.mark.parametrize("argv", [pytest.param([]), ["--help"]])
def test_help_names_every_verb(shop: Lab, argv: list[str]) -> None:
    """With a line about each."""
    ran = shop.plumb(*argv, status=None)
    text = ran.stdout + ran.stderr
    assert all(f"  {verb} " in text and about in text for verb, (_, about) in VERBS.items())


@pytest.mark.parametrize("verb", [["network", "create"], ["run"], ["exec"], ["ps"], ["reset"]])
def test_every_verb_has_help(shop: Lab, verb: list[str]) -> None:
    """It says how it is used."""
    assert lines(shop, *verb, "--help")[0].startswith(f"Usage: plumb {' '.join(verb)} ")


def test_help_of_run_says_what_a_container_is_not(shop: Lab) -> None:
    """Whoever runs something in one reads that it is not protected from it."""
    text = " ".join(shop.plumb("run", "--help").stdout.split())
    assert "shares the host's files, processes and users" in text
    assert "--cap-drop does not protect the host" in text


@pytest.mark.parametrize(
    ("line", "status", "out"),
    [
        ("version >&-", 0, 0),
        ("network ls <&-", 0, 5),
        ("network ls 2>&-", 0, 5),
        ("version <&- >&- 2>&-", 0, 0),
        ("network rm nosuch 2>&-", 1, 0),
        ("network rm nosuch >&- 2>&-", 1, 0),
        ("run --rm --network none echo 2>&-", 0, 1),
    ],
)
def test_a_stream_may_be_closed(shop: Lab, line: str, status: int, out: int) -> None:
    """What was to be written there is not; the command does its work and ends as else."""
    ran = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m plumb {line}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env={**os.environ, "PLUMB_ROOT": str(shop.root)},
    )
    assert (ran.returncode, len(ran.stdout.splitlines()), ran.stderr) == (status, out, "")


def test_a_command_by_itself_ends_at_once(lab: Lab) -> None:
    """All that it printed is written; Python would take 12 ms to tidy up."""
    line = "import atexit; atexit.register(print, 'tidied up'); from plumb.__main__ import main"
    ran = subprocess.run(
        [sys.executable, "-c", f"{line}; main()", "network", "ls", "-q", "--no-trunc"],
        env={**os.environ, "PLUMB_ROOT": str(lab.root), "PLUMB_WARM": "0"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert ran.stdout == lab.plumb("network", "ls", "-q", "--no-trunc").stdout != ""


def test_version(shop: Lab) -> None:
    """plumb's, Python's, the kernel's and the libraries'."""
    found = json.loads(shop.plumb("version", "--json").stdout)
    assert sorted(found) == ["click", "kernel", "plumb", "python", "python-iptables", "scapy"]
    assert lines(shop, "version")[0].split() == ["plumb", found["plumb"]]


# -- listings ---------------------------------------------------------------


def test_network_ls(shop: Lab) -> None:
    """Docker's columns, by name."""
    rows = [line.split() for line in lines(shop, "network", "ls")]
    assert rows[0] == ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]
    assert [row[1:] for row in rows[1:]] == [
        ["bridge", "bridge", "local"],
        ["host", "host", "local"],
        ["none", "null", "local"],
        ["shop", "bridge", "local"],
    ]
    assert all(len(row[0]) == 12 for row in rows[1:])


def test_network_ls_before_anything_was_made(lab: Lab) -> None:
    """The three predefined are there, and nothing is written down by looking."""
    assert lines(lab, "network", "ls", "--format", "{{.Name}}") == ["bridge", "host", "none"]
    assert not lab.root.exists()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["name=ho"], ["host", "shop"]),
        (["driver=null"], ["none"]),
        (["type=custom"], ["shop"]),
        (["type=builtin"], ["bridge", "host", "none"]),
        (["label=a"], ["shop"]),
        (["label=a=b"], ["shop"]),
        (["label=a=c"], []),
        (["dangling=true"], []),
        (["dangling=false"], ["bridge", "host", "none", "shop"]),
        (["scope=local"], ["bridge", "host", "none", "shop"]),
        (["scope=swarm"], []),
        (["type=custom", "type=builtin"], ["bridge", "host", "none", "shop"]),
        (["type=custom", "name=host"], []),
    ],
)
def test_network_filters(shop: Lab, words: list[str], found: list[str]) -> None:
    """One key's values are alternatives, several keys all count."""
    filters = [part for word in words for part in ("--filter", word)]
    assert lines(shop, "network", "ls", "--format", "{{.Name}}", *filters) == found


def test_quiet_and_whole_ids(shop: Lab) -> None:
    """-q prints ids alone, --no-trunc all 64 digits."""
    short, whole = (lines(shop, "network", "ls", "-q", *more) for more in ([], ["--no-trunc"]))
    assert [len(ident) for ident in whole] == [64] * 4
    assert short == [ident[:12] for ident in whole]


def test_ps(shop: Lab) -> None:
    """Those that run, and with -a the others too, the newest first."""
    assert [line.split()[-1] for line in lines(shop, "ps")] == ["NAMES", "web"]
    rows = lines(shop, "ps", "-a")
    assert [column for column in CONTAINER if column in rows[0]] == CONTAINER
    assert [line.split()[-1] for line in rows[1:]] == ["old", "web"]
    assert lines(shop, "ps", "--format", "{{.Networks}} {{.Addresses}}") == ["shop 10.9.0.2"]


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("name=we", ["web"]),
        ("network=shop", ["web"]),
        ("label=tier=front", ["web"]),
        ("status=created", ["old"]),
        ("status=running", ["web"]),
    ],
)
def test_ps_filters(shop: Lab, word: str, found: list[str]) -> None:
    """A status shows those that do not run as well."""
    assert lines(shop, "ps", "--filter", word, "--format", "{{.Names}}") == found


def test_json_listings(shop: Lab) -> None:
    """One object a line, by either spelling."""
    rows = [json.loads(line) for line in lines(shop, "ps", "-a", "--json")]
    assert [(row["Names"], row["State"]) for row in rows] == [
        ("old", "created"),
        ("web", "running"),
    ]
    spelt = [json.loads(line) for line in lines(shop, "ps", "-a", "--format", "json")]
    for row in (*rows, *spelt):
        del row["RunningFor"], row["Status"]  # they tell the time since
    assert spelt == rows


# -- inspect ---------------------------------------------------------------


def test_inspect_is_an_array(shop: Lab) -> None:
    """Containers or networks, in the order in which they were named."""
    found = json.loads(shop.plumb("inspect", "web", "shop").stdout)
    assert [one["Name"] for one in found] == ["/web", "shop"]
    assert found[0]["NetworkSettings"]["Networks"]["shop"]["IPAddress"] == "10.9.0.2"


def test_inspect_by_template(shop: Lab) -> None:
    """A line for each."""
    assert lines(shop, "inspect", "-f", "{{.State.Status}}", "web", "old") == ["running", "created"]
    assert lines(
        shop, "network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}}{{end}}", "shop"
    ) == ["10.9.0.0/24"]
    (found,) = json.loads(shop.plumb("inspect", "-f", "json", "web").stdout)
    assert found["Name"] == "/web"


def test_inspect_reports_what_is_missing_and_shows_the_rest(shop: Lab) -> None:
    """Status 1, one line for the one, an array of the other."""
    ran = shop.plumb("inspect", "web", "nosuch", status=1)
    assert [one["Name"] for one in json.loads(ran.stdout)] == ["/web"]
    assert ran.stderr == "plumb: No such object: nosuch\n"


def test_inspect_of_one_type(shop: Lab) -> None:
    """A container is no network."""
    assert "not found" in shop.plumb("inspect", "--type", "network", "web", status=1).stderr


# -- exit statuses and errors ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "status", "line"),
    [
        (
            ["network", "rm", "nosuch"],
            1,
            "plumb: network nosuch not found; 'plumb network ls' shows those that there are\n",
        ),
        (
            ["run", "-d", "--network", "nosuch"],
            125,
            (
                "plumb: failed to set up container networking: network nosuch not found; "
                "'plumb network ls' shows those that there are\n"
            ),
        ),
        (["--config", "/dev/null", "run", "--nonsense"], 125, None),
        (
            ["start", "nosuch"],
            1,
            "plumb: No such container: nosuch; 'plumb ps -a' shows those that there are\n",
        ),
        (["nonsense"], 1, None),
        (["network", "create"], 1, None),
        (["exec", "old", "true"], 1, None),
        (["run", "--rm", "nosuchcommand"], 127, None),
    ],
)
def test_what_fails_says_so_in_one_line(
    shop: Lab, argv: list[str], status: int, line: str | None
) -> None:
    """And prints nothing else."""
    ran = shop.plumb(*argv, status=status)
    assert ran.stdout == ""
    assert ran.stderr.startswith("plumb: ")
    assert ran.stderr.count("\n") == 1
    assert line is None or ran.stderr == line


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (["run", "--rm", "sh", "-c", "exit 7"], 7),
        (["exec", "web", "sh", "-c", "exit 9"], 9),
        (["run", "--rm", "true"], 0),
    ],
)
def test_a_command_s_own_status(shop: Lab, argv: list[str], status: int) -> None:
    """Of a foreground run, and of exec."""
    assert shop.plumb(*argv, status=status).stderr == ""


def test_a_foreground_run_is_remembered(lab: Lab) -> None:
    """What ran and how it ended is seen afterwards, as with -d."""
    lab.plumb("run", "--name", "aa", "sh", "-c", "exit 7", status=7)
    assert lines(lab, "inspect", "-f", "{{.State.ExitCode}} {{.Path}}", "aa") == ["7 sh"]


def test_several_names_are_done_one_by_one(lab: Lab) -> None:
    """Each error is reported, the others are done."""
    for name in ("a", "b"):
        lab.plumb("network", "create", name)
    ran = lab.plumb("network", "rm", "a", "nosuch", "b", status=1)
    assert ran.stdout == "a\nb\n"
    assert ran.stderr.count("\n") == 1
    assert lab.plumb("network", "rm", "-f", "nosuch").stdout == ""


def test_a_dry_run_prints_and_changes_nothing(lab: Lab) -> None:
    """Not even a root is made."""
    before = labs.state()
    printed = lines(lab, "network", "create", "--dry-run", "--subnet", "10.9.0.0/24", "a")
    assert any(line.startswith("ip link add br-") for line in printed)
    assert labs.state() == before
    assert not lab.root.exists()


def test_a_prompt_that_is_not_answered_is_no_yes(shop: Lab) -> None:
    """Nothing is removed when nobody says so."""
    for argv in (["network", "prune"], ["reset"]):
        ran = shop.plumb(*argv, status=None)
        assert ran.returncode != 0
        assert ran.stderr.endswith("plumb: interrupted\n")
    assert lines(shop, "network", "ls", "--filter", "type=custom", "--format", "{{.Name}}") == [
        "shop"
    ]


def test_a_wrong_filter_is_wrong_even_if_there_is_nothing_to_prune(lab: Lab) -> None:
    """A slip of the pen is told on the first day, not on the day when it matters."""
    lab.plumb("network", "prune", "--force", "--filter", "nonsense=1", status=1)


def test_a_settings_file_that_is_not_there_is_told_to_readers_too(shop: Lab) -> None:
    """A slip in --config shows at once."""
    shop.plumb("--config", "/nonexistent", "network", "ls", status=1)


@pytest.mark.parametrize(
    ("words", "verb"),
    [
        (["run", "x"], "run"),
        (["--config", "run", "ps"], "ps"),
        ([], ""),
        (["--config", "x"], ""),
        (["--config=x", "run"], "run"),
    ],
)
def test_the_verb_of_a_command_line(words: list[str], verb: str) -> None:
    """It decides what a failure's status is."""
    assert first_verb(words) == verb


@pytest.mark.parametrize("argv", [("ps",), ("network", "create", "n2")])
def test_any_command_clears_up_after_a_trace_that_was_killed(
    lab: Lab, argv: tuple[str, ...]
) -> None:
    """The note that it has left is done, and thrown away."""
    lab.plumb("network", "create", "n1")
    left = lab.root / undo_log.FOLDER / "999999999-1-1"
    left.parent.mkdir(exist_ok=True)
    left.write_text(
        '{"setting": "/proc/sys/net/netfilter/nf_log/2", "value": "NONE", "ns": "/run/gone", '
        '"device": 4, "inode": 1}'
    )
    lab.plumb(*argv)
    assert not left.exists()
    lab.plumb("reset", "--force")
