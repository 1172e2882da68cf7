"""Calls that are stopped, that meet each other, and that are made in odd places."""

from __future__ import annotations

import asyncio
import logging
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
