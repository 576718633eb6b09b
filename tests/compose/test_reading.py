"""What files say wrongly, and what of them has no effect: with file and line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plumb import Invalid, NotFound
from plumb.compose import normal_form
from plumb.compose.files import Request
from plumb.compose.load import load, of_name_or_files
from tests.compose import project

REFUSED = {
    "a key that there is not": ("services:\n  a:\n    netwrks: [x]\n", "3: netwrks is no key here"),
    "at the top": ("servces:\n", "1: servces is no key here"),
    "no YAML": ("services: [\n", "2: did not find expected node content"),
    "a key that stands twice": ("services:\n  a: {}\n  a: {}\n", "3: the key a stands twice"),
    "an undefined network": (
        "services:\n  a: {networks: [x]}\n",
        "2: service a refers to the undefined network x",
    ),
    "a service that there is not": (
        "services:\n  a: {depends_on: [b]}\n",
        "2: service a needs the service b: there is none",
    ),
    "one that no profile enables": (
        "services:\n  a: {depends_on: [b]}\n  b: {profiles: [p]}\n",
        "2: service a needs the service b: no profile enables it",
    ),
    "a circle": (
        "services:\n  a: {depends_on: [b]}\n  b: {depends_on: [a]}\n",
        "2: services need each other in a circle: a -> b -> a",
    ),
    "a port": ('services:\n  a:\n    ports:\n      - "99999:80"\n', "4: invalid hostPort: 99999"),
    "an address": (
        "services:\n  a:\n    networks:\n      n: {ipv4_address: 10.0.0}\nnetworks: {n: }\n",
        '4: ParseAddr("10.0.0"): unable to parse IP',
    ),
    "a subnet": (
        "networks:\n  n:\n    ipam:\n      config:\n        - subnet: 10.0.0.1/24\n",
        "5: invalid network config: invalid subnet 10.0.0.1/24: it should be 10.0.0.0/24",
    ),
    "a mode beside networks": (
        "services:\n  a:\n    network_mode: host\n    networks: [n]\nnetworks: {n: }\n",
        "2: network_mode and networks exclude each other",
    ),
    "one name for several": (
        "services:\n  a:\n    container_name: one\n    scale: 2\n",
        "2: 2 containers cannot all be named one",
    ),
    "an external network that is described": (
        "networks:\n  n:\n    external: true\n    driver: bridge\n",
        '4: conflicting parameters "external" and "driver" of a network',
    ),
    "a list for a mapping": ("services:\n  - a\n", "1: a mapping is expected"),
    "a mapping for text": ("services:\n  a:\n    hostname: {b: c}\n", "3: text is expected"),
    "an included file that is not there": ("include: [none.yaml]\n", "1: compose file /"),
    "an inclusion without a path": ("include: [{env_file: x}]\n", "1: include names no path"),
    "a file of variables that is not there": (
        "services:\n  a:\n    env_file: none.env\n",
        "3: env file",
    ),
    "a condition": (
        "services:\n  a:\n    depends_on:\n      b: {condition: up}\n  b: {}\n",
        "4: condition 'up' is none",
    ),
    "an alias that contains itself": ("x-a: &a [*a]\n", "1: an alias contains itself"),
    "a tag": ("services: !python/object:os.system {}\n", "1: unknown tag"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_has_its_line(tmp_path: Path, text: str, message: str) -> None:
    """The message begins with it."""
    with pytest.raises(Invalid, match=re.escape(f"compose.yaml:{message}")):
        project(tmp_path, text)


def test_what_has_no_effect_is_named(tmp_path: Path) -> None:
    """Each key in a line, those of the top level last."""
    text = """
services:
  web:
    command: serve
    build: .
    volumes: [".:/srv"]
    deploy:
      resources: {limits: {cpus: "1"}}
    x-own: {any: thing}
  bare:
    image: x
