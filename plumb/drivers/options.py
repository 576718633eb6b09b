"""Driver options (`network create -o`): labels in, typed values out.

Docker ignores an option key that it does not know; plumb refuses it. The keys of each driver stand
in its own file; here is what is common to all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from plumb.errors import Invalid
from plumb.model.cnm import Network, Pool
from plumb.model.parse import BRIDGE, PREFIX, between, boolean, mtu, nearest, parsed
from plumb.model.settings import Settings

E = TypeVar("E", bound=StrEnum)
Keys = Mapping[str, tuple[str, Callable[[str], Any]]]
"""Labels, each with the field that it is for and its parser."""

ADVERTISE_KEYS: Keys = {
    PREFIX + "advertise_addr_nmsgs": ("advertise_count", between(0, 3)),
    PREFIX + "advertise_addr_ms": ("advertise_interval", between(100, 2000)),
}
ENABLE4, ENABLE6, INTERNAL = PREFIX + "enable_ipv4", PREFIX + "enable_ipv6", PREFIX + "internal"
COMMON_KEYS = (ENABLE4, ENABLE6, INTERNAL, BRIDGE + "default_bridge")
UNUSED_MTU = PREFIX + "driver.mtu"
"""Without effect where a driver does not have it as its own key, as in Docker: links on a parent
have the parent's MTU."""


def choice(kind: type[E], otherwise: str) -> Callable[[str], E]:
    """A parser of one of a few words; empty is the first of them.

    Args:
        kind: the words.
        otherwise: Docker's message for anything else, with {} for it.
    """

    def parse(text: str) -> E:
        try:
            return kind(text) if text else next(iter(kind))
        except ValueError:
            raise Invalid(otherwise.format(text), f"there are {', '.join(kind)}") from None

    return parse


def parse(
    driver: str, keys: Keys, options: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Labels as fields: those of the driver's own options, and those of `cnm.Network`.

    Args:
        driver: its name, for messages.
        keys: the driver's own.
        options: keys and values as given.

    Raises:
        Invalid: a key that the driver does not have, or a value that cannot be parsed.
    """
    own: dict[str, Any] = {}
    common: dict[str, Any] = {}
    for key, text in options.items():
        if key in keys:
            name, parser = keys[key]
            own[name] = parsed(key, text, parser)
        elif key in ADVERTISE_KEYS:
            name, parser = ADVERTISE_KEYS[key]
            common[name] = parsed(key, text, parser)
        elif key in COMMON_KEYS:
            parsed(key, text, boolean)
        elif key == UNUSED_MTU:
            parsed(key, text, mtu)
        else:
            raise Invalid(
                f"unknown option {key!r} of the {driver} driver",
                nearest(key, [*keys, *ADVERTISE_KEYS, *COMMON_KEYS]),
            )
    return own, common


# -- networks as asked for ---------------------------------------------------------------


def asked(
    settings: Settings,
    name: str,
    *,
    driver: str,
    pools: Sequence[Pool],
    ipv4: bool | None,
    ipv6: bool | None,
    internal: bool,
    attachable: bool,
    options: Mapping[str, str] | None,
    labels: Mapping[str, str] | None,
) -> Network:
    """A network as asked for, with the driver's usual options; it has no id yet."""
    usual = dict(dict(settings.default_network_opts).get(driver, ()))
    own = {key: text for key, text in usual.items() if key not in (ENABLE4, ENABLE6)}
    given = {**own, **(options or {})}
    both = {**usual, **given}
    return Network(
        "",
        name,
        driver,
        tuple(pools),
        ipv4=_family(both, ENABLE4, ipv4, True),
        ipv6=_family(both, ENABLE6, ipv6, False),
        internal=internal or _family(given, INTERNAL, None, False),
        attachable=attachable,
        options=tuple(given.items()),
        labels=tuple((labels or {}).items()),
    )


def _family(options: Mapping[str, str], key: str, given: bool | None, default: bool) -> bool:
    if given is not None:
        return given
    return parsed(key, options[key], boolean) if key in options else default
