"""Flags of `service create` and `service update`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import click

from plumb.cli.lifecycle.environment import variable
from plumb.errors import Invalid
from plumb.model import parse
from plumb.model.container_options import capability, container_sysctl
from plumb.model.lifecycle import signals
from plumb.model.service import words
from plumb.model.service.changes import Change
from plumb.model.service.spec import Balancing, Condition, EndpointMode, FailureAction, Order

F = TypeVar("F", bound=Callable[..., object])
Wrap = Callable[[F], F]
Parser = Callable[[str], Any]
FIELD, ADDED, REMOVED = "field", "added", "removed"
"""Beginnings of the names of parameters that change a specification's field."""


def _ratio(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise Invalid(f"invalid ratio {text!r}", "from 0 to 1")
    return found


def number(text: str) -> int:
    """A whole number from 0 upwards."""
    if not text.isdecimal() or len(text) > 9:
        raise Invalid(f"invalid number {text!r}", "a whole number from 0 upwards")
    return int(text)


def _signal(text: str) -> str:
    signals.number(text)
    return text


PLAIN: Sequence[tuple[str, str, Parser | type, str]] = (
    ("--hostname", "hostname", parse.host_name, "Tasks' host name; {{.Node.Hostname}} and others."),
    ("--endpoint-mode", "endpoint_mode", EndpointMode, "Answer to its name: vip or dnsrr."),
    ("--lb-algorithm", "balancing", Balancing, "Choice of a task: rr, wrr, lc, sh or random."),
    ("--replicas", "replicas", number, "Number of tasks."),
    ("--max-concurrent", "concurrent", number, "Tasks of a job that run at a time."),
    ("--stop-grace-period", "stop_grace", words.duration, "Time before a task is ended by force."),
    ("--stop-signal", "stop_signal", _signal, "Signal that asks a task to end (SIGTERM)."),
    ("--user", "user", str, "User of its command: NAME|UID[:GROUP|GID]."),
    ("--workdir", "working_dir", str, "Folder that its command starts in."),
    ("--log-driver", "log_driver", str, "json-file, local, none, syslog or fluentd."),
    ("--restart-condition", "restart.condition", Condition, "When a task is replaced."),
    ("--restart-delay", "restart.delay", words.duration, "Time between two attempts."),
    ("--restart-max-attempts", "restart.attempts", number, "Attempts at most; 0: no limit."),
    ("--restart-window", "restart.window", words.duration, "Time within which attempts count."),
    ("--health-cmd", "health.command", str, "Command that tells whether a task is healthy."),
    ("--health-interval", "health.interval", words.duration, "Time between two checks."),
    ("--health-retries", "health.retries", number, "Failures in a row until unhealthy."),
    ("--health-start-period", "health.start_period", words.duration, "Time in which none counts."),
    ("--health-start-interval", "health.start_interval", words.duration, "Time between two then."),
    ("--health-timeout", "health.timeout", words.duration, "Time after which a check has failed."),
    *(
        (f"--{policy}-{flag}", f"{policy}.{field}", kind, text)
        for policy in ("update", "rollback")
        for flag, field, kind, text in (
            ("parallelism", "parallelism", number, "Tasks that are replaced at a time; 0: all."),
            ("delay", "delay", words.duration, "Time between two groups of tasks."),
            ("order", "order", Order, "stop-first or start-first."),
            ("failure-action", "failure", FailureAction, "Reaction to new tasks that fail."),
            ("max-failure-ratio", "failure_ratio", _ratio, "Share of tasks that may fail."),
            ("monitor", "monitor", words.duration, "Time for which a new task is watched."),
        )
    ),
)
"""Flags with one value, the field that each is, and its parser."""


def _label(text: str) -> tuple[str, str]:
    ((key, value),) = parse.pairs([text], "label")
    return key, value


def _server(text: str) -> Any:
    return parse.address(text, "name server")


def _sysctl(text: str) -> str:
    """The name of a setting, as the parser of one has it."""
    return container_sysctl(f"{text}=")[0]


def _one(parser: Parser) -> Parser:
    """The parser of a flag that gives one entry with each value."""
    return lambda text: (parser(text),)


SEVERAL: Sequence[tuple[str, str, Parser, Parser, str]] = (
    ("--env", "environment", _one(variable), str, "Environment variable."),
    ("--label", "labels", _one(_label), str, "Label of the service."),
    ("--container-label", "container_labels", _one(_label), str, "Label of its containers."),
    ("--constraint", "constraints", _one(str), str, "Nodes for its tasks: node.hostname==h1."),
    ("--host", "extra_hosts", _one(words.extra_host), words.extra_host, "Line of hosts files."),
    ("--dns", "dns", _one(_server), _server, "Name server."),
    ("--dns-search", "dns_search", _one(str), str, "Search domain."),
    ("--dns-option", "dns_options", _one(str), str, "Option of resolv.conf."),
    (
        "--sysctl",
        "sysctls",
        _one(container_sysctl),
        _sysctl,
        "Setting of its namespaces: NAME=VALUE.",
    ),
    ("--network", "networks", _one(words.network), str, "Network: NAME, or name=N,alias=A."),
    ("--publish", "ports", words.published, words.target, "Port: 8080:80, or the long form."),
)
"""Flags with several values: the field, the parser of a value's entries and of one to remove."""
SHORT = {"--env": "-e", "--label": "-l", "--publish": "-p", "--user": "-u", "--workdir": "-w"}


def _parsing(parser: Parser | type) -> Callable[..., Any]:
    """Make click parse a flag's value once."""

    def callback(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        return None if value is None else parser(value)

    return callback


def _each(parser: Parser) -> Callable[..., Any]:
    """The same of a flag that can be repeated, whose values have one entry or several."""

    def callback(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        return tuple(entry for text in value for entry in parser(text))

    return callback


def _parameter(kind: str, field: str) -> str:
    return f"{kind}__{field.replace('.', '__')}"


def _plain(flag: str, field: str, kind: Parser | type, text: str) -> Wrap[Any]:
    """A flag with one value; an enum's is one of its words."""
    words_of_it: Any = None
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        words_of_it = click.Choice([one.value for one in kind])
    return click.option(
        *filter(None, (SHORT.get(flag),)),
        flag,
        _parameter(FIELD, field),
        type=words_of_it,
        default=None,
        callback=_parsing(kind),
        help=text,
    )


def _common() -> Iterator[Wrap[Any]]:
    for flag, field, kind, text in PLAIN:
        yield _plain(flag, field, kind, text)
    for verb in ("add", "drop"):
        yield click.option(
            f"--cap-{verb}",
            _parameter(ADDED, f"cap_{verb}"),
            multiple=True,
            callback=_each(_one(capability)),
            help=f"Capability to {verb}, of those that 'plumb run' gives.",
        )
    yield click.option(
        "--log-opt",
        _parameter(FIELD, "log_options"),
        multiple=True,
        metavar="KEY=VALUE",
        help="Option of the logging driver, in place of those that it has.",
    )
    yield click.option("--no-healthcheck", is_flag=True, help="No check of health.")
    yield click.option("-d", "--detach", is_flag=True, help="Do not wait until its tasks run.")
    yield click.option("-q", "--quiet", is_flag=True, help="No display of progress.")


def creating(function: F) -> F:
    """The flags of `service create`."""
    for flag, field, parser, _, text in SEVERAL:
        names = [*filter(None, (SHORT.get(flag),)), flag]
        function = click.option(
            *names, _parameter(ADDED, field), multiple=True, callback=_each(parser), help=text
        )(function)
    function = click.option(
        "--env-file", multiple=True, metavar="FILE", help="A file with environment variables."
    )(function)
    for option in _common():
        function = option(function)
    return function


def updating(function: F) -> F:
    """The flags of `service update`."""
    for flag, field, parser, ending, text in SEVERAL:
        function = click.option(
            f"{flag}-add",
            _parameter(ADDED, field),
            multiple=True,
            callback=_each(parser),
            help=f"Add: {text}",
        )(function)
        function = click.option(
            f"{flag}-rm",
            _parameter(REMOVED, field),
            multiple=True,
            callback=_each(_one(ending)),
            help=f"Remove: {text}",
        )(function)
    function = click.option("--args", default=None, help="Its tasks' command, as a shell has it.")(
        function
    )
    for option in _common():
        function = option(function)
    return function


def change(asked: dict[str, Any], environment: Sequence[str] = ()) -> Change:
    """The change that flags ask for.

    Args:
        asked: parameters of the command.
        environment: variables besides those of flags, which replace them.
    """
    given: dict[str, dict[str, Any]] = {FIELD: {}, ADDED: {}, REMOVED: {}}
    for name, value in asked.items():
        kind, parted, field = name.partition("__")
        if parted and value not in (None, ()):
            given[kind][field.replace("__", ".")] = value
    if asked["no_healthcheck"]:
        if any(field.startswith("health.") for field in given[FIELD]):
            raise Invalid("--no-healthcheck conflicts with --health-* options")
        given[FIELD]["health.command"] = ""
    if environment:
        given[ADDED]["environment"] = (*environment, *given[ADDED].get("environment", ()))
    return Change(given[FIELD], given[ADDED], given[REMOVED])


def file_variables(paths: Sequence[str]) -> Iterator[str]:
    """Yield the variables of environment files: a line each, comments and empty ones left out."""
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(f"cannot read {path}: {error}") from None
        yield from (variable(line) for line in lines if line.strip() and line[0] != "#")


def command_words(text: str) -> tuple[str, ...]:
    """Words of a command line, as a shell parts them."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise Invalid(f"invalid --args {text!r}: {error}") from None