secrets: {}
"""
    lines = [line.split(": ", 1)[0].rpartition("/")[2] for line in project(tmp_path, text).remarks]
    assert lines == [
        *("compose.yaml:5", "compose.yaml:6", "compose.yaml:8", "compose.yaml:11"),
        "compose.yaml:12",
    ]
    assert "a network namespace alone" in project(tmp_path, text).remarks[3]


def test_yaml_is_that_of_docker(tmp_path: Path) -> None:
    """Words such as yes, and numbers with colons, are text."""
    text = "services: {a: {environment: {A: yes, B: on, C: 0x10, D: 1.50, E: true, F: 12:30}}}"
    assert project(tmp_path, text).services["a"].environment == (
        *("A=yes", "B=on", "C=16", "D=1.5", "E=true", "F=12:30"),
    )


# -- which project ---------------------------------------------------------------


def files(folder: Path, **texts: str) -> None:
    """Files of these names and texts."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name.replace('_', '.')}").write_text(text)


WEB = "services: {web: {command: serve}}\n"


@pytest.mark.parametrize(
    ("text", "variables", "given", "name"),
    [
        (WEB, {}, "", "myshop2"),
        (f"name: file\n{WEB}", {}, "", "file"),
        (f"name: file-$X\n{WEB}", {"X": "x"}, "", "file-x"),
        (f"name: file\n{WEB}", {"COMPOSE_PROJECT_NAME": "variable"}, "", "variable"),
        (f"name: file\n{WEB}", {"COMPOSE_PROJECT_NAME": "variable"}, "given", "given"),
    ],
)
def test_the_name_of_a_project(
    tmp_path: Path, text: str, variables: dict[str, str], given: str, name: str
) -> None:
    """The caller's, a variable's, the file's, the folder's."""
    folder = tmp_path / "_My.Shop2"
    files(folder, compose_yaml=text)
    found = load(Request(name=given, environment=variables, working_dir=str(folder)))
    assert found.name == name


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    """With Docker's words."""
    files(tmp_path, compose_yaml=WEB)
    with pytest.raises(Invalid, match="invalid project name 'A b'"):
        load(Request(name="A b", environment={}, working_dir=str(tmp_path)))


def test_a_file_is_found_above_and_its_override_beside_it(tmp_path: Path) -> None:
    """Where none is named."""
    files(tmp_path, compose_yaml=WEB, compose_override_yaml="services: {db: {command: keep}}")
    (tmp_path / "below/deeper").mkdir(parents=True)
    request = Request(name="p", environment={}, working_dir=str(tmp_path / "below/deeper"))
    assert list(load(request).services) == ["web", "db"]


def test_without_a_file_there_is_no_project(tmp_path: Path) -> None:
    """The message says where it was looked for."""
    with pytest.raises(NotFound, match="no compose file in"):
        load(Request(environment={}, working_dir=str(tmp_path)))


def test_compose_file_names_several(tmp_path: Path) -> None:
    """As the variables of the caller and of .env may."""
    files(tmp_path, a_yaml=WEB, b_yaml="services: {db: {command: keep}}")
    variables = {"COMPOSE_FILE": "a.yaml:b.yaml", "COMPOSE_PROFILES": "x"}
    request = Request(name="p", environment=variables, working_dir=str(tmp_path))
    assert list(load(request).services) == ["web", "db"]


# -- merging ---------------------------------------------------------------

MERGED = {
    "a scalar": ("hostname: a", "hostname: b", {"hostname": "b"}),
    "null keeps": ("hostname: a", "hostname:", {"hostname": "a"}),
    "a command": ("command: [a, b]", "command: c", {"command": ["c"]}),
    "a mapping": (
        "environment: {A: 1, B: 2}",
        "environment: [B=3, C=4]",
        {"environment": {"A": "1", "B": "3", "C": "4"}},
    ),
    "a list": ("cap_add: [CHOWN]", "cap_add: [KILL]", {"cap_add": ["CHOWN", "KILL"]}),
    "each once": ("expose: [80]", "expose: [80, 81]", {"expose": ["80/tcp", "81/tcp"]}),
    "text and a list": ("dns: 1.1.1.1", "dns: [9.9.9.9]", {"dns": ["1.1.1.1", "9.9.9.9"]}),
    "ports": (
        'ports: ["80:80"]',
        'ports: ["80:80", "81:80"]',
        {
            "ports": [
                {"target": 80, "published": "80", "protocol": "tcp"},
                {"target": 80, "published": "81", "protocol": "tcp"},
            ]
        },
    ),
    "replaced": ("cap_add: [CHOWN]", "cap_add: !override [KILL]", {"cap_add": ["KILL"]}),
    "taken away": ("cap_add: [CHOWN]", "cap_add: !reset []", {}),
    "logging of one driver": (
        "logging: {driver: json-file, options: {max-file: '3'}}",
        "logging: {options: {max-size: 1m}}",
        {"logging": {"driver": "json-file", "options": {"max-file": "3", "max-size": "1m"}}},
    ),
    "logging of another": (
        "logging: {driver: json-file, options: {max-file: '3'}}",
        "logging: {driver: none}",
        {"logging": {"driver": "none"}},
    ),
    "a health check's test": (
        "healthcheck: {test: [CMD, a], retries: 2}",
        "healthcheck: {test: [CMD, b]}",
        {"healthcheck": {"test": ["CMD-SHELL", "b"], "retries": 2}},
    ),
}


