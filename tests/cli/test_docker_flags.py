"""Docker's flags: plumb has each, or refuses it in one sentence that says why.

docker_flags.json has those of Docker's command line 28.2, by verb: `-m, --memory VALUE`.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from plumb.cli import plumb
from plumb.cli.reference.refused_flags import FLAGS, LETTERS
from plumb.cli.reference.refused_verbs import VERBS
from plumb.errors import Invalid, Unsupported
from tests.labs import Lab

DOCKER: dict[str, list[str]] = json.loads((Path(__file__).parent / "docker_flags.json").read_text())
LINES = [
    pytest.param(verb, flag, id=f"{verb} {flag}")
    for verb, flags in DOCKER.items()
    for flag in flags
]


def command(verb: str) -> click.Command:
    """A verb's command, as in `network create`."""
    found: click.Command = plumb
    for word in verb.split():
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), word)
        assert inner is not None, f"plumb has no {verb}"
        found = inner
    return found


def parse(verb: str, *words: str) -> click.Context:
    """Parse a command line without carrying it out; what it lacks otherwise is no matter."""
    context = click.Context(plumb, info_name="plumb")
    for word in verb.split()[:-1]:
        context = click.Context(command(word), parent=context, info_name=word)
    return command(verb).make_context(
        verb.split()[-1], list(words), parent=context, resilient_parsing=True
    )


def option_of(verb: str, name: str) -> click.Option | None:
    """A verb's option of that name."""
    return next(
        (
            each
            for each in command(verb).params
            if isinstance(each, click.Option) and name in (*each.opts, *each.secondary_opts)
        ),
        None,
    )


@pytest.mark.parametrize(("verb", "flag"), LINES)
def test_every_flag_of_dockers_is_there_or_refused_in_words(verb: str, flag: str) -> None:
    """By both names, with a value where Docker's has one."""
    plain, valued, _ = flag.partition(" VALUE")
    for name in plain.split(", "):
        option = option_of(verb, name)
        if option is not None:
            assert bool(valued) == (not option.is_flag and option.type is not click.BOOL)
        else:
            full = LETTERS.get(verb, {}).get(name, name)
            assert FLAGS[verb][full].valued == bool(valued)
            refuses(verb, full, name)


def refuses(verb: str, full: str, name: str) -> None:
    """A verb refuses a flag in one sentence, but for values that ask for what it does anyway."""
    flag = FLAGS[verb][full]
    for value in flag.agrees:
        parse(verb, f"{name}={value}")
    for value in {"7"} if flag.valued else {"true", "false"} - set(flag.agrees):
        with pytest.raises(Unsupported, match=f"^{full} is not supported: [^\n]+$"):
            parse(verb, f"{name}={value}")


@pytest.mark.parametrize("verb", FLAGS)
def test_no_flag_is_refused_that_is_there(verb: str) -> None:
    """Nor one that Docker does not have; a reason stands for each."""
    verbs = ("service create", "service update") if verb.startswith("service") else (verb,)
    lines = [flag.removesuffix(" VALUE") for each in verbs for flag in DOCKER[each]]
    known = {name for line in lines for name in line.split(", ")}
    flags, letters = FLAGS[verb], LETTERS.get(verb, {})
    assert {flag for flag in flags if option_of(verb, flag) is not None} == set()
    assert {flag for flag in (*flags, *letters) if flag not in known} == set()
    assert all(flag.reason for flag in flags.values())


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        ("-m 512m", "--memory"),
        ("-m512m", "--memory"),
        ("-dm 512m", "--memory"),
        ("-tidm=512m", "--memory"),
        ("--memory=512m", "--memory"),
        ("-e A=1 -v /a:/b", "--volume"),
        ("--read-only", "--read-only"),
        ("--pid container:web", "--pid"),
    ],
)
def test_a_flag_is_refused_however_it_is_written(words: str, flag: str) -> None:
    """Its value apart from it or not, alone or among letters."""
    with pytest.raises(Unsupported, match=flag):
        parse("run", *words.split(), "true")


@pytest.mark.parametrize(
    ("words", "detach"),
    [
        ("-qd --rm", True),
        ("-dq", True),
        ("--pull never", False),
        ("--pid=host -d", True),
        ("--read-only=false", False),
        ("-m 0", False),
    ],
)
def test_what_asks_for_what_plumb_does_anyway_is_taken(words: str, detach: bool) -> None:
    """The flags around it count, and so does the command."""
    context = parse("run", *words.split(), "echo", "-m", "1")
    assert context.params["command"] == ("echo", "-m", "1")
    assert context.params["detach"] == detach


