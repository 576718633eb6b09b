"""Helpers of the verbs: they open the host, apply --dry-run and --show-commands, and print."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from plumb.cli import DockerGroup, Documented, for_terminal
from plumb.engine.reader import REBOOTED, REBUILD, Reader
from plumb.kernel.capture.undo import sweep

if TYPE_CHECKING:
    from plumb.engine.host import Host
    from plumb.plan import Step

F = TypeVar("F", bound=Callable[..., object])
COMMAND_FOLLOWS = {"allow_interspersed_args": False}
"""Of verbs where words behind the first that is no option are a command's."""


SIZE = click.option("-s", "--size", is_flag=True, help="Sizes, 0: no container has files.")


def changing(function: F) -> F:
    """The options of every verb that changes something."""
    function = click.option(
        "--dry-run", is_flag=True, help="Print the equivalent commands and change nothing."
    )(function)
    return click.option(
        "--show-commands",
        is_flag=True,
        help="Print the equivalent commands as they are carried out.",
    )(function)


class DockerCommand(Documented):
    """Command whose flags take a value by =VALUE alone, as Docker's do: `--rm=false`."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Parse the words, flags' values in click's form.

        Raises:
            Invalid: a flag's value is neither true nor false.
        """
        return super().parse_args(context, list(self._plain(context, deque(args))))

    def _plain(self, context: click.Context, words: deque[str]) -> Iterator[str]:
        """Yield the words up to the command's own, with `--FLAG=VALUE` as click knows it."""
        options = {
            name: each
            for each in self.params
            if isinstance(each, click.Option)
            for name in each.opts
        }
        while words:
            word = words.popleft()
            name, equals, value = word.partition("=")
            option = options.get(name)
            if word == "--" or (not _is_option(word) and not context.allow_interspersed_args):
                yield from (word, *words)
                return
            if unknown := not context.ignore_unknown_options and _unknown(word, name, options):
                from plumb.cli.reference.unknown_flags import pass_over  # lazy: rare

                yield from pass_over(verb_of(context), unknown, word, words)
                continue
            if option is not None and _is_flag(option):
                yield from _flag(option, name, value if equals else "true")
                continue
            yield word
            if _is_option(word) and not equals and words and _takes_next(word, options):
                yield words.popleft()


def _is_option(word: str) -> bool:
    return len(word) > 1 and word[0] == "-"


def _unknown(word: str, name: str, options: Mapping[str, click.Option]) -> str:
    """The flag in a word that a verb does not have: a long one, or a letter; empty if none is."""
    if not _is_option(word) or name in options or name == "--help":
        return ""
    if word[1] == "-":
        return name
    for letter in word[1:]:
        option = options.get(f"-{letter}")
        if option is None:
            return f"-{letter}"
        if not _is_flag(option):
            return ""
    return ""


def verb_of(context: click.Context) -> str:
    """The verb of a command line, as in `network create`; of `container run`, `run`."""
    path = context.command_path.partition(" ")[2]
    return path.removeprefix("container ")


def _is_flag(option: click.Option) -> bool:
    return option.is_flag or option.type is click.BOOL


def _takes_next(word: str, options: Mapping[str, click.Option]) -> bool:
    """True if the next word is the value of this one, an option or short ones like -dp."""
    if word[:2] == "--":
        return word in options
    valued = [
        place
        for place, letter in enumerate(word)
        if (option := options.get(f"-{letter}")) and not _is_flag(option)
    ]
    return bool(valued) and valued[0] == len(word) - 1


def _flag(option: click.Option, name: str, value: str) -> Iterator[str]:
    """Yield a flag in click's form: alone, or with its value where it is not off by default."""
    from plumb.model.parse import boolean

    try:
        on = boolean(value)
    except ValueError as error:
        from plumb.cli.reference.usage import bad_value  # lazy: for mistakes alone

        why = f'strconv.ParseBool: parsing "{value}": invalid syntax'
        raise bad_value(option, value, why, str(error)) from None
    if not option.is_flag:
        yield f"{name}={str(on).lower()}"
    elif on:
        yield name


def checked(
    parse: Callable[[str], object],
) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], tuple[str, ...]]:
    """Make a callback of a flag that may be repeated, which tries a parser on each value.

    Args:
        parse: raises Invalid for a value that makes no sense.
    """
    from plumb.errors import Invalid

    def check(
        _: click.Context, option: click.Parameter, values: tuple[str, ...]
    ) -> tuple[str, ...]:
        for text in values or ():
            try:
                parse(text)
            except Invalid as error:
                from plumb.cli.reference.usage import bad_value  # lazy: for mistakes alone

                raise bad_value(option, text, error, error.hint) from None
        return values

    return check


