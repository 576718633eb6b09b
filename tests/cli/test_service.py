"""`plumb service` and `plumb node ps`, in Docker's words, of managers in this process."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from plumb import cli
from plumb.model.ports import PublishMode, ServicePort
from plumb.model.service.service import UpdateState, UpdateStatus
from plumb.model.service.spec import (
    Balancing,
    Condition,
    EndpointMode,
    Health,
    Order,
    RestartPolicy,
    ServiceMode,
    ServiceNetwork,
)
from tests.fake_services import N1, Managers, managers


@pytest.fixture
def swarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Managers]:
    """Managers, and a root that is a node of theirs."""
    monkeypatch.setenv("PLUMB_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("PLUMB_CONFIG", "")
    with managers() as made:
        yield made


class Shell:
    """The command line in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def say(self, *argv: str) -> str:
        """Run a command line; what it printed."""
        status = cli.main(argv)
        said = self._capsys.readouterr()
        assert status == 0, said.err
        return said.out

    def refused(self, *argv: str) -> str:
        """Run a command line that fails; its complaint."""
        assert cli.main(argv) == 1
        return self._capsys.readouterr().err


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    """The command line."""
    return Shell(capsys)


CREATE = ("service", "create", "-d")


def test_create_prints_the_id(swarm: Managers, shell: Shell) -> None:
    assert shell.say(*CREATE, "--name", "web") == "00svc".ljust(25, "0") + "\n"


def test_without_detach_it_shows_the_progress(swarm: Managers, shell: Shell) -> None:
    argv = ("--name", "web", "--replicas", "2", "--update-monitor", "0s")
    _, *lines = shell.say("service", "create", *argv).splitlines()
    bar = "[" + "=" * 50 + ">]"
    assert lines == [
        "overall progress: 2 out of 2 tasks",
        f"1/2: running   {bar}",
        f"2/2: running   {bar}",
        f"verify: Service {'00svc'.ljust(25, '0')} converged",
    ]


def test_quiet_prints_the_id_alone(swarm: Managers, shell: Shell) -> None:
    said = shell.say("service", "create", "-q", "--name", "web", "--update-monitor", "0s")
    assert len(said.splitlines()) == 1


def test_words_behind_the_options_are_the_command(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "web", "sh", "-c", "echo $HOSTNAME")
    assert swarm.spec("web").argv == ("sh", "-c", "echo $HOSTNAME")


