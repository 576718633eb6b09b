"""Logging drivers and their options, `--log-driver` and `--log-opt`, by Docker's names.

json-file and local keep lines in the container's folder; none keeps nothing; syslog and fluentd
send them to a server, and keep them too, so that `logs` prints them (Docker's cache), unless
`cache-disabled=true`. A server never holds up a command: what it does not take is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from plumb.errors import Invalid, Unsupported
from plumb.model.cnm import Pairs, Sandbox
from plumb.model.lifecycle import LogOptions
from plumb.model.parse import nearest

UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
CACHED = 1 << 20
"""Bytes that wait for a log server at most; --log-opt max-buffer-size."""
LOCAL = {"log_size": 20 << 20, "log_files": 5}
"""Bounds of the local driver."""
FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron"),
    *("authpriv", "ftp", "", "", "", "", *(f"local{number}" for number in range(8))),
)
"""Names of syslog's facilities (syslog(3)); the number of each is its index."""
FORMATS = ("rfc3164", "rfc5424", "rfc5424micro")
PORTS = {"syslog": 514, "fluentd": 24224}
TAG_FIELDS: dict[str, Callable[[Sandbox], str]] = {
    "ID": lambda box: box.id[:12],
    "FullID": lambda box: box.id,
    "Name": lambda box: box.name,
    "Hostname": lambda box: box.hostname,
    "Command": lambda box: " ".join(box.argv),
    "ImageName": lambda box: "",
    "ImageID": lambda box: "",
    "ImageFullID": lambda box: "",
    "DaemonName": lambda box: "plumb",
}
"""Fields of a tag, {{.ID}}; there are no images."""
TAG_FIELD = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")
NOT_OFFERED = {
    "journald": "journald reads syslog's socket: use syslog without an address",
    "gelf": "a server that speaks GELF mostly speaks syslog, or Fluentd's forward protocol, too",
    **dict.fromkeys(
        ("awslogs", "gcplogs", "splunk"), "it is one provider's: send to it from a Fluentd"
    ),
    "etwlogs": "it is of Windows",
}
ANYWHERE = ("mode", "max-buffer-size")
CACHE = ("cache-disabled", "cache-max-size", "cache-max-file")
KEYS = {
    "json-file": ("max-size", "max-file", "compress", *ANYWHERE),
    "local": ("max-size", "max-file", "compress", *ANYWHERE),
    "syslog": ("syslog-address", "syslog-facility", "syslog-format", "tag", *ANYWHERE, *CACHE),
    "fluentd": (
        *("fluentd-address", "fluentd-sub-second-precision", "fluentd-buffer-limit"),
        *("fluentd-async", "tag", *ANYWHERE, *CACHE),
    ),
}
"""Options of each driver."""
SIZES = ("max-size", "cache-max-size", "max-buffer-size", "fluentd-buffer-limit")
COUNTS = ("max-file", "cache-max-file")
FIXED = {
    "compress": ("false", "files of logs are not compressed"),
    "fluentd-async": ("true", "no command waits for a log server"),
}
"""Options that have one value, and the reason."""


def parsed(
    driver: str, words: Iterable[str], usual: str = "", usual_options: Pairs = ()
) -> dict[str, object]:
    """Parse a driver and its options into fields of `Sandbox`.

    Args:
        driver: its name; empty: the usual one.
        words: KEY=VALUE.
        usual, usual_options: `log_driver` and `log_opts` of the settings. As in Docker, a container
            whose driver is the usual one has the usual options that it does not give otherwise.

    Raises:
        Invalid: there is no such driver or option, or a value makes no sense.
        Unsupported: Docker has it, and plumb does not.
    """
    usual = usual or "json-file"
    driver = driver or usual
    if driver == "none":  # as in Docker, its options do not matter
        return {"log": LogOptions("none")}
    if driver not in KEYS:
        raise _no_driver(driver)
    given = tuple((key, value) for key, _, value in (word.partition("=") for word in words))
    if driver == usual:
        own = {key for key, _ in given}
        given = (*(option for option in usual_options if option[0] not in own), *given)
    for key, value in given:
        _check(driver, key, value)
    found = {**LOCAL} if driver == "local" else {}
    for key, value in given:
        if key in ("max-size", "cache-max-size"):
            found["log_size"] = _bytes(key, value)
        elif key in COUNTS:
            found["log_files"] = int(value)
    return {**found, **({"log": LogOptions(driver, given)} if driver != "json-file" else {})}


def _no_driver(driver: str) -> Invalid | Unsupported:
    if driver in NOT_OFFERED:
        return Unsupported(f"logging driver {driver!r} is not offered", NOT_OFFERED[driver])
    offered = f"there are {', '.join((*KEYS, 'none'))}"
    meant = nearest(driver, KEYS)
    return Invalid(f"logger: no log driver named {driver!r} is registered", meant or offered)


