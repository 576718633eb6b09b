"""vagrant/: the machines are described without fault, what provisions them works, and the labs make
their points.

No virtual machine is started here. `vagrant validate` reads the Vagrantfile, with each provider's
own rules. provision.sh runs for real in a scratch root: an overlay on this machine's own, with what
apt and pip would bring in its place already. With PLUMB_DEBIAN=/some/folder it runs on a bare
Debian 12, which debootstrap puts there if it is empty (a minute and 200 MB), and apt and pip do
fetch: that is the one test which uses the network outside, without the right to configure it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import REPOSITORY, labs
from tests.labs import Lab

VAGRANT = REPOSITORY / "vagrant"
SCRIPTS = sorted(VAGRANT.rglob("*.sh"))
LABS = [path.stem for path in SCRIPTS if path.parent.name == "labs" and path.stem != "lan"]
NEEDS = {
    "macvlan": ["macvlan"],
    "macvlan-vlan": ["macvlan", "8021q"],
    "ipvlan-l2": ["ipvlan"],
    "ipvlan-l3": ["ipvlan"],
    "overlay": ["vxlan"],
}


def run(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program; what came of it, its errors among what it said."""
    return subprocess.run(
        argv,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


# -- the machines ---------------------------------------------------------------------------


@pytest.fixture
def vagrant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Vagrant with a home of its own.

    A folder with a copy of the Vagrantfile, beside which nothing is written down.
    """
    if not shutil.which("vagrant"):
        pytest.skip("vagrant is not installed")
    for variable, value in {
        "VAGRANT_HOME": f"{tmp_path}/home",
        "VAGRANT_CHECKPOINT_DISABLE": "1",
    }.items():
        monkeypatch.setenv(variable, value)
    folder = tmp_path / "checkout" / "vagrant"
    folder.mkdir(parents=True)
    shutil.copy(VAGRANT / "Vagrantfile", folder)
    monkeypatch.chdir(folder)
    return folder


def test_the_vagrantfile_is_valid(vagrant: Path) -> None:
    """Vagrant takes it, on a machine without any provider."""
    validated = run("vagrant", "validate", "--ignore-provider")

    assert validated.returncode == 0, validated.stdout


@pytest.mark.parametrize(
    ("provider", "slip"),
    [("virtualbox", ("vb.memory", "vb.memry")), ("libvirt", ("lv.memory", "lv.memry"))],
)
def test_each_providers_block_is_valid(
    provider: str, slip: tuple[str, str], vagrant: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each provider takes its block, and would not take a slip in it."""
    manage = (
        vagrant / "bin/VBoxManage"
    )  # Vagrant asks VirtualBox for its version before it reads on
    manage.parent.mkdir()
    manage.write_text("#!/bin/sh\necho 7.0.10r158379\n")
    manage.chmod(0o755)
    monkeypatch.setenv("PATH", f"{manage.parent}:{os.environ['PATH']}")

    validated = run("vagrant", "validate", VAGRANT_DEFAULT_PROVIDER=provider)
    if "could not be found" in validated.stdout:
        pytest.skip(f"vagrant has no plugin for {provider}")
    described = vagrant / "Vagrantfile"
    described.write_text(described.read_text().replace(*slip))
    refused = run("vagrant", "validate", VAGRANT_DEFAULT_PROVIDER=provider)

    assert validated.returncode == 0, validated.stdout
    assert refused.returncode != 0
    assert "memry" in refused.stdout


def test_the_labs_and_the_machines_are_on_one_lan() -> None:
    """The addresses of node1 and the client are the same in the Vagrantfile, in the labs and in the
    manual."""
    for place in (VAGRANT / "Vagrantfile", VAGRANT / "labs/lan.sh", REPOSITORY / "docs/vagrant.md"):
        assert "192.168.56.11" in place.read_text()
        assert "192.168.56.50" in place.read_text()


# -- the scripts ----------------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_are_plain_shell(script: Path) -> None:
    """A POSIX shell takes each, shellcheck has nothing to say about it, and none waits for the
    clock."""
    parsed = run("dash" if shutil.which("dash") else "sh", "-n", str(script))

    assert parsed.returncode == 0, parsed.stdout
    assert not re.search(r"^\s*sleep\b", script.read_text(), re.MULTILINE)
    if shutil.which("shellcheck"):
        checked = run("shellcheck", "-x", "-P", str(VAGRANT / "labs"), str(script))
        assert checked.returncode == 0, checked.stdout


def test_the_manual_names_every_lab() -> None:
    """docs/vagrant.md has them all, and no more."""
    assert sorted(
        re.findall(r"`([a-z0-9-]+)\.sh`", (REPOSITORY / "docs/vagrant.md").read_text())
    ) == sorted(LABS)


# -- what provisions them -------------------------------------------------------------------


# A root to play in: what is written there goes to the folder `written`, and all of it is gone with
# the mount namespace.
SCRATCH_ROOT = """
    mount -t tmpfs scratch {folder}; cd {folder}
    mkdir written work root of-checkout work-of-checkout
    mount -t overlay -o lowerdir={system},upperdir=written,workdir=work scratch root
    mkdir -p root/plumb
    layers=lowerdir={checkout},upperdir=of-checkout,workdir=work-of-checkout
    mount -t overlay -o $layers scratch root/plumb
    mkdir -p root{checkout}
    mount --bind -o ro {checkout} root{checkout}    # where `make` has its environment
    mount --rbind /proc root/proc; mount --rbind /dev root/dev
    listed() {{ (cd written; find . ! -type d ! -name '*.pyc' | sort); }}
    provision() {{ chroot root sh /plumb/vagrant/provision.sh; }}
    """

# What apt and pip would bring: packages in dpkg's list, an environment with this one's modules, the
# stamp of make's rule.
# And a modprobe that knows two modules, whatever this kernel has.
IN_PLACE = """
    for package in make {tools}; do
        dpkg-query -s $package >/dev/null 2>&1 ||
            printf '\nPackage: %s\nStatus: install ok installed\nMaintainer: -\nVersion: 1\n\
Architecture: all\nDescription: -\n' $package >>root/var/lib/dpkg/status
    done
    chroot root {python} -m venv --without-pip /opt/plumb
    printf '%s\n' /plumb {modules} >$(echo root/opt/plumb/lib/python3*/site-packages)/plumb.pth
    printf '#!/opt/plumb/bin/python\nfrom plumb.__main__ import main\nmain()\n' \
        >root/opt/plumb/bin/plumb
    # modprobe is a link to /bin/kmod, which outside the chroot is the machine's own
    rm -f root/usr/sbin/modprobe
    printf '#!/bin/sh\ncase "$*" in macvlan|8021q) echo "loaded: $*" ;;
        *macvlan|*8021q) ;; *) exit 1 ;; esac\n' >root/usr/sbin/modprobe
    chmod +x root/opt/plumb/bin/plumb root/usr/sbin/modprobe
    touch root/opt/plumb/bin/.plumb
    """


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    """A way to run shell lines with a scratch root."""
    if not all(map(shutil.which, ("make", "dpkg-query"))):
        pytest.skip(
            "a Debian with make is what is provisioned, and so what the scratch root is over"
        )
    return Scratch(tmp_path)


@dataclass
class Scratch:
    """Shell lines with a scratch root below them."""

    folder: Path

    def run(self, lines: str, system: str = "/", **env: str) -> subprocess.CompletedProcess[str]:
        """Run shell lines in a mount namespace where {folder}/root is a scratch root over `system`.

        `provision` runs the script.
        """
        setting = SCRATCH_ROOT.format(folder=self.folder, system=system, checkout=REPOSITORY)
        return run(
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-euc",
            setting + lines,
            PYTHONDONTWRITEBYTECODE="1",
            **env,
        )


def in_place() -> str:
    """Shell lines that put in place what apt and pip would bring."""
    tools = run(
        "make", "-s", "-C", str(REPOSITORY), "--eval", "list-tools: ; @echo $(TOOLS)", "list-tools"
    ).stdout.strip()
    return IN_PLACE.format(
        tools=tools, python=os.path.realpath(sys.executable), modules=sysconfig.get_path("purelib")
    )


def test_provisioning_writes_two_files(scratch: Scratch, lab: Lab) -> None:
    """`plumb` runs what is in the checkout, the modules that modprobe knows are loaded.

    Nothing else is written, nothing of the network.
    """
    before = labs.state()

    done = scratch.run(
        in_place()
        + """listed >before; provision; listed >after; diff before after && exit 1
        chroot root plumb version; cat written/etc/modules-load.d/plumb.conf"""
    )

    assert done.returncode == 0, done.stdout
    assert re.findall(r"^[<>] (.*)", done.stdout, re.MULTILINE) == [
        "./etc/modules-load.d/plumb.conf",
        "./usr/local/bin/plumb",
    ]
    assert "/usr/local/bin/plumb runs what is in /plumb\n" in done.stdout
    assert re.search(r"^plumb +0", done.stdout, re.MULTILINE)
    assert "\nloaded: 8021q\nloaded: macvlan\n" in done.stdout
    assert done.stdout.endswith("\n8021q\nmacvlan\n")
    assert labs.state() == before


def test_provisioning_again_changes_nothing(scratch: Scratch) -> None:
    """A second run says what the first has said, and leaves all as it is."""
    done = scratch.run(
        in_place()
        + """provision >first; listed >before; sum written/etc/modules-load.d/plumb.conf >>before
        provision >second; listed >after; sum written/etc/modules-load.d/plumb.conf >>after
        diff first second; diff before after"""
    )

    assert done.returncode == 0, done.stdout


REFUSALS = {
    "not root": (
        "chroot --userspec=65534 root sh /plumb/vagrant/provision.sh",
        "only root can install things: sudo sh",
    ),
    "not Debian": (
        "rm root/etc/os-release; echo ID=alpine >root/etc/os-release; provision",
        "it takes Debian 12 or later",
    ),
    "an old Debian": (
        (
            "rm root/etc/os-release; printf 'ID=debian\nVERSION_ID=11\n' >root/etc/os-release; "
            "provision"
        ),
        "it takes Debian 12",
    ),
    "no packages": (
        (
            "for list in root/var/lib/dpkg/status root/etc/apt/sources.list; do rm -rf $list*; "
            "touch $list; done; provision"
        ),
        "apt-get cannot install make; what it said last is above",
    ),
    "a foreign plumb": (
        "IN PLACE; touch root/usr/local/bin/plumb; provision",
        "there is a /usr/local/bin/plumb that is not a link",
    ),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_provisioning_says_what_it_lacks(why: str, scratch: Scratch) -> None:
    """What cannot be done is an error, and a line says why."""
    lines, said = REFUSALS[why]

    done = scratch.run(lines.replace("IN PLACE;", in_place()))

    assert done.returncode != 0
    assert said in done.stdout


# As this machine reaches the servers of apt and pip, so does the bare system; without the
# capabilities to configure a network.
AS_CONFIGURED = """
    for given in /etc/apt /etc/pip.conf /etc/resolv.conf /etc/hosts \
            /usr/local/share/ca-certificates /etc/ssl/certs; do
        [ -e $given ] || continue
        mkdir -p root$(dirname $given); rm -rf root$given; cp -aL $given root$given
    done
    nsenter --net={outside} setpriv --bounding-set -net_admin,-net_raw \
        chroot root sh /plumb/vagrant/provision.sh
    """


@pytest.mark.skipif(
    "PLUMB_DEBIAN" not in os.environ,
    reason="takes minutes and the network outside: PLUMB_DEBIAN=/a/folder/for/it",
)
def test_provisioning_a_bare_debian(scratch: Scratch) -> None:
    """On what debootstrap makes, apt and pip bring all that plumb takes.

    A lab makes its point there.
    """
    system, outside = Path(os.environ["PLUMB_DEBIAN"]), f"/proc/{os.getppid()}/ns/net"
    if os.readlink(outside) != os.environ["PLUMB_TESTS_OUTSIDE"]:
        pytest.skip("the parent process is not in the network outside")
    if not (system / "etc/debian_version").exists():
        made = run(
            "nsenter",
            f"--net={outside}",
            "debootstrap",
            "--variant=minbase",
            "bookworm",
            str(system),
        )
        assert made.returncode == 0, made.stdout

    done = scratch.run(
        AS_CONFIGURED.format(outside=outside) + "chroot root sh /plumb/vagrant/labs/bridge.sh",
        str(system),
    )

    assert done.returncode == 0, done.stdout
    assert "5 of 5 came out as expected" in done.stdout


# -- the labs -------------------------------------------------------------------------------


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where labs are run: `plumb` is this checkout's, and what they leave behind shows.

    The folder of what they make.
    """
    # Short, because the path of a socket may have 108 characters.
    with tempfile.TemporaryDirectory(prefix="p-") as folder:
        command = Path(folder, "bin/plumb")
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m plumb "$@"\n')
        command.chmod(0o755)
        made = Path(folder, "made")
        made.mkdir()
        monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
        monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
        monkeypatch.setenv("TMPDIR", str(made))
        yield made


def run_lab(name: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a lab."""
    return run("sh", str(VAGRANT / "labs" / f"{name}.sh"), **env)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.needs(*NEEDS[name])] if name in NEEDS else [])
        for name in LABS
    ],
)
def test_a_lab_makes_its_point(name: str, lab: Lab, bench: Path) -> None:
    """Each trial comes out as expected, and neither a file nor anything on the host's network is
    left."""
    before = labs.state()

    done = run_lab(name)

    assert done.returncode == 0, done.stdout
    assert re.search(r"^(\d+) of \1 came out as expected$", done.stdout, re.MULTILINE), done.stdout
    assert "WRONG" not in done.stdout
    assert labs.state() == before
    assert not list(bench.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "bridge",
        pytest.param("macvlan", marks=pytest.mark.needs("macvlan")),
        pytest.param("overlay", marks=pytest.mark.needs("vxlan")),
    ],
)
def test_a_lab_on_a_real_wire_takes_back_what_it_made(name: str, lan: Lab, bench: Path) -> None:
    """With PARENT a lab plays on a link of the host and with a client elsewhere.

    Both are afterwards as they were.
    """
    before = labs.state({"lan": lan.lan})

    done = run_lab(
        name, PARENT="eth0", LAN="192.0.2", CLIENT_IP=labs.ROUTER, CLIENT=f"nsenter --net={lan.lan}"
    )

    assert done.returncode == 0, done.stdout
    assert labs.state({"lan": lan.lan}) == before
    assert not list(bench.iterdir())


