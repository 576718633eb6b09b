"""Warm-up: what a command would do first in a fork, done before there is a command.

Half of a command's processor time in a fork was that it did things for the first time: values are
given decoders and compiled `__init__`s (store.codec, frozen), Python's bytecode is specialised, and
the kernel copies each page that the fork writes to. The server does the former once, and has a fork
do it again, of which it learns which pages those are (written_pages).

Nothing is changed, and nothing remembered that another caller in another namespace would find
otherwise: commands have a root that cannot exist, and print to memory; the engine has a kernel and
a store in memory.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress

from plumb import cli
from plumb.engine import networks
from plumb.engine.host import Host
from plumb.engine.verbs import Transaction
from plumb.errors import PlumbError
from plumb.frozen import compile_inits
from plumb.kernel.memory import MemoryKernel
from plumb.kernel.netfilter import backends
from plumb.kernel.netfilter.iptables_restore import IptablesRestore
from plumb.kernel.system import System
from plumb.store import change, codec
from plumb.things import registry

NOWHERE = "/dev/null/plumb"
"""Root that cannot exist."""
LINES = (
    ("network", "ls"),
    ("ps",),
    ("inspect", "bridge"),
    ("network", "create"),
    ("exec",),
    ("run", "-d", "-p"),
)
"""Command lines that read an empty record, or lack an argument."""
CHANGES: tuple[Callable[[Transaction], object], ...] = (
    lambda op: op.create_network("one"),
    lambda op: op.run("box", network="one", publish="127.0.0.1:1:1"),
    lambda op: op.create_network("two"),
    lambda op: op.connect("two", "box"),
    lambda op: op.disconnect("two", "box"),
    lambda op: op.remove("box", force=True),
    lambda op: op.remove_network("one"),
)


def warm_up() -> None:
    """Run the command lines, and changes of each kind.

    Then prepare what those have not used, and ask iptables for its version, which each command
    would do: what a file says is the same for all who have that file.
    """
    for words in LINES:
        _run(words)
    with suppress(Exception):  # a command that fails the same way says so to its caller
        _change()
    compile_inits()
    for kind in (*change.KINDS.values(), *registry.KINDS.values()):
        codec.decoder(kind)
    if backends.variant() == "nf_tables":
        with suppress(PlumbError, OSError):
            IptablesRestore().version()


def _run(words: tuple[str, ...]) -> None:
    output, environment = io.StringIO(), dict(os.environ)
    os.environ.pop("PLUMB_CONFIG", None)
    os.environ["PLUMB_ROOT"] = NOWHERE
    try:
        with redirect_stdout(output), redirect_stderr(output), suppress(Exception):
            cli.main(words)
    finally:
        os.environ.clear()
        os.environ.update(environment)


def _change() -> None:
    kernel, system = MemoryKernel(), System()
    with Host(NOWHERE, kernel=kernel, system=system, settings={}, dry_run=True) as host:
        for each in CHANGES:
            with host._turn() as operation:
                networks.ensure(operation)
                each(Transaction(operation))
                operation.carry_out()