def test_a_service_without_a_name_gets_one(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--endpoint-mode", "dnsrr")
    (made,) = swarm.services.values()
    assert "_" in made.spec.name
    assert made.spec.endpoint_mode is EndpointMode.DNSRR


def test_ports_have_two_forms(swarm: Managers, shell: Shell) -> None:
    flags = (
        *("-p", "8080:80", "-p", "8080:81/udp", "--publish", "published=8081,target=80"),
        *("--publish", "mode=host,target=80,published=8082,name=http", "-p", "9000-9001:90"),
    )
    shell.say(*CREATE, "--name", "web", *flags)
    assert swarm.spec("web").ports == (
        ServicePort(80, 8080),
        ServicePort(81, 8080, "udp"),
        ServicePort(80, 8081),
        ServicePort(80, 8082, mode=PublishMode.HOST, name="http"),
        ServicePort(90, 9000),
        ServicePort(90, 9001),
    )


def test_networks_have_two_forms(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "a", "--network", "n1")
    shell.say(*CREATE, "--name", "b", "--network", "name=n1,alias=www,alias=front")
    assert swarm.spec("a").networks == (ServiceNetwork(N1.id),)
    assert swarm.spec("b").networks == (ServiceNetwork(N1.id, ("www", "front")),)


def test_policies_are_made_of_single_flags(swarm: Managers, shell: Shell) -> None:
    flags = (
        *("--restart-condition", "on-failure", "--restart-delay", "1m30s"),
        *("--restart-max-attempts", "3", "--restart-window", "500ms"),
        *("--update-parallelism", "2", "--update-delay", "10s", "--update-order", "start-first"),
        *("--health-cmd", "curl localhost", "--health-interval", "5s", "--health-retries", "2"),
        *("--stop-grace-period", "3s", "--lb-algorithm", "sh"),
    )
    shell.say(*CREATE, "--name", "web", *flags)
    spec = swarm.spec("web")
    assert spec.restart == RestartPolicy(Condition.ON_FAILURE, 90.0, 3, 0.5)
    assert (spec.update.parallelism, spec.update.delay, spec.update.order) == (
        2,
        10.0,
        Order.START_FIRST,
    )
    assert spec.health == Health("curl localhost", interval=5.0, retries=2)
    assert (spec.stop_grace, spec.balancing) == (3.0, Balancing.SH)


def test_variables_of_a_file_give_way_to_those_of_flags(
    swarm: Managers, shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "env").write_text("# of the shop\nA=1\n\nB=2\n")
    shell.say(*CREATE, "--name", "web", "--env-file", str(tmp_path / "env"), "-e", "B=3")
    assert swarm.spec("web").environment == ("A=1", "B=3")


def test_a_job_is_started_again_only_where_it_failed(swarm: Managers, shell: Shell) -> None:
    flags = ("--mode", "replicated-job", "--replicas", "5", "--max-concurrent", "2")
    shell.say(*CREATE, "--name", "once", *flags, "true")
    spec = swarm.spec("once")
    assert (spec.mode, spec.replicas, spec.concurrent) == (ServiceMode.REPLICATED_JOB, 5, 2)
    assert spec.restart.condition is Condition.ON_FAILURE


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--mode", "global", "--replicas", "2"), "can only be used with replicated or replicated"),
        (("-p", "99999:80"), "invalid hostPort: 99999"),
        (("-p", "127.0.0.1:80:80"), "at all addresses of its nodes"),
        (("--publish", "target=80,mode=both"), "must be either ingress or host"),
        (("--publish", "published=80"), 'missing mandatory field "target"'),
        (("--publish", "target=80,when=now"), "invalid field key when"),
        (("--publish", "target=80,name=-"), "invalid name of a port: '-'"),
        (("--network", "name=n1,ip=10.50.0.9"), "has a name and aliases alone"),
        (("--restart-delay", "5"), "invalid duration '5'"),
        (("--update-max-failure-ratio", "2"), "invalid ratio '2'"),
        (("--replicas", "-1"), "invalid number '-1'"),
        (("--mode", "replicated-job", "--update-delay", "1s"), "not supported for mode"),
        (("--max-concurrent", "2"), "can only be used with replicated-job mode"),
        (("--name", "a.b"), "name must be valid as a DNS name component"),
        (("--host", "nonsense"), "bad format for add-host"),
        (("--no-healthcheck", "--health-cmd", "true"), "conflicts with --health-*"),
        (("--mount", "type=bind"), "--mount is not supported: tasks of plumb share their hosts'"),
        (("--limit-cpu", "2"), "sets no limits to its resources"),
        (("--group", "nogroup"), "--group is not supported"),
        (("--stop-signal", "SIGNONE"), "invalid signal: SIGNONE"),
        (("--sysctl", "kernel.shmmax=1"), "only settings of the network namespace"),
        (("--cap-add", "NET_ADMINISTRATOR"), 'unknown capability: "CAP_NET_ADMINISTRATOR"'),
        (("--lb-algorithm", "fastest"), "is not one of"),
        (("--log-driver", "syslogd"), "no log driver named 'syslogd'"),
        (("--log-opt", "max-size=much"), "invalid value for max-size: 'much'"),
    ],
)
def test_what_cannot_be_is_refused(
    swarm: Managers, shell: Shell, flags: tuple[str, ...], complaint: str
) -> None:
    assert complaint in shell.refused(*CREATE, *flags)
    assert not swarm.services


def test_create_asks_with_an_id_of_its_own(swarm: Managers, shell: Shell) -> None:
    """So that a request whose answer was lost makes no second service."""
    shell.say(*CREATE, "--name", "a1")
    shell.say(*CREATE, "--name", "a2")
    idents = {body["id"] for name, body in swarm.asked if name == "service-create"}
    assert len(idents) == 2
    assert all(re.fullmatch("[0-9a-z]{25}", ident) for ident in idents)


