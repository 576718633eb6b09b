"""Own reading of compose files beside the specification's JSON schema.

Whoever replaces the schema by a newer one sees here what plumb does not know yet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from plumb import PlumbError
from plumb.compose import specification
from plumb.compose.files import Request
from plumb.compose.load import faults
from plumb.compose.reading import including, networks, no_effect, service_keys
from plumb.compose.reading.document import Node, read
from tests.compose import project
from tests.labs import Lab

jsonschema = pytest.importorskip("jsonschema", reason="there is no jsonschema: pip install it")
FOLDER = Path(__file__).parent / "files"
SCHEMA = json.loads(specification.SCHEMA.read_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
FILES = sorted(each.name for each in FOLDER.glob("*.yaml"))


def plain(node: Node) -> Any:
    """A value without its places."""
    if isinstance(node.value, Mapping):
        return {key: plain(each) for key, each in node.value.items()}
    return [plain(each) for each in node.value] if isinstance(node.value, tuple) else node.value


def properties(definition: str, *path: str | int) -> set[str]:
    """Keys that the schema has for a definition, or for a part of one."""
    found: Any = SCHEMA["definitions"][definition]
    for each in path:
        found = found[each]
    return set(found["properties"])


PLACE = ("properties", "networks", "oneOf", 1, "patternProperties", "^[a-zA-Z0-9._-]+$", "oneOf", 0)
DEPENDS = ("properties", "depends_on", "oneOf", 1, "patternProperties", "^[a-zA-Z0-9._-]+$")
IPAM = ("properties", "ipam")
KNOWN = {
    "a file": (set(SCHEMA["properties"]), {*including.TOP, *no_effect.TOP, "include"}),
    "a service": (
        properties("service"),
        {*service_keys.SERVICE, *no_effect.SERVICE, "ports", "deploy", "extends"},
    ),
    "deploy": (
        properties("deployment"),
        {*service_keys.DEPLOY, *no_effect.DEPLOY, "restart_policy"},
    ),
    "a port": (
        properties("service", "properties", "ports", "items", "oneOf", -1),
        {*service_keys.PORT, *no_effect.PORT},
    ),
    "a place in a network": (properties("service", *PLACE), set(service_keys.PLACE)),
    "a dependency": (properties("service", *DEPENDS), set(service_keys.DEPENDENCY)),
    "a health check": (properties("healthcheck"), set(service_keys.HEALTH)),
    "a network": (properties("network"), {*networks.NETWORK, *no_effect.NETWORK, "ipam"}),
    "ipam": (properties("network", *IPAM), {"driver", "config", *no_effect.IPAM}),
    "a subnet": (
        properties("network", *IPAM, "properties", "config", "items"),
        set(networks.SUBNET),
    ),
}
"""Keys of the schema, and those that plumb reads or names as without effect."""
OWN = {"x-plumb", "volume_driver"}
"""Plumb's own, and one of older versions of the specification."""


@pytest.mark.parametrize("part", KNOWN)
def test_each_key_of_the_specification_is_read_or_named(part: str) -> None:
    """And no other is."""
    theirs, ours = KNOWN[part]
    assert theirs - ours == set()
    assert ours - theirs <= OWN


@pytest.mark.parametrize("name", FILES)
def test_files_as_people_publish_them_are_as_the_schema_says(name: str) -> None:
    """So a remark of the schema about a user's file is one about that file."""
    assert list(specification.faults(read((FOLDER / name).read_text(), name))) == []


# -- files with one mistake ---------------------------------------------------------------


