"""What a package does to its process: signals, forks, the end, output, sub-interpreters, imports.

Mounted once per package: a test module there describes the package as its ``PACKAGE`` and imports all
names of this one.
"""

from __future__ import annotations

import errno
import pickle
from dataclasses import dataclass, field
from importlib import import_module

import pytest
from children import child

__all__ = [
    "Package",
    "pytest_generate_tests",
    "test_a_fork_is_explained",
    "test_a_missing_model_is_named_as_python_does",
    "test_another_engine_s_model_says_what_uses_it",
    "test_copying_is_refused",
    "test_ctrl_c",
    "test_ctrl_c_while_waiting_for_another_thread",
    "test_demo_models_that_are_not_installed",
    "test_forks_at_any_moment",
    "test_importing_loads_little",
    "test_nothing_can_be_loaded_at_the_end",
    "test_nothing_is_printed",
    "test_processes_that_are_spawned",
    "test_signal_handlers_may_cancel",
    "test_sub_interpreters_are_refused",
    "test_the_end_of_the_interpreter_during_a_call",
    "test_the_end_of_the_interpreter_during_slow_python_code",
]


@dataclass(frozen=True)
class Package:
    """A package, as pieces of scripts. In them it goes by the name ``tf``, and its model by ``model``."""

    name: str
    """Its import name."""
    load: str
    """Makes a model, at the least cost."""
    call: str
    """A short call ..."""
    answer: object
    """... and its result."""
    long: tuple[str, ...]
    """Expressions that would compute for longer than any test waits."""
    stoppable: str
    """One of them, with ``cancel=token``; it raises ``CancelledError`` or ends."""
    uses: tuple[str, ...]
    """Each use of a model, as an expression."""
    endings: tuple[str, ...]
    """What a thread does while the interpreter ends; it may say ``started.set()``."""
    slow: tuple[str, ...]
    """Calls that call the function ``slow``, whatever its arguments."""
    tour: str
    """Statements that use what the package has, and end with the model closed."""
    setup: str = ""
    """What scripts need besides."""
    before: str = ""
    """What takes long before an engine's work, such as the first import of numpy."""
    running: str = "()"
    """Something that holds a running call, to be closed by ``close()``, if the package has such things."""
    light: tuple[str, ...] = field(default=())
    """What importing it may load, besides its own modules."""

    @property
    def prelude(self) -> str:
        """What every script begins with."""
        return f"""
import atexit, math, os, signal, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forks in processes with threads
import {self.name} as tf
{self.setup}
model = {self.load}
def check():
    assert {self.call} == {self.answer!r}, {self.call}
"""


def pytest_generate_tests(metafunc):
    package = metafunc.module.PACKAGE
    if "package" in metafunc.fixturenames:
        metafunc.parametrize("package", [package], ids=[package.name])
    if "ending" in metafunc.fixturenames:
        metafunc.parametrize("ending", package.endings)
    if "slow" in metafunc.fixturenames:
        metafunc.parametrize("slow", (package.load, *package.slow))


def test_ctrl_c(package):
    # Several times, since other work on this machine may delay one.
    script = f"""{package.prelude}
import asyncio
def press():
    global pressed
    pressed = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)
{package.before}
# Not `exec` of the text: Python marks the process as interrupted for good.
for code in [compile(call, "call", "exec") for call in {package.long!r}]:
    for _ in range(3):
        timer = threading.Timer(0.2, press)
        timer.start()
        try:
            exec(code)
        except KeyboardInterrupt:
            delay = time.monotonic() - pressed
        else:
            raise AssertionError("it has ended by itself")
        timer.join()
        check()
        if delay < 1:
            break
    print(delay)
"""
    delays = child(script, timeout=120).split()
    assert len(delays) == len(package.long)
    assert all(float(delay) < 1 for delay in delays), dict(zip(package.long, delays))


def test_ctrl_c_while_waiting_for_another_thread(package):
    script = f"""{package.prelude}
token = tf.CancelToken()
def work():
    try:
        {package.stoppable}
    except tf.CancelledError:
        pass
other = threading.Thread(target=work)
other.start()
time.sleep(0.5)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    {package.call}
except KeyboardInterrupt:
    print("pressed", other.is_alive())
token.cancel()
other.join(20)
check()
"""
    assert child(script) == "pressed True\n"


