"""Labs of several hosts, for programs.

    with Hosts(2) as hosts:
        hosts["h1"].plumb("swarm", "init", "--advertise-addr", hosts["h1"].address)
        hosts["h2"].cut()

The hosts end with the with block, and also if the process ends in another way.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Self

from plumb.errors import Conflict, Invalid, NotFound
from plumb.frozen import frozen, replace
from plumb.kernel.netns import fake_host, lab_host
from plumb.kernel.netns.lab_host import Init, Ran
from plumb.lab import commands, layout, registry
from plumb.lab.commands import ROOT as ROOT
from plumb.lab.commands import plumb_words as plumb_words
from plumb.lab.layout import Between, Place
from plumb.lab.registry import Entry

PROCESS = "plumb.lab.process"
PATIENCE = 600.0
"""Seconds that a command may take, and a lab until it is there: some run in guests without a
processor of their own."""
LATE = "ask for fewer hosts, or look what else the machine does"


@frozen
class LabHost:
    """A host of a lab.

    Attributes:
        place: its number and what lies between it and the others.
        init: its first process.
        lab: the lab's process, which has the switches' namespace.
    """

    place: Place
    init: Init
    lab: Init

    @property
    def name(self) -> str:
        """Host name, from h1 on."""
        return self.place.name

    @property
    def address(self) -> str:
        """IPv4 address on its segment."""
        return str(self.place.station.v4.ip)

    @property
    def address6(self) -> str:
        """IPv6 address on its segment."""
        return str(self.place.station.v6.ip)

    @property
    def netns(self) -> str:
        """Path of its network namespace, seen from the machine."""
        return self.init.netns

    @property
    def environment(self) -> dict[str, str]:
        """Environment of its commands: plumb manages this host there."""
        return commands.environment()

    def run(self, *argv: str, seconds: float | None = PATIENCE, check: bool = True) -> Ran:
        """Run a command on the host; its output and exit status.

        Args:
            argv: the command's words.
            seconds: how long it may take; None for as long as it likes.
            check: complain where its exit status is not 0.

        Raises:
            Conflict: it failed, and `check` is set; the message has its error output.
            KernelRefused: it took longer, and was killed; the message has what it has printed.
            NotFound: the host is gone.
        """
        self._there()
        ran = lab_host.run(self.init, argv, self.environment, seconds)
        if check and ran.returncode:
            said = ran.stderr.strip() or ran.stdout.strip()
            raise Conflict(f"{' '.join(argv)} on {self.name}: exit status {ran.returncode}: {said}")
        return ran

    def plumb(self, *argv: str, seconds: float | None = PATIENCE, check: bool = True) -> Ran:
        """Run plumb's command line on the host, as `run` does."""
        return self.run(*plumb_words(argv), seconds=seconds, check=check)

    def execute(self, argv: Sequence[str]) -> None:
        """Become a command on the host; it does not return."""
        self._there()
        lab_host.execute(self.init, argv, self.environment)

    def shell(self, lab_name: str = "") -> int:
        """Open a shell on the host, with this process's terminal; its exit status.

        Args:
            lab_name: for its prompt.
        """
        self._there()
        env = {**self.environment, **commands.prompt(lab_name, self.name)}
        return lab_host.attend(self.init, commands.shell(), env)

    def cut(self) -> None:
        """Pull its plug: its port on the switch goes down, so that no frame passes."""
        self._switch(down=True)

    def mend(self) -> None:
        """Put the plug back, and wait until both ends run: up to a second, on the kernel's word."""
        from plumb.kernel.net.carrier import await_running

        self._switch(down=False)
        for where, dev in ((self.lab, self.place.port), (self.init, layout.UPLINK)):
            lab_host.in_network_of(where, partial(await_running, [dev]))

    def _switch(self, down: bool) -> None:
        from plumb.kernel.linux import LinuxKernel
        from plumb.plan import Step

        self._there()
        port = layout.carrier(self.place)
        step = Step(port, None) if down else Step(None, port)
        lab_host.in_network_of(self.lab, lambda: LinuxKernel().take([step]))

    def _there(self) -> None:
        if not self.init.runs:
            raise NotFound(f"host {self.name} has ended", "'plumb lab rm' and start the lab anew")