def _check(driver: str, key: str, value: str) -> None:
    if key not in KEYS[driver]:
        hint = nearest(key, KEYS[driver]) or f"there are {', '.join(KEYS[driver])}"
        raise Invalid(f"unknown log opt {key!r} for {driver} log driver", hint)
    if key in SIZES:
        _bytes(key, value)
    elif key in COUNTS and not re.fullmatch(r"0*[1-9]\d{0,2}", value):
        raise Invalid(f"invalid value for {key}: {value!r}", f"as {key}=3")
    elif key in FIXED and value != FIXED[key][0]:
        raise Unsupported(f"log opt {key}={value}: {FIXED[key][1]}", f"{key}={FIXED[key][0]}")
    elif key in ("cache-disabled", "fluentd-sub-second-precision"):
        if value not in ("true", "false"):
            raise Invalid(f"invalid value for {key}: {value!r}", "true or false")
    elif key in CHECKS:
        CHECKS[key](value)


def _bytes(key: str, text: str) -> int:
    found = re.fullmatch(r"(\d{1,12})([kmg]?)b?", text.lower())
    number = int(found[1]) * UNITS[found[2]] if found else 0
    if number < 1:
        raise Invalid(f"invalid value for {key}: {text!r}", "as 500k, 10m")
    return number


def size(number: int) -> str:
    """Bytes in the form of `--log-opt max-size=`: 10m, in the greatest unit that divides them."""
    unit = next((unit for unit in "gmk" if number % UNITS[unit] == 0), "")
    return f"{number // UNITS[unit]}{unit}"


def _mode(text: str) -> None:
    if text != "non-blocking":
        known = text == "blocking"
        reason = "no command waits for a log server" if known else "it is no mode"
        raise (Unsupported if known else Invalid)(f"log opt mode={text}: {reason}", "non-blocking")


def _facility(text: str) -> int:
    if text.isdecimal() and int(text) < len(FACILITIES):
        return int(text)
    if not text or text not in FACILITIES:
        raise Invalid("invalid syslog facility", f"{text!r} is none: as daemon, local0, or 0 to 23")
    return FACILITIES.index(text)


def _format(text: str) -> None:
    if text not in FORMATS:
        raise Invalid(f"invalid syslog format {text!r}", f"there are {', '.join(FORMATS)}")


def _tag(text: str) -> None:
    unknown = [name for name in TAG_FIELD.findall(text) if name not in TAG_FIELDS]
    if unknown or "{{" in TAG_FIELD.sub("", text):
        raise Invalid(
            f"invalid tag {text!r}",
            f"a tag is text and fields: {', '.join(f'{{{{.{name}}}}}' for name in TAG_FIELDS)}",
        )


def _syslog_address(text: str) -> Pairs:
    if text.startswith("tcp+tls:"):
        raise Unsupported("syslog over TLS is not offered", "send to a syslog server on this host")
    return _address(text, "syslog", ("udp", "tcp", "unix", "unixgram"))


def _fluentd_address(text: str) -> Pairs:
    if text.startswith("tls:"):
        raise Unsupported("Fluentd over TLS is not offered", "send to a Fluentd on this host")
    return _address(text if "://" in text else f"tcp://{text}", "fluentd", ("tcp", "unix"))


def _address(text: str, driver: str, schemes: Iterable[str]) -> Pairs:
    from urllib.parse import urlsplit  # lazy: few containers have a log server

    hint = f"as {driver}-address=tcp://192.0.2.1:{PORTS[driver]}, or unix:///run/log.sock"
    try:
        url = urlsplit(text)
        port = url.port or PORTS[driver]
    except ValueError:
        raise Invalid(f"invalid {driver}-address {text!r}", hint) from None
    is_path = url.scheme.startswith("unix")
    if url.scheme not in schemes or not (url.path if is_path else url.hostname):
        raise Invalid(f"invalid {driver}-address {text!r}", hint)
    if is_path:
        return ("kind", url.scheme), ("path", url.path)
    return ("kind", url.scheme), ("host", url.hostname or ""), ("port", str(port))


CHECKS: dict[str, Callable[[str], object]] = {
    "mode": _mode,
    "syslog-address": _syslog_address,
    "syslog-facility": _facility,
    "syslog-format": _format,
    "fluentd-address": _fluentd_address,
    "tag": _tag,
}


def server(box: Sandbox) -> Pairs:
    """Resolve the options of a container whose driver sends to a server, for its shim.

    Returns:
        `kind` ("udp", "tcp", "unix", "unixgram"; empty: the host's own syslog), `host` and `port`
        or `path`; `tag`, `buffer` (bytes), `cached` ("" or "true"); of syslog `facility` (a
        number) and `format`; of Fluentd `name`, `id` and `precise` ("" or "true").
    """
    given = dict(box.log.options)
    tag = TAG_FIELD.sub(lambda found: TAG_FIELDS[found[1]](box), given.get("tag", "{{.ID}}"))
    buffer = given.get("fluentd-buffer-limit", given.get("max-buffer-size", ""))
    common = (
        ("tag", tag),
        ("buffer", str(_bytes("max-buffer-size", buffer) if buffer else CACHED)),
        ("cached", "true" if box.log.readable else ""),
    )
    if box.log.driver == "syslog":
        address = given.get("syslog-address", "")
        return (
            *common,
            *(_syslog_address(address) if address else (("kind", ""),)),
            ("facility", str(_facility(given.get("syslog-facility", "daemon")))),
            ("format", given.get("syslog-format", "")),
        )
    precise = given.get("fluentd-sub-second-precision") == "true"
    return (
        *common,
        *_fluentd_address(given.get("fluentd-address", "127.0.0.1")),
        ("name", f"/{box.name}"),
        ("id", box.id),
        ("precise", "true" if precise else ""),
    )
