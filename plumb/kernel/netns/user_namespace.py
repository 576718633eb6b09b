"""User namespace of a lab: whoever starts it is root there, and there alone.

The capabilities of its root hold for the namespaces that were made in it (user_namespaces(7)), so
nothing of the machine can be configured from there. Without privileges a process may map one user
and one group, its own, and must give up setgroups(2) for that: no other user exists in the lab.
"""

from __future__ import annotations

import os
from pathlib import Path

from plumb.errors import KernelRefused, Unsupported
from plumb.kernel.netns.namespaces import call

CLONE_NEWUSER = 0x10000000  # linux/sched.h
CAP_SYS_ADMIN = 21  # linux/capability.h
FORBIDDING = {
    "user.max_user_namespaces": ("0", "15000"),
    "kernel.unprivileged_userns_clone": ("0", "1"),
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),
}
"""Settings that forbid user namespaces: the value that does, and one that does not."""
OTHERWISE = "as root (sudo) a lab needs no user namespace, nor does a virtual machine"


def wanted() -> bool:
    """True if the calling process can make namespaces in a user namespace of its own only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return not int(value, 16) >> CAP_SYS_ADMIN & 1
    return True


def become_root() -> None:
    """Move the calling process, which has one thread, into a new user namespace, as its root.

    Raises:
        Unsupported: the system forbids it; the hint names the setting.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        call("unshare", CLONE_NEWUSER, doing="make a user namespace")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except (KernelRefused, OSError) as error:
        raise Unsupported(f"a lab without root needs a user namespace: {error}", advice()) from None


def advice() -> str:
    """Name the setting that forbids namespaces to users, and what can be done without it."""
    for name, (forbids, allows) in FORBIDDING.items():
        try:
            value = Path("/proc/sys", name.replace(".", "/")).read_text().strip()
        except OSError:
            continue
        if value == forbids:
            return f"{name} is {value}, 'sysctl -w {name}={allows}' allows it; {OTHERWISE}"
    return f"the system or a container around it forbids it; {OTHERWISE}"


def is_another(pid: int) -> bool:
    """True if a process is in another user namespace than the calling one."""
    try:
        return os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
    except OSError:
        return False
