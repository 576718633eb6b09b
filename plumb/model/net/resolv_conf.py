"""resolv.conf: the directives by which programs find their name servers (resolv.conf(5))."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address

from plumb.address import IPAddress


@dataclass
class ResolvConf:
    """The directives of a resolv.conf, as Docker reads them.

    Attributes:
        servers: addresses of name servers; invalid: words in their place that are none.
        search: domains; the last such line counts.
        options: of all such lines together.
        other: lines of any other kind, kept as they stand.
    """

    servers: list[str] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    search: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    @property
    def addresses(self) -> list[IPAddress]:
        """The name servers, as addresses."""
        return [ip_address(server) for server in self.servers]


def parse(source: str) -> ResolvConf:
    """The directives of a resolv.conf; of the same text as before they are not read again."""
    known = _parsed(source)
    return ResolvConf(**{name: list(words) for name, words in vars(known).items()})


@lru_cache(maxsize=16)
def _parsed(source: str) -> ResolvConf:
    """The directives of a text.

    Only a whole line can be a comment: behind a directive, '#' is a word like others.
    """
    found = ResolvConf()
    for line in source.split("\n"):
        words = line.split()
        if not words or line[0] in "#;":
            continue
        match words:
            case ["nameserver", server, *_]:
                (found.servers if _is_address(server) else found.invalid).append(server)
            case ["domain" | "search", _, *_]:
                found.search = words[1:]
            case ["options", *options]:
                found.options += options
            case ["nameserver" | "domain" | "search"]:
                pass
            case _:
                found.other.append(line.removesuffix("\r"))
    return found


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
