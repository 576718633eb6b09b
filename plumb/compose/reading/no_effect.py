"""Keys of compose files that have no effect here, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping

NO_VOLUMES = "there are no volumes: a container sees the host's files"
NO_FILES = "nothing is mounted: a container sees the host's files"
NO_IMAGES = "there are no images: a command is a program of the host"
NO_CGROUPS = "containers have no cgroup, so nothing bounds what they take"
NO_DEVICES = "a container sees the host's devices"
HOSTS_OWN = "it is the host's own"
NO_SWARM = "all containers are on this host; 'plumb service create' makes a service of several"
OUTPUT = "a detached command has no terminal; 'plumb logs' has its output"
NO_METADATA = "nobody reads it"


def _all(reason: str, keys: str) -> dict[str, str]:
    return dict.fromkeys(keys.split(), reason)


SERVICE: Mapping[str, str] = {
    **_all(NO_VOLUMES, "volumes volumes_from tmpfs storage_opt volume_driver"),
    **_all(NO_FILES, "configs secrets"),
    **_all(NO_IMAGES, "build pull_policy pull_refresh_after platform runtime isolation develop"),
    **_all(
        NO_CGROUPS,
        "blkio_config cgroup cgroup_parent cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period"
        " cpu_rt_runtime cpu_shares cpus cpuset mem_limit mem_reservation mem_swappiness"
        " memswap_limit oom_kill_disable oom_score_adj pids_limit shm_size ulimits",
    ),
    **_all(NO_DEVICES, "devices device_cgroup_rules gpus"),
    **_all(HOSTS_OWN, "ipc pid userns_mode uts"),
    **_all(OUTPUT, "tty stdin_open attach"),
    **_all(NO_METADATA, "annotations"),
    "credential_spec": "it is Windows's",
    "security_opt": "a command runs as one of the host's does",
    "group_add": "a command has the groups of its user",
    "read_only": "'plumb run --read-only-host' makes a container that sees the host's files so",
    "post_start": "nothing is run beside a container's command",
    "pre_stop": "nothing is run beside a container's command",
    "models": "there are no models",
    "provider": "no program is asked to provide a service",
    "use_api_socket": "there is no engine with a socket",
}
DEPLOY: Mapping[str, str] = {
    **_all(NO_CGROUPS, "resources"),
    **_all(NO_SWARM, "placement update_config rollback_config endpoint_mode"),
    **_all(NO_METADATA, "labels"),
}
PORT: Mapping[str, str] = {
    "mode": "all containers are on this host, and so is the port",
    **_all(NO_METADATA, "name app_protocol"),
}
NETWORK: Mapping[str, str] = {}
IPAM: Mapping[str, str] = {"options": "plumb's own address management has none"}
TOP: Mapping[str, str] = {
    "version": "all versions are read as the Compose Specification",
    "volumes": NO_VOLUMES,
    "configs": NO_FILES,
    "secrets": NO_FILES,
    "models": "there are no models",
}
