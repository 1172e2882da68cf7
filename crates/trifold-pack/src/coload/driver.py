"""Loads what it is told to, in this process, and writes down how far it came.

``python driver.py CONFIG``, where CONFIG is a file of JSON. Each step is a line of JSON in the file that the
configuration names.
"""

import json
import os
import sys

#: Characters of an exception's message that are kept.
LONGEST_MESSAGE = 4000


def main(path):
    # The loader has read them; what the packages start shall not be watched.
    for name in ("LD_PRELOAD", "LD_DEBUG", "LD_DEBUG_OUTPUT", "LD_BIND_NOW", "TRIFOLD_COLOAD_REPORT"):
        os.environ.pop(name, None)
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    for name, value in config["environment"].items():
        os.environ[name] = value
    # Not the folder of this script, which Python puts first unless it is told not to.
    if sys.path and os.path.realpath(sys.path[0]) == os.path.dirname(os.path.realpath(__file__)):
        del sys.path[0]
    sys.path[:0] = config["path"]
    sys.argv[:] = [""]
    prepare(config)
    out = os.open(config["steps"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0))
    failed = False

    def step(**what):
        os.write(out, json.dumps(what).encode("ascii") + b"\n")

    # What the code given with --check finds.
    namespace = {"__name__": "__check__", "libraries": {}}
    try:
        for index, target in enumerate(config["targets"]):
            step(step="load", index=index)
            load(target, config["global"], namespace)
        if config["check"] is not None:
            step(step="check")
            exec(compile(config["check"], "<check>", "exec"), namespace)
    except BaseException as error:
        failed = True
        step(step="exception", type=name_of(type(error)), message=message_of(error))
    step(step="exit")
    sys.exit(1 if failed else 0)


def prepare(config):
    import faulthandler
    import signal

    # No core files. A hang tells the Python stack on this signal, and the helper the native one on another.
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    except (ImportError, OSError, ValueError):
        pass
    stack = open(config["stack"], "w", encoding="utf-8")
    faulthandler.register(signal.SIGUSR2, file=stack, all_threads=False, chain=False)
    if config["global"]:
        sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
    if config["ctypes"]:
        import ctypes  # noqa: F401


def load(target, everywhere, namespace):
    if "library" in target:
        import ctypes

        mode = ctypes.RTLD_GLOBAL if everywhere else ctypes.RTLD_LOCAL
        namespace["libraries"][target["library"]] = ctypes.CDLL(target["library"], mode=mode)
        return
    import importlib

    for name in target["modules"]:
        importlib.import_module(name)
        top = name.partition(".")[0]
        namespace[top] = sys.modules[top]


def name_of(kind):
    return kind.__qualname__ if kind.__module__ == "builtins" else kind.__module__ + "." + kind.__qualname__


def message_of(error):
    try:
        return str(error)[:LONGEST_MESSAGE]
    except BaseException:
        return ""


if __name__ == "__main__":
    main(sys.argv[1])
