"""Idioms of scripts that were written for Docker: they run as they are, where docker is plumb.

There are no images: behind the options a command stands alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import REPOSITORY
from tests.host.trial_hosts import MARK
from tests.labs import Lab

LONG = "sleep 1000"
SCRIPTS = {
    "a network is made unless it is there": (
        """
        for run in first second; do
            docker network inspect shop >/dev/null 2>&1 || docker network create shop >/dev/null
        done
        if ! docker network ls --format '{{.Name}}' | grep -q '^shop$'; then
            docker network create shop
        fi
        [ "$(docker network ls -q -f name=^shop$ | wc -l)" -eq 1 ] && echo one
        """,
        "one",
    ),
    "a container is made unless it is there": (
        f"""
        if [ -z "$(docker ps -aq -f name=^/web$)" ]; then
            docker run -d --name web {LONG} >/dev/null && echo made
        fi
        if [ "$(docker ps -aq -f status=running -f name=web)" ]; then echo up; fi
        if [ ! "$(docker ps -aq -f name=^web$)" ]; then docker run -d --name web {LONG}; fi
        """,
        "made up",
    ),
    "a container is told running, stopped or missing": (
        f"""
        running() {{ [ "$(docker inspect -f '{{{{.State.Running}}}}' "$1" 2>/dev/null)" = true ]; }}
        docker run -d --name web {LONG} >/dev/null
        running web && echo running
        docker stop -t 1 web >/dev/null
        running web || echo stopped
        docker container inspect nosuch >/dev/null 2>&1 || echo missing
        """,
        "running stopped missing",
    ),
    "an older container is stopped and removed first": (
        f"""
        docker run -d --name web {LONG} >/dev/null
        docker stop -t 0 web || true
        docker rm web || true
        docker rm -f web 2>/dev/null || true
        docker run -d --name web {LONG} >/dev/null
        docker ps --format '{{{{.Names}}}}'
        """,
        "web web web",
    ),
    "a container's address": (
        f"""
        docker network create --subnet 10.9.0.0/24 shop >/dev/null
        docker run -d --name web --network shop {LONG} >/dev/null
        docker inspect -f '{{{{range .NetworkSettings.Networks}}}}{{{{.IPAddress}}}}{{{{end}}}}' web
        docker inspect --format='{{{{ .NetworkSettings.Networks.shop.IPAddress }}}}' web
        docker inspect web | grep '"IPAddress"' | tail -n 1 | tr -d ' ",' | cut -d: -f2
        docker network inspect -f '{{{{(index .IPAM.Config 0).Gateway}}}}' shop
        docker exec web hostname -i
        """,
        "10.9.0.2 10.9.0.2 10.9.0.2 10.9.0.1 10.9.0.2",
    ),
    "a service's port on the host": (
        f"""
        docker run -d --name web -p 127.0.0.1:18080:80 {LONG} >/dev/null
        docker port web 80/tcp | head -n 1 | cut -d: -f2
        docker inspect -f '{{{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}}}' web
        docker inspect --format='{{{{range $p, $conf := .NetworkSettings.Ports}}}}{{{{$p}}}}->\
{{{{(index $conf 0).HostPort}}}}{{{{end}}}}' web
        docker ps --filter publish=18080 --format '{{{{.Names}}}}'
        """,
        "18080 18080 80/tcp->18080 web",
    ),
    "what has a label is removed": (
        f"""
        docker network create --label stage=test shop >/dev/null
        for n in 1 2 3; do docker run -d --label stage=test --name "c$n" {LONG} >/dev/null; done
        docker run -d --label stage=live --name kept {LONG} >/dev/null
        docker ps -aq --filter label=stage=test | xargs -r docker rm -f | wc -l
        docker ps -aq --filter label=stage=test | xargs -r docker rm -f
        docker network prune -f --filter label=stage=test | sed -n 2p
        docker ps --format '{{{{.Names}}}}'
        """,
        "3 shop kept",
    ),
    "all containers are stopped and removed": (
        f"""
        docker run -d --name db {LONG} >/dev/null; docker run -d --name web {LONG} >/dev/null
        docker stop -t 0 $(docker ps -q) | wc -l
        docker rm $(docker ps -a -q -f status=exited) | wc -l
        docker ps -a -q | wc -l
        docker container prune -f && docker network prune -f
        """,
        "2 2 0 Total reclaimed space: 0B",
    ),
    "the engine is asked for before all else": (
        """
        docker info >/dev/null 2>&1 || echo "docker does not run"
        docker info --format '{{.Swarm.LocalNodeState}} {{.ContainersRunning}} {{.OSType}}'
        [ -n "$(docker version --format '{{.Server.Version}}')" ] && echo there
        docker rm -f nosuch 2>&1 | grep -o 'No such container: nosuch'
        """,
        "inactive 0 linux there No such container: nosuch",
    ),
    "a job is started with its output shown": (
        """
        id=$(docker create --label job=1 sh -c 'echo done; exit 3')
        docker start -a "$id" || echo $?
        docker events --since 1m --until 0s -f "container=$id" -f event=die \
            --format '{{.Actor.Attributes.exitCode}}'
        docker ps -aq -f label=job | xargs -r docker rm -f | wc -l
        """,
        "done 3 3 1",
    ),
    "it waits until a container is healthy": (
        f"""
        docker run -d --name web --health-cmd 'test -e /proc/self' --health-interval 1s \
            --health-retries 3 {LONG} >/dev/null
        for try in $(seq 1 300); do
            state=$(docker inspect --format='{{{{.State.Health.Status}}}}' web)
            [ "$state" = healthy ] && break
            sleep 0.2
        done
        echo "$state"
        docker ps --filter health=healthy --format '{{{{.Names}}}}'
        """,
        "healthy web",
    ),
    "the exit code of a job": (
        """
        docker run -d --name job sh -c 'echo done; exit 3' >/dev/null
        code=$(docker wait job)
        echo "$code"
        docker inspect job --format='{{.State.ExitCode}}'
        docker logs job | tail -n 1
        docker run --rm sh -c 'exit 4' || echo $?
        """,
        "3 3 done 4",
    ),
    "it waits for a line of the log": (
        f"""
        docker run -d --name web sh -c 'echo one; echo ready >&2; exec {LONG}' >/dev/null
        until docker logs web 2>&1 | grep -q ready; do sleep 0.2; done
        docker logs --tail 1 web 2>&1
        docker logs web 2>/dev/null | head -n 1
        docker logs --tail=10 web 2>&1 | wc -l
        """,
        "ready one 2",
    ),
    "a container joins a network unless it is there": (
        f"""
        docker network create shop >/dev/null; docker run -d --name web {LONG} >/dev/null
        for run in first second; do
            docker network inspect shop -f '{{{{range .Containers}}}}{{{{.Name}}}} {{{{end}}}}' \
                | grep -qw web || docker network connect shop web
        done
        docker inspect web \
            -f '{{{{range $k, $v := .NetworkSettings.Networks}}}}{{{{$k}}}} {{{{end}}}}'
        docker network disconnect -f shop web && docker network rm shop
        """,
        "bridge shop shop",
    ),
    "one line for each container": (
        f"""
        docker run -d --name db --network none {LONG} >/dev/null
        docker run -d --name web --network host {LONG} >/dev/null
        docker ps -q | xargs -n 1 docker inspect --format '{{{{.Name}}}}' | sed 's#^/##' | sort
        docker ps --format 'table {{{{.Names}}}}\\t{{{{.Status}}}}' | awk 'NR>1 {{print $1}}' | sort
        docker ps -q | xargs -I {{}} docker inspect -f '{{{{.HostConfig.NetworkMode}}}}' {{}} | sort
        """,
        "db web db web host none",
    ),
    "an id in a file, and a trap that removes it": (
        f"""
        folder=$(mktemp -d)
        (
            trap 'docker rm -f "$(cat "$folder/cid")" >/dev/null; rm -r "$folder"' EXIT
            docker run -d --cidfile "$folder/cid" {LONG} >/dev/null
            docker exec -i "$(cat "$folder/cid")" cat <<< inside
            docker kill --signal=TERM "$(cat "$folder/cid")" | wc -l
        )
        docker ps -aq | wc -l
        """,
        "inside 1 0",
    ),
}


@pytest.fixture
def docker(emptied: Lab, tmp_path: Path) -> dict[str, str]:
    """Environment in which a program named docker is plumb, for xargs too."""
    program = tmp_path / "docker"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m plumb "$@"\n')
    program.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "PLUMB_ROOT": str(emptied.root),
        "PLUMB_CONFIG": "",
        MARK: str(emptied.root),
    }


@pytest.mark.parametrize(("script", "printed"), SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_runs_as_it_is(docker: dict[str, str], script: str, printed: str) -> None:
    """With the output that Docker's would have."""
    ran = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, env=docker, timeout=300
    )
    assert (" ".join(ran.stdout.split()), ran.returncode) == (printed, 0), ran.stderr
