"""Changes of a specification: `service create` makes one from nothing, `service update` alters it.

spec = changed(ServiceSpec("web"), Change({"replicas": 3}))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

from plumb.errors import Invalid
from plumb.frozen import frozen, replace
from plumb.model.ports import ServicePort
from plumb.model.service.spec import ServiceMode, ServiceSpec
from plumb.model.service.words import without_repeats

POLICIES = ("restart", "update", "rollback", "health")
"""Fields of a specification that have fields of their own."""


@frozen
class Change:
    """Change of a specification.

    Attributes:
        fields: values by field; those of a policy as "restart.delay".
        added: entries by the field that has several, such as "environment".
        removed: the same; for "environment", labels and sysctls their keys, for "networks" the
            network's id or name, for "ports" the task's port and the protocol.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    added: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    removed: Mapping[str, Sequence[Any]] = field(default_factory=dict)


def _whole(entry: Any) -> Any:
    return entry


def _name(entry: str) -> str:
    return entry.partition("=")[0]


def _first(entry: Any) -> Any:
    return entry[0]


def _network(entry: Any) -> Any:
    return entry.network


def _task_port(entry: ServicePort) -> tuple[int, str]:
    return entry.target, entry.protocol


SEVERAL: Mapping[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "environment": (_name, _name),
    "labels": (_first, _first),
    "container_labels": (_first, _first),
    "extra_hosts": (_whole, _whole),
    "dns": (_whole, _whole),
    "dns_search": (_whole, _whole),
    "dns_options": (_whole, _whole),
    "constraints": (_whole, _whole),
    "sysctls": (_first, _first),
    "networks": (_network, _network),
    "ports": (_whole, _task_port),
}
"""Fields with several entries, and by what an entry replaces another one and is removed."""


def changed(spec: ServiceSpec, change: Change) -> ServiceSpec:
    """Apply a change.

    Raises:
        Invalid: the parts do not go together, with Docker's words; or an entry to be removed is
            not there.
    """
    _check(spec, change)
    found: dict[str, Any] = {}
    for name, value in change.fields.items():
        policy, dot, part = name.partition(".")
        if dot:
            found[policy] = replace(found.get(policy, getattr(spec, policy)), **{part: value})
        else:
            found[name] = value
    for name in dict.fromkeys((*change.removed, *change.added)):
        if name in CAPABILITIES:
            continue
        found[name] = _entries(
            name, getattr(spec, name), change.added.get(name, ()), change.removed.get(name, ())
        )
    found.update(_capabilities(spec, change))
    found.update(_log(spec, change))
    return replace(spec, **found)


def _log(spec: ServiceSpec, change: Change) -> dict[str, Any]:
    """Logging driver and its options after a change, if it is about them.

    Another driver begins without options, as in Docker.

    Raises:
        Invalid, Unsupported: there is no such driver or option, or a value makes no sense.
    """
    fields = change.fields
    if "log_driver" not in fields and "log_options" not in fields:
        return {}
    from plumb.model.lifecycle import log_drivers  # lazy: most services have neither

    driver = fields.get("log_driver", spec.log_driver)
    options = fields.get("log_options", ())
    log_drivers.parsed(driver, options)
    return {"log_driver": driver, "log_options": options}


CAPABILITIES = ("cap_add", "cap_drop")


def _capabilities(spec: ServiceSpec, change: Change) -> dict[str, tuple[str, ...]]:
    """Capabilities after a change, if it is about them.

    One that was dropped and is added is neither then, and the other way about, as in Docker.
    """
    if not any(name in change.added for name in CAPABILITIES):
        return {}
    asked = [set(change.added.get(name, ())) for name in CAPABILITIES]
    adding, dropping = asked[0], asked[1] - asked[0]
    add, drop = set(spec.cap_add), set(spec.cap_drop)
    return {
        "cap_add": _sorted((add | (adding - drop)) - dropping),
        "cap_drop": _sorted((drop | (dropping - add)) - adding),
    }


def _sorted(names: set[str]) -> tuple[str, ...]:
    return ("ALL",) if "ALL" in names else tuple(sorted(names))


def _check(spec: ServiceSpec, change: Change) -> None:
    mode = change.fields.get("mode", spec.mode)
    if "replicas" in change.fields and mode in (ServiceMode.GLOBAL, ServiceMode.GLOBAL_JOB):
        raise Invalid("replicas can only be used with replicated or replicated-job mode")
    if "concurrent" in change.fields and mode is not ServiceMode.REPLICATED_JOB:
        raise Invalid("max-concurrent can only be used with replicated-job mode")
    if mode in (ServiceMode.REPLICATED_JOB, ServiceMode.GLOBAL_JOB) and any(
        name.startswith(("update.", "rollback.")) for name in change.fields
    ):
        raise Invalid(f"update and rollback configuration is not supported for mode: {mode}")


def _entries(
    name: str, before: Sequence[Any], added: Sequence[Any], removed: Sequence[Any]
) -> tuple[Any, ...]:
    """Entries after a change: of the same key the last one counts, at the place of the first."""
    key, end = SEVERAL[name]
    there = {end(entry) for entry in before}
    if missing := [entry for entry in removed if entry not in there]:
        raise Invalid(f"cannot remove {_said(missing[0])} from the service: it has none such")
    found = {key(entry): entry for entry in before if end(entry) not in removed}
    found.update({key(entry): entry for entry in added})
    return without_repeats(tuple(found.values())) if name == "ports" else tuple(found.values())


def _said(entry: Any) -> str:
    return "/".join(map(str, entry)) if isinstance(entry, tuple) else str(entry)
