"""Logging drivers: lines that go to a log server, or nowhere, and never hold up a command."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from plumb.kernel.process.logs.fluentd import Fluentd, packed
from plumb.kernel.process.logs.log_server import LogServer, connect
from plumb.kernel.process.logs.syslog import Syslog
from tests.host.trial_hosts import MARK, end_all, plumb, tried
from tests.labs import Lab
from tests.prefork.prefork_lab import said, start
from tests.waiting import until

AT = 1769857200_123456789  # 2026-01-31T11:00:00.123456789Z
DEADLINE = 30.0


@pytest.fixture
def root(lab: Lab) -> Iterator[Lab]:
    """A lab; in the end nothing of the test's runs."""
    yield lab
    try:
        plumb(lab, "reset", "--force")
    finally:
        end_all(lab)


def run(lab: Lab, script: str, *words: str) -> str:
    """`run -d` of a shell script as the container box; its id."""
    given = ("run", "-d", "--name", "box", "--network", "none", "-e", MARK, *words)
    return plumb(lab, *given, "sh", "-c", script).strip()


def ended(lab: Lab) -> None:
    """Wait until the command has ended."""
    until(lambda: "Exited" in plumb(lab, "ps", "-a"), "the command has ended", 60)


def datagrams(path: Path) -> socket.socket:
    """A syslog server's socket."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(str(path))
    made.settimeout(DEADLINE)
    return made


def listener(path: Path) -> socket.socket:
    """A server's socket for streams."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(path))
    made.listen()
    made.settimeout(DEADLINE)
    return made


def options(**given: str) -> dict[str, str]:
    """Options of a syslog server, but for those that are given."""
    return {"kind": "", "tag": "web", "facility": "3", "format": "", "path": "", **given}


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time zone of a test."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize(
    ("form", "stream", "message"),
    [
        ("", "stdout", r"<30>Jan 31 11:00:00 web\[\d+\]: a line\n"),
        ("", "stderr", r"<27>Jan 31 11:00:00 web\[\d+\]: a line\n"),
        ("rfc3164", "stdout", r"<30>Jan 31 11:00:00 HOST web\[\d+\]: a line\n"),
        ("rfc5424", "stdout", r"<30>1 2026-01-31T11:00:00Z HOST web \d+ web - a line\n"),
        (
            "rfc5424micro",
            "stdout",
            r"<30>1 2026-01-31T11:00:00.123456Z HOST web \d+ web - a line\n",
        ),
    ],
)
def test_forms_of_syslog(form: str, stream: str, message: str) -> None:
    """Docker's, with the facility daemon."""
    made = Syslog(options(format=form)).encode(stream, b"a line\n", AT).decode()
    assert re.fullmatch(message.replace("HOST", re.escape(socket.gethostname())), made)


def test_a_message_of_fluentd() -> None:
    """[tag, time, record] in MessagePack."""
    made = Fluentd({"tag": "t", "id": "abc", "name": "/box", "precise": ""})
    assert made.encode("stdout", b"a line\n", AT) == (
        b"\x93\xa1t\xcf\x00\x00\x00\x00\x69\x7d\xe0\xb0"
        b"\x84\xaccontainer_id\xa3abc\xaecontainer_name\xa4/box"
        b"\xa6source\xa6stdout\xa3log\xa6a line"
    )


def test_a_precise_time_of_fluentd() -> None:
    """EventTime: seconds and nanoseconds; a part of a line says that it is one."""
    made = Fluentd({"tag": "t", "id": "abc", "name": "/box", "precise": "true"})
    message = made.encode("stderr", b"a part", AT)
    assert message[3:13] == b"\xd7\x00\x69\x7d\xe0\xb0" + (123456789).to_bytes(4, "big")
    assert message.endswith(b"\xafpartial_message\xa4true")


@pytest.mark.parametrize(
    ("length", "head"),
    [(31, b"\xbf"), (32, b"\xd9\x20"), (256, b"\xda\x01\x00"), (65536, b"\xdb\x00\x01\x00\x00")],
)
def test_lengths_of_packed_texts(length: int, head: bytes) -> None:
    assert packed("x" * length) == head + b"x" * length


def test_a_server_that_comes_later_gets_what_waited(tmp_path: Path) -> None:
    """And one that comes again gets the next line."""
    path = tmp_path / "log"
    asked = options(kind="unix", path=str(path))
    sender = LogServer(asked, Syslog(asked).encode, 1 << 20)
    sender.keep("stdout", [b"early\n"], AT)
    for word in (b"early", b"late"):
        with closing(listener(path)) as server:
            connection = server.accept()[0]
            connection.settimeout(DEADLINE)
            assert connection.recv(1000).endswith(word + b"\n")
            connection.close()
        path.unlink()
        sender.keep("stdout", [b"late\n"], AT)
    sender.close()


def test_lines_go_over_one_connection(tmp_path: Path) -> None:
    """One after the other, at once: a server that says nothing is no server that has gone."""
    with closing(listener(tmp_path / "log")) as server:
        where = options(kind="unix", path=str(tmp_path / "log"))
        sender = LogServer(where, Syslog(where).encode, 1 << 20)
        for number in range(3):
            sender.keep("stdout", [b"line %d\n" % number], AT)
        with closing(server.accept()[0]) as connection:
            connection.settimeout(DEADLINE)
            received = b""
            while b"line 2" not in received:
                got = connection.recv(4096)
                assert got, "it took a server that says nothing for one that has gone"
                received += got
        assert received.count(b"\n") == 3
        sender.close()


