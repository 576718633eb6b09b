"""Examples for the help of each verb, and the page about it.

Those about one host make a story from top to bottom: each works after those before it.
"""

from __future__ import annotations

from collections.abc import Mapping

from plumb.frozen import frozen


@frozen
class Entry:
    """Help about a verb beside its flags.

    Attributes:
        page: its page among the documents.
        examples: two command lines.
    """

    page: str
    examples: tuple[str, str]


ENTRIES: Mapping[str, Entry] = {
    "": Entry("README.md", ("plumb run --rm ip address", "plumb network create shop --dry-run")),
    "network": Entry(
        "docs/bridge.md", ("plumb network ls --no-trunc", "plumb network inspect bridge")
    ),
    "network create": Entry(
        "docs/bridge.md",
        ("plumb network create shop", "plumb network create --subnet 10.9.0.0/24 backend"),
    ),
    "run": Entry(
        "docs/ports.md",
        (
            "plumb run -d --name web --network shop -p 8080:80 python3 -m http.server 80",
            "plumb run --rm --network shop getent hosts web",
        ),
    ),
    "create": Entry(
        "docs/commands.md",
        (
            "plumb create --name db --network backend --restart always",
            "plumb create --name job --label stage=test sleep 1",
        ),
    ),
    "start": Entry("docs/commands.md", ("plumb start web job", "plumb start -a job")),
    "wait": Entry("docs/commands.md", ("plumb wait job", "plumb wait db job")),
    "rename": Entry("docs/names.md", ("plumb rename job nightly", "plumb rename nightly job")),
    "network connect": Entry(
        "docs/names.md",
        ("plumb network connect backend web", "plumb network connect --alias cache shop db"),
    ),
    "network ls": Entry(
        "docs/commands.md",
        (
            "plumb network ls --filter driver=bridge",
            "plumb network ls --format '{{.Name}} {{.Driver}}'",
        ),
    ),
    "network inspect": Entry(
        "docs/bridge.md",
        (
            "plumb network inspect shop",
            "plumb network inspect -f '{{range .IPAM.Config}}{{.Subnet}}{{end}}' shop",
        ),
    ),
    "network export": Entry(
        "docs/export.md",
        ("plumb network export --no-containers", "plumb network export --addresses shop"),
    ),
    "network ports": Entry(
        "docs/ports.md", ("plumb network ports", "plumb network ports --json shop")
    ),
    "ps": Entry(
        "docs/commands.md",
        ("plumb ps -a", "plumb ps --filter network=shop --format '{{.Names}} {{.Status}}'"),
    ),
    "port": Entry("docs/ports.md", ("plumb port web", "plumb port web 80/tcp")),
    "inspect": Entry(
        "docs/commands.md",
        (
            "plumb inspect web",
            "plumb inspect -f '{{.NetworkSettings.Networks.shop.IPAddress}}' web",
        ),
    ),
    "logs": Entry(
        "docs/commands.md", ("plumb logs --tail 10 web", "plumb logs --since 10m -t web")
    ),
    "attach": Entry("docs/commands.md", ("plumb attach job", "plumb attach --sig-proxy=false job")),
    "events": Entry(
        "docs/commands.md",
        (
            "plumb events --since 10m --until 0s",
            "plumb events --filter event=die --since 1h --until 0s --format '{{.Actor.ID}}'",
        ),
    ),
    "exec": Entry(
        "docs/names.md",
        ("plumb exec web ip -brief address", "plumb exec -e LANG=C web getent hosts db"),
    ),
    "top": Entry("docs/commands.md", ("plumb top web", "plumb top web -o pid,args")),
    "stats": Entry("docs/commands.md", ("plumb stats", "plumb stats --json web")),
    "update": Entry(
        "docs/reliability.md",
        ("plumb update --restart on-failure:3 web", "plumb update --restart no web db"),
    ),
    "restart": Entry("docs/commands.md", ("plumb restart web", "plumb restart -t 0 web db")),
    "kill": Entry("docs/commands.md", ("plumb kill web", "plumb kill --signal TERM web")),
    "stop": Entry("docs/commands.md", ("plumb stop web", "plumb stop -t 2 web db")),
    "probe": Entry("docs/probes.md", ("plumb probe db web:80", "plumb probe -c 3 host web")),
    "matrix": Entry("docs/probes.md", ("plumb matrix", "plumb matrix --json")),
    "explain": Entry("docs/explain.md", ("plumb explain web", "plumb explain port 8080")),
    "draw": Entry("docs/draw.md", ("plumb draw", "plumb draw --svg")),
    "doctor": Entry("docs/doctor.md", ("plumb doctor", "plumb doctor db web:80")),
    "trace": Entry("docs/trace.md", ("plumb trace db web:80", "plumb trace --all host web")),
    "network disconnect": Entry(
        "docs/bridge.md",
        ("plumb network disconnect backend web", "plumb network disconnect -f shop db"),
    ),
    "up": Entry("docs/compose.md", ("plumb up", "plumb up -f compose.yaml --scale web=3")),
    "down": Entry("docs/compose.md", ("plumb down", "plumb down -p shop --remove-orphans")),
    "compose": Entry("docs/compose.md", ("plumb compose up", "plumb compose config --networks")),
    "compose up": Entry(
        "docs/compose.md", ("plumb compose up", "plumb compose up --force-recreate web")
    ),
    "compose down": Entry(
        "docs/compose.md", ("plumb compose down", "plumb compose down --remove-orphans")
    ),
    "compose ps": Entry("docs/compose.md", ("plumb compose ps", "plumb compose ps -a --services")),
    "compose ls": Entry("docs/compose.md", ("plumb compose ls", "plumb compose ls --json")),
    "compose config": Entry(
        "docs/compose.md", ("plumb compose config", "plumb compose config --services")
    ),
    "compose check": Entry(
        "docs/compose.md", ("plumb compose check", "plumb compose check -f compose.yaml --json")
    ),
    "container": Entry(
        "docs/commands.md", ("plumb container ls -a", "plumb container logs --tail 5 web")
    ),
    "container inspect": Entry(
        "docs/commands.md",
        ("plumb container inspect web", "plumb container inspect -f '{{.State.Status}}' web"),
    ),
    "container prune": Entry(
        "docs/commands.md",
        (
            "plumb container prune -f --filter label=stage=test",
            "plumb container prune -f --filter until=24h",
        ),
    ),
    "rm": Entry("docs/commands.md", ("plumb rm -f web", "plumb rm -f db job")),
    "network rm": Entry("docs/bridge.md", ("plumb network rm shop", "plumb network rm -f old")),
    "network import": Entry(
        "docs/export.md",
        ("plumb network import networks.yaml", "plumb network import --diff networks.yaml"),
    ),
    "network prune": Entry(
        "docs/bridge.md", ("plumb network prune -f --filter until=24h", "plumb network prune -f")
    ),
    "check": Entry("docs/reliability.md", ("plumb check", "plumb check --store")),
    "repair": Entry("docs/reliability.md", ("plumb repair --dry-run", "plumb repair")),
    "env": Entry("docs/host.md", ("plumb env", "plumb env --json")),
    "info": Entry("docs/commands.md", ("plumb info", "plumb info -f '{{.Swarm.LocalNodeState}}'")),
    "version": Entry("docs/commands.md", ("plumb version", "plumb version --json")),
    "reset": Entry("docs/reliability.md", ("plumb reset --dry-run", "plumb reset --force")),
    "lab": Entry("docs/hosts.md", ("plumb lab hosts 3", "plumb lab exec h1 plumb network ls")),
    "lab hosts": Entry(
        "docs/hosts.md", ("plumb lab hosts 3", "plumb lab hosts 2 --between router --lab wan")
    ),
    "lab ls": Entry("docs/hosts.md", ("plumb lab ls", "plumb lab ls --json")),
    "lab exec": Entry(
        "docs/hosts.md",
        ("plumb lab exec h1 plumb run -d --name web", "plumb lab exec h2 ping -c 1 192.0.2.10"),
    ),
    "lab shell": Entry("docs/hosts.md", ("plumb lab shell", "plumb lab shell --lab wan h2")),
    "lab run": Entry("docs/lessons.md", ("plumb lab run three-tier", "plumb lab run publishing")),
    "learn": Entry("docs/lessons.md", ("plumb learn three-tier", "plumb learn --check three-tier")),
    "break": Entry("docs/break.md", ("plumb break --seed 7 --level 1", "plumb break three-tier")),
    "solve": Entry("docs/break.md", ("plumb solve --hint", "plumb solve")),
    "lab cut": Entry("docs/hosts.md", ("plumb lab cut h1", "plumb lab cut --lab wan h2")),
    "lab mend": Entry("docs/hosts.md", ("plumb lab mend h1", "plumb lab mend --lab wan h2")),
    "lab rm": Entry("docs/hosts.md", ("plumb lab rm", "plumb lab rm wan")),
    "swarm": Entry(
        "docs/cluster.md",
        ("plumb swarm init --advertise-addr 192.0.2.10", "plumb swarm join-token worker"),
    ),
    "swarm init": Entry(
        "docs/cluster.md",
        (
            "plumb swarm init --advertise-addr 192.0.2.10",
            "plumb swarm init --default-addr-pool 10.20.0.0/16 --data-path-port 7789",
        ),
    ),
    "swarm join": Entry(
        "docs/cluster.md",
        (
            "plumb swarm join --token /root/token 192.0.2.10:2377",
            "plumb swarm join --token - --availability drain 192.0.2.10:2377",
        ),
    ),
    "swarm join-token": Entry(
        "docs/cluster.md",
        ("plumb swarm join-token -q worker", "plumb swarm join-token --rotate manager"),
    ),
    "swarm update": Entry(
        "docs/cluster.md",
        ("plumb swarm update --cert-expiry 720h", "plumb swarm update --task-history-limit 2"),
    ),
    "swarm ca": Entry("docs/cluster.md", ("plumb swarm ca", "plumb swarm ca --rotate -q")),
    "swarm leave": Entry("docs/cluster.md", ("plumb swarm leave", "plumb swarm leave --force")),
    "service": Entry(
        "docs/services.md",
        (
            "plumb service create --name web --replicas 2 python3 -m http.server 80",
            "plumb service ls",
        ),
    ),
    "service create": Entry(
        "docs/services.md",
        (
            "plumb service create --name web --network shop -p 8080:80 python3 -m http.server 80",
            "plumb service create --name agent --mode global sleep infinity",
        ),
    ),
    "service ls": Entry(
        "docs/services.md",
        ("plumb service ls", "plumb service ls --format '{{.Name}} {{.Replicas}}'"),
    ),
    "service ps": Entry(
        "docs/services.md",
        ("plumb service ps web", "plumb service ps --filter desired-state=running web"),
    ),
    "service inspect": Entry(
        "docs/services.md",
        ("plumb service inspect --pretty web", "plumb service inspect -f '{{.Spec.Name}}' web"),
    ),
    "service update": Entry(
        "docs/services.md",
        (
            "plumb service update --publish-add 8081:80 web",
            "plumb service update --update-parallelism 1 --update-delay 5s --force web",
        ),
    ),
    "service scale": Entry(
        "docs/services.md", ("plumb service scale web=3", "plumb service scale -d web=1 api=2")
    ),
    "service rollback": Entry(
        "docs/services.md", ("plumb service rollback web", "plumb service rollback -d web")
    ),
    "service logs": Entry(
        "docs/services.md", ("plumb service logs --tail 5 web", "plumb service logs --raw web")
    ),
    "service rm": Entry("docs/services.md", ("plumb service rm web", "plumb service rm web api")),
    "node": Entry("docs/cluster.md", ("plumb node ls -q", "plumb node inspect self")),
    "node ls": Entry(
        "docs/cluster.md",
        ("plumb node ls", "plumb node ls --filter role=manager --format '{{.Hostname}}'"),
    ),
    "node inspect": Entry(
        "docs/cluster.md",
        ("plumb node inspect --pretty self", "plumb node inspect -f '{{.Status.Addr}}' h2"),
    ),
    "node ps": Entry("docs/services.md", ("plumb node ps", "plumb node ps --no-trunc h2")),
    "node update": Entry(
        "docs/cluster.md",
        ("plumb node update --availability drain h2", "plumb node update --label-add zone=a h2"),
    ),
    "node promote": Entry("docs/cluster.md", ("plumb node promote h2", "plumb node promote h2 h3")),
    "node demote": Entry("docs/cluster.md", ("plumb node demote h2", "plumb node demote h2 h3")),
    "node rm": Entry("docs/cluster.md", ("plumb node rm h3", "plumb node rm --force h2")),
    "agent": Entry("docs/ports.md", ("plumb agent ls", "plumb agent start")),
    "agent start": Entry(
        "docs/reliability.md", ("plumb agent start", "plumb --config /etc/plumb.json agent start")
    ),
    "agent stop": Entry(
        "docs/reliability.md", ("plumb agent stop", "plumb --config /etc/plumb.json agent stop")
    ),
    "agent ls": Entry("docs/names.md", ("plumb agent ls", "plumb agent ls --names")),
    "agent hold": Entry(
        "docs/ports.md",
        (
            "plumb agent hold tcp 0.0.0.0:8080 172.17.0.2:80",
            "plumb agent hold udp 127.0.0.1:53 172.17.0.2:53",
        ),
    ),
    "agent release": Entry(
        "docs/ports.md",
        ("plumb agent release tcp 0.0.0.0:8080", "plumb agent release udp 127.0.0.1:53"),
    ),
    "agent proxy": Entry(
        "docs/ports.md",
        (
            "plumb agent proxy tcp 0.0.0.0:8080 172.17.0.2:80",
            "plumb agent proxy tcp [::]:8080 172.17.0.2:80",
        ),
    ),
    "agent unproxy": Entry(
        "docs/ports.md",
        ("plumb agent unproxy tcp 0.0.0.0:8080", "plumb agent unproxy tcp [::]:8080"),
    ),
    "agent serve": Entry(
        "docs/names.md",
        (
            "plumb agent serve /run/netns/web 40053 40054 --network 0f309f8d395b",
            "plumb agent serve /run/netns/web 40053 40054 --upstream host=192.0.2.1",
        ),
    ),
    "agent unserve": Entry(
        "docs/names.md",
        ("plumb agent unserve /run/netns/web", "plumb agent unserve /var/lib/plumb/netns/web"),
    ),
    "agent name": Entry(
        "docs/names.md",
        (
            "plumb agent name 126deecf0f99 0f309f8d395b shop --name web --ip 172.20.0.2",
            "plumb agent name 126deecf0f99 0f309f8d395b shop --name web --name www",
        ),
    ),
    "agent unname": Entry(
        "docs/names.md", ("plumb agent unname 126deecf0f99", "plumb agent unname 3afe8783c8bd")
    ),
    "completion": Entry("docs/commands.md", ("plumb completion bash", "plumb completion fish")),
    "man": Entry(
        "docs/commands.md", ("plumb man /usr/local/share/man/man1", "plumb man build/man1")
    ),
}
"""Entries by verb; of `container VERB`, the verb's own where there is none."""


def entry(path: str) -> Entry:
    """The entry of a verb, as in `network create`."""
    return ENTRIES.get(path) or ENTRIES[path.removeprefix("container ")]
