"""Parts of a sandbox as commands: namespaces, folders and files, processes."""

from __future__ import annotations

import shlex

from plumb.things import Thing, mounts
from plumb.things.sandbox import Directory, Edits, File, Namespace, Process


def add_namespace(thing: Namespace) -> list[str]:
    folder, path = shlex.quote(thing.path.rpartition("/")[0]), shlex.quote(thing.path)
    return [f"mkdir -p {folder}", f"touch {path}", f"unshare --net={path} true"]


def remove_namespace(thing: Namespace) -> list[str]:
    return [f"umount -l {shlex.quote(thing.path)}", f"rm {shlex.quote(thing.path)}"]


def add_directory(thing: Directory) -> list[str]:
    return [f"mkdir -p {shlex.quote(thing.path)}"]


def remove_directory(thing: Directory) -> list[str]:
    return [f"rm -r {shlex.quote(thing.path)}"]


def _printf(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    return f"printf %b {shlex.quote(escaped)}"


def add_file(thing: File) -> list[str]:
    path, own = shlex.quote(thing.path), shlex.quote(f"{thing.path}.own")
    return [
        f"{_printf(thing.text)} > {path}"
        if thing.edits is Edits.OVERWRITTEN
        else f"{_printf(thing.text)} | tee {own} > {path}"
    ]


def change_file(thing: File, before: Thing) -> list[str]:
    assert isinstance(before, File)
    if before.edits is not thing.edits:
        return add_file(thing)  # a file written halfway
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
            rest = f"grep -vxF {' '.join(f'-e {shlex.quote(line)}' for line in gone)} {path} || :"
            done = f"{{ {rest}; {_printf(come)}; }} > {new}; cat {new} > {path}"
        case Edits.MERGED:
            done = f"{_printf(come)} >> {path}"
        case _:
            return add_file(thing)
    return [done, f"{_printf(thing.text)} > {own}"]


def remove_file(thing: File) -> list[str]:
    return [f"rm {shlex.quote(thing.path)}"]


def add_process(thing: Process) -> list[str]:
    binds = " && ".join(
        f"mount --bind {shlex.quote(f'{thing.files}/{name}')} /etc/{name}"
        for name in ("resolv.conf", "hosts", "hostname")
    )
    caps = ",".join(f"+{name.lower()}" for name in thing.capabilities)
    enter = f"nsenter --net={shlex.quote(thing.ns)} " if thing.ns else ""
    run = f"exec setpriv --bounding-set -all,{caps} {shlex.join(thing.argv)}"
    view = "".join(f" && {line}" for line in _read_only(thing)) if thing.read_only else ""
    inside = f"{binds}{view} && hostname {shlex.quote(thing.hostname)} && {run}"
    own = "--ipc --pid --kill-child " if thing.isolated else ""
    output = shlex.quote(f"{thing.folder}/log")
    return [
        (
            f"{enter}unshare --mount --uts {own}setsid sh -c {shlex.quote(inside)}"
            f" < /dev/null >> {output} 2>&1 &"
        )
    ]


def _read_only(thing: Process) -> list[str]:
    """Commands that make the host's files read-only.

    mount(8) sets attributes of all mounts at once only from 2.39 on (ro=recursive).
    """
    return [
        "findmnt -nrRo TARGET / | xargs -rn1 mount -o remount,bind,ro,nodev",
        *(_mount(mount) for mount in mounts.over_host(thing.root)),
        *([_mount(mounts.OWN_PROC)] if thing.isolated else []),
        *(
            f"mknod -m 666 /dev/{name} c {major} {minor}"
            for name, (major, minor) in mounts.DEVICES.items()
        ),
        *(f"ln -s {target} /dev/{name}" for name, target in mounts.LINKS.items()),
        f"mkdir {' '.join(mount.path for mount in mounts.IN_DEV)}",
        *(_mount(mount) for mount in mounts.IN_DEV),
        "mount -o remount,bind,ro,nosuid /dev",
    ]


def _mount(mount: mounts.Mount) -> str:
    options = ",".join(filter(None, (*mount.flags, mount.data)))
    return f"mount -t {mount.kind} -o {options} {mount.kind} {shlex.quote(mount.path)}"


def remove_process(thing: Process) -> list[str]:
    return [f"kill $(cut -d' ' -f1 {shlex.quote(f'{thing.folder}/pid')})"]