class Hosts:
    """Several hosts on this machine, with what lies between them.

    Args:
        count: how many, at most 200.
        between: "switch": one segment; "router": two, with a router between; "nat": the second
            one's hosts are hidden behind the router's address.
        mtu: of the links between them, in bytes.
        name: for a lab that stays, until `close` or `plumb lab rm NAME`; without a name it ends
            with this process.
        names: there is a name server in the internet, and the hosts ask it.

    Raises:
        Invalid: no such lab can be; Conflict: one of that name runs; KernelRefused: the kernel
        refused a namespace or a link.
    """

    def __init__(
        self,
        count: int,
        between: str = Between.SWITCH,
        mtu: int | None = None,
        name: str = "",
        *,
        names: bool = False,
    ) -> None:
        try:
            kind = Between(between)
        except ValueError:
            raise Invalid(
                f"'{between}' cannot connect hosts", f"there are {', '.join(Between)}"
            ) from None
        layout.places(count, kind)
        if name:
            with suppress(NotFound):
                registry.find(name)
                raise Conflict(f"lab {name} runs already", f"'plumb lab rm {name}' ends it")
            registry.make_ready(name)
        self._control, theirs = socket.socketpair()
        with theirs:
            process = fake_host.launch(PROCESS, theirs.fileno())
        asked = {"count": count, "between": kind, "mtu": mtu, "stays": bool(name), "names": names}
        self._control.sendall(json.dumps(asked).encode() + b"\n")
        said, descriptors = self._answer(process.pid)
        process.wait()
        lab, *inits = (Init.of_descriptor(each) for each in descriptors) if descriptors else (None,)
        answer = json.loads(said or '{"refused": "the lab ended", "hint": ""}')
        if lab is None or "refused" in answer:
            self._control.close()
            raise Conflict(answer["refused"], answer["hint"])
        self.entry = Entry(name, lab, kind, tuple(inits))
        if name:
            self._record()

    def _answer(self, process: int) -> tuple[bytes, list[int]]:
        """Receive what the lab's process says, with its descriptors; end it if it says nothing.

        Args:
            process: the process group of the lab's process.
        """
        self._control.settimeout(PATIENCE)
        try:
            said, descriptors, *_ = socket.recv_fds(self._control, 1 << 16, 1 + layout.MOST)
        except TimeoutError:
            os.killpg(process, signal.SIGKILL)
            late = {"refused": f"the lab was not ready within {PATIENCE:g} s", "hint": LATE}
            return json.dumps(late).encode(), []
        self._control.settimeout(None)
        return said, descriptors

    def _record(self) -> None:
        """Write the lab down; if that fails, nobody would find it, so it ends."""
        try:
            registry.write(self.entry)
        except BaseException:
            self._control.close()
            end(replace(self.entry, name=""))
            raise

    def __getitem__(self, name: str) -> LabHost:
        """The host of that name, from h1 on."""
        return host(self.entry, name)

    def __iter__(self) -> Iterator[LabHost]:
        """The hosts in their order."""
        return iter(hosts(self.entry))

    def __len__(self) -> int:
        """Number of hosts."""
        return len(self.entry.hosts)

    def __enter__(self) -> Self:
        """Do nothing: the hosts are there."""
        return self

    def __exit__(self, *exc: object) -> None:
        """End the lab."""
        self.close()

    @property
    def descriptor(self) -> int:
        """File descriptor of this process that holds the lab."""
        return self._control.fileno()

    def close(self) -> None:
        """End all hosts, and wait until they have ended."""
        self._control.close()
        end(self.entry)


def hosts(entry: Entry) -> list[LabHost]:
    """The hosts of a lab that runs."""
    return [
        LabHost(place, init, entry.process)
        for place, init in zip(entry.places, entry.hosts, strict=True)
    ]


def host(entry: Entry, name: str) -> LabHost:
    """A lab's host by name.

    Raises:
        NotFound: it has none of that name.
    """
    found = next((each for each in hosts(entry) if each.name == name), None)
    if found is None:
        names = ", ".join(each.name for each in hosts(entry)[:8])
        raise NotFound(f"lab has no host '{name}'", f"its hosts are {names}")
    return found


def end(entry: Entry) -> None:
    """End a lab that runs: its hosts, with all that runs there, and then its process."""
    for init in (*entry.hosts, entry.process):
        with suppress(ProcessLookupError):
            process = os.pidfd_open(init.pid)
            try:
                if init.runs:
                    fake_host.end(process)
            finally:
                os.close(process)
    if entry.name:
        registry.forget(entry)
