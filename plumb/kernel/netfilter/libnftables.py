"""libnftables: what the nft command is made of, called as a library (libnftables(3)).

It takes what one would type, or the same as JSON (libnftables-json(5)), and makes one transaction
of all that is in one call: the kernel takes it whole or not at all. Here the documented C functions
are bound, and no more.

A context holds a netlink socket, which belongs to the namespace where it was made; so a thread that
has gone to another one gets another context, and so does a fork, which would share the socket.
Within a namespace it is kept: closing such a socket waits until the kernel has disposed of all that
was deleted (10 to 20 ms), while further work would not. What is kept keeps its namespace from
ending, until the thread asks for something in another one.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import stat
import threading
from contextlib import suppress
from ctypes import c_bool, c_char_p, c_int, c_uint, c_uint32, c_void_p
from functools import lru_cache
from typing import Any

from plumb.errors import KernelRefused, Unsupported
from plumb.kernel.features.table import FEATURES
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_NETFILTER
from plumb.kernel.netns.setns import SELF

LIBRARY = "libnftables.so.1"
HANDLES, JSON, TERSE = 1 << 3, 1 << 4, 1 << 11
"""Output flags of nftables/libnftables.h: print each object's handle, the kernel's number for it.

Print JSON.
"""
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "nft_ctx_new": (c_void_p, [c_uint32]),
    "nft_ctx_free": (None, [c_void_p]),
    "nft_ctx_set_dry_run": (None, [c_void_p, c_bool]),
    "nft_ctx_output_set_flags": (None, [c_void_p, c_uint]),
    "nft_ctx_buffer_output": (c_int, [c_void_p]),
    "nft_ctx_get_output_buffer": (c_char_p, [c_void_p]),
    "nft_ctx_buffer_error": (c_int, [c_void_p]),
    "nft_ctx_get_error_buffer": (c_char_p, [c_void_p]),
    "nft_run_cmd_from_buffer": (c_int, [c_void_p, c_char_p]),
}


class Nft:
    """libnftables for the calling thread's namespace.

    Raises:
        Unsupported: it is not installed, or cannot speak JSON.
    """

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise Unsupported(
                "firewall-backend is nftables, but libnftables is not installed",
                "install it (Debian: apt install libnftables1), or set firewall-backend to iptables",
            ) from error
        for name, (result, arguments) in FUNCTIONS.items():
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
        self._lock = threading.RLock()
        self._context: int | None = None
        self._place: tuple[int, int, int] | None = None
        self.version = self._version()

    def _version(self) -> str:
        try:
            return str(
                json.loads(self.run("list tables", "ask nf_tables for its tables"))["nftables"][0][
                    "metainfo"
                ]["version"]
            )
        except KernelRefused as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT):
                raise
            raise Unsupported(
                f"firewall-backend is nftables, but this kernel has no nf_tables ({error})",
                f"{FEATURES['nf_tables'].remedy}, or set firewall-backend to iptables",
            ) from error
        except ValueError as error:
            raise Unsupported(
                "firewall-backend is nftables, but this libnftables was built without JSON",
                "install one with it (Debian: apt install libnftables1), or set firewall-backend to iptables",
            ) from error

    def run(
        self,
        commands: str | list[dict[str, Any]],
        doing: str,
        *,
        flags: int = JSON,
        dry: bool = False,
    ) -> str:
        """One transaction, or one question.

        Args:
            commands: nft's own language, or the list of commands of libnftables-json(5).
            doing: what for, as in "write the nftables rules".
            flags: output flags.
            dry: let the kernel check it, and change nothing.

        Raises:
            KernelRefused: it was refused as a whole.
        """
        text = (
            commands
            if isinstance(commands, str)
            else json.dumps({"nftables": commands}, separators=(",", ":"))
        )
        with self._lock:
            context, library = self._here(), self._library
            library.nft_ctx_set_dry_run(context, dry)
            library.nft_ctx_output_set_flags(context, flags)
            failed = library.nft_run_cmd_from_buffer(context, text.encode())
            said = library.nft_ctx_get_error_buffer(context).decode(errors="replace")
            found: str = library.nft_ctx_get_output_buffer(context).decode(errors="replace")
        if failed:
            raise refusal(doing, said)
        return found

    def _here(self) -> int:
        """The context of this process for the namespace that the thread is in."""
        namespace = os.stat(SELF)
        place = (os.getpid(), namespace.st_dev, namespace.st_ino)
        if self._context is None or self._place != place:
            if self._context is not None:
                self._library.nft_ctx_free(self._context)
            self._context, self._place = self._new(), place
        return self._context

    def _new(self) -> int:
        _netlink()
        before = _sockets()
        context: int | None = self._library.nft_ctx_new(0)
        if context is None:
            raise KernelRefused("open libnftables", errno.ENOMEM)
        for descriptor in _sockets() - before:
            os.set_inheritable(
                descriptor, False
            )  # no command that is started shall hold this namespace
        self._library.nft_ctx_buffer_output(context)
        self._library.nft_ctx_buffer_error(context)
        return context


def _sockets() -> set[int]:
    """The descriptors of this process that are sockets."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the folder itself is closed by now
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                found.add(int(name))
    return found


def _netlink() -> None:
    """See that there is a netfilter at the other end of netlink.

    Libnftables ends the whole process where there is none.
    """
    try:
        Connection(NETLINK_NETFILTER).close()
    except OSError as error:
        raise Unsupported(
            "firewall-backend is nftables, but this kernel has no netfilter over netlink",
            f"{FEATURES['nf_tables'].remedy}, or set firewall-backend to iptables",
        ) from error


def refusal(doing: str, said: str) -> KernelRefused:
    """The first complaint as an error; libnftables names the errno by its words."""
    first = re.search(r"Error: (?:Could not process rule: )?(.*)", said)
    words = first[1] if first else " ".join(said.split())
    number = next((number for number in errno.errorcode if os.strerror(number) in words), 0)
    return KernelRefused(doing, number, words)


@lru_cache(maxsize=1)
def nft() -> Nft:
    """The one of this process."""
    return Nft()
