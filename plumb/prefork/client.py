"""Client of the prefork server, and the format of its messages.

Most of the time that Python needs to start goes into imports; so this module imports what is built
into the interpreter, and no module written in Python. `plumb.prefork.server` carries requests out.

A request is one packet on command.sock, its parts separated by NUL, which neither an argument nor
an environment can contain. A worker that accepts it gets four file descriptors: the standard
streams, and the read end of a pipe whose other end closes when the caller ends, in any way. (If
they came with the request, a process that never reads it would keep the caller's output open.)
"""

import _signal  # type: ignore[import-not-found]  # typeshed has only signal, which makes enums of its numbers: 3 ms
import _socket
import io
import os
import sys

import plumb
from plumb import root

SOCKET = "command.sock"
MAX_PATH = 107
"""Bytes of a Unix socket's path, at most (unix(7)).

For a longer path the client connects through a descriptor of the socket's folder.
"""
TIMEOUT = 1.0
"""Seconds that a worker has to begin; after that the command runs in the caller's own process."""
MAX_DATAGRAM = 1 << 18
"""Bytes of a packet, at most; a Unix socket accepts less by default (net.core.wmem_default)."""
WILLING, BEGUN, STATUS, COLD, BECOME = b"w", b"b", b"s", b"c", b"x"
"""First byte of each reply.

File descriptors wanted; begun (with a pidfd); exit status; run the command in the caller's own
process; become this command of a container.
"""
FORWARDED_SIGNALS = (
    _signal.SIGINT,
    _signal.SIGTERM,
    _signal.SIGHUP,
    _signal.SIGQUIT,
    _signal.SIGTSTP,
)
READ_ONCE = ("PYTHON", "XTABLES_")
"""Prefixes of variables that are read when a module is imported,"""
NOT_COMPARED = ("PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONIOENCODING")
"""except those whose effect sys.path and the streams show as well."""
PROGRAM = ("-m", "-c")
"""Options that name a program, and change nothing of the interpreter that runs it."""
PATHS = ("PLUMB_CONFIG", "PLUMB_ROOT")
"""Variables that hold a path."""
LAUNCHER = "launcher"
"""Identity in a launcher's request (launcher.c)."""
OWN_PROCESS = "PLUMB_OWN_PROCESS"
"""Variable in which the launcher names its pid, once a worker has told it to run the command.

It is this process's pid then, as the launcher has executed this program; children have another.
"""
KILLED = (
    "the process that carried out the command was killed",
    "run 'plumb check' to verify the host's state",
)
"""What is said of a worker that was killed, and what to try."""
RESUME = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from plumb.prefork.client import resume; resume(*map(int, sys.argv[2:]))"
)
"""Python that goes on for a launcher whose process is to become a container's command."""


class Died(Exception):
    """Raised when the worker exits without sending a status."""


class Request:
    """Command line of a caller.

    Attributes:
        identity: the caller's plumb and interpreter; a prefork server serves one identity.
        executable, home: that interpreter, and the folder that contains the package.
        blocked: signals that the caller blocks.
        streams: of each standard stream its encoding, its error handler, line buffering, write
            through.
        argv, environment: the caller's; of a variable that is there twice the first, as Python's.
    """

    def __init__(self, message: bytes) -> None:
        """Parse a request.

        Raises:
            ValueError: it is malformed.
        """
        self.identity, self.executable, self.home, blocked, *rest = os.fsdecode(message).split("\0")
        self.blocked = [int(number) for number in blocked.split()]
        self.streams = [stream.split() for stream in rest[:3]]
        last = 4 + int(rest[3])
        self.argv = rest[4:last]
        self.environment = dict(entry.split("=", 1) for entry in reversed(rest[last:]))


