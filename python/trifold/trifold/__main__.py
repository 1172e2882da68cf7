"""``python -m trifold``: the program ``trifold``."""

from __future__ import annotations

import os
import sys
import sysconfig


def program() -> str:
    """The path of the program, as pip has installed it."""
    folders = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user")]
    for folder in folders:
        path = os.path.join(folder, "trifold")
        if os.path.isfile(path):
            return path
    raise FileNotFoundError(
        "The program trifold is not where pip installs programs: "
        + ", ".join(folders)
        + "\nhint: pip install --force-reinstall trifold"
    )


if __name__ == "__main__":
    path = program()
    os.execv(path, [path, *sys.argv[1:]])
