"""Copies the data folders into the wheel as forensics/_share/ (all else is in pyproject.toml)."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildPy(build_py):
    def run(self):
        super().run()
        if not self.editable_mode:
            for name in ("configs", "datasets", "pipelines"):
                target = Path(self.build_lib, "forensics", "_share", name)
                shutil.copytree(name, target, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildPy})