def test_a_task_has_options_of_run(swarm: Managers, shell: Shell) -> None:
    """User, folder, stop signal, settings and capabilities, in the document as Docker has them."""
    shell.say(*CREATE, "--name", "web", "-u", "nobody", "-w", "/tmp", "--stop-signal", "HUP",
              "--sysctl", "net.ipv4.ip_forward=1", "--cap-add", "CAP_SYS_TIME",
              "--cap-drop", "net_raw", "--health-cmd", "true",
              "--health-start-interval", "2s")  # fmt: skip
    spec = swarm.spec("web")
    assert (spec.user, spec.working_dir, spec.stop_signal) == ("nobody", "/tmp", "HUP")
    assert spec.sysctls == (("net/ipv4/ip_forward", "1"),)
    assert (spec.cap_add, spec.cap_drop) == (("SYS_TIME",), ("NET_RAW",))
    assert spec.health.start_interval == 2.0
    shown = json.loads(shell.say("service", "inspect", "web"))[0]["Spec"]["TaskTemplate"]
    own = shown["ContainerSpec"]
    assert (own["User"], own["Dir"], own["StopSignal"]) == ("nobody", "/tmp", "HUP")
    assert own["Sysctls"] == {"net.ipv4.ip_forward": "1"}
    assert (own["CapabilityAdd"], own["CapabilityDrop"]) == (["CAP_SYS_TIME"], ["CAP_NET_RAW"])
    assert own["Healthcheck"]["StartInterval"] == 2_000_000_000


def test_a_task_has_a_logging_driver(swarm: Managers, shell: Shell) -> None:
    """Another one begins without options; what is kept nowhere is not read."""
    shell.say(*CREATE, "--name", "web", "--log-driver", "local", "--log-opt", "max-size=1m")
    shown = json.loads(shell.say("service", "inspect", "web"))[0]["Spec"]["TaskTemplate"]
    assert shown["LogDriver"] == {"Name": "local", "Options": {"max-size": "1m"}}
    shell.say("service", "update", "-d", "--log-driver", "none", "web")
    spec = swarm.spec("web")
    assert (spec.log_driver, spec.log_options) == ("none", ())


@pytest.mark.parametrize(
    ("flags", "add", "drop"),
    [
        ("--cap-add SYS_NICE", ("SYS_NICE", "SYS_TIME"), ("NET_RAW",)),
        ("--cap-drop SYS_TIME", (), ("NET_RAW",)),
        ("--cap-add NET_RAW", ("SYS_TIME",), ()),
        ("--cap-drop CHOWN --cap-add CHOWN", ("CHOWN", "SYS_TIME"), ("NET_RAW",)),
        ("--cap-drop ALL", ("SYS_TIME",), ("ALL",)),
    ],
)
def test_update_of_capabilities(
    swarm: Managers, shell: Shell, flags: str, add: tuple[str, ...], drop: tuple[str, ...]
) -> None:
    """One that was dropped and is added is neither then, and the other way about."""
    shell.say(*CREATE, "--name", "web", "--cap-add", "SYS_TIME", "--cap-drop", "NET_RAW")
    shell.say("service", "update", "-d", *flags.split(), "web")
    assert (swarm.spec("web").cap_add, swarm.spec("web").cap_drop) == (add, drop)


def test_update_of_settings(swarm: Managers, shell: Shell) -> None:
    """By name; another value takes the place of the one before."""
    names = ("net.ipv4.ip_forward", "net.ipv4.tcp_syncookies")
    shell.say(*CREATE, "--name", "web", *(f"--sysctl={name}=1" for name in names))
    shell.say("service", "update", "-d", "--sysctl-rm", names[0], "--sysctl-add",
              f"{names[1]}=0", "web")  # fmt: skip
    assert swarm.spec("web").sysctls == (("net/ipv4/tcp_syncookies", "0"),)


