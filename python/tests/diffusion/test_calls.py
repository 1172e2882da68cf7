"""Calls that are stopped, that meet each other, and that are made in odd places."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from trifold_diffusion import CancelledError, CancelToken, ClosedError, Diffusion, TimedOutError

#: The least that the engine draws.
TINY = {"steps": 1, "guidance": 1, "seed": 1}

#: Takes much longer than any test waits.
LONG = {"steps": 1000, "guidance": 1, "seed": 1}


@pytest.fixture(autouse=True)
def usable(sd):
    """Whatever was done to a call, the model goes on."""
    yield
    assert sd.generate("a star", **TINY).seed == 1


def seconds(call):
    started = time.monotonic()
    call()
    return time.monotonic() - started


@pytest.mark.parametrize("name", ["on_step", "progress"])
def test_what_a_callback_raises_reaches_the_caller(sd, name):
    calls = []

    def fail(_):
        calls.append(1)
        raise LookupError("enough")

    def call():
        with pytest.raises(LookupError, match="enough"):
            sd.generate("a star", **LONG, **{name: fail})

    assert seconds(call) < 10
    assert calls == [1]


def test_weights_callbacks_may_raise_too(sd):
    def fail(_):
        raise LookupError("enough")

    with Diffusion(sd.path) as fresh:
        with pytest.raises(LookupError):
            fresh.generate("a star", **TINY, on_weights=fail)
        assert fresh.generate("a star", **TINY) == sd.generate("a star", **TINY)


def test_callbacks_must_be_callable(sd):
    with pytest.raises(TypeError):
        sd.generate("a star", **TINY, on_step=3)


def test_timeout(sd):
    def call():
        with pytest.raises(TimeoutError) as caught:
            sd.generate("a star", **LONG, timeout=0.2)
        assert isinstance(caught.value, TimedOutError)

    assert 0.2 <= seconds(call) < 5
    with pytest.raises(TimedOutError):
        sd.generate("a star", **LONG, timeout=0)


def test_cancel_from_a_callback(sd):
    token = CancelToken()
    with pytest.raises(CancelledError):
        sd.generate("a star", **LONG, cancel=token, on_step=lambda _: token.cancel())
    assert token.cancelled
    with pytest.raises(CancelledError):
        sd.generate("a star", **TINY, cancel=token)


def test_cancel_from_another_thread(sd):
    token = CancelToken()
    timer = threading.Timer(0.3, token.cancel)
    timer.start()
    with pytest.raises(CancelledError):
        sd.generate("a star", **LONG, cancel=token)
    timer.join()


def test_a_load_that_is_cancelled(sd):
    token = CancelToken()
    token.cancel()
    with pytest.raises(CancelledError):
        Diffusion(sd.path, cancel=token)
    with pytest.raises(TimedOutError):
        Diffusion(sd.path, timeout=0)


def test_many_threads_on_one_model(sd):
    results = {}

    def draw(seed):
        results[seed] = sd.generate("a star", steps=1, guidance=1, seed=seed)

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(8))
    assert all(picture.seed == seed for seed, picture in results.items())
    assert len({picture.rgb8 for picture in results.values()}) == 8


def test_two_models_at_once(sd):
    with Diffusion(sd.path, threads=1) as other:
        pictures = []
        thread = threading.Thread(target=lambda: pictures.append(other.generate("a star", **TINY)))
        thread.start()
        mine = sd.generate("a star", **TINY)
        thread.join()
    assert pictures == [mine]


def test_waiting_calls_are_stopped_too(sd):
    token = CancelToken()
    started = threading.Event()

    def long():
        with pytest.raises(CancelledError):
            sd.generate("a star", **LONG, cancel=token, on_step=lambda _: started.set())

    thread = threading.Thread(target=long)
    thread.start()
    assert started.wait(60)
    with pytest.raises(TimedOutError):
        sd.generate("a star", **TINY, timeout=0.1)
    token.cancel()
    thread.join()


def test_the_gil_is_free_meanwhile(sd):
    token = CancelToken()
    errors = []

    def long():
        try:
            sd.generate("a star", **LONG, cancel=token)
        except CancelledError as error:
            errors.append(error)

    thread = threading.Thread(target=long)
    thread.start()
    count = 0
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        count += 1
        time.sleep(0)
    token.cancel()
    thread.join()
    assert len(errors) == 1
    assert count > 100


def test_a_model_that_is_closed_meanwhile(sd):
    model = Diffusion(sd.path, threads=1)
    errors = []
    started = threading.Event()

    def draw():
        try:
            model.generate("a star", **LONG, on_step=lambda _: started.set())
        except (CancelledError, ClosedError) as error:
            errors.append(error)

    thread = threading.Thread(target=draw)
    thread.start()
    assert started.wait(60)
    assert seconds(model.close) < 5
    thread.join()
    assert len(errors) == 1


def test_asyncio(sd):
    async def draw():
        one = sd.agenerate("a star", **TINY)
        two = sd.agenerate_batch("a star", batch=2, **TINY)
        return await asyncio.gather(one, two)

    one, two = asyncio.run(draw())
    assert one == two[0]


def test_a_task_that_is_cancelled(sd):
    async def draw():
        started = asyncio.Event()
        loop = asyncio.get_running_loop()
        call = sd.agenerate("a star", **LONG, on_step=lambda _: loop.call_soon_threadsafe(started.set))
        task = asyncio.create_task(call)
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert seconds(lambda: asyncio.run(draw())) < 20


def test_the_callers_token_works_in_tasks(sd):
    token = CancelToken()

    async def draw():
        with pytest.raises(CancelledError):
            await sd.agenerate("a star", **LONG, cancel=token, on_step=lambda _: token.cancel())

    asyncio.run(draw())


def test_logs_go_to_the_logger(sd, caplog, capfd):
    with caplog.at_level(logging.DEBUG, logger="trifold_diffusion"), Diffusion(sd.path) as fresh:
        fresh.generate("a star", **TINY)
    assert any(record.name == "trifold_diffusion" for record in caplog.records)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_nothing_is_printed(child):
    out = child("""
        from trifold_diffusion import Diffusion
        with Diffusion("demo:picture") as sd:
            sd.generate("a star", steps=1, guidance=1)
    """)
    assert out == ""


CTRL_C = """
    import time
    from trifold_diffusion import Diffusion

    sd = Diffusion("demo:picture", threads=1)
    sd.generate("a star", steps=1, guidance=1)
    try:
        sd.generate("a star", steps=1000, guidance=1, on_step=lambda step: print("step", flush=True))
    except KeyboardInterrupt:
        print("stopped", flush=True)
    print(sd.generate("a star", steps=1, guidance=1, seed=1), flush=True)