TRIALS = {
    "yes": ('expect yes "true" true; expect no "false" false', 0, "2 of 2 came out as expected"),
    "no": (
        'expect yes "true" true; expect yes "false" false',
        1,
        "WRONG  false: expected yes, got no\n1 of 2 came out as expected",
    ),
    "cut short": (
        'expect yes "true" true; plumb network rm nowhere',
        1,
        "network nowhere not found",
    ),
}


@pytest.mark.parametrize("name", TRIALS)
def test_the_status_says_whether_the_point_was_made(
    name: str, lab: Lab, bench: Path, tmp_path: Path
) -> None:
    """A lab ends with 0 only when it came to its end and all came out as expected.

    It cleans up in any case.
    """
    told, status, said = TRIALS[name]
    shutil.copy(VAGRANT / "labs/lan.sh", tmp_path)
    script = tmp_path / "lab.sh"
    script.write_text(f'. "$(dirname "$0")/lan.sh"\nplumb network create n1 >&2\n{told}\n')

    done = run("sh", str(script))

    assert done.returncode == status, done.stdout
    assert said in done.stdout
    assert not list(bench.iterdir())


def test_a_lab_that_the_kernel_cannot_play_is_skipped(lab: Lab, bench: Path) -> None:
    """Where the kernel lacks something the exit status is 77, and plumb's own line says what."""
    missing = re.findall(r"^  (8021q|ipvlan) +no ", lab.plumb("env").stdout, re.MULTILINE)
    if not missing:
        pytest.skip("this kernel has all that the labs take")

    done = run_lab("macvlan-vlan" if "8021q" in missing else "ipvlan-l2")

    assert done.returncode == 77, done.stdout
    assert f"skipped, for this kernel has no {missing[0]}" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert not list(bench.iterdir())