def test_a_refused_flag_without_its_value_says_so() -> None:
    """In Docker's words."""
    with pytest.raises(Invalid, match="flag needs an argument: --pid"):
        parse("run", "--pid")


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_of_dockers_without_meaning_is_refused_in_words(verb: str) -> None:
    """One sentence, by the longer name too."""
    *groups, last = verb.split()
    above = command(" ".join(groups))
    assert isinstance(above, click.Group)
    context = click.Context(above, info_name=" ".join(["plumb", *groups]))
    with pytest.raises(Unsupported, match=f"^plumb {verb} is not supported: [^\n]+$"):
        above.resolve_command(context, [last])


# -- flags that are carried out --------------------------------------------------------


def test_cidfile_holds_the_id(lab: Lab, tmp_path: Path) -> None:
    """Without a line's end, as Docker writes it; an older file is not overwritten."""
    path = tmp_path / "id"
    made = lab.plumb("create", "--cidfile", str(path), "--name", "web").stdout
    assert path.read_text() == made.strip()
    told = lab.plumb("run", "--cidfile", str(path), "true", status=125).stderr
    assert "container ID file found" in told
    path.unlink()
    shown = lab.plumb("run", "--rm", "--network", "none", "--cidfile", str(path), "cat", str(path))
    assert len(shown.stdout) == 64


def test_cidfile_goes_where_no_container_is_made(lab: Lab, tmp_path: Path) -> None:
    """Nor does it stand for one that a dry run shows."""
    path = tmp_path / "id"
    lab.plumb("run", "-d", "--cidfile", str(path), "--network", "nosuch", status=125)
    assert not path.exists()
    lab.plumb("create", "--cidfile", str(path), "--dry-run")
    assert not path.exists()


def test_labels_of_a_file(lab: Lab, tmp_path: Path) -> None:
    """A flag has the last word; a name without a value is no label."""
    path = tmp_path / "labels"
    path.write_text("# ours\ntier=front\n\na=1\nalone\n")
    lab.plumb("create", "--name", "web", "--label-file", str(path), "-l", "a=2")
    shown = lab.plumb("inspect", "-f", "{{json .Config.Labels}}", "web").stdout
    assert json.loads(shown) == {"tier": "front", "a": "2"}
    told = lab.plumb("create", "--label-file", "/nosuch", status=1).stderr
    assert "open /nosuch: no such file or directory" in told


def test_a_network_of_scope_swarm_needs_a_swarm(lab: Lab) -> None:
    """So does one of overlay, whose scope cannot be another."""
    lab.plumb("network", "create", "--scope", "local", "shop")
    told = lab.plumb("network", "create", "--scope", "swarm", "other", status=1).stderr
    assert "This node is not a swarm manager" in told
    words = ("network", "create", "-d", "overlay", "--scope", "local", "other")
    assert "cannot downgrade network scope for overlay" in lab.plumb(*words, status=1).stderr


def test_a_configuration_is_taken_over_by_its_name(lab: Lab) -> None:
    lab.plumb("network", "create", "--config-only", "--subnet", "10.9.0.0/24", "nine")
    lab.plumb("network", "create", "--config-from", "nine", "shop")
    words = "{{.Name}} {{.Driver}} {{.ConfigOnly}} {{.ConfigFrom.Network}}"
    shown = lab.plumb("network", "inspect", "-f", words, "nine", "shop").stdout
    assert shown.splitlines() == ["nine null true ", "shop bridge false nine"]
    lab.plumb("run", "-d", "--name", "web", "--network", "shop")
    for verb in ("check", "matrix", "draw", "network ls", "network ports"):
        lab.plumb(*verb.split())


def test_inspect_shows_sizes_when_asked(lab: Lab) -> None:
    """Of no files; Docker's fields."""
    lab.plumb("create", "--name", "web")
    shown = "{{.SizeRw}} {{.SizeRootFs}}"
    assert lab.plumb("inspect", "-s", "-f", shown, "web").stdout == "0 0\n"
    assert lab.plumb("container", "inspect", "-s", "-f", shown, "web").stdout == "0 0\n"


def test_prune_removes_the_containers_that_do_not_run(lab: Lab) -> None:
    """Those with the label, and none that runs."""
    lab.plumb("create", "--name", "old", "-l", "stage=test")
    lab.plumb("create", "--name", "kept")
    lab.plumb("run", "-d", "--name", "web", "-l", "stage=test")
    told = lab.plumb("container", "prune", "-f", "--filter", "label=stage=test").stdout
    assert told.splitlines()[0] == "Deleted Containers:"
    assert told.splitlines()[2:] == ["", "Total reclaimed space: 0B"]
    assert lab.plumb("ps", "-a", "--format", "{{.Names}}").stdout.split() == ["web", "kept"]
    assert lab.plumb("container", "prune", "-f", "--filter", "label=stage=test").stdout == (
        "Total reclaimed space: 0B\n"
    )
