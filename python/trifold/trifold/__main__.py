"""``python -m trifold``: the program ``trifold``."""

from __future__ import annotations

import os
import sys
import sysconfig
from errno import ENOENT


def program() -> str:
    """The path of the program, as pip has installed it."""
    folders = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user")]
    for folder in folders:
        path = os.path.join(folder, "trifold")
        if os.path.isfile(path):
            return path
    raise FileNotFoundError(
        ENOENT,
        "The program trifold is not where pip puts programs (hint: pip install --force-reinstall trifold)",
        os.path.join(folders[0], "trifold"),
    )


if __name__ == "__main__":
    path = program()
    os.execv(path, [path, *sys.argv[1:]])