def test_update_adds_and_removes(swarm: Managers, shell: Shell) -> None:
    before = ("-e", "A=1", "-e", "B=2", "-l", "a=1", "-p", "8080:80", "--host", "db:10.1.0.9")
    shell.say(*CREATE, "--name", "web", "--network", "n1", "--constraint", "node.role==worker",
              "--dns", "192.0.2.1", *before)  # fmt: skip
    flags = (
        *("--env-add", "B=3", "--env-add", "C=4", "--env-rm", "A", "--label-add", "b=2"),
        *("--label-rm", "a", "--publish-rm", "80", "--publish-add", "8081:80"),
        *("--host-rm", "db:10.1.0.9", "--network-rm", "n1", "--dns-rm", "192.0.2.1"),
        *("--dns-add", "192.0.2.2", "--constraint-rm", "node.role==worker"),
    )
    assert shell.say("service", "update", "-d", *flags, "web") == "web\n"
    spec = swarm.spec("web")
    assert spec.environment == ("B=3", "C=4")
    assert (spec.labels, spec.ports) == ((("b", "2"),), (ServicePort(80, 8081),))
    assert (spec.networks, spec.extra_hosts, spec.constraints) == ((), (), ())
    assert [str(server) for server in spec.dns] == ["192.0.2.2"]


def test_what_is_not_there_cannot_be_removed(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "web")
    said = shell.refused("service", "update", "-d", "--publish-rm", "80/udp", "web")
    assert "cannot remove 80/udp from the service" in said


def test_an_update_gives_the_version_it_was_made_from(swarm: Managers, shell: Shell) -> None:
    """Two at once cannot undo each other's."""
    shell.say(*CREATE, "--name", "web")
    shell.say("service", "update", "-d", "--replicas", "2", "web")
    shell.say("service", "update", "-d", "--args", "sleep '1 d'", "web")
    assert [body["version"] for name, body in swarm.asked if name == "service-update"] == [1, 2]
    assert swarm.spec("web").argv == ("sleep", "1 d")


def test_force_changes_what_replaces_all_tasks(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "web")
    shell.say("service", "update", "-d", "--force", "web")
    assert swarm.spec("web").forced == 1


def test_an_update_that_pauses_ends_the_wait(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "web")
    swarm.update = UpdateStatus(UpdateState.PAUSED, message="a task has failed")
    said = shell.refused("service", "update", "--replicas", "2", "web")
    assert "service update paused: a task has failed" in said


def test_scale_says_the_number(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "web")
    assert shell.say("service", "scale", "-d", "web=3") == "web scaled to 3\n"
    assert swarm.spec("web").replicas == 3


def test_scale_is_of_replicated_services(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "web", "--mode", "global")
    assert "scale can only be used with replicated" in shell.refused("service", "scale", "web=2")
    assert "service nosuch not found" in shell.refused("service", "scale", "nosuch=2")
    assert "invalid scale specifier 'web'" in shell.refused("service", "scale", "web")


def test_rollback_goes_to_the_specification_before(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "web")
    assert "does not have a previous spec" in shell.refused("service", "rollback", "-d", "web")
    shell.say("service", "scale", "-d", "web=3")
    assert shell.say("service", "rollback", "-d", "web") == "web\n"
    assert swarm.spec("web").replicas == 1
    shell.say("service", "update", "-d", "--rollback", "web")
    assert swarm.spec("web").replicas == 3


def test_rm_removes_those_that_there_are(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "web")
    assert "service nosuch not found" in shell.refused("service", "rm", "nosuch", "web")
    assert not swarm.services


# -- listings ---------------------------------------------------------------------------


def test_ls_counts_what_runs(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "web", "--replicas", "2", "-p", "8080:80", "sleep", "9")
    head, line = shell.say("service", "ls").splitlines()
    assert head.split() == ["ID", "NAME", "MODE", "REPLICAS", "COMMAND", "PORTS"]
    assert line.split()[1:] == ["web", "replicated", "2/2", '"sleep', '9"', "*:8080->80/tcp"]


