"""What it does to its process: signals, forks, the end, output, sub-interpreters, imports."""

from __future__ import annotations

import pytest

PRELUDE = """
import math, os, signal, sys, threading, time, warnings
import trifold_llama as tl
warnings.simplefilter("ignore", DeprecationWarning)
llm = tl.Llama(n_ctx=16384, threads=1)
endless = {"logit_bias": {0: -math.inf, 2: -math.inf}}
def check():
    assert llm.generate("Once upon", max_tokens=4, temperature=0, timeout=20).text == " a time, in"
"""


@pytest.mark.parametrize(
    "call",
    [
        "llm.generate('a', **endless)",
        "list(llm.stream('a', **endless))",
        "llm.chat([{'role': 'user', 'content': 'a'}], **endless)",
        "small.embed(['a word ' * 200] * 3000)",
        "asyncio.run(llm.agenerate('a', **endless))",
        "asyncio.run(small.aembed(['a word ' * 200] * 3000))",
    ],
)
def test_ctrl_c(child, call):
    script = f"""{PRELUDE}
import asyncio
small = tl.Llama(threads=1)
def press():
    global pressed
    pressed = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)
threading.Timer(0.3, press).start()
try:
    {call}
except KeyboardInterrupt:
    print(time.monotonic() - pressed)
check()
"""
    assert float(child(script)) < 1


def test_ctrl_c_while_waiting_for_another_thread(child):
    script = f"""{PRELUDE}
token = tl.CancelToken()
other = threading.Thread(target=llm.generate, args=("a",), kwargs=dict(cancel=token, **endless))
other.start()
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    llm.generate("b")
except KeyboardInterrupt:
    print("pressed", other.is_alive())
token.cancel()
other.join(20)
check()
"""
    assert child(script) == "pressed True\n"


def test_signal_handlers_may_cancel(child):
    script = f"""{PRELUDE}
token = tl.CancelToken()
signal.signal(signal.SIGTERM, lambda *_: token.cancel())
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
print(llm.generate("a", cancel=token, **endless).finish_reason)
check()
"""
    assert child(script) == "cancelled\n"


FORK = (
    PRELUDE
    + """
def explained(call):
    try:
        call()
    except tl.ForkError as error:
        assert "before the process was forked" in str(error) and "spawn" in error.hint
    else:
        raise AssertionError("no error")
stream = llm.stream("a", **endless)
next(stream)
"""
)


@pytest.mark.parametrize("end", ["os._exit(42)", "sys.exit(42)"])
def test_a_fork_is_explained(child, end):
    script = f"""{FORK}
pid = os.fork()
if pid == 0:
    for call in (lambda: llm.generate("a"), lambda: llm.stream("a"), lambda: llm.embed("a"),
                 lambda: llm.tokenize("a"), lambda: llm.path, lambda: llm.clear(), lambda: repr(llm),
                 lambda: llm.chat([dict(role="user", content="a")]), lambda: next(stream)):
        explained(call)
    stream.close()
    llm.close()
    del stream, llm
    {end}
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
stream.close()
check()
"""
    assert child(script) == ""


def test_a_child_may_load_its_own(child):
    script = f"""{FORK}
stream.close()
check()
pid = os.fork()
if pid == 0:
    llm = tl.Llama(threads=1)
    check()
    sys.exit(42)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
check()
"""
    assert child(script) == ""


def test_forks_at_any_moment(child):
    script = f"""{PRELUDE}
token = tl.CancelToken()
def work():
    while not token.cancelled:
        tl.Llama(threads=1).generate("a", max_tokens=2)
other = threading.Thread(target=work)
other.start()
for _ in range(10):
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


def test_processes_that_are_spawned(child, tmp_path):
    # A script of its own: what is spawned imports it.
    script = tmp_path / "spawning.py"
    script.write_text("""
import multiprocessing
import trifold_llama
def answer(prompt):
    return trifold_llama.Llama(threads=1).generate(prompt, max_tokens=4, temperature=0)
if __name__ == "__main__":
    mine = trifold_llama.Llama(threads=1)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        # The result travels between processes.
        print(pool.map(answer, ["Once upon"])[0].text, end="")
        pool.close()
        pool.join()
""")
    assert child(
        f"import runpy, sys; sys.argv = [{str(script)!r}]; runpy.run_path(sys.argv[0], run_name='__main__')"
    ) == (" a time, in")


@pytest.mark.parametrize(
    "work",
    [
        "llm.generate('a', **endless)",
        "[started.set() or tl.Llama(threads=1) for _ in iter(int, 1)]",
        "[started.set() or tl.Llama(threads=1).generate('a', max_tokens=3) for _ in iter(int, 1)]",
        "[started.set() or llm.tokenize('a little dog ' * 100_000) for _ in iter(int, 1)]",
        "[started.set() or llm.embed(['a word'] * 500) for _ in iter(int, 1)]",
        "list(llm.stream('a', **endless))",
    ],
)
def test_the_end_of_the_interpreter_during_a_call(child, work):
    script = f"""{PRELUDE}
