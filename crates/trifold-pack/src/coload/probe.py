# Says what the interpreter is, as one line of JSON. Also on a Python that is too old.
import json
import sys

names = json.loads(sys.argv[1])
# Not the working directory.
if sys.path and sys.path[0] == "":
    del sys.path[0]


def missing():
    import importlib.util

    def found(name):
        try:
            return name in sys.modules or importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):
            return False

    return [name for name in names if not found(name)]


def suffixes():
    import importlib.machinery

    return importlib.machinery.EXTENSION_SUFFIXES


def libc():
    import os

    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, OSError, ValueError):
        return None


def machine():
    import platform

    return platform.machine()


new = sys.version_info >= (3, 9)
print(
    json.dumps(
        {
            "implementation": sys.implementation.name if new else "",
            "version": list(sys.version_info[:3]),
            "executable": sys.executable,
            "machine": machine(),
            "libc": libc(),
            "abi": getattr(sys, "abiflags", ""),
            "suffixes": suffixes() if new else [],
            "missing": missing() if new else [],
        }
    )
)
