"""The command line: Docker's words, and `plumb` where they have `docker`.

A table of verbs; each is imported when it is used, so that no command pays for another. Errors are
one line on stderr, with what to try; the exit status is Docker's: 125 for a `run` that failed, the
command's own for one that ran, 1 else.

    common     opens the host; --dry-run, --show-commands, --format
    container  run, create, start, stop, restart, rm
    foreground_run  what a `run` in the foreground does
    network    network create, ls, inspect, ports, rm, connect, disconnect, prune, export, import
    logs       logs
    lifecycle  exec, update, kill, rename, wait, top, container prune, and options of run and create
    listings   ps, inspect, port
    filters    --filter of listings and of prune
    reference  completion, man, examples for the help, what of Docker's has no meaning here
    documents  what `inspect` prints, as JSON or by a template
    stats      stats
    system     check, repair, reset, env
    info       info, version
    diagnosis  probe, matrix, trace, explain, draw, doctor
    lab        lab hosts, shell, run, ls, exec, cut, mend, rm
    learn      learn
    broken_lab  break, solve
    swarm      swarm init, join, leave, join-token, ca
    compose    compose up, down, ps, ls, config, check; up, down
    service    service create, ls, ps, inspect, update, scale, rollback, logs, rm
    node       node ls, inspect, update, promote, demote, rm, ps
    agent      agent start, stop, ls, hold and the others that --dry-run prints
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

import click

from plumb.errors import Invalid, NotFound, PlumbError, Unsupported

VERBS: dict[str, tuple[str, str]] = {
    "container": ("plumb.cli.lifecycle.group", "Manage containers"),
    "network": ("plumb.cli.network", "Manage networks"),
    "run": ("plumb.cli.container", "Create and run a container"),
    "create": ("plumb.cli.container", "Create a container"),
    "start": ("plumb.cli.container", "Start containers"),
    "stop": ("plumb.cli.container", "Stop containers"),
    "restart": ("plumb.cli.container", "Restart containers"),
    "update": ("plumb.cli.lifecycle.restarts", "Change the restart policy of containers"),
    "kill": ("plumb.cli.lifecycle.signals", "Send a signal to the commands of containers"),
    "rename": ("plumb.cli.lifecycle.signals", "Give a container another name"),
    "top": ("plumb.cli.lifecycle.top", "Show the processes of a container"),
    "wait": ("plumb.cli.lifecycle.signals", "Wait until containers stop"),
    "rm": ("plumb.cli.container", "Remove containers"),
    "exec": ("plumb.cli.lifecycle.execution", "Run a command in a running container"),
    "logs": ("plumb.cli.logs", "Print the output of a detached command"),
    "attach": (
        "plumb.cli.lifecycle.attach",
        "Print what a detached command prints, and end with it",
    ),
    "events": ("plumb.cli.lifecycle.events", "Print what becomes of containers and networks"),
    "ps": ("plumb.cli.listings", "List containers"),
    "port": ("plumb.cli.listings", "Show published ports, and which clients reach them"),
    "inspect": ("plumb.cli.listings", "Show containers or networks in Docker's JSON"),
    "stats": ("plumb.cli.stats", "Show traffic and connections of containers"),
    "check": ("plumb.cli.system", "Report differences from the recorded state"),
    "repair": ("plumb.cli.system", "Restore the recorded state"),
    "reset": ("plumb.cli.system", "Remove everything that plumb made"),
    "probe": ("plumb.cli.diagnosis.probe", "Send one probe on the real network"),
    "matrix": (
        "plumb.cli.diagnosis.matrix",
        "Test reachability between all containers against the promises",
    ),
    "trace": ("plumb.cli.diagnosis.trace", "Send one packet and show its path"),
    "explain": ("plumb.cli.diagnosis.explain", "Say what an object is, and why it is there"),
    "draw": ("plumb.cli.diagnosis.draw", "Draw namespaces, their links, and what joins them"),
    "doctor": ("plumb.cli.diagnosis.doctor", "Find known faults on this host, and what mends them"),
    "lab": ("plumb.cli.lab", "Make hosts out of namespaces, several on one machine"),
    "learn": ("plumb.cli.learn", "Show a lesson's page, and try its goals"),
    "break": ("plumb.cli.broken_lab", "Hide a fault in a lab, to be found"),
    "solve": ("plumb.cli.broken_lab", "Say if the fault in a lab is mended; hints, the way"),
    "swarm": ("plumb.cli.swarm", "Manage a swarm: several hosts that share networks"),
    "compose": ("plumb.cli.compose.group", "Make the networks and containers of compose files"),
    "up": ("plumb.cli.compose.group", "Make what a compose file says, and change only the rest"),
    "down": ("plumb.cli.compose.group", "Remove what a compose file says"),
    "service": ("plumb.cli.service", "Manage services: many containers under one name"),
    "node": ("plumb.cli.node", "Manage the nodes of a swarm"),
    "agent": ("plumb.cli.agent", "Manage the process that holds ports and answers for names"),
    "completion": ("plumb.cli.reference.completion", "Print a shell's completion script"),
    "man": ("plumb.cli.reference.man_pages", "Write the manual pages"),
    "env": ("plumb.cli.system", "Show what this kernel and host support"),
    "info": ("plumb.cli.info", "Show this host, its containers and its part in a swarm"),
    "version": ("plumb.cli.info", "Show versions"),
}
LONGEST = 1000
"""Of a message that quotes what somebody pasted by mistake, the two ends are enough."""
HIDDEN = {
    "complete": "plumb.cli.reference.completion",
    "settle": "plumb.cli.system",
    "resume": "plumb.cli.lifecycle.restarts",
}


def _show_help(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        click.echo(context.get_help(), color=context.color)
        context.exit()


HELP = click.Option(
    ["--help"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_help,
    help="Show this message and exit.",
)
"""The option of every command. For its own click looks for a translation, which takes 1 ms."""


class Documented(click.Command):
    """Command whose help ends with two examples, and the page about it."""

    def get_help_option(self, context: click.Context) -> click.Option:
        """Return the option --help."""
        return HELP

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the end of the help."""
        from plumb.cli.reference.help_text import write_end  # lazy: for help alone

        write_end(context, formatter)