started = threading.Event()
def run():
    try:
        {work}
    except tl.ClosedError:
        pass
for _ in range(2):
    threading.Thread(target=run, daemon=True).start()
started.wait(0.3)
print("end")
"""
    assert child(script, timeout=30) == "end\n"


def test_the_end_of_the_interpreter_with_things_open(child):
    script = f"""{PRELUDE}
import atexit
streams = [llm.stream("a", **endless) for _ in range(3)]
print(next(streams[0]).text != "")
@atexit.register
def late():
    # Registered after the import, so it runs before the engines are stopped.
    print("late", next(streams[0]).text != "")
"""
    assert child(script, timeout=30) == "True\nlate True\n"


def test_nothing_can_be_loaded_at_the_end(child):
    script = """
import atexit
@atexit.register
def late():
    try:
        tl.Llama()
    except tl.ClosedError as error:
        print(error)
import trifold_llama as tl
"""
    assert child(script) == "The interpreter is shutting down\n"


def test_sub_interpreters_are_refused(child):
    script = """
import os
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import trifold_llama
read, write = os.pipe()
interpreters.run_string(interpreters.create(), f'''
import os
try:
    import trifold_llama
except ImportError as error:
    os.write({write}, repr(error).encode())
else:
    os.write({write}, b"imported")
''')
print(os.read(read, 1000).decode())
print(trifold_llama.Llama().generate("a", max_tokens=1).finish_reason)
"""
    said, still = child(script).splitlines()
    assert said.startswith("ImportError(") and "interpreter" in said
    assert still == "length"


def test_importing_loads_little(child):
    script = """
import sys
before = set(sys.modules)
import trifold_llama
print(*sorted(set(sys.modules) - before))
"""
    loaded = set(child(script).split())
    assert {name for name in loaded if not name.startswith("trifold_llama")} <= {
        "__future__",
        "atexit",
        "errno",
    }
    assert loaded >= {"trifold_llama", "trifold_llama._native"}
    assert not loaded & {"trifold_llama._options", "trifold_llama._results"}


def test_text_needs_no_numpy(child):
    script = """
import sys, trifold_llama as tl
llm = tl.Llama()
print(llm.generate("a", max_tokens=1).finish_reason)
print(sorted({"numpy", "asyncio", "json", "tqdm", "logging"} & set(sys.modules)))
print(llm.embed("a").shape, "numpy" in sys.modules)
"""
    assert child(script) == "length\n[]\n(256,) True\n"


TOUR = """
llm.generate("a", max_tokens=3, logprobs=1)
llm.chat([{"role": "user", "content": "a"}], max_tokens=3)
llm.embed(["a", "b"])
try:
    llm.generate("a", grammar="root ::= (")
except tl.OptionError:
    pass
token = tl.CancelToken()
token.cancel()
try:
    tl.Llama(cancel=token)
except tl.CancelledError:
    pass
try:
    tl.Llama(__file__ if "__file__" in globals() else sys.executable)
except tl.ModelError:
    pass
llm.close()
"""


def test_nothing_is_printed(child):
    assert child(PRELUDE + TOUR) == ""


def test_nothing_is_printed_where_logs_are_wanted(child):
    script = f"""
import logging
logger = logging.getLogger("trifold_llama")
records = []
class Keep(logging.Handler):
    def emit(self, record):
        records.append(record)
logger.addHandler(Keep())
logger.propagate = False
logger.setLevel(logging.DEBUG)
{PRELUDE}
{TOUR}
assert len(records) > 20
assert {{record.name for record in records}} == {{"trifold_llama"}}
"""
    assert child(script) == ""


def test_a_bar_needs_tqdm(child):
    script = """
import sys
sys.modules["tqdm"] = None
import trifold_llama as tl
try:
    tl.Llama(progress=True)
except ImportError as error:
    print(error)
"""
    assert child(script) == (
        "progress=True needs tqdm, which is not installed\nhint: pip install tqdm, or give a function\n"
    )


def test_demo_models_that_are_not_installed(child):
    script = """
import sys
sys.modules["trifold_demo_models"] = None
import trifold_llama as tl
try:
    tl.Llama()
except tl.LlamaError as error:
    print(type(error).__name__, error.hint)
"""
    assert "trifold-demo-models" in child(script)
