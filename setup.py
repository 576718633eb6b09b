"""Build of what a wheel has beside the package: manual pages and shells' completion.

plumb itself writes them, of the same help that it prints; nothing of them is in the repository.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from distutils.command.install_data import install_data  # setuptools' own, since Python 3.12
from pathlib import Path

from setuptools import setup

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


setup(data_files=[(MANUAL, [])], cmdclass={"install_data": InstallShare})
