"""The firewall writer through `iptables-restore --noflush`: a process a family.

Each table is a transaction. iptables-restore reads rules in the words in which plumb has them, so
there is nothing to translate; commands like -N, -D and -P are lines of its input as well. It leaves
a table as it was unless all its lines succeed.

plumb deletes without a look beforehand: a rule to delete that is gone already makes the whole table
fail. Only then does plumb read the rules, leave out the lines whose object is gone, and try the
table once more.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby

from plumb.errors import KernelRefused, Unsupported
from plumb.kernel.netfilter.iptables_save import Ruleset, found, parse, search_path
from plumb.plan import Step, StepFailed
from plumb.things import Thing
from plumb.things.iptables import Chain, Family, Policy, Rule, by_chain

Netfilter = Chain | Rule | Policy


class IptablesRestore:
    """Writes with iptables-restore and reads with iptables-save.

    Args:
        flavour: "" for what the host's iptables is linked to, "nft-" or "legacy-" for that variant.
    """

    def __init__(self, flavour: str = "") -> None:
        self.name = f"iptables-{flavour}restore"
        self._commands = {
            family: {tool: f"{family}-{flavour}{tool}" for tool in ("restore", "save")}
            for family in Family
        }

    def version(self) -> tuple[int, ...]:
        """The version of iptables, (1, 8, 9); empty where it does not say.

        Raises:
            Unsupported: there is no iptables.
        """
        path = _located(self._commands[Family.V4]["restore"], search_path())
        file = os.stat(path)
        key = (path, file.st_dev, file.st_ino, file.st_mtime_ns, file.st_size)
        if key not in _VERSIONS and (said := _said_version(path)):
            _VERSIONS[key] = said
        return _VERSIONS.get(key, ())

    def take(self, steps: Sequence[Step], done: list[Step]) -> None:
        """Take the steps, a family at a time; the tables of one family go in one process."""
        for family in Family:
            own = [step for step in steps if _thing(step).family is family]
            tables = [list(part) for _, part in groupby(sorted(own, key=_table), key=_table)]
            while tables:
                failed, refused = self._restore(
                    family, [self._lines(family, part) for part in tables]
                )
                done += [step for part in tables[:failed] for step in part]
                tables = tables[failed:]
                if tables and refused:
                    self._retry(family, tables.pop(0), refused, done)

    def _retry(
        self, family: Family, part: list[Step], refused: KernelRefused, done: list[Step]
    ) -> None:
        """Try a table that failed again, without deletions of objects that are gone already."""
        there = self.look([_thing(step) for step in part])
        left = [
            step
            for step, now in zip(part, there, strict=True)
            if step.after is not None or now is not None
        ]
        if len(left) < len(part):
            _, again = self._restore(family, [self._lines(family, left)]) if left else (0, None)
            if not again:
                done += part
                return
            refused = again
        culprit = next((step for step in left if _thing(step).key[-1] in str(refused)), left[0])
        raise StepFailed(refused, culprit, done) from refused

    def _restore(self, family: Family, tables: list[list[str]]) -> tuple[int, KernelRefused | None]:
        """Run iptables-restore; the number of committed tables, and the next one's error."""
        script = [["*" + lines[0], *lines[1:], "COMMIT"] for lines in tables]
        text = "".join(line + "\n" for table in script for line in table)
        command = self._commands[family]["restore"]
        ran = self._run([command, "--wait", "--noflush"], text)
        if ran.returncode == 0:
            return len(tables), None
        said = " ".join(ran.stderr.split())
        at = re.search(r"line:? (\d+)", said)
        line = int(at[1]) if at else 1
        ends = [sum(len(table) for table in script[: i + 1]) for i in range(len(script))]
        failed = next((i for i, end in enumerate(ends) if line <= end), len(ends) - 1)
        words = text.splitlines()[line - 1] if at else ""
        refused = KernelRefused(
            f"write {family} table {tables[failed][0]}" + (f" ({words})" if words else ""),
            0,
            re.sub(r"^.*?\(nf_tables\):\s*", "", said),
            _hint(said),
        )
        return failed, refused

    def _lines(self, family: Family, part: Sequence[Step]) -> list[str]:
        """A table's name, then its lines."""
        table = _thing(part[0]).table
        kept = self._users_chains(family, table, part)
        emptied = frozenset(
            thing.name
            for step in part
            if step.after is None and isinstance(thing := _thing(step), Chain) and not thing.users
        )
        return [table, *(line for step in part for line in _words(step, kept, emptied))]

    def _users_chains(self, family: Family, table: str, part: Sequence[Step]) -> frozenset[str]:
        """The user's chains among these steps that stay as they are.

        plumb neither makes one that is there already, nor deletes one that is not empty.
        """
        wanted = [
            (thing, step)
            for step in part
            if isinstance(thing := _thing(step), Chain) and thing.users
        ]
        if not wanted:
            return frozenset()
        chains = self._read(family, table).get(table, {})
        return frozenset(
            thing.name
            for thing, step in wanted
            if thing.name in chains and (step.after is not None or chains[thing.name][1])
        )

    def look(self, things: Sequence[Thing]) -> list[Thing | None]:
        """Read things, each as it is now, from one iptables-save a table."""
        read: dict[tuple[Family, str], Ruleset] = {}

        def now(thing: Thing) -> Thing | None:
            assert isinstance(thing, Netfilter)
            which = (thing.family, thing.table)
            if which not in read:
                read[which] = self._read(*which)
            return _find(thing, read[which].get(thing.table, {}))

        return [now(thing) for thing in things]

    def order(self, rules: Sequence[Thing]) -> list[Thing]:
        """The present ones of these rules, those of each chain in the chain's order."""
        read: dict[tuple[Family, str], Ruleset] = {}
        found: list[Thing] = []
        for chain in by_chain(rule for rule in rules if isinstance(rule, Rule)):
            by_spec = {rule.spec: rule for rule in chain}
            which = (chain[0].family, chain[0].table)
            if which not in read:
                read[which] = self._read(*which)
            _, specs = read[which].get(chain[0].table, {}).get(chain[0].chain, ("", []))
            found += [by_spec[spec] for spec in dict.fromkeys(specs) if spec in by_spec]
        return found

    def look_and_order(self, things: Sequence[Thing]) -> tuple[list[Thing | None], list[Thing]]:
        """Read things, each as it is now, and the order of the rules among them."""
        return self.look(things), self.order(things)

    def _read(self, family: Family, table: str) -> Ruleset:
        ran = self._run([self._commands[family]["save"], "-t", table])
        if ran.returncode:
            said = " ".join(ran.stderr.split())
            raise KernelRefused(f"read {family} table {table}", 0, said, _hint(said))
        return parse(ran.stdout)

    def _run(self, argv: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
        # It inherits the store's lock: no other command changes the store while it still writes,
        # even if plumb is killed meanwhile.
        return subprocess.run(
            [_command(argv[0], search_path()), *argv[1:]],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            close_fds=False,
        )


_VERSIONS: dict[tuple[str, int, int, int, int], tuple[int, ...]] = {}
"""Versions that files of the command have said: of its path, and what stat(2) tells of it.

A process that the prefork server has forked knows what that was told, and asks another file anew.
"""


def _said_version(path: str) -> tuple[int, ...]:
    ran = subprocess.run(
        [path, "--version"], capture_output=True, text=True, check=False, close_fds=False
    )
    said = re.search(r"v(\d+)\.(\d+)\.(\d+)", ran.stdout)
    return tuple(map(int, said.groups())) if said else ()


@cache
def _command(name: str, path: str) -> str:
    """Find a command's path, see `_located`."""
    return _located(name, path)


def _located(name: str, path: str) -> str:
    """Find a command's path.

    Raises:
        Unsupported: the command is not installed.
    """
    command = found(name, path)
    if not command:
        raise Unsupported(f"cannot find {name}", "install iptables (Debian: apt install iptables)")
    return command


def _hint(said: str) -> str:
    from plumb.kernel.netfilter import error_hints  # only for what failed

    return error_hints.of_iptables(said)


def _thing(step: Step) -> Netfilter:
    thing = step.thing
    assert isinstance(thing, Netfilter)
    return thing


def _table(step: Step) -> str:
    return _thing(step).table


def _words(step: Step, kept: frozenset[str], emptied: frozenset[str]) -> Iterator[str]:
    """Yield a step as lines of iptables-restore's input.

    Of a chain that is deleted as well, a rule goes with all others: iptables-nft-restore forgets a
    rule's deletion at the later -F of its chain, and a chain that the rule jumps to stays in use.

    Args:
        kept: the user's chains that stay; emptied: chains that are deleted.
    """
    thing = _thing(step)
    adding = step.after is not None
    match thing:
        case Chain(name=name) if name in kept:
            return
        case Chain(name=name):
            yield from (
                [f"-N {name}"]
                if adding
                else ([] if thing.users else [f"-F {name}"]) + [f"-X {name}"]
            )
        case Rule() if not adding and thing.chain in emptied:
            yield f"-F {thing.chain}"
        case Rule():
            yield f"{thing.place if adding else '-D'} {thing.chain} {thing.spec}"
        case Policy():
            yield f"-P {thing.chain} {thing.verdict}"


def _find(thing: Netfilter, chains: dict[str, tuple[str, list[str]]]) -> Netfilter | None:
    match thing:
        case Chain():
            return thing if thing.name in chains else None
        case Rule():
            return thing if thing.spec in chains.get(thing.chain, ("", []))[1] else None
        case Policy():
            return replace(thing, verdict=chains.get(thing.chain, ("ACCEPT", []))[0])