@pytest.mark.parametrize(("base", "over", "expected"), MERGED.values(), ids=MERGED)
def test_files_are_merged(
    tmp_path: Path, base: str, over: str, expected: dict[str, object]
) -> None:
    """By the rules of the specification."""
    shape = "services:\n  a:\n    image: x\n    {}\n"
    files(tmp_path, base_yaml=shape.format(base), over_yaml=shape.format(over))
    found = load(
        Request(("base.yaml", "over.yaml"), "p", environment={}, working_dir=str(tmp_path))
    )
    document = normal_form.service(found.services["a"])
    assert document == {"image": "x", "networks": {"default": None}, **expected}


def test_a_service_extends_one_of_another_file(tmp_path: Path) -> None:
    """Paths in that file are relative to it."""
    files(tmp_path / "common", base_yaml="services: {b: {env_file: v.env, hostname: b}}")
    files(tmp_path / "common", v_env="V=1")
    text = "services: {a: {extends: {file: common/base.yaml, service: b}, domainname: d}}"
    service = project(tmp_path, text).services["a"]
    assert (service.environment, service.hostname, service.domainname) == (("V=1",), "b", "d")


def test_all_forms_of_paths_come_along(tmp_path: Path) -> None:
    """Those of env_file as a mapping, and those of label_file."""
    base = """
services:
  b:
    env_file: [one.env, {path: raw.env, format: raw}, {path: none.env, required: false}]
    label_file: own.labels
"""
    files(tmp_path / "common", base_yaml=base, one_env="A=1", raw_env="B='2'", own_labels="C=3")
    text = "services: {a: {extends: {file: common/base.yaml, service: b}}}"
    service = project(tmp_path, text).services["a"]
    assert (service.environment, service.labels) == (("A=1", "B='2'"), (("C", "3"),))


def test_a_format_of_variables_that_there_is_not(tmp_path: Path) -> None:
    """The only one is raw."""
    files(tmp_path, v_env="A=1")
    with pytest.raises(Invalid, match="yaml:1: format 'yaml' is none"):
        project(tmp_path, "services: {a: {env_file: [{path: v.env, format: yaml}]}}")


def test_what_a_port_and_a_mode_say_without_effect_is_named(tmp_path: Path) -> None:
    """They are a cluster's, or words for the reader."""
    text = """
services:
  web:
    command: serve
    ports:
      - {target: 80, mode: ingress}
      - {target: 81, name: api}
      - {target: 82, app_protocol: http}
    deploy:
      mode: global
"""
    found = [re.sub(r".*yaml:", "", remark) for remark in project(tmp_path, text).remarks]
    assert [remark.rpartition(": ")[0] for remark in found] == [
        *("6: mode", "7: name", "8: app_protocol"),
        "10: mode",
    ]


def test_a_name_alone_is_meant_only_where_no_file_is(tmp_path: Path) -> None:
    """A file that is there, but names one that is not, is an error: its services would be lost."""
    request = Request(name="shop", environment={}, working_dir=str(tmp_path))
    assert of_name_or_files(request).files == ()

    files(tmp_path, compose_yaml="services: {web: {label_file: none}}")
    with pytest.raises(NotFound, match="none not found"):
        of_name_or_files(request)
