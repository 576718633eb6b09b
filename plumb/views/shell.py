"""Steps as the commands that one would type: `--dry-run`, `--show-commands`.

They are no paraphrase: typed into a shell in a fresh network namespace, in this order, they make
the same kernel state as plumb does (the tests do that). What is inside a sandbox is reached with
nsenter.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from plumb.model.paths import DEFAULT_ROOT, Layout
from plumb.plan import Step
from plumb.things import Thing
from plumb.things.dns import Names, Resolver
from plumb.things.host_ports import Agent, HostPort, Proxy, at
from plumb.things.iptables import Chain, Policy, Position, Rule
from plumb.things.nftables import NftChain, NftElement, NftMap, NftRule, NftTable
from plumb.things.sandbox import Directory, Edits, File, Namespace, Process
from plumb.views.shell_ip import add, change, remove


def commands(steps: Iterable[Step], explain: bool = False) -> Iterator[str]:
    """The command lines of these steps.

    Args:
        explain: put a rule's reason behind it, as a comment.
    """
    for step in steps:
        why = getattr(step.after, "why", "")
        comment = f"    # {why}" if explain and why else ""
        for line in _lines(step):
            where = step.thing.where
            yield (f"nsenter --net={shlex.quote(where)} {line}" if where else line) + comment


def _lines(step: Step) -> list[str]:
    if step.after is None:
        return remove(step.thing)
    return add(step.after) if step.before is None else change(step.after, step.before)


# -- netfilter ---------------------------------------------------------------


@add.register
def add_chain(thing: Chain) -> list[str]:
    return [f"{thing.family} -w -t {thing.table} -N {thing.name}"]


@remove.register
def remove_chain(thing: Chain) -> list[str]:
    flush = [] if thing.users else [f"{thing.family} -w -t {thing.table} -F {thing.name}"]
    return [*flush, f"{thing.family} -w -t {thing.table} -X {thing.name}"]


@add.register
def add_rule(thing: Rule) -> list[str]:
    return [f"{thing.family} -w -t {thing.table} {thing.place} {thing.chain} {thing.spec}"]


@remove.register
def remove_rule(thing: Rule) -> list[str]:
    return [f"{thing.family} -w -t {thing.table} -D {thing.chain} {thing.spec}"]


@add.register
def add_policy(thing: Policy) -> list[str]:
    return [f"{thing.family} -w -t {thing.table} -P {thing.chain} {thing.verdict}"]


# -- nftables ---------------------------------------------------------------


def _nft(thing: NftTable | NftMap | NftChain | NftElement) -> str:
    """What comes behind nft add, create or delete: the kind, where it is, its name."""
    match thing:
        case NftTable():
            return f"table {thing.family} {thing.name}"
        case NftElement():
            return f"element {thing.family} {thing.table} {thing.map}"
    return f"{'map' if isinstance(thing, NftMap) else 'chain'} {thing.family} {thing.table} {thing.name}"


def _handle(thing: NftRule, spec: str) -> str:
    """A rule's handle, by which alone nft deletes it or puts another before it, as a command that finds it."""
    script = """'{ sub(/^\\t+/, "") } $1 == rule { print $2; exit }'"""
    return (
        f"$(nft -s -a list chain {thing.family} {thing.table} {thing.chain}"
        f" | awk -F ' # handle ' -v rule={shlex.quote(spec)} {script})"
    )


@add.register
def add_nft_table(thing: NftTable) -> list[str]:
    return [f"nft create {_nft(thing)}"]


@add.register
def add_nft_map(thing: NftMap) -> list[str]:
    return [f"nft create {_nft(thing)} '{{ type ifname : verdict; }}'"]


@add.register
def add_nft_chain(thing: NftChain) -> list[str]:
    base = (
        f" '{{ type {thing.type} hook {thing.hook} priority {thing.priority}; policy {thing.policy}; }}'"
        if thing.hook
        else ""
    )
    return [f"nft add {_nft(thing)}{base}"]


@add.register
def add_nft_element(thing: NftElement) -> list[str]:
    return [f"""nft create {_nft(thing)} '{{ "{thing.link}" : jump {thing.chain} }}'"""]


@change.register
def change_nft_element(thing: NftElement, before: Thing) -> list[str]:
    return [*remove(thing), *add(thing)]


@remove.register(NftTable)
@remove.register(NftMap)
@remove.register(NftChain)
def remove_link(thing: NftTable | NftMap | NftChain) -> list[str]:
    return [f"nft delete {_nft(thing)}"]


@remove.register
def remove_nft_element(thing: NftElement) -> list[str]:
    return [f"""nft delete {_nft(thing)} '{{ "{thing.link}" }}'"""]


@add.register
def add_nft_rule(thing: NftRule) -> list[str]:
    where, verb = (
        f"{thing.family} {thing.table} {thing.chain}",
        "insert" if thing.place is Position.HEAD else "add",
    )
    if thing.before:
        return [
            f"nft insert rule {where} handle {_handle(thing, thing.before)} {shlex.quote(thing.spec)}"
        ]
    return [f"nft {verb} rule {where} {shlex.quote(thing.spec)}"]


@remove.register
def remove_nft_rule(thing: NftRule) -> list[str]:
    return [
        f"nft delete rule {thing.family} {thing.table} {thing.chain} handle {_handle(thing, thing.spec)}"
    ]


# -- sandboxes ---------------------------------------------------------------


@add.register
def add_namespace(thing: Namespace) -> list[str]:
    folder, path = shlex.quote(thing.path.rpartition("/")[0]), shlex.quote(thing.path)
    return [f"mkdir -p {folder}", f"touch {path}", f"unshare --net={path} true"]