def test_signal_handlers_may_cancel(package):
    script = f"""{package.prelude}
token = tf.CancelToken()
signal.signal(signal.SIGTERM, lambda *_: token.cancel())
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
try:
    {package.stoppable}
except tf.CancelledError:
    pass
print(token.cancelled)
check()
"""
    assert child(script) == "True\n"


def test_a_fork_is_explained(package):
    script = f"""{package.prelude}
def explained(use):
    try:
        eval(use)
    except tf.ForkError as error:
        assert "before the process was forked" in str(error) and "spawn" in error.hint
    else:
        raise AssertionError(use)
def forked(leave, what):
    pid = os.fork()
    if pid == 0:
        what()
        leave(42)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
def use():
    global model, running
    for each in {package.uses!r}:
        explained(each)
    for one in running:
        one.close()
    model.close()
    del model, running
def load():
    global model
    model = {package.load}
    check()
running = {package.running}
forked(os._exit, use)
forked(sys.exit, use)
for one in running:
    one.close()
check()
# A child may load its own.
forked(os._exit, load)
forked(sys.exit, load)
check()
"""
    assert child(script, timeout=120) == ""


def test_forks_at_any_moment(package):
    script = f"""{package.prelude}
token = tf.CancelToken()
def work():
    while not token.cancelled:
        model = {package.load}
        {package.call}
other = threading.Thread(target=work)
other.start()
for _ in range(8):
    time.sleep(0.01)
    pid = os.fork()
    if pid == 0:
        sys.exit(42)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
token.cancel()
other.join(20)
check()
"""
    assert child(script) == ""


def test_processes_that_are_spawned(package, tmp_path):
    # A script of its own: what is spawned imports it.
    script = tmp_path / "spawning.py"
    script.write_text(f"""
import multiprocessing
import {package.name} as tf
{package.setup}
def answer(_):
    model = {package.load}
    return {package.call}
if __name__ == "__main__":
    mine = {package.load}
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(answer, [0]) == [{package.answer!r}])
        pool.close()
        pool.join()
""")
    path = str(script)
    run = f"import runpy, sys; sys.argv = [{path!r}]; runpy.run_path({path!r}, run_name='__main__')"
    assert child(run) == "True\n"


def test_the_end_of_the_interpreter_during_a_call(package, ending):
    script = f"""{package.prelude}
started = threading.Event()
def run():
    try:
        {ending}
    except tf.ClosedError:
        pass
for _ in range(2):
    threading.Thread(target=run, daemon=True).start()
started.wait(0.3)
print("end")
"""
    assert child(script, timeout=40) == "end\n"


def test_the_end_of_the_interpreter_during_slow_python_code(package, slow):
    # Called below frames of Rust, it asks for the GIL when the interpreter has none to give any more: in
    # 2 s. That is longer than the end waits for it, and shorter than the end lasts.
    script = f"""
import logging, sys, threading, time
inside = threading.Event()
def slow(*_, sleep=time.sleep):
    if threading.current_thread() is not threading.main_thread():
        inside.set()
        sleep(2)
class Logger(logging.Logger):
    # Asked by every call.
    def getEffectiveLevel(self):
        if {"slow" not in slow}:
            slow()
        return logging.WARNING
logging.setLoggerClass(Logger)
{package.prelude}
class Last:
    def __del__(self, sleep=time.sleep):
        sleep(3)
sys.last = Last()
threading.Thread(target=lambda: {slow}, daemon=True).start()
inside.wait()
print("end")
"""
    assert child(script) == "end\n"


def test_nothing_can_be_loaded_at_the_end(package):
    # Registered before the import, so that it runs after the engines are stopped.
    script = f"""
import atexit
@atexit.register
def late():
    try:
        {package.load}
    except tf.ClosedError as error:
        print(error)
import {package.name} as tf
"""
    assert child(script) == "The interpreter is shutting down\n"