def command(name: str, **settings: Any) -> Callable[[F], click.Command]:
    """Declare a verb with flags as Docker's."""
    return click.command(name, cls=DockerCommand, **settings)


class VerbGroup(DockerGroup):
    """Group of verbs with flags as Docker's."""

    command_class = DockerCommand


def group(name: str) -> Callable[[F], VerbGroup]:
    """Declare a group of verbs with flags as Docker's."""
    return click.group(name, cls=VerbGroup)


def read() -> Reader:
    """The host that the command is about, to be read.

    First an agent that was killed is brought back, and what a killed trace has left.
    """
    reader = Reader(settings=click.get_current_context().find_root().obj)
    sweep(reader.layout.run)
    reader.settings  # noqa: B018 - a broken file is an error of every command
    if reader.rebooted:
        tell(f"{REBOOTED}; {REBUILD}")
    elif reader.agent_lost:
        revive()
    revive_cluster(reader)
    return reader


interval_option = click.option(
    "--interval",
    type=click.FloatRange(0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Seconds between updates with --watch.",
)


def write_file(path: str, text: str) -> None:
    """Write a text to a file; - is the output.

    Raises:
        Invalid: the file cannot be written.
    """
    from plumb.errors import Invalid

    if path == "-":
        sys.stdout.write(text)
        return
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise Invalid(f"cannot write {path}: {error.strerror}") from error


def tell(text: str) -> None:
    """Print a line about the state of things on stderr."""
    print(f"plumb: {for_terminal(text)}", file=sys.stderr)


def revive() -> None:
    """Bring back an agent that was killed.

    Where that does not work, `check` says so; a command that only reads goes on.
    """
    from plumb.errors import PlumbError

    with suppress(PlumbError), opened() as host:
        host.revive()


def revive_cluster(reader: Reader) -> None:
    """Bring back the cluster process of a node, which was killed or which a boot has ended."""
    if os.path.exists(reader.layout.membership):
        from plumb.engine.cluster import health
        from plumb.errors import PlumbError

        with suppress(PlumbError):
            health.mend(reader.layout)


def opened(dry_run: bool = False, show_commands: bool = False) -> Host:
    """The host that the command is about, to be changed."""
    from plumb.engine.host import Host

    show = _show if dry_run or show_commands else None
    return Host(
        settings=click.get_current_context().find_root().obj,
        dry_run=dry_run,
        on_steps=show,
        stays=False,
    )


def _show(steps: Sequence[Step]) -> None:
    from plumb.views.shell import commands

    for line in commands(steps, explain=True):
        print(line)
    sys.stdout.flush()


def say(text: str) -> None:
    """Print a line, unless it is empty."""
    if text:
        print(text)


def wait_option(text: str) -> Callable[[F], F]:
    """-W of the verbs that probe, in seconds.

    Args:
        text: its help.
    """
    return click.option(
        "-W",
        "--wait",
        "seconds",
        type=click.FloatRange(0.01, 60),
        default=1.0,
        show_default=True,
        help=text,
    )


def template_option(function: F) -> F:
    """--format and --json."""
    function = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")(
        function
    )
    return click.option("--format", "template", default="", help="table, json, or a Go template.")(
        function
    )


def tasks_options(function: F) -> F:
    """The options of `service ps` and `node ps`."""
    for option in (
        click.option("-q", "--quiet", is_flag=True, help="Ids alone."),
        click.option(
            "-f",
            "--filter",
            "filters",
            multiple=True,
            metavar="KEY=VALUE",
            help="id, name, node, desired-state.",
        ),
        click.option("--no-trunc", is_flag=True, help="Full ids, commands and errors."),
        click.option("--no-resolve", is_flag=True, help="Ids in place of names."),
        template_option,
    ):
        function = option(function)
    return function


def columns_of(
    known: Mapping[str, str],
    as_json: bool,
    template: str,
    rows: Sequence[Mapping[str, object]],
    shown: Sequence[str] = (),
) -> None:
    """Print a listing.

    Args:
        known: headings by column.
        shown: columns of the table without a template; all by default.
    """
    from plumb.views.tables import listing

    sys.stdout.write(listing(rows, known, "json" if as_json else template, shown))


def for_each(names: Sequence[str], act: Callable[[str], str]) -> int:
    """Do something for each name, print what comes back, report each error and go on.

    The exit status.
    """
    from plumb.cli import complain, hint_of
    from plumb.errors import PlumbError

    status, verb = 0, click.get_current_context().info_name or ""
    for name in names:
        try:
            say(act(name))
        except PlumbError as error:
            status = complain(str(error), hint_of(error, verb), 1)
    return status
