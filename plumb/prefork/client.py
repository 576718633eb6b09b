"""A command line handed to a warm process: the caller's side, and the form of what is said.

What a start of Python costs is its imports; so this imports what is built into the interpreter, and
nothing that is written in Python. What becomes of a request is in `plumb.prefork.server`.

A request is one datagram on command.sock, its parts separated by NUL, which neither an argument nor
an environment can hold. Who is willing gets four descriptors: the standard streams, and the reading
end of a pipe whose other end closes with the caller, however that ends. (Had they come with the
request, somebody who never reads it would keep the caller's output open.)
"""

import _signal  # type: ignore[import-not-found]  # typeshed has only signal, which makes enums of its numbers: 3 ms
import _socket
import io
import os
import sys

import plumb
from plumb import root

SOCKET = "command.sock"
ROOM = 107
"""Bytes of a Unix socket's path (unix(7)).

A longer one is gone about by way of a descriptor of its folder.
"""
PATIENCE = 1.0
"""Seconds until a command has begun elsewhere; after that it begins here."""
LARGEST = 1 << 18
"""Bytes of a datagram, which is more than a Unix socket takes unless told otherwise (net.core.wmem_default)."""
WILLING, BEGUN, STATUS, COLD, BECOME = b"w", b"b", b"s", b"c", b"x"
"""How an answer begins: your descriptors, please; it has begun (with a pidfd); its exit status.

Go on yourself; become this command
of a container."""
PASSED_ON = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT, _signal.SIGTSTP)
READ_ONCE = ("PYTHON", "XTABLES_")
"""What of the environment counts when something is imported,"""
SHOWN_OTHERWISE = ("PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONIOENCODING")
"""but for what sys.path and the streams show as well."""
PATHS = ("PLUMB_CONFIG", "PLUMB_ROOT")
"""What of the environment is a path."""


class Died(Exception):
    """Who did the work has ended without a word."""


class Request:
    """What is asked for.

    Attributes:
        identity: which plumb, and which interpreter; a warm process serves one of each.
        executable, home: that interpreter, and the folder that the package lies in.
        blocked: the signals that the caller blocks.
        streams: of each standard stream its encoding, what it does with errors, whether it is
        flushed by the line, and whether at once.
        argv, environment: the caller's.
    """

    def __init__(self, message: bytes) -> None:
        """Read one.

        Raises:
            ValueError: it is none.
        """
        self.identity, self.executable, self.home, blocked, *rest = os.fsdecode(message).split("\0")
        self.blocked = [int(number) for number in blocked.split()]
        self.streams = [stream.split() for stream in rest[:3]]
        last = 4 + int(rest[3])
        self.argv = rest[4:last]
        self.environment = dict(entry.split("=", 1) for entry in rest[last:])


def compose(blocked: "set[int]") -> bytes:
    """The request of this process.

    Raises:
        OSError: a standard stream is closed, or a variable has no name: nobody could give those to
        another process.
    """
    if "" in os.environ:
        raise OSError("a variable has no name")
    home = os.path.dirname(os.path.dirname(plumb.__file__))
    path = [
        entry for entry in sys.path[1:] if entry != home
    ]  # the first is the folder of the script, or the caller's own
    once = sorted(
        item
        for item in os.environ.items()
        if item[0].startswith(READ_ONCE) and item[0] not in SHOWN_OTHERWISE
    )
    identity = repr((plumb.__version__, home, sys.prefix, path, sys.getfilesystemencoding(), once))
    parts = [
        identity,
        sys.executable,
        home,
        " ".join(str(int(number)) for number in blocked),
        *map(_described, range(3)),
        str(len(sys.argv)),
        *sys.argv,
        *(f"{name}={value}" for name, value in os.environ.items()),
    ]
    return os.fsencode("\0".join(parts))


def _described(number: int) -> str:
    stream = (sys.stdin, sys.stdout, sys.stderr)[number]
    if not isinstance(stream, io.TextIOWrapper) or stream.fileno() != number:
        raise OSError("a standard stream is closed")
    return f"{stream.encoding} {stream.errors} {int(stream.line_buffering)} {int(stream.write_through)}"


def received(connection: _socket.socket) -> bytes:
    """What was said: one datagram, and nothing when there is nobody any more.

    Raises:
        OSError: it is longer than `LARGEST`. What is left of it could be another command.
    """
    heard, _, flags, _ = connection.recvmsg(LARGEST)
    if flags & _socket.MSG_TRUNC:
        raise OSError("a datagram is too long")
    return heard


