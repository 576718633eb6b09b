"""Classic BPF: the small programs by which the kernel chooses a socket's packets.

bpf(4) and the kernel's networking/filter.rst describe it. A machine with one accumulator A and one
index register X runs for each packet: it loads bytes, compares, jumps forward only, and returns how
much of the packet the socket gets: nothing, or all of it. So no other program's packets ever reach
user space. tcpdump's compiler would write much the same instructions; plumb writes them itself,
since the filters that it needs are few and known.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable

SO_ATTACH_FILTER = 26
LIMIT = 4096
"""Instructions that one program may have (BPF_MAXINSNS)."""
ALL = 0x7FFFFFFF
INSTRUCTION = struct.Struct("=HBBI")

# linux/bpf_common.h: a class, a size and a mode added up; the numbers are the kernel's ABI.
ABSOLUTE = {1: 0x30, 2: 0x28, 4: 0x20}
INDEXED = {1: 0x50, 2: 0x48, 4: 0x40}
LOAD_MEMORY, STORE, LOAD_X, MOVE_TO_X, MOVE_FROM_X = 0x60, 0x02, 0x01, 0x07, 0x87
AND, ADD, ADD_X, SHIFT_LEFT = 0x54, 0x04, 0x0C, 0x64
IF_EQUAL, IF_ANY_BIT, GO, RETURN = 0x15, 0x45, 0x05, 0x06
# linux/filter.h: what the kernel knows of a packet besides its bytes.
PROTOCOL, LINK_TYPE = 0xFFFFF000, 0xFFFFF000 + 28


class Program:
    """A program under construction: instructions in their order, and labels to jump to."""

    def __init__(self) -> None:
        self._code: list[tuple[int, int, str]] = []  # operation, its number, the label of a jump
        self._labels: dict[str, int] = {}
        self._made = 0

    def label(self, prefix: str) -> str:
        """A name for a label that nobody else has."""
        self._made += 1
        return f"{prefix}{self._made}"

    def here(self, label: str) -> None:
        """A label stands before the next instruction."""
        self._labels[label] = len(self._code)

    def do(self, operation: int, number: int = 0) -> None:
        """An instruction that is no jump."""
        self._code.append((operation, number, ""))

    def load(self, size: int, at: int) -> None:
        """A = that many bytes (1, 2, 4), at so many behind X."""
        self.do(INDEXED[size], at)

    def go(self, label: str) -> None:
        """Jump."""
        self._code.append((GO, 0, label))

    def when(self, values: int | Iterable[int], label: str, test: int = IF_EQUAL) -> None:
        """Jump when A is one of these values (or has one of these bits)."""
        for value in [values] if isinstance(values, int) else values:
            self._code.append((test, value, label))

    def assemble(self) -> bytes:
        """The program as the kernel takes it.

        A jump on a condition reaches 255 instructions, one without a condition any; so each
        condition skips, or does not, a jump.
        """
        places, at = [], 0
        for operation, _, _ in self._code:
            places.append(at)
            at += 2 if operation in (IF_EQUAL, IF_ANY_BIT) else 1
        places.append(at)
        assert at <= LIMIT, at
        found = []
        for index, (operation, number, label) in enumerate(self._code):
            if operation in (IF_EQUAL, IF_ANY_BIT):
                found.append(INSTRUCTION.pack(operation, 0, 1, number))
            last = places[index + 1] - 1
            target = places[self._labels[label]] - last - 1 if label else number
            found.append(INSTRUCTION.pack(GO if label else operation, 0, 0, target))
        return b"".join(found)


def attach(sock: socket.socket, program: bytes) -> None:
    """Give a socket its filter. What came in before stays in its queue."""
    held = ctypes.create_string_buffer(program, len(program))
    sock.setsockopt(
        socket.SOL_SOCKET,
        SO_ATTACH_FILTER,
        struct.pack("@HP", len(program) // INSTRUCTION.size, ctypes.addressof(held)),
    )