"""


def test_ctrl_c():
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CTRL_C)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "step\n"
        time.sleep(0.1)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        line = "step\n"
        while line == "step\n":
            line = process.stdout.readline()
        assert line == "stopped\n"
        assert time.monotonic() - sent < 1
        assert process.stdout.readline() == "<Picture 128x128, seed 1: 'a star'>\n"
    assert process.returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_fork(child):
    out = child("""
        import os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from trifold_diffusion import Diffusion, ForkError
        sd = Diffusion("demo:picture", threads=1)
        sd.generate("a star", steps=1, guidance=1)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                sd.generate("a star")
            except ForkError:
                code = 42
            sd.close()
            del sd
            os._exit(code)
        print(os.WEXITSTATUS(os.waitpid(pid, 0)[1]))
        print(sd.generate("a star", steps=1, guidance=1, seed=1))
    """)
    assert out == "42\n<Picture 128x128, seed 1: 'a star'>\n"


def test_the_end_of_the_process_during_a_call(child):
    script = """
        import threading
        from trifold_diffusion import Diffusion
        sd = Diffusion("demo:picture", threads=1)
        started = threading.Event()
        def busy(_):
            # The process ends while this is running, most likely.
            started.set()
            return [number for number in range(300_000)]
        def draw():
            try:
                sd.generate("a star", steps=1000, guidance=1, on_step=busy)
            except Exception:
                pass
        threading.Thread(target=draw, daemon=True).start()
        started.wait()
        print("end")
    """
    assert seconds(lambda: child(script)) < 20


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="the module has another name and API there")
def test_sub_interpreters_are_refused(child):
    module = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    out = child(f"""
        import {module} as interpreters
        import trifold_diffusion
        script = '''
        import sys
        sys.path[:] = {sys.path!r}
        try:
            import trifold_diffusion
        except ImportError as error:
            print(type(error).__name__, "interpreter" in str(error), flush=True)
        '''
        import textwrap
        interpreters.run_string(interpreters.create(), textwrap.dedent(script))
    """)
    assert out == "ImportError True\n"


def test_importing_is_light(child):
    out = child("""
        import sys
        before = set(sys.modules)
        import trifold_diffusion
        heavy = {"numpy", "dataclasses", "typing", "asyncio", "json", "logging", "PIL"}
        print(sorted(heavy & (set(sys.modules) - before)))
    """)
    assert out == "[]\n"
