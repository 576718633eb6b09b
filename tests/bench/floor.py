"""The floor: the kernel state of a plan, made with as few runs of the system's own tools as they
allow.

The input comes from the very steps that plumb took, as `views.shell` prints them, sorted by who can
do them together:

    namespaces   made by plumb's own call, since `ip netns add` is a process each
    on the host  all links in one `ip -batch`, the far ends put straight into the namespaces
    inside       one visit to each namespace: a shell's own `echo` for the sysctls, then one
                 `ip -batch`, then one `iptables-restore --noflush`; neither tool can work in
                 more than one namespace a process
    rules        on the host, one `iptables-restore --noflush` for each family

Files, records, and what the agent is told are plumb's own and left out.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from plumb.kernel.netns import namespaces
from plumb.kernel.netns.namespaces import entered
from plumb.plan import Step
from plumb.things.host_ports import Agent, OfAgent
from plumb.things.sandbox import Directory, File, Namespace
from plumb.views.shell import commands
from tests.labs import Lab, sh, state

PARTS = ("namespaces", "on the host", "inside", "rules")


class Floor:
    """The same work, ready to be done on another lab host.

    Args:
        place: the lab host to do it on.
        root: plumb's root where the steps were taken; paths below it are moved to the new host's.
        steps: of all operations, the last of which is to be measured; what the others made is made
        at once.
        abreast: visit as many namespaces at a time as there are processors.
    """

    def __init__(
        self, place: Lab, root: str, steps: Sequence[Sequence[Step]], abreast: bool
    ) -> None:
        self._place, self._root = place, root
        self._folder = place.root.parent / "floor"
        self._folder.mkdir()
        self._boxes: list[str] = []
        self._host: list[str] = []
        self._inside: dict[str, list[str]] = {}
        self._sysctls: dict[str, list[str]] = {}
        self._rules: dict[str, dict[str, list[str]]] = {}
        self._walls: dict[str, list[str]] = {}
        for ground in steps[:-1]:
            sh("\n".join(_spoken(line) for line in self._lines(ground)))
        self._sort(steps[-1])
        self._write(os.cpu_count() or 1 if abreast else 1)
        self.tasks: dict[str, Callable[[], object]] = dict(
            zip(
                PARTS,
                (
                    self._make_namespaces,
                    lambda: sh(f"ip -batch {self._folder}/host"),
                    lambda: sh(self._visits),
                    self._write_rules,
                ),
                strict=True,
            )
        )

    def _lines(self, steps: Sequence[Step]) -> list[str]:
        return [line.replace(self._root, str(self._place.root)) for line in commands(steps)]

    def _sort(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if isinstance(step.thing, Namespace):
                self._boxes.append(step.thing.path.replace(self._root, str(self._place.root)))
            elif not isinstance(step.thing, File | Directory | Agent | OfAgent):
                for line in self._lines([step]):
                    self._sort_line(shlex.split(line), line)

    def _sort_line(self, words: list[str], line: str) -> None:
        match words:
            case ["ip", *rest]:
                self._host.append(batched(rest))
            case ["nsenter", where, "ip", *rest]:
                self._inside.setdefault(where.removeprefix("--net="), []).append(batched(rest))
            case ["nsenter", where, "sysctl", "-qw", setting]:
                name, value = setting.split("=", 1)
                self._sysctls.setdefault(where.removeprefix("--net="), []).append(
                    f"echo {value} > /proc/sys/{name}"
                )
            case ["nsenter", where, "iptables", "-w", "-t", "nat", *_]:
                self._walls.setdefault(where.removeprefix("--net="), []).append(
                    line.split(" ", 6)[6]
                )
            case ["iptables" | "ip6tables" as tool, "-w", "-t", table, *_]:
                self._rules.setdefault(tool, {}).setdefault(table, []).append(line.split(" ", 4)[4])
            case _:
                raise AssertionError(f"the floor does not know how to do this: {line}")

    def _write(self, at_a_time: int) -> None:
        _file(self._folder / "host", self._host)
        visits = []
        for number, box in enumerate(self._boxes):
            batch = _file(self._folder / f"{number}.batch", self._inside.get(box, []))
            wall = _file(
                self._folder / f"{number}.nat", ["*nat", *self._walls.get(box, []), "COMMIT"]
            )
            script = _file(
                self._folder / f"{number}.sh",
                [
                    *self._sysctls.get(box, []),
                    f"ip -batch {batch}",
                    f"exec {_spoken('iptables')}-restore --wait --noflush {wall}",
                ],
            )
            visits.append(f"--net={box} sh {script}")
        listed = _file(self._folder / "visits", visits)
        script = _file(self._folder / "visits.sh", [f"nsenter {visit}" for visit in visits])
        self._visits = (
            f"xargs -P {at_a_time} -L 1 nsenter < {listed}"
            if at_a_time > 1
            else f"set -e; . {script}"
        )
        for tool, tables in self._rules.items():
            _file(
                self._folder / tool,
                [
                    line
                    for table, lines in tables.items()
                    for line in (f"*{table}", *lines, "COMMIT")
                ],
            )

    def _make_namespaces(self) -> None:
        for box in self._boxes:
            namespaces.make(box)

    def _write_rules(self) -> None:
        for tool in self._rules:
            sh(f"{_spoken(tool)}-restore --wait --noflush {self._folder}/{tool}")


def batched(words: list[str]) -> str:
    """What stands behind `ip`, for `ip -batch`: no family flag, as the addresses say it."""
    return shlex.join(words[1:] if words[0] in ("-4", "-6") else words)


def _spoken(line: str) -> str:
    """The same with the tool of the firewall that is measured."""
    if os.environ.get("PLUMB_IPTABLES") != "legacy":
        return line
    tool, blank, rest = line.partition(" ")
    return f"{tool}-legacy{blank}{rest}" if tool in ("iptables", "ip6tables") else line


def _file(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def counts(place: Lab) -> dict[str, int]:
    """How much of each kind there is on a lab host, and in its containers together."""
    found = Counter({f"host's {what}": len(lines) for what, lines in state().items()})
    for box in (place.root / "netns").iterdir():
        with entered(str(box)):
            found.update(_inside())
    return dict(found)


def _inside() -> dict[str, int]:
    """Links, addresses, routes and changed settings of the calling thread's namespace."""

    def lines(name: str) -> list[str]:
        return Path(f"/proc/thread-self/net/{name}").read_text().splitlines()

    def setting(name: str) -> str:
        return Path(f"/proc/sys/net/{name}").read_text().strip()

    return {
        "links": len(lines("dev")) - 2,
        "routes": len(lines("route")) - 1,
        "addresses": sum("32 host LOCAL" in line for line in lines("fib_trie"))
        + len(lines("if_inet6")),
        "low ports": setting("ipv4/ip_unprivileged_port_start") == "0",
        "no IPv6": setting("ipv6/conf/eth0/disable_ipv6") == "1",
    }
