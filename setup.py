"""The one thing that pyproject.toml cannot say: conf/ of the repository goes into the package, for `satclip train`."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithConfigs(build_py):
    """Also copies conf/ to satclip/conf; an editable install reads it where it lies."""

    def run(self) -> None:
        """Build the package, then copy."""
        super().run()
        if not self.editable_mode:
            shutil.copytree(Path(__file__).parent / "conf", Path(self.build_lib, "satclip", "conf"), dirs_exist_ok=True)


setup(cmdclass={"build_py": WithConfigs})
