"""Loading of a project: its files read, interpolated, merged and checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from plumb.compose.files import NoFile, Request, Sources, found, name_of, project_name
from plumb.compose.model import Models, documents_of
from plumb.compose.project import DEFAULT, ComposeNetwork, ComposeService, Project
from plumb.compose.reading import networks, no_effect, service_keys, services
from plumb.compose.reading.document import Node, Place
from plumb.compose.reading.fields import Remarks
from plumb.compose.reading.fields import read as read_keys
from plumb.compose.reading.including import TOP
from plumb.errors import Invalid
from plumb.frozen import replace


def load(request: Request, named: Sequence[str] = ()) -> Project:
    """Load a project.

    Args:
        named: services that are enabled whatever their profiles are.

    Raises:
        NotFound: there is no such file.
        Invalid: a file makes no sense; the message has file and line.
    """
    with _not_too_deep():
        return _loaded(request, named)


def faults(request: Request) -> list[str]:
    """Hold a project's files against the specification's schema, those that they name as well.

    Returns:
        What is not as it says, a line each: `specification.faults`.

    Raises:
        NotFound: there is no such file.
        Invalid: a file makes no sense. Unsupported: jsonschema is not installed.
    """
    from plumb.compose import specification  # lazy: jsonschema is as dear as all of a small file

    with _not_too_deep():
        models = Models()
        documents, sources = _read(request)
        models.model(documents, sources.folder, sources.variables, sources.files)
        return list(dict.fromkeys(specification.faults(models.documents)))


@contextmanager
def _not_too_deep() -> Iterator[None]:
    try:
        yield
    except RecursionError:
        raise Invalid("the compose files are nested too deep to be read") from None


def _read(request: Request) -> tuple[list[Node], Sources]:
    """Read the documents of a project's own files, and find its name."""
    sources = found(request)
    documents = [
        each
        for path in sources.files
        for each in documents_of(path, "-" if path == request.input else "")
    ]
    if not any(each.mapping for each in documents):
        raise Invalid(f"{_names(sources, request)}: empty compose file")
    name = name_of(documents, sources)
    variables = {**sources.variables, "COMPOSE_PROJECT_NAME": name}
    return documents, replace(sources, name=name, variables=variables)


def _names(sources: Sources, request: Request) -> str:
    return ", ".join("-" if path == request.input else path for path in sources.files)


def _loaded(request: Request, named: Sequence[str]) -> Project:
    documents, sources = _read(request)
    remarks: Remarks = []
    model = _model(documents, sources, remarks)
    return _project(model, sources, frozenset(named), remarks)


def of_name_or_files(request: Request) -> Project:
    """Load a project; one that the caller names where there is no compose file is its name alone.

    Raises:
        NotFound, Invalid: as of `load`.
    """
    try:
        return load(request)
    except NoFile:
        if request.name:
            return Project(project_name(request.name))
        raise


def scaled(project: Project, words: Iterable[str]) -> Project:
    """Return a project with other numbers of containers.

    Args:
        words: SERVICE=N.

    Raises:
        NotFound: there is no such service.
        Invalid: a word is none of the kind, or the containers have one name.
    """
    services = dict(project.services)
    for word in words:
        name, _, count = word.partition("=")
        try:
            replicas = service_keys.REPLICAS(count)
        except ValueError as error:
            raise Invalid(f"invalid --scale {word!r}: {error}", "it is written SERVICE=N") from None
        (*_, service) = project.chosen([name])
        if service.container_name and replicas > 1:
            raise Invalid(f"service {name} has a container_name: there is one container of it")
        services[name] = replace(service, replicas=replicas)
    return replace(project, services=services)


def _model(documents: Iterable[Node], sources: Sources, remarks: Remarks) -> Node:
    """Merge the documents, with a remark for each variable that is not set."""
    models = Models()
    model = models.model(documents, sources.folder, sources.variables, sources.files)
    remarks.extend(models.remarks)
    remarks.extend(
        f'the variable "{variable}" is not set: an empty text stands for it'
        for variable in models.unset
    )
    return model


def _project(model: Node, sources: Sources, named: frozenset[str], remarks: Remarks) -> Project:
    last: Remarks = []
    top = read_keys(model, TOP, no_effect.TOP, last)
    around = services.Surroundings(sources.folder, sources.variables)
    described = top.get("services", NOTHING).mapping
    enabled = [key for key, each in described.items() if _enabled(key, each, sources, named)]
    for key, each in described.items():
        if key not in enabled:
            services.keys(each, [])
    project = Project(
        sources.name,
        sources.folder,
        sources.files,
        {key: _service(key, described[key], around, remarks) for key in enabled},
        tuple(key for key in described if key not in enabled),
        {
            DEFAULT: networks.default(sources.name),
            **{
                key: networks.network(key, each, sources.name, remarks)
                for key, each in top.get("networks", NOTHING).mapping.items()
            },
        },
        expect=top.get("x-plumb", ()),
    )
    _check(project)
    return replace(project, remarks=(*remarks, *last))


def _enabled(key: str, node: Node, sources: Sources, named: frozenset[str]) -> bool:
    """True for a service without profiles, with an active one, or that the caller names."""
    own = node.mapping.get("profiles")
    wanted = {each.text for each in own.items} if own is not None else set()
    active = sources.profiles
    return not wanted or key in named or "*" in active or not wanted.isdisjoint(active)


def _service(
    key: str, node: Node, around: services.Surroundings, remarks: Remarks
) -> ComposeService:
    if not re.fullmatch(r"[a-zA-Z0-9._-]+", key):
        raise node.refused(f"{key!r} is no name for a service", "it has letters, digits and ._-")
    return services.service(key, node, around, remarks)


NOTHING = Node(Place("", 0), {})


# -- what services say of others ---------------------------------------------------------------


def _check(project: Project) -> None:
    """See that services and networks that are named are there, and that no service needs itself.

    Raises:
        Invalid: they are not.
    """
    for service in project.services.values():
        for joined in service.networks:
            if joined.network not in project.networks:
                _refuse_network(project.networks, service, joined.network)
        optional = {each.service for each in service.depends_on if not each.required}
        for other in service.needed:
            if other not in project.services and other not in optional:
                why = "no profile enables it" if other in project.disabled else "there is none"
                raise Invalid(
                    f"{service.place}: service {service.name} needs the service {other}: {why}"
                )
    done: set[str] = set()
    for service in project.services.values():
        _check_cycle(project, service, (), done)


def _refuse_network(
    known: Mapping[str, ComposeNetwork], service: ComposeService, network: str
) -> None:
    raise Invalid(
        f"{service.place}: service {service.name} refers to the undefined network {network}",
        f"networks of the file are {', '.join(known)}",
    )


def _check_cycle(
    project: Project, service: ComposeService, above: tuple[str, ...], done: set[str]
) -> None:
    if service.name in above:
        cycle = " -> ".join((*above[above.index(service.name) :], service.name))
        raise Invalid(f"{service.place}: services need each other in a circle: {cycle}")
    if service.name in done:
        return
    for other in service.needed:
        if other in project.services:
            _check_cycle(project, project.services[other], (*above, service.name), done)
    done.add(service.name)
