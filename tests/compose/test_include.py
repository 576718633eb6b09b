"""Compose files that include others."""

from __future__ import annotations

from pathlib import Path

import pytest

from plumb import Invalid
from plumb.compose.files import Request
from plumb.compose.load import load
from plumb.compose.model import MOST_INCLUDED
from tests.compose import project


def write(folder: Path, **texts: str) -> None:
    """Write files; in a name _ stands for the dot."""
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_text(text)


def test_services_and_networks_of_an_included_file_are_there(tmp_path: Path) -> None:
    """Its name is not taken, and what it extends is in its own folder."""
    base = "services: {b: {hostname: b}}"
    db = """
name: elsewhere
services: {db: {extends: {file: base.yaml, service: b}, networks: [data]}}
networks: {data: {internal: true}}
"""
    write(tmp_path / "db", base_yaml=base, db_yaml=db)
    found = project(tmp_path, "include: [db/db.yaml]\nservices: {web: {depends_on: [db]}}")
    assert (found.name, sorted(found.services)) == ("shop", ["db", "web"])
    assert found.services["db"].hostname == "b"
    assert found.networks["data"].internal


def test_its_paths_and_variables_are_its_folders(tmp_path: Path) -> None:
    """The project's own variables count before those of its .env."""
    text = "services: {db: {env_file: v.env, hostname: '$HOST', domainname: '$DOMAIN'}}"
    write(tmp_path / "db", compose_yaml=text, v_env="V=1")
    (tmp_path / "db/.env").write_text("HOST=own\nDOMAIN=own\n")
    db = project(tmp_path, "include: [db/compose.yaml]", DOMAIN="caller").services["db"]
    assert (db.environment, db.hostname, db.domainname) == (("V=1",), "own", "caller")


def test_the_long_form_names_folder_and_variables(tmp_path: Path) -> None:
    """Several paths are merged, the last one last."""
    write(
        tmp_path / "db",
        a_yaml="services: {db: {env_file: v.env, hostname: a, domainname: '$D'}}",
        b_yaml="services: {db: {hostname: b}}",
    )
    write(tmp_path / "place", v_env="V=2", own_env="D=d")
    text = """
include:
  - path: [db/a.yaml, db/b.yaml]
    project_directory: place
    env_file: place/own.env
"""
    db = project(tmp_path, text).services["db"]
    assert (db.environment, db.hostname, db.domainname) == (("V=2",), "b", "d")


def test_a_file_of_variables_uses_those_of_the_project(tmp_path: Path) -> None:
    """As in Docker: then the service's own, and those of the files before it.

    In an included file too, whose own .env is for the compose file.
    """
    write(tmp_path / "db", _env="D=theirs", one_env="A=${D:-none}", two_env="B=${A}-${OWN}-${P}")
    text = "services: {db: {env_file: [one.env, two.env], environment: {OWN: o}}}"
    write(tmp_path / "db", compose_yaml=text)
    db = project(tmp_path, "include: [db/compose.yaml]", P="p").services["db"]
    assert db.environment == ("A=none", "B=none-o-p", "OWN=o")


def test_an_included_file_includes_others(tmp_path: Path) -> None:
    """Paths are relative to the folder of each."""
    write(tmp_path / "a", compose_yaml="include: [inner/c.yaml]")
    write(tmp_path / "a/inner", c_yaml="services: {deep: {}}")
    assert list(project(tmp_path, "include: [a/compose.yaml]").services) == ["deep"]


