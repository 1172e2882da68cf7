"""What it does to its process."""

from __future__ import annotations

from process_life import *  # noqa: F403
from process_life import Package

PACKAGE = Package(
    name="trifold_llama",
    load="tf.Llama(n_ctx=16384, threads=1)",
    # numpy now: a thread that imports it while the interpreter ends can crash it, with or without trifold.
    setup="""
import math, numpy
endless = {"logit_bias": {0: -math.inf, 2: -math.inf}}
many = ["a word " * 200] * 3000
""",
    call="model.generate('Once upon', max_tokens=4, temperature=0, timeout=20).text",
    answer=" a time, in",
    long=(
        "model.generate('a', **endless)",
        "list(model.stream('a', **endless))",
        "model.chat([{'role': 'user', 'content': 'a'}], **endless)",
        "model.embed(many)",
        "asyncio.run(model.agenerate('a', **endless))",
        "asyncio.run(model.aembed(many))",
    ),
    stoppable="model.generate('a', cancel=token, **endless)",
    uses=(
        "model.generate('a')",
        "model.stream('a')",
        "model.embed('a')",
        "model.tokenize('a')",
        "model.path",
        "model.share()",
        "model.clear()",
        "repr(model)",
        "model.chat([dict(role='user', content='a')])",
        "next(running[0])",
    ),
    running="[model.stream('a', **endless)]",
    endings=(
        "model.generate('a', **endless)",
        "[started.set() or tf.Llama(threads=1) for _ in iter(int, 1)]",
        "[started.set() or tf.Llama(threads=1).generate('a', max_tokens=3) for _ in iter(int, 1)]",
        "[started.set() or model.tokenize('a little dog ' * 100_000) for _ in iter(int, 1)]",
        "[started.set() or model.embed(['a word'] * 500) for _ in iter(int, 1)]",
        "[started.set() or model.share() for _ in iter(int, 1)]",
        "list(model.stream('a', **endless))",
    ),
    slow=("tf.Llama(progress=slow)", "model.tokenize('a little dog ' * 10_000)"),
    tour="""
model.generate("a", max_tokens=3, logprobs=1)
model.chat([{"role": "user", "content": "a"}], max_tokens=3)
model.embed(["a", "b"])
model.generate("a", stop="b", max_tokens=3)
""",
)


def test_the_end_of_the_interpreter_with_things_open(child):
    script = f"""{PACKAGE.prelude}
streams = [model.stream("a", **endless) for _ in range(3)]
print(next(streams[0]).text != "")
@atexit.register
def late():
    # Registered after the import, so it runs before the engines are stopped.
    print("late", next(streams[0]).text != "")
"""
    assert child(script, timeout=30) == "True\nlate True\n"


def test_text_needs_no_numpy(child):
    script = """
import sys, trifold_llama as tl
llm = tl.Llama()
print(llm.generate("a", max_tokens=1).finish_reason)
print(sorted({"numpy", "asyncio", "tqdm", "logging"} & set(sys.modules)))
print(llm.embed("a").shape, "numpy" in sys.modules)
"""
    assert child(script) == "length\n[]\n(256,) True\n"


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