def test_ls_filters(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "web", "-l", "tier=front")
    shell.say(*CREATE, "--name", "agent", "--mode", "global")
    for key, name in (("mode=global", "agent"), ("label=tier", "web"), ("name=we", "web")):
        assert shell.say("service", "ls", "-f", key, "--format", "{{.Name}}") == f"{name}\n"
    assert len(shell.say("service", "ls", "-q").splitlines()) == 2


def test_ps_shows_tasks_by_slot(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "web", "--replicas", "2")
    rows = [json.loads(line) for line in shell.say("service", "ps", "--json", "web").splitlines()]
    assert [(row["Name"], row["Node"], row["DesiredState"]) for row in rows] == [
        ("web.1", "h2", "Running"),
        ("web.2", "h1", "Running"),
    ]
    assert rows[0]["CurrentState"].startswith("Running ")
    assert "no such service: nosuch" in shell.refused("service", "ps", "nosuch")


def test_ps_filters(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "web", "--replicas", "2")
    shell.say("service", "scale", "-d", "web=1")
    for key, count in (("desired-state=running", 1), ("node=h1", 1), ("name=web.1", 1)):
        assert len(shell.say("service", "ps", "-q", "-f", key, "web").splitlines()) == count


def test_node_ps_shows_a_nodes_tasks(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "web", "--replicas", "2")
    assert shell.say("node", "ps", "--format", "{{.Name}}") == "web.2\n"
    assert shell.say("node", "ps", "--format", "{{.Name}}", "h2") == "web.1\n"


def test_inspect_is_dockers_json(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "web", "--network", "name=n1,alias=www", "-p", "8080:80")
    (found,) = json.loads(shell.say("service", "inspect", "web"))
    port = {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"}
    assert found["Spec"]["Mode"] == {"Replicated": {"Replicas": 1}}
    assert found["Spec"]["TaskTemplate"]["Networks"] == [{"Target": N1.id, "Aliases": ["www"]}]
    assert found["Endpoint"]["Ports"] == [port]
    assert found["Endpoint"]["VirtualIPs"] == [{"NetworkID": N1.id, "Addr": "10.50.0.2/24"}]


def test_inspect_pretty_is_text(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "web", "--network", "n1", "--replicas", "2")
    said = shell.say("service", "inspect", "--pretty", "web")
    for name, value in (("Name:", "web"), (" Number of Replicas:", "2"), ("Networks:", "n1")):
        assert f"{name:<24}{value}\n" in said


def test_inspect_of_an_unknown_service_fails(swarm: Managers, shell: Shell) -> None:
    assert "no such service: nosuch" in shell.refused("service", "inspect", "nosuch")


def test_logs_name_the_task_before_each_line(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "web", "--replicas", "2")
    first, second = sorted(swarm.tasks)
    swarm.outputs = {first: "one\ntwo\n", second: "three\n"}
    assert shell.say("service", "logs", "--no-task-ids", "web").splitlines() == [
        "web.1@h2 | one",
        "web.1@h2 | two",
        "web.2@h1 | three",
    ]
    assert shell.say("service", "logs", "--raw", "-n", "1", "web") == "two\nthree\n"
    assert shell.say("service", "logs", "--raw", second) == "three\n"
    assert "no such task or service: nosuch" in shell.refused("service", "logs", "nosuch")


def test_logs_of_a_service_have_times(swarm: Managers, shell: Shell) -> None:
    shell.say(*CREATE, "--name", "web")
    swarm.outputs = dict.fromkeys(
        swarm.tasks,
        '{"log":"one\\n","stream":"stdout","time":"2026-01-31T12:00:00.5Z"}\n'
        '{"log":"two\\n","stream":"stdout","time":"2026-01-31T12:00:01Z"}\n',
    )
    since = ("service", "logs", "--raw", "--since", "2026-01-31T12:00:01Z", "web")
    assert shell.say(*since) == "two\n"
    assert shell.say("service", "logs", "--raw", "-t", "web").splitlines() == [
        "2026-01-31T12:00:00.500000000Z one",
        "2026-01-31T12:00:01.000000000Z two",
    ]
