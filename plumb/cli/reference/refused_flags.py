"""Flags of Docker's command line that have no meaning here, each with its reason.

A value that asks for what plumb does anyway (`--pid host`, `--pull never`) is taken, and has no
effect. The reason goes on where it can: to the flag or the program that does the same here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from plumb.frozen import frozen


@frozen
class Refused:
    """A flag that is refused.

    Attributes:
        reason: end of the sentence that refuses it.
        agrees: values that are taken, for they ask for what plumb does anyway.
        valued: True if it takes a value; else it is true or false.
    """

    reason: str
    agrees: tuple[str, ...] = ()
    valued: bool = True


Flags = Mapping[str, Refused]


def _all(names: str, reason: str, *agrees: str) -> dict[str, Refused]:
    """Flags with a value that have the same reason."""
    return {name: Refused(reason, agrees) for name in names.split()}


def _switch(reason: str, *agrees: str) -> Refused:
    """A flag that is true or false; false is taken."""
    return Refused(reason, ("false", *agrees), valued=False)


NO_IMAGES = "there are no images: a container's command is a program of the host"
NO_RUNTIME = "there is no runtime but plumb, which makes the namespaces itself"
NO_LIMITS = "plumb isolates the network of a container, and sets no limits to its resources"
NO_FILES = "containers share the host's files, and read and write them where they are"
NO_DEVICES = "containers have the host's devices"
NO_KEYS = "the command has the caller's own terminal, and plumb reads no keys on the way"
WINDOWS = "it is about Windows"

LIMITS: Flags = {
    **_all("--memory --memory-reservation --kernel-memory --pids-limit", NO_LIMITS, "0", "-1"),
    "--memory-swap": Refused(NO_LIMITS, ("-1",)),
    **_all("--blkio-weight --cpus --cpu-period --cpu-quota --cpu-shares", NO_LIMITS, "0"),
    **_all("--cpu-rt-period --cpu-rt-runtime", NO_LIMITS, "0"),
    "--cpuset-cpus": Refused(f"{NO_LIMITS}; 'taskset -c' before the command does it"),
    "--cpuset-mems": Refused(f"{NO_LIMITS}; 'numactl -m' before the command does it"),
}
CREATE: Flags = {
    **LIMITS,
    "--memory-swappiness": Refused(NO_LIMITS, ("-1",)),
    **_all("--blkio-weight-device --device-read-bps --device-read-iops", NO_LIMITS),
    **_all("--device-write-bps --device-write-iops --cgroup-parent", NO_LIMITS),
    "--cgroupns": Refused("a container's cgroups are the host's", ("host",)),
    "--oom-kill-disable": _switch(NO_LIMITS),
    "--oom-score-adj": Refused(f"{NO_LIMITS}; 'choom -n' before the command does it", ("0",)),
    "--ulimit": Refused(f"{NO_LIMITS}; 'prlimit' before the command does it"),
    "--entrypoint": Refused(f"{NO_IMAGES}, given whole behind the options"),
    "--platform": Refused(NO_IMAGES),
    "--pull": Refused(NO_IMAGES, ("never", "missing")),
    "--quiet": _switch(NO_IMAGES, "true"),
    "--disable-content-trust": _switch(NO_IMAGES, "true"),
    "--runtime": Refused(NO_RUNTIME),
    "--annotation": Refused(f"{NO_RUNTIME}; '--label' marks a container"),
    **_all("--mount --volume --volumes-from --volume-driver --storage-opt --tmpfs", NO_FILES),
    "--read-only": _switch(f"{NO_FILES}; '--read-only-host' keeps the command from changing them"),
    "--shm-size": Refused("/dev/shm is the host's"),
    "--use-api-socket": _switch("plumb has no socket for an API"),
    **_all("--device --device-cgroup-rule --gpus", NO_DEVICES),
    "--attach": Refused(
        "a command without '--detach' has the caller's input, output and errors; "
        "a shell's '>/dev/null' leaves one out"
    ),
    "--group-add": Refused(
        "a command has the groups of its user; 'setpriv --groups' before the command adds others"
    ),
    "--ipc": Refused(
        "containers share the host's IPC; '--isolate' gives them their own", ("host",)
    ),
    "--pid": Refused(
        "containers share the host's processes; '--isolate' hides those of the host", ("host",)
    ),
    "--userns": Refused("a container's users are the host's", ("host",)),
    "--uts": Refused("each container has a host name of its own, which '--hostname' gives it"),
    "--security-opt": Refused(
        "plumb sets up no seccomp, AppArmor or SELinux; 'setpriv --no-new-privs' before the "
        "command keeps it from gaining privileges",
        (
            *("seccomp=unconfined", "apparmor=unconfined", "label=disable", "label:disable"),
            *("no-new-privileges=false", "no-new-privileges:false"),
        ),
    ),
    "--isolation": Refused(WINDOWS, ("default",)),
    **_all("--cpu-count --cpu-percent --io-maxbandwidth --io-maxiops", WINDOWS, "0"),
}
KEYS: Flags = {"--detach-keys": Refused(NO_KEYS)}
NO_CHECKPOINTS = "plumb makes no checkpoints of processes"
START: Flags = {**KEYS, **_all("--checkpoint --checkpoint-dir", NO_CHECKPOINTS)}
STATS: Flags = {
    "--all": _switch("only the namespace of a running container can be measured"),
    "--no-stream": Refused("'--watch' measures again and again", ("true",), valued=False),
    "--no-trunc": _switch("names are never cut", "true"),
}
NETWORK: Flags = {
    "--ipam-driver": Refused("plumb chooses addresses itself", ("default",)),
    "--ipam-opt": Refused("plumb chooses addresses itself, and has no options for it"),
}

NO_RAFT = "the swarm's state is etcd's, which makes its snapshots itself"
OWN_CA = "the swarm's CA is one that plumb has made; 'plumb swarm ca --rotate' makes a new one"
AUTOLOCK = _switch(
    "a manager's keys and etcd's data lie in a folder that only root may enter; encrypt the disk "
    "that it is on"
)
HEARTBEAT = Refused("a node renews its lease every 3.3 s, and is Down after 10 s without")
SWARM_CHANGES: Flags = {
    "--autolock": AUTOLOCK,
    "--dispatcher-heartbeat": HEARTBEAT,
    "--external-ca": Refused(OWN_CA),
    **_all("--max-snapshots --snapshot-interval", NO_RAFT),
}
SWARM_INIT: Flags = {
    **SWARM_CHANGES,
    **_all("--cert-expiry --task-history-limit", "'plumb swarm update' sets it afterwards"),
}
SWARM_CA: Flags = {
    **_all("--ca-cert --ca-key --external-ca", OWN_CA),
    "--cert-expiry": Refused("'plumb swarm update --cert-expiry' sets it"),
}


def _entries(names: Iterable[str], reason: str) -> dict[str, Refused]:
    """Flags of a list of `service create`, and those of `service update` that change it."""
    return {f"--{name}{end}": Refused(reason) for name in names for end in ("", "-add", "-rm")}


TASKS_NO_IMAGES = "tasks of plumb are commands on their host, of no image"
TASKS_NO_LIMITS = "plumb isolates the network of a task, and sets no limits to its resources"
TASKS_NO_FILES = "tasks of plumb share their hosts' files"
SPREAD = "tasks are spread evenly over the nodes; '--constraint' chooses among them"
SERVICE: Flags = {
    **_all("--image --entrypoint", TASKS_NO_IMAGES),
    "--no-resolve-image": _switch(TASKS_NO_IMAGES, "true"),
    "--with-registry-auth": _switch(TASKS_NO_IMAGES, "true"),
    **_all("--limit-cpu --limit-memory --limit-pids", TASKS_NO_LIMITS, "0"),
    **_all("--reserve-cpu --reserve-memory --oom-score-adj", TASKS_NO_LIMITS, "0"),
    **_entries(("ulimit", "generic-resource"), TASKS_NO_LIMITS),
    **_entries(("mount", "config", "secret"), TASKS_NO_FILES),
    "--credential-spec": Refused(WINDOWS),
    "--read-only": _switch(TASKS_NO_FILES),
    **_entries(("group",), "a task's command has the groups of its user"),
    **_entries(("placement-pref",), SPREAD),
    "--replicas-max-per-node": Refused(SPREAD, ("0",)),
    "--isolation": Refused(WINDOWS, ("default",)),
    "--tty": _switch("a task has no terminal"),
    "--init": _switch("a task's command has plumb's own process above it, which reaps", "true"),
}

FLAGS: Mapping[str, Flags] = {
    "run": {**CREATE, **KEYS},
    "create": CREATE,
    "exec": KEYS,
    "start": START,
    "update": LIMITS,
    "stats": STATS,
    "network create": NETWORK,
    "swarm init": SWARM_INIT,
    "swarm update": SWARM_CHANGES,
    "swarm ca": SWARM_CA,
    "attach": {
        "--detach-keys": Refused(
            "attach reads no input; '--sig-proxy=false' makes Ctrl-C end it alone"
        )
    },
    "service create": SERVICE,
    "service update": SERVICE,
}
"""Flags by the verb that Docker has them for."""
OF_CREATE = {"-a": "--attach", "-c": "--cpu-shares", "-m": "--memory", "-v": "--volume"}
OF_SERVICE = {"-t": "--tty"}
LETTERS: Mapping[str, Mapping[str, str]] = {
    "run": {**OF_CREATE, "-q": "--quiet"},
    "create": {**OF_CREATE, "-q": "--quiet"},
    "update": {letter: OF_CREATE[letter] for letter in ("-c", "-m")},
    "stats": {"-a": "--all"},
    "service create": OF_SERVICE,
    "service update": OF_SERVICE,
}
"""Flags by the letters that stand for them."""
