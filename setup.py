"""Build of what a wheel has beside the package: manual pages, shells' completion, the launcher.

plumb itself writes the first two, of the same help that it prints; nothing of them is in the
repository. The launcher is the `plumb` command where there is a C compiler; without one, or with
PLUMB_LAUNCHER=0, `plumb` is a script of Python's, and the wheel is for any machine.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from distutils.command.build_scripts import build_scripts
from distutils.command.install_data import install_data  # setuptools' own, since Python 3.12
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel

HERE = Path(__file__).resolve().parent
MANUAL = "share/man/man1"
COMPLETION = {
    "bash": "share/bash-completion/completions/plumb",
    "zsh": "share/zsh/site-functions/_plumb",
    "fish": "share/fish/vendor_completions.d/plumb.fish",
}
"""File of each shell, where it looks for completion by itself."""


def plumb(*words: str) -> str:
    """Run the plumb of this checkout, and return what it prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    return subprocess.run(
        [sys.executable, "-m", "plumb", *words],
        env={**environment, "PLUMB_WARM": "0"},
        cwd=HERE,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def share(folder: Path) -> list[tuple[str, list[str]]]:
    """Write all files, and list them by the folder where each is to be installed."""
    plumb("man", str(folder / MANUAL))
    for shell, file in COMPLETION.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(plumb("completion", shell))
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [(str(path.parent.relative_to(folder)), [str(path)]) for path in files]


class InstallShare(install_data):
    """Installs what `share` has written."""

    def run(self) -> None:
        """Write the files and copy them."""
        build = self.get_finalized_command("build")
        folder = Path(build.build_base).absolute() / "share"
        shutil.rmtree(folder, ignore_errors=True)  # an older build's, with pages of former verbs
        self.data_files = share(folder)
        super().run()


# -- the launcher ---------------------------------------------------------------

LAUNCHER = "plumb/prefork/launcher.c"
SOURCES = (LAUNCHER, "plumb/prefork/launcher_process.c", "plumb/prefork/launcher_root.c")
OPTIONS = ("-O2", "-Wall", "-Wextra", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong", "-fPIE")
LINKED = ("-Wl,-z,relro,-z,now",)
PIE = ("-static-pie", "-pie")
"""How it is linked, the best first: a static one needs no version of the C library."""


def compiled(folder: Path) -> bool:
    """Compile the launcher into a folder, as `plumb`; False where that cannot be done."""
    if os.environ.get("PLUMB_LAUNCHER") == "0" or sys.platform != "linux":
        return False
    return any(_compiled(folder / "plumb", pie) and _runs(folder / "plumb") for pie in PIE)


def _compiled(program: Path, pie: str) -> bool:
    compiler, options, linked = (
        shlex.split(os.environ.get(name, "")) for name in ("CC", "CFLAGS", "LDFLAGS")
    )
    usual = shlex.split(sysconfig.get_config_var("CC") or "cc")
    words = [*(compiler or usual), *OPTIONS, *options, pie, "-o", str(program), *SOURCES]
    try:
        done = subprocess.run(
            [*words, *LINKED, *linked], cwd=HERE, capture_output=True, text=True, check=False
        )
    except OSError:
        return False
    if done.returncode:
        print(f"plumb: no launcher with {pie}: {done.stderr}", file=sys.stderr)
    return done.returncode == 0


def _runs(program: Path) -> bool:
    """Check that it runs here: it says which program is missing beside it.

    A compiler for another machine, or another C library, makes one that does not.
    """
    try:
        ran = subprocess.run([program], env={}, capture_output=True, text=True, check=False)
    except OSError:
        return False
    return ran.returncode == 126 and "plumb-python" in ran.stderr


class BuildLauncher(build_scripts):
    """Compiles the launcher instead of copying it; an sdist has its source."""

    def run(self) -> None:
        """Compile it into the folder of the scripts."""
        shutil.rmtree(self.build_dir, ignore_errors=True)  # an older build's
        self.mkpath(self.build_dir)
        compiled(Path(self.build_dir).absolute())


class PlatformWheel(bdist_wheel):
    """A wheel for this kind of machine if it has the launcher, and for any Python."""

    def get_tag(self) -> tuple[str, str, str]:
        """The tags in its name."""
        pure, self.root_is_pure = self.root_is_pure, not HAS_LAUNCHER
        platform = super().get_tag()[2]
        self.root_is_pure = pure
        return "py3", "none", platform


with tempfile.TemporaryDirectory() as trial:
    HAS_LAUNCHER = compiled(Path(trial))
setup(
    data_files=[(MANUAL, [])],
    scripts=[LAUNCHER],
    entry_points={
        "console_scripts": [f"{'plumb-python' if HAS_LAUNCHER else 'plumb'} = plumb.__main__:main"],
        "pytest11": ["plumb = plumb.pytest_plugin.hooks"],
    },
    cmdclass={
        "install_data": InstallShare,
        "build_scripts": BuildLauncher,
        "bdist_wheel": PlatformWheel,
    },
)