def test_another_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that listens by IPv4 alone, on a host whose name has an IPv6 address as well."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        both = [
            (family, socket.SOCK_STREAM, 6, "", (host, port))
            for family, host in ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"))
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
        where = {"kind": "tcp", "host": "logs", "port": str(port)}
        with closing(connect(where)) as made:
            assert made.getpeername() == ("127.0.0.1", port)


def test_what_there_is_no_room_for_is_dropped(tmp_path: Path) -> None:
    """A server that is not there holds up nobody, the end of a log neither."""
    asked = options(kind="unix", path=str(tmp_path / "log"))
    sender = LogServer(asked, Syslog(asked).encode, 100)
    begun = time.monotonic()
    sender.keep("stdout", [b"line\n"] * 100_000, AT)
    sender.close()
    assert time.monotonic() - begun < DEADLINE


def test_lines_go_to_syslog(root: Lab, tmp_path: Path) -> None:
    """Errors with another severity; `logs` prints them too, from what is kept here."""
    with closing(datagrams(tmp_path / "log")) as server:
        ident = run(
            root,
            "echo out; sleep 0.1; echo err >&2",
            *("--log-driver", "syslog", "--log-opt", f"syslog-address=unixgram://{tmp_path}/log"),
            *("--log-opt", "syslog-facility=local0", "--log-opt", "tag={{.Name}}/{{.ID}}"),
        )
        said_there = [server.recv(1000).decode() for _ in range(2)]
    for line, severity, text in zip(said_there, (134, 131), ("out", "err"), strict=True):
        assert re.fullmatch(rf"<{severity}>\w+ +\d+ [\d:]+ box/{ident[:12]}\[\d+\]: {text}\n", line)
    ended(root)
    assert said(start(root, "logs", "box")) == (0, "out\n", "err\n")


def test_lines_go_to_fluentd(root: Lab, tmp_path: Path) -> None:
    """By the forward protocol; with the container's name and id."""
    with closing(listener(tmp_path / "log")) as server:
        address = f"fluentd-address=unix://{tmp_path}/log"
        ident = run(root, "echo out", "--log-driver", "fluentd", "--log-opt", address)
        connection = server.accept()[0]
        connection.settimeout(DEADLINE)
        message = b""
        while output := connection.recv(1000):
            message += output
        connection.close()
    for text in (ident[:12], ident, "/box", "stdout", "out"):
        assert packed(text) in message


def test_a_dead_server_does_not_hold_up_a_command(root: Lab, tmp_path: Path) -> None:
    """Its lines are kept here all the same."""
    address = f"syslog-address=unix://{tmp_path}/none"
    script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo $i; done"
    run(root, script, "--log-driver", "syslog", "--log-opt", address)
    ended(root)
    assert plumb(root, "logs", "-n", "1", "box") == "20000\n"


@pytest.mark.parametrize(
    "words",
    [("--log-driver", "none"), ("--log-driver", "syslog", "--log-opt", "cache-disabled=true")],
)
def test_what_is_not_kept_cannot_be_read(root: Lab, words: tuple[str, ...]) -> None:
    """`logs` says so in Docker's words."""
    ident = run(root, "echo out", *words)
    ended(root)
    status, printed = tried(root, "logs", "box")
    assert status == 1
    assert "configured logging driver does not support reading" in printed
    assert list(Path(root.root, "containers", ident).glob("log*")) == []


def test_inspect_tells_the_driver(root: Lab) -> None:
    words = ("--log-driver", "syslog", "--log-opt", "syslog-address=udp://192.0.2.1")
    run(root, "true", *words)
    assert plumb(root, "inspect", "-f", "{{json .HostConfig.LogConfig}}", "box") == (
        '{"Type":"syslog","Config":{"syslog-address":"udp://192.0.2.1"}}\n'
    )


@pytest.mark.parametrize(
    ("driver", "option", "words"),
    [
        ("nosuch", "", "no log driver named"),
        ("gelf", "", "is not offered"),
        ("journald", "", "journald reads syslog's socket"),
        ("json-file", "syslog-address=udp://a", "unknown log opt"),
        ("syslog", "max-size=1m", "unknown log opt"),
        ("syslog", "syslog-address=192.0.2.1", "invalid syslog-address"),
        ("syslog", "syslog-address=tcp+tls://a:1", "TLS is not offered"),
        ("syslog", "syslog-address=udp://a:x", "invalid syslog-address"),
        ("syslog", "syslog-facility=nosuch", "invalid syslog facility"),
        ("syslog", "syslog-format=json", "invalid syslog format"),
        ("syslog", "tag={{.Nosuch}}", "invalid tag"),
        ("syslog", "mode=blocking", "no command waits for a log server"),
        ("fluentd", "fluentd-async=false", "no command waits for a log server"),
        ("fluentd", "fluentd-address=udp://a", "invalid fluentd-address"),
        ("local", "compress=true", "are not compressed"),
        ("json-file", "max-file=0", "invalid value for max-file"),
    ],
)
def test_refusals(root: Lab, driver: str, option: str, words: str) -> None:
    """In one line, with what to do."""
    given = ("--log-opt", option) if option else ()
    status, printed = tried(root, "create", "--log-driver", driver, *given, "true")
    assert (status, printed.count("\n")) == (1, 1)
    assert words in printed