class DockerGroup(Documented, click.Group):
    """Group of verbs with Docker's other names for some, and a hint for a word that is none.

    Attributes:
        aliases: verbs by other names.
    """

    aliases: ClassVar[Mapping[str, str]] = {}

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a verb's command; None for an unknown verb."""
        return super().get_command(context, self.aliases.get(name, name))

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb of a command line.

        Raises:
            Invalid: there is no such verb, with the one that was probably meant.
            Unsupported: Docker has it, and it has no meaning here.
        """
        if args[0].startswith("-") or self.get_command(context, args[0]) is not None:
            return super().resolve_command(context, args)
        from plumb.cli.reference.refused_verbs import reason
        from plumb.model.parse import nearest

        path = context.command_path
        if why := reason(f"{path} {args[0]}".partition(" ")[2]):
            raise Unsupported(f"{path} {args[0]} is not supported: {why}")
        known = [*self.list_commands(context), *self.aliases]
        meant = nearest(args[0], known)
        raise Invalid(
            f"unknown command: {path} {args[0]}",
            f"{meant} " * bool(meant) + f"'{path} --help' shows those that there are",
        )


class LazyGroup(DockerGroup):
    """The verbs, imported when they are used."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Names of the verbs, in the table's order."""
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import a verb's module and return the command; None for an unknown verb."""
        module = VERBS[name][0] if name in VERBS else HIDDEN.get(name)
        if module is None:
            return None
        found = getattr(import_module(module), name + "_", None) or getattr(
            import_module(module), name
        )
        return found if isinstance(found, click.Command) else None

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The help, without importing all verbs for it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


def _say_version(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if asked:
        from plumb import __version__

        print(f"plumb version {__version__}")
        context.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["--help"]})
@click.option("--config", metavar="FILE", help="Settings, with the keys of Docker's daemon.json.")
@click.option(
    *("-v", "--version"),
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_say_version,
    help="Print plumb's version and exit.",
)
@click.pass_context
def plumb(context: click.Context, config: str | None) -> None:
    """Docker's networking, rebuilt from the kernel up."""
    if config is not None and not os.path.exists(config):
        raise Invalid(f"settings file {config} does not exist")
    context.obj = config


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; its exit status."""
    _reopen()
    words = list(sys.argv[1:] if argv is None else argv)
    failed = 125 if first_verb(words) == "run" else 1
    try:
        result: Any = plumb.main(words, prog_name="plumb", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except PlumbError as error:
        hint = hint_of(error, first_verb(words))
        return complain(str(error), hint, getattr(error, "status", failed))
    except UnicodeEncodeError:
        return complain("the command line holds bytes that are no UTF-8", "", failed)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.ctx.get_help() if error.ctx else "")
        return 0
    except click.ClickException as error:
        from plumb.cli.reference.usage import complaint  # lazy: for mistakes alone

        return complain(*complaint(error, failed))
    except (click.Abort, KeyboardInterrupt) as stopped:
        # click raises Abort from a KeyboardInterrupt
        signal = stopped.__cause__ or stopped
        return complain(str(signal) or "interrupted", "", getattr(signal, "status", 130))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except PermissionError as error:
        return complain(
            f"{error.filename or 'the host'}: {error.strerror}", "run it as root (sudo)", failed
        )
    except OSError as error:
        return complain(
            f"{error.filename + ': ' if error.filename else ''}{error.strerror or error}",
            "",
            failed,
        )


def _reopen() -> None:
    """Open /dev/null in place of each standard stream that the caller has closed.

    Else the next file to be opened would take its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


def first_verb(words: Sequence[str]) -> str:
    """The verb of a command line; of `container VERB` the second word."""
    rest = iter(words)
    for word in rest:
        if word == "--config":
            next(rest, None)
        elif not word.startswith("-") and word != "container":
            return word
    return ""


def hint_of(error: PlumbError, verb: str) -> str:
    """An error's hint; for a container that another engine has, the command of that engine.

    Args:
        verb: what plumb was asked for: "exec".
    """
    if not isinstance(error, NotFound):
        return error.hint
    from plumb.cli.reference import other_engines  # lazy: for mistakes alone

    return other_engines.hint(error, verb)


def complain(message: str, hint: str, status: int) -> int:
    """Print an error as one line on stderr and return the exit status."""
    line = " ".join(f"plumb: {message}".split())
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"
    line += f"{'' if line.endswith('.') else ';'} {' '.join(hint.split())}" if hint else ""
    print(for_terminal(line), file=sys.stderr)
    return status


def for_terminal(line: str) -> str:
    """Replace what a terminal would obey: names that others gave are quoted in messages."""
    if line.isprintable():
        return line
    from plumb.foreign.fields import printable  # lazy: hardly ever needed

    return printable(line, len(line))