@remove.register
def remove_namespace(thing: Namespace) -> list[str]:
    return [f"umount -l {shlex.quote(thing.path)}", f"rm {shlex.quote(thing.path)}"]


@add.register
def add_directory(thing: Directory) -> list[str]:
    return [f"mkdir -p {shlex.quote(thing.path)}"]


@remove.register
def remove_directory(thing: Directory) -> list[str]:
    return [f"rm -r {shlex.quote(thing.path)}"]


def _printf(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    return f"printf %b {shlex.quote(escaped)}"


@add.register
def add_file(thing: File) -> list[str]:
    path, own = shlex.quote(thing.path), shlex.quote(f"{thing.path}.own")
    return [
        f"{_printf(thing.text)} > {path}"
        if thing.edits is Edits.OVERWRITTEN
        else f"{_printf(thing.text)} | tee {own} > {path}"
    ]


@change.register
def change_file(thing: File, before: Thing) -> list[str]:
    assert isinstance(before, File)
    if before.edits is not thing.edits:
        return add(thing)  # it was not whole
    path, own, new = (shlex.quote(thing.path + suffix) for suffix in ("", ".own", ".new"))
    lines, old = thing.text.splitlines(), before.text.splitlines()
    gone, come = (
        [line for line in old if line not in lines],
        "".join(f"{line}\n" for line in lines if line not in old),
    )
    match thing.edits:
        case Edits.LEFT:
            done = f"cmp -s {path} {own} && {_printf(thing.text)} > {path}"
        case Edits.MERGED if gone:
            kept = f"grep -vxF {' '.join(f'-e {shlex.quote(line)}' for line in gone)} {path} || :"
            done = f"{{ {kept}; {_printf(come)}; }} > {new}; cat {new} > {path}"
        case Edits.MERGED:
            done = f"{_printf(come)} >> {path}"
        case _:
            return add(thing)
    return [done, f"{_printf(thing.text)} > {own}"]


@remove.register
def remove_file(thing: File) -> list[str]:
    return [f"rm {shlex.quote(thing.path)}"]


@add.register
def add_process(thing: Process) -> list[str]:
    mounts = " && ".join(
        f"mount --bind {shlex.quote(f'{thing.files}/{name}')} /etc/{name}"
        for name in ("resolv.conf", "hosts", "hostname")
    )
    caps = ",".join(f"+{name.lower()}" for name in thing.capabilities)
    enter = f"nsenter --net={shlex.quote(thing.ns)} " if thing.ns else ""
    run = f"exec setpriv --bounding-set -all,{caps} {shlex.join(thing.argv)}"
    inside = f"{mounts} && hostname {shlex.quote(thing.hostname)} && {run}"
    output = shlex.quote(f"{thing.folder}/log")
    return [
        f"{enter}unshare --mount --uts setsid sh -c {shlex.quote(inside)} < /dev/null >> {output} 2>&1 &"
    ]


@remove.register
def remove_process(thing: Process) -> list[str]:
    return [f"kill $(cut -d' ' -f1 {shlex.quote(f'{thing.folder}/pid')})"]


# -- what the agent has ---------------------------------------------------------------


def _agent(folder: str, words: str) -> str:
    root = "" if folder == Layout(DEFAULT_ROOT).run else f"PLUMB_ROOT={shlex.quote(folder)} "
    return f"{root}plumb agent {words}"


@add.register
def add_agent(thing: Agent) -> list[str]:
    return [_agent(thing.folder, "start")]


@remove.register
def remove_agent(thing: Agent) -> list[str]:
    return [_agent(thing.folder, "stop")]


def _port(thing: HostPort | Proxy, verb: str) -> str:
    return f"{verb} {thing.protocol} {shlex.quote(at(thing.ip, thing.port))}"


@add.register(HostPort)
@add.register(Proxy)
def add_host_port_or_proxy(thing: HostPort | Proxy) -> list[str]:
    verb = "hold" if isinstance(thing, HostPort) else "proxy"
    return [
        _agent(thing.agent, f"{_port(thing, verb)} {shlex.quote(at(thing.to_ip, thing.to_port))}")
    ]


@remove.register(HostPort)
@remove.register(Proxy)
def remove_host_port_or_proxy(thing: HostPort | Proxy) -> list[str]:
    verb = "release" if isinstance(thing, HostPort) else "unproxy"
    return [_agent(thing.agent, _port(thing, verb))]


def _each(option: str, values: Iterable[str]) -> str:
    return "".join(f" --{option} {shlex.quote(value)}" for value in values)


@add.register
def add_resolver(thing: Resolver) -> list[str]:
    servers = (f"{'sandbox' if inside else 'host'}={ip}" for ip, inside in thing.upstreams)
    options = (
        _each("network", thing.networks)
        + _each("link", map(",".join, thing.links))
        + _each("upstream", servers)
    )
    flags = ("" if thing.outside else " --no-way-out") + (" --ndots" if thing.ndots else "")
    return [
        _agent(
            thing.agent, f"serve {shlex.quote(thing.ns)} {thing.udp} {thing.tcp}{options}{flags}"
        )
    ]


@remove.register
def remove_resolver(thing: Resolver) -> list[str]:
    return [_agent(thing.agent, f"unserve {shlex.quote(thing.ns)}")]


@add.register
def add_names(thing: Names) -> list[str]:
    ports = (f"{name},{protocol},{port}" for name, protocol, port in thing.ports)
    options = _each("name", thing.names) + _each("ip", map(str, thing.ips)) + _each("port", ports)
    return [
        _agent(
            thing.agent,
            f"name {thing.endpoint} {thing.network} {shlex.quote(thing.title)}{options}",
        )
    ]


@remove.register
def remove_names(thing: Names) -> list[str]:
    return [_agent(thing.agent, f"unname {thing.endpoint}")]