def test_sub_interpreters_are_refused(package):
    script = f"""{package.prelude}
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
read, write = os.pipe()
interpreters.run_string(interpreters.create(), f'''
import os, sys
sys.path[:] = {{sys.path!r}}
try:
    import {package.name}
except ImportError as error:
    os.write({{write}}, repr(error).encode())
else:
    os.write({{write}}, b"imported")
''')
print(os.read(read, 1000).decode())
check()
"""
    said = child(script)
    # From 3.12 on Python itself may refuse, in its own words.
    assert said.startswith("ImportError(") and "interpreter" in said, said


def test_importing_loads_little(package):
    script = f"""
import sys
before = set(sys.modules)
import {package.name}
print(*sorted(set(sys.modules) - before))
"""
    loaded = set(child(script).split())
    others = {name for name in loaded if name.partition(".")[0] != package.name}
    assert others <= {"__future__", "atexit", "errno", *package.light}
    assert loaded >= {package.name, f"{package.name}._native"}
    assert not loaded & {f"{package.name}.{name}" for name in ("_options", "_picture", "_results")}


def test_nothing_is_printed(package):
    # At first where nobody asks for logs, then where somebody does.
    script = f"""{package.prelude}
def tour():
    global model
    model = {package.load}
    for statement in {package.tour!r}.strip().splitlines():
        exec(statement, globals())
    token = tf.CancelToken()
    token.cancel()
    for fail in (lambda: type(model)(cancel=token), lambda: type(model)(sys.executable)):
        try:
            fail()
        except (tf.CancelledError, tf.ModelError):
            pass
    model.close()
tour()
import logging
logger = logging.getLogger({package.name!r})
records = []
class Keep(logging.Handler):
    def emit(self, record):
        records.append(record)
logger.addHandler(Keep())
logger.propagate = False
logger.setLevel(logging.DEBUG)
tour()
assert len(records) > 3, records
assert {{record.name for record in records}} == {{{package.name!r}}}
"""
    assert child(script) == ""


def test_copying_is_refused(package):
    script = f"""{package.prelude}
import copy, pickle
running = {package.running}
objects = [model, tf.CancelToken(), *running]
for each in objects:
    for call in (pickle.dumps, copy.copy, copy.deepcopy):
        try:
            call(each)
        except TypeError as error:
            assert f"Cannot pickle or copy a {{type(each).__name__}}" in str(error), error
        else:
            raise AssertionError(each)
for one in running:
    one.close()
print(tf.CancelToken.__module__)
"""
    assert child(script) == f"{package.name}\n"


def test_demo_models_that_are_not_installed(package):
    script = f"""
import sys
sys.modules["trifold_demo_models"] = None
import {package.name} as tf
try:
    {package.load}
except (tf.ModelError, tf.ModelNotFoundError) as error:
    print(error.hint)
"""
    assert "trifold-demo-models" in child(script)


#: What each package loads, and its demo model.
ENGINES = {
    "trifold_diffusion": ("Diffusion", "demo:picture"),
    "trifold_llama": ("Llama", "demo:story"),
    "trifold_whisper": ("Whisper", "demo:speech"),
}


def test_another_engine_s_model_says_what_uses_it(package):
    tf = import_module(package.name)
    load = getattr(tf, ENGINES[package.name][0])
    for name, (kind, model) in ENGINES.items():
        if name == package.name:
            continue
        with pytest.raises(tf.ModelError) as caught:
            load(model)
        assert caught.value.hint.endswith(f" model: use `{name}.{kind}`.")


def test_a_missing_model_is_named_as_python_does(package, tmp_path):
    tf = import_module(package.name)
    load = getattr(tf, ENGINES[package.name][0])
    link = tmp_path / "link.bin"
    link.symlink_to(tmp_path / "nothing")
    for path in (tmp_path / "none.bin", link, "no/such/folder/ü.bin"):
        try:
            open(path).close()
        except FileNotFoundError as error:
            theirs = error
        with pytest.raises(tf.ModelNotFoundError) as caught:
            load(path)
        ours = caught.value
        assert (ours.errno, ours.filename) == (errno.ENOENT, theirs.filename)
        again = pickle.loads(pickle.dumps(ours))
        assert (str(again), again.errno, again.filename) == (str(ours), ours.errno, ours.filename)