def test_what_is_there_twice_and_differs_is_refused(tmp_path: Path) -> None:
    """The same in both is none to refuse; a file that is named by -f overrides it."""
    write(tmp_path, a_yaml="services: {a: {hostname: one}}")
    same = project(tmp_path, "include: [a.yaml, a.yaml]\nservices: {a: {hostname: one}}")
    assert list(same.services) == ["a"]
    with pytest.raises(Invalid, match=r"yaml:1: services\.a conflicts with imported resource"):
        project(tmp_path, "include: [a.yaml]\nservices: {a: {hostname: two}}")
    write(tmp_path, main_yaml="include: [a.yaml]", over_yaml="services: {a: {hostname: two}}")
    both = ("main.yaml", "over.yaml")
    found = load(Request(both, "p", environment={}, working_dir=str(tmp_path)))
    assert found.services["a"].hostname == "two"


def test_what_plumb_does_not_know_in_it_is_told(tmp_path: Path) -> None:
    """As in the project's own files: a remark, or an error with its line."""
    write(tmp_path, a_yaml="services: {a: {}}\nvolumes: {v: {}}")
    (remark, _) = project(tmp_path, "include: [a.yaml]").remarks
    assert "a.yaml:2: volumes: " in remark
    write(tmp_path, a_yaml="services: {a: {}}\nservcies: {b: {}}")
    with pytest.raises(Invalid, match=r"a\.yaml:2: servcies is no key here"):
        project(tmp_path, "include: [a.yaml]")


def test_its_promises_are_the_projects(tmp_path: Path) -> None:
    write(tmp_path, a_yaml="services: {a: {}}\nx-plumb: {expect: [a -> b]}")
    own = "include: [a.yaml]\nservices: {b: {}}\n"
    assert [each.text for each in project(tmp_path, own).expect] == ["a -> b"]
    both = project(tmp_path, own + "x-plumb: {expect: [b -> a]}")
    assert sorted(each.text for each in both.expect) == ["a -> b", "b -> a"]


def test_a_variable_without_a_value_is_its_folders(tmp_path: Path) -> None:
    """In both forms; the caller's own counts before it."""
    write(
        tmp_path / "db",
        compose_yaml="services: {a: {environment: [H, C, X]}, b: {environment: {H: , C: }}}",
    )
    (tmp_path / "db/.env").write_text("H=own\nC=own\n")
    found = project(tmp_path, "include: [db/compose.yaml]", C="caller").services
    assert found["a"].environment == found["b"].environment == ("H=own", "C=caller")


def test_project_directory_is_where_it_extends_from(tmp_path: Path) -> None:
    write(tmp_path / "db", a_yaml="services: {db: {extends: {file: base.yaml, service: b}}}")
    write(tmp_path / "place", base_yaml="services: {b: {hostname: there}}")
    text = "include: [{path: db/a.yaml, project_directory: place}]"
    assert project(tmp_path, text).services["db"].hostname == "there"


def test_no_file_and_no_variables_can_be_said(tmp_path: Path) -> None:
    """An include without items includes nothing, /dev/null stands for no .env."""
    assert list(project(tmp_path, "include:\nservices: {a: {}}").services) == ["a"]
    write(tmp_path / "db", compose_yaml="services: {db: {hostname: '${H-none}'}}")
    (tmp_path / "db/.env").write_text("H=own")
    text = "include: [{path: db/compose.yaml, env_file: /dev/null}]"
    assert project(tmp_path, text).services["db"].hostname == "none"


def test_a_circle_is_refused(tmp_path: Path) -> None:
    """The message has the line of the inclusion that closes it."""
    write(tmp_path, a_yaml="\ninclude: [compose.yaml]")
    with pytest.raises(Invalid, match=r"a\.yaml:2: files include each other in a circle"):
        project(tmp_path, "include: [a.yaml]")


def test_files_that_double_are_refused(tmp_path: Path) -> None:
    """Each includes the next one twice."""
    for number in range(20):
        (tmp_path / f"{number}.yaml").write_text(f"include: [{number + 1}.yaml, {number + 1}.yaml]")
    (tmp_path / "20.yaml").write_text("{}")
    with pytest.raises(Invalid, match=f"more than {MOST_INCLUDED} files are included"):
        project(tmp_path, "include: [0.yaml]")