def values(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths to all values of a document."""
    yield path
    if isinstance(document, dict):
        for key, each in document.items():
            yield from values(each, (*path, key))
    elif isinstance(document, list):
        for at, each in enumerate(document):
            yield from values(each, (*path, at))


def changed(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy of a document with another value at a path."""
    if not path:
        return value
    copy: Any = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = changed(document[path[0]], path[1:], value)
    return copy


def value_at(document: Any, path: tuple[str | int, ...]) -> Any:
    """The value at a path."""
    for each in path:
        document = document[each]
    return document


def mistakes(document: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield documents that differ from one in a key too many, or a value of another kind."""
    for path in values(document):
        here = value_at(document, path)
        if isinstance(here, dict):
            yield path, changed(document, path, {**here, "nosuchkey": "1"})
            yield path, changed(document, path, [["a"]])
        elif isinstance(here, list):
            yield path, changed(document, path, {"nosuchkey": {"a": "b"}})
        else:
            yield path, changed(document, path, {"nosuchkey": {"a": "b"}})
            yield path, changed(document, path, [["a"]])


WITHOUT_EFFECT = {*no_effect.SERVICE, *no_effect.TOP, *no_effect.DEPLOY, *no_effect.PORT}


@pytest.mark.parametrize("name", FILES)
def test_what_the_schema_refuses_own_reading_refuses(tmp_path: Path, name: str) -> None:
    """With file and line; but for keys that have no effect, whose values it does not look into."""
    for each in FOLDER.glob("*.env"):
        (tmp_path / each.name).write_text(each.read_text())
    (document,) = map(plain, read((FOLDER / name).read_text(), name))
    passed = []
    for path, wrong in mistakes(document):
        if not WITHOUT_EFFECT.isdisjoint(path) or VALIDATOR.is_valid(wrong):
            continue
        if "compose.yaml:" not in (said := refusal(tmp_path, wrong)):
            passed.append((path, value_at(wrong, path), said))
    assert passed == []


def refusal(folder: Path, document: Any) -> str:
    """What plumb says of a document; empty where it takes it."""
    try:
        project(folder, json.dumps(document, indent=1))
    except PlumbError as error:
        return str(error)
    return ""


# -- what is said ---------------------------------------------------------------

WRONG = """
services:
  web:
    build:
      contxt: .
      args: 7
    volumes:
      - {type: bind, sorce: /a}
      - 5
    deploy: {resources: {limits: {cpus: [1]}}}
    ulimits: {nofile: {soft: 1}}
    pull_policy: never
  db: {image: !reset 7, build: {context: .}}
volumes: {data: {driver: [local]}}
"""
SAID = """
compose.yaml:5: services.web.build.contxt is no key; did you mean context?
compose.yaml:6: services.web.build.args: it is to be a mapping or a list
compose.yaml:8: services.web.volumes.0.sorce is no key; did you mean source?
compose.yaml:9: services.web.volumes.1: it is to be text or a mapping
compose.yaml:10: services.web.deploy.resources.limits.cpus: it is to be a number or text
compose.yaml:11: services.web.ulimits.nofile: hard is missing
compose.yaml:14: volumes.data.driver: it is to be text
"""


def test_what_the_schema_refuses_has_its_line_and_its_keys(emptied: Lab, tmp_path: Path) -> None:
    """Of a value with several forms, as a build, that which was meant; by config --schema."""
    found = sorted(
        specification.faults(read(WRONG, "compose.yaml")), key=lambda one: int(one.split(":")[1])
    )
    assert found == SAID.split("\n")[1:-1]
    path = tmp_path / "compose.yaml"
    path.write_text(WRONG)
    emptied.plumb("compose", "config", "-q", "-f", str(path))
    told = emptied.plumb("compose", "config", "--schema", "-q", "-f", str(path), status=1).stderr
    assert "compose.yaml:5: services.web.build.contxt is no key" in told
    assert "7 of the values are not as the Compose Specification says" in told


VARIABLES = """
services:
  web:
    image: x
    depends_on: {db: {condition: "${READY:-service_started}"}}
    networks: {front: {priority: "${FIRST:-3}"}}
    privileged: ${ALL:-false}
    extends: {file: base.yaml, service: base}
  db: {image: x, build: "${FROM:-.}"}
networks: {front: }
include: [more.yaml]
"""


def test_variables_count_as_what_they_are(tmp_path: Path) -> None:
    """So do files that are included, and those that services extend from."""
    (tmp_path / "compose.yaml").write_text(VARIABLES)
    (tmp_path / "base.yaml").write_text("services: {base: {image: x, pull_policy: always}}")
    (tmp_path / "more.yaml").write_text("services: {more: {image: x, pull_policy: '${P:-build}'}}")

    def found(**variables: str) -> list[str]:
        files = (str(tmp_path / "compose.yaml"),)
        return faults(Request(files=files, environment=variables, working_dir=str(tmp_path)))

    assert found() == []
    assert "db.condition: there are service_started" in found(READY="soon")[0]
    assert "front.priority: it is to be a number" in found(FIRST="me")[0]
    (tmp_path / "base.yaml").write_text("services: {base: {build: {contxt: .}}}")
    (tmp_path / "more.yaml").write_text("services: {more: {build: {args: 7}}}")
    assert [each.split("/")[-1].split(": it")[0] for each in found()] == [
        "base.yaml:1: services.base.build.contxt is no key; did you mean context?",
        "more.yaml:1: services.more.build.args",
    ]


def test_a_file_that_is_nested_too_deep_is_refused(emptied: Lab, tmp_path: Path) -> None:
    """By the schema as well."""
    path = tmp_path / "compose.yaml"
    path.write_text("x-deep: " + "[" * 900 + "]" * 900)
    told = emptied.plumb("compose", "config", "--schema", "-f", str(path), status=1).stderr
    assert "nested too deep to be read" in told


def test_services_that_no_profile_enables_are_read_too(tmp_path: Path) -> None:
    """Their mistakes would wait for whoever enables them; files that they name are not needed."""
    assert "4: expse is no key here" in refusal(
        tmp_path, {"services": {"a": {"expse": [1], "profiles": ["x"]}}}
    )
    assert refusal(tmp_path, {"services": {"a": {"env_file": "no", "profiles": ["x"]}}}) == ""
