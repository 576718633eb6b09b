"""Documents: what `inspect` prints, as JSON or by a template."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from plumb.engine.reader import Reader
from plumb.model.cnm import Network, Sandbox, Status

if TYPE_CHECKING:
    from plumb.views.template import Format

BROKEN_TEMPLATE = 64


def network_document(host: Reader, net: Network, verbose: bool = False) -> dict[str, Any]:
    """A network in Docker's JSON; verbose: with its endpoints on other hosts."""
    from plumb.views.inspect import networks as docker

    found = [(end, host.store.get(Sandbox, end.sandbox)) for end in host.endpoints(net)]
    ends = [(end, box) for end, box in found if box is not None]
    bare = [box for box in _without_endpoint(host, net) if box.status is Status.RUNNING]
    remotes, services = host.store.remotes(net.id), host.store.services(net.id)
    return docker.network(net, ends, remotes, verbose, services, bare)


def _without_endpoint(host: Reader, net: Network) -> list[Sandbox]:
    """List the containers on the networks host and none; on another all have endpoints."""
    if not net.predefined:
        return []
    return [box for box in host.containers() if box.mode == net.name]


def print_documents(found: Sequence[dict[str, Any]], template: str) -> int:
    """Print as a JSON array, or each by a template.

    Returns:
        The exit status: Docker's 64 for a template that cannot be parsed, 1 for one that does not
        fit a document.
    """
    if not template:
        print(json.dumps(found, indent=4, ensure_ascii=False))
        return 0
    if template == "json":
        print(json.dumps(found, separators=(",", ":"), ensure_ascii=False))
        return 0
    from plumb.views.inspect.field_types import FIELDS

    return _print_by(found, template, FIELDS)


def print_document(found: dict[str, Any], template: str) -> int:
    """Print one that has no maps, by a template or as JSON; returns as `print_documents`."""
    return _print_by([found], "{{json .}}" if template == "json" else template, {})


def _print_by(found: Sequence[dict[str, Any]], template: str, fields: Mapping[str, str]) -> int:
    from plumb.cli import complain
    from plumb.views.template import Format, Refused

    try:
        form = Format(template)
    except Refused as error:
        return complain(f"template parsing error: {error}", "", BROKEN_TEMPLATE)
    return _print_each(found, form, fields)


def _print_each(found: Sequence[dict[str, Any]], form: Format, fields: Mapping[str, str]) -> int:
    """Print each document by a template, then complain of those that it does not fit."""
    from plumb.cli import complain
    from plumb.views.template import Stopped
    from plumb.views.template.shapes import typed

    printed, errors = [], []
    for one in found:
        try:
            printed.append(form.document(typed(one, "*types.Document", fields), one))
        except Stopped as error:
            errors.append(f"template parsing error: {error}")
    print(*printed, sep="\n")
    return [complain(error, "", 1) for error in errors][-1] if errors else 0