def compose(blocked: "set[int]") -> bytes:
    """Build the request of this process.

    Raises:
        OSError: a standard stream is closed, or a variable has no name; neither can be passed to
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
        if item[0].startswith(READ_ONCE) and item[0] not in NOT_COMPARED
    )
    identity = repr((plumb.__version__, home, sys.prefix, path, sys.getfilesystemencoding(), once))
    parts = [
        identity,
        sys.executable,
        home,
        " ".join(str(int(number)) for number in blocked),
        *map(_stream_settings, range(3)),
        str(len(sys.argv)),
        *sys.argv,
        *(f"{name}={value}" for name, value in os.environ.items()),
    ]
    return os.fsencode("\0".join(parts))


def _stream_settings(number: int) -> str:
    stream = (sys.stdin, sys.stdout, sys.stderr)[number]
    if not isinstance(stream, io.TextIOWrapper) or stream.fileno() != number:
        raise OSError("a standard stream is closed")
    line_buffering, write_through = int(stream.line_buffering), int(stream.write_through)
    return f"{stream.encoding} {stream.errors} {line_buffering} {write_through}"


def received(connection: _socket.socket) -> bytes:
    """Receive one packet; empty if the peer has closed the connection.

    Raises:
        OSError: it is longer than `MAX_DATAGRAM`. Its rest could be another command.
    """
    message, _, flags, _ = connection.recvmsg(MAX_DATAGRAM)
    if flags & _socket.MSG_TRUNC:
        raise OSError("a datagram is too long")
    return message


def ask() -> int | None:
    """Run this process's command line in a worker of the prefork server.

    Returns:
        The exit status; None if nothing was done and the command has to run here: there is no
        prefork server, it has another identity, or only the caller's own process can run the
        command.

    Raises:
        Died: the worker was killed while it ran the command.
    """
    if os.environ.pop(OWN_PROCESS, "") == str(os.getpid()):
        return None
    option = "".join(sys.orig_argv[1:2])
    if (option[:1] == "-" and option not in PROGRAM) or os.environ.get("PLUMB_WARM") == "0":
        return None  # an interpreter with options of its own is left alone
    if any(
        "/fd/" in word for word in (*sys.argv[1:], *(os.environ.get(name, "") for name in PATHS))
    ):
        return None  # a descriptor's number is this process's: --config <(…)
    try:
        path = root.named()
        if root.distrust(path):
            return None  # somebody else's server would get the streams and the environment
        connection = _connect(root.run(path))
    except OSError:
        return None
    blocked = _signal.pthread_sigmask(
        _signal.SIG_BLOCK, FORWARDED_SIGNALS
    )  # as long as nobody can be told of them
    liveness, kept_open = os.pipe()  # that end stays open as long as this process lives
    try:
        _send_request(connection, compose(blocked), liveness)
        command = ForwardedCommand(connection, _await_begun(connection, kept_open))
    except (OSError, ValueError):
        connection.close()
        return None
    finally:
        os.close(liveness)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, blocked)
    return command.wait()


def _connect(folder: str) -> _socket.socket:
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    connection.settimeout(TIMEOUT)
    path = f"{folder}/{SOCKET}"
    if len(os.fsencode(path)) <= MAX_PATH:
        connection.connect(path)
    else:
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        try:
            connection.connect(f"/proc/self/fd/{descriptor}/{SOCKET}")
        finally:
            os.close(descriptor)
    if _listener_uid(connection) != os.geteuid():  # the path may be another since `distrust`
        raise PermissionError("somebody else listens")
    return connection


def _listener_uid(connection: _socket.socket) -> int:
    """User of the process that listens (SO_PEERCRED, unix(7): pid, uid, gid)."""
    credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[4:8], sys.byteorder)


def _send_request(connection: _socket.socket, message: bytes, liveness: int) -> None:
    """Send a request, and the streams to a worker that accepts it.

    Raises:
        OSError: no worker does.
    """
    connection.send(message)
    if connection.recv(1) != WILLING:
        raise OSError("nobody is willing")
    descriptors = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2, liveness))
    connection.sendmsg([b"d"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)])


def _await_begun(connection: _socket.socket, kept_open: int) -> int:
    """Wait until a worker has begun; its pidfd.

    Who has the streams ends as soon as the other end of the liveness pipe is closed, before it
    begins; who has begun before has said so before. So the last look is the last word.

    Raises:
        OSError: no worker has, and none will.
    """
    try:
        return _begun(connection)
    except TimeoutError:
        connection.settimeout(0)
    try:
        return _begun(connection)  # it came while this process was stopped
    except BlockingIOError:
        os.close(kept_open)
        return _begun(connection)


def _begun(connection: _socket.socket) -> int:
    message, rights, _, _ = connection.recvmsg(1, 64, _socket.MSG_CMSG_CLOEXEC)
    if message != BEGUN or not rights:
        raise OSError("it has not begun")
    connection.settimeout(None)
    return int.from_bytes(rights[0][2][:4], sys.byteorder)


class ForwardedCommand:
    """Command line that a worker runs.

    Args:
        connection: to that worker.
        child: its pidfd.
    """

    def __init__(self, connection: _socket.socket, child: int) -> None:
        self._connection, self._child, self._forwarded = connection, child, 0
        self._handlers = {number: _signal.getsignal(number) for number in FORWARDED_SIGNALS}
        for number, handler in self._handlers.items():
            if handler != _signal.SIG_IGN:  # nohup stays nohup
                _signal.signal(number, self._forward)

    def wait(self) -> int | None:
        """Wait until the worker has ended; see `ask`."""
        while True:
            message = self._receive()
            kind, rest = message[:1], message[1:]
            if kind == STATUS:
                self._receive()  # that it has gone, and keeps nothing open
                return int(rest)
            self._give_back_signals()
            if kind == BECOME:
                self._send(_become(rest))
            elif kind == COLD:
                os.close(self._child)
                return None
            elif self._forwarded:
                _signal.signal(self._forwarded, _signal.SIG_DFL)
                _signal.raise_signal(self._forwarded)
            else:
                raise Died

    def _receive(self) -> bytes:
        """Receive a message; empty if the worker has ended."""
        try:
            return received(self._connection)
        except OSError:
            return b""

    def _send(self, text: bytes) -> None:
        try:
            self._connection.send(text)
        except OSError:
            raise Died from None

    def _forward(self, number: int, frame: object) -> None:
        """Send a signal on to the worker."""
        try:
            if number == _signal.SIGTSTP:  # it has no terminal whose SIGTSTP would stop it
                _signal.pidfd_send_signal(self._child, _signal.SIGSTOP)
                self._stop()
                _signal.pidfd_send_signal(self._child, _signal.SIGCONT)
            else:
                self._forwarded = number  # first, as it may have ended
                _signal.pidfd_send_signal(self._child, number)
        except ProcessLookupError:
            pass  # it has ended; what it said is on its way

    def _stop(self) -> None:
        """Stop until somebody continues this process.

        The kernel discards SIGTSTP in a group that no shell waits for: SIGSTOP would stop it for
        good there.
        """
        _signal.signal(_signal.SIGTSTP, _signal.SIG_DFL)
        os.kill(os.getpid(), _signal.SIGTSTP)
        _signal.signal(_signal.SIGTSTP, self._forward)

    def _give_back_signals(self) -> None:
        """Restore the handlers, and handle here what the worker was told and did nothing for."""
        blocked = _signal.pthread_sigmask(_signal.SIG_BLOCK, FORWARDED_SIGNALS)
        for number, handler in self._handlers.items():
            _signal.signal(number, handler)
        if self._forwarded:
            _signal.raise_signal(self._forwarded)  # blocked still
        _signal.pthread_sigmask(_signal.SIG_SETMASK, blocked)


def resume(connection: int, child: int, liveness: int, interruptible: int) -> None:
    """Go on for a launcher, in its process: its worker has asked it to become a command.

    Args:
        connection, child: as of `ForwardedCommand`; liveness: the pipe's end that is kept open.
        interruptible: 1 if SIGINT is blocked only until there is somebody here to tell of it.
    """
    for descriptor in (connection, child, liveness):
        os.set_inheritable(descriptor, False)
    try:
        if interruptible:
            _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGINT,))
        status = ForwardedCommand(_socket.socket(fileno=connection), child).wait()
    except Died:
        sys.stderr.write(f"plumb: {'; '.join(KILLED)}\n")
        status = 1
    except KeyboardInterrupt:
        sys.stderr.write("plumb: interrupted\n")
        status = 130
    sys.stderr.flush()
    os._exit(1 if status is None else status)


def _become(spec_bytes: bytes) -> bytes:
    """Become a container's command (`exec`).

    This process is the one that its caller knows and whose terminal it has.

    Returns:
        The error, if that failed: errno and text.
    """
    import marshal

    from plumb.kernel.process import become

    spec = marshal.loads(spec_bytes)  # noqa: S302  # it is from a process of root's, who has asked for it
    try:
        become.become(spec)
    except OSError as error:
        return os.fsencode(f"{error.errno} {error.strerror}")
