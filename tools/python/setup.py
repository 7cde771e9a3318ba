"""Take the shared library along if `tools/library` has built it, so that an installed module needs nothing else."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

LIBRARY = Path(__file__).resolve().parents[2] / ".build" / "library" / "embedded" / "lib" / "libtusk.so"


class BuildWithLibrary(build_py):
    def run(self) -> None:
        super().run()
        if LIBRARY.exists():
            shutil.copyfile(LIBRARY, Path(self.build_lib) / "tusk" / "libtusk.so")


setup(cmdclass={"build_py": BuildWithLibrary})