def ask() -> int | None:
    """Have this process's command line carried out by a warm one.

    Returns:
        The exit status; None where nothing was done and the command is to go on here: there is no
        warm process, it is another plumb's, or only the caller's own can do it.

    Raises:
        Died: it was killed over it.
    """
    option = "".join(sys.orig_argv[1:2])
    if (option.startswith("-") and option != "-m") or os.environ.get("PLUMB_WARM") == "0":
        return None  # an interpreter with options of its own is left alone
    if any(
        "/fd/" in word for word in (*sys.argv[1:], *(os.environ.get(name, "") for name in PATHS))
    ):
        return None  # a descriptor's number is this process's: --config <(…)
    try:
        connection = _connected(root.run(root.named()))
    except OSError:
        return None
    blocked = _signal.pthread_sigmask(
        _signal.SIG_BLOCK, PASSED_ON
    )  # as long as nobody can be told of them
    leash, held = os.pipe()  # that end stays open as long as this process lives
    try:
        errand = ForwardedCommand(connection, _hand_over(connection, compose(blocked), leash))
    except (OSError, ValueError):
        os.close(held)  # who begins only now is killed
        connection.close()
        return None
    finally:
        os.close(leash)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, blocked)
    return errand.see_through()


def _connected(folder: str) -> _socket.socket:
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    connection.settimeout(PATIENCE)
    path = f"{folder}/{SOCKET}"
    if len(os.fsencode(path)) <= ROOM:
        connection.connect(path)
        return connection
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        connection.connect(f"/proc/self/fd/{descriptor}/{SOCKET}")
    finally:
        os.close(descriptor)
    return connection


def _hand_over(connection: _socket.socket, message: bytes, leash: int) -> int:
    """Send a request; a pidfd of who has begun with it.

    Raises:
        OSError: nobody has.
    """
    connection.send(message)
    if connection.recv(1) != WILLING:
        raise OSError("nobody is willing")
    descriptors = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2, leash))
    connection.sendmsg([b"d"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)])
    heard, rights, _, _ = connection.recvmsg(1, 64, _socket.MSG_CMSG_CLOEXEC)
    if heard != BEGUN or not rights:
        raise OSError("it has not begun")
    connection.settimeout(None)
    return int.from_bytes(rights[0][2][:4], sys.byteorder)


class ForwardedCommand:
    """A command line under way in another process.

    Args:
        connection: to that process.
        child: a pidfd of it.
    """

    def __init__(self, connection: _socket.socket, child: int) -> None:
        self._connection, self._child, self._passed_on = connection, child, 0
        self._before = {number: _signal.getsignal(number) for number in PASSED_ON}
        for number, handler in self._before.items():
            if handler != _signal.SIG_IGN:  # nohup stays nohup
                _signal.signal(number, self._pass_on)

    def see_through(self) -> int | None:
        """Wait for its end; see `ask`."""
        while True:
            heard = self._hear()
            kind, rest = heard[:1], heard[1:]
            if kind == STATUS:
                self._hear()  # that it has gone, and keeps nothing open
                return int(rest)
            self._let_go()
            if kind == BECOME:
                self._say(_become(rest))
            elif kind == COLD:
                os.close(self._child)
                return None
            elif self._passed_on:
                _signal.signal(self._passed_on, _signal.SIG_DFL)
                _signal.raise_signal(self._passed_on)
            else:
                raise Died

    def _hear(self) -> bytes:
        """What is said; nothing when there is nobody any more."""
        try:
            return received(self._connection)
        except OSError:
            return b""

    def _say(self, words: bytes) -> None:
        try:
            self._connection.send(words)
        except OSError:
            raise Died from None

    def _pass_on(self, number: int, frame: object) -> None:
        """Have a signal take effect there."""
        try:
            if number == _signal.SIGTSTP:  # it has no terminal whose SIGTSTP would stop it
                _signal.pidfd_send_signal(self._child, _signal.SIGSTOP)
                os.kill(os.getpid(), _signal.SIGSTOP)
                _signal.pidfd_send_signal(self._child, _signal.SIGCONT)
            else:
                _signal.pidfd_send_signal(self._child, number)
                self._passed_on = number
        except ProcessLookupError:
            pass  # it has ended; what it said is on its way

    def _let_go(self) -> None:
        for number, handler in self._before.items():
            _signal.signal(number, handler)


def _become(wish: bytes) -> bytes:
    """Become a container's command (`exec`).

    This process is the one that its caller knows and whose terminal it has.

    Returns:
        Why not: errno and words.
    """
    import marshal

    from plumb.kernel.process import shim

    spec = marshal.loads(wish)  # noqa: S302  # it is from a process of root's, who has asked for it
    try:
        shim.become(spec)
    except OSError as error:
        return os.fsencode(f"{error.errno} {error.strerror}")
