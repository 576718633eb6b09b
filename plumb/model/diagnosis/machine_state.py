"""State of the machine that a host is: its kernel, its programs, its settings on disk."""

from __future__ import annotations

from plumb.frozen import frozen


@frozen
class MachineState:
    """State of the machine that is not a namespace's.

    Attributes:
        release: the running kernel's; modules: the kernels for which modules are installed.
        processes: pids and names of engines and of managers of firewalls.
        persistent: lines of sysctl's files that set what containers need: file, name, value.
        managed: indices of links that systemd-networkd configures, with the file that says so.
        iptables: the file that the command iptables is; legacy: the kernel has the tables of the
            legacy variant, or a module that has.
    """

    release: str = ""
    modules: tuple[str, ...] = ()
    processes: tuple[tuple[int, str], ...] = ()
    persistent: tuple[tuple[str, str, str], ...] = ()
    managed: tuple[tuple[int, str], ...] = ()
    iptables: str = ""
    legacy: bool = True
