"""Calls that meet each other, that are stopped, and what they leave behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest
from trifold_llama import (
    CancelledError,
    CancelToken,
    ClosedError,
    Llama,
    LlamaError,
    ModelNotFoundError,
    OptionError,
    TimedOutError,
)

PROMPT = "Once upon a time"
SHORT = {"temperature": 0, "max_tokens": 4}


@pytest.fixture
def still_works(wide):
    """After the test, and without waiting for what it has left behind."""
    yield
    assert wide.generate(PROMPT, timeout=10, **SHORT).finish_reason == "length"


def begin(call, errors=(LlamaError,)):
    """Runs a call in a thread; gives the thread and the list that gets the call's result or error."""
    found = []

    def run():
        try:
            found.append(call())
        except errors as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


def seconds(call):
    started = time.monotonic()
    call()
    return time.monotonic() - started


# Streams.


def test_a_stream_closed_half_way(wide, endless, still_works):
    stream = wide.stream(PROMPT, **endless)
    assert next(stream).text
    stream.close()
    stream.close()
    assert list(stream) == []
    with pytest.raises(ClosedError, match="closed before its end"):
        stream.complete()
    with wide.stream(PROMPT, **endless) as stream:
        next(stream)
    assert next(stream, None) is None
    with pytest.raises(LookupError), wide.stream(PROMPT, **endless) as stream:
        raise LookupError(next(stream).text)


def test_a_stream_that_nobody_wants_any_more(wide, endless, still_works):
    stream = wide.stream(PROMPT, **endless)
    next(stream)
    del stream
    stream = wide.stream(PROMPT, **endless)
    circle = [stream]
    circle.append(circle)
    del stream, circle
    gc.collect()
    # Not even begun.
    wide.stream(PROMPT, **endless)


def test_a_stream_and_another_call_in_one_thread(llm, endless):
    stream = llm.stream(PROMPT, max_tokens=200, **endless)
    first = next(stream)
    # It waits for the engine, not for those who take the pieces.
    assert llm.generate(PROMPT, timeout=60, **SHORT).usage.completion_tokens == 4
    assert llm.embed("a", timeout=60).shape == (256,)
    assert llm.tokenize("a")
    assert first.text + "".join(map(str, stream)) == stream.complete().text
    assert stream.complete().usage.completion_tokens == 200
    with llm.stream(PROMPT, **SHORT) as one, llm.stream("The cat", **SHORT) as two:
        assert two.complete().usage.completion_tokens == one.complete().usage.completion_tokens == 4


def test_a_stream_is_closed_by_another_thread(wide, endless, still_works):
    stream = wide.stream(PROMPT, **endless)
    next(stream)
    timer = threading.Timer(0.1, stream.close)
    timer.start()
    assert seconds(lambda: list(stream)) < 10
    timer.join()


def test_a_stream_for_two_threads(wide, endless, still_works):
    stream = wide.stream(PROMPT, **endless)
    found = []

    def take():
        try:
            while not found:
                next(stream)
        except ValueError as error:
            found.append(error)

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    stream.close()
    assert "another thread" in str(found[0])


def test_an_error_ends_a_stream(llm):
    stream = llm.stream(PROMPT, top_p=2)
    with pytest.raises(OptionError):
        next(stream)
    assert next(stream, None) is None
    with pytest.raises(ClosedError):
        stream.complete()


# Threads.


def test_two_objects_in_two_threads(llm, wide, endless):
    """Neither waits for the other."""
    token = CancelToken()
    with wide.stream(PROMPT, cancel=token, **endless) as stream:
        next(stream)
        thread, found = begin(lambda: llm.generate(PROMPT, timeout=30, **SHORT))
        thread.join(30)
        assert found[0].usage.completion_tokens == 4
        token.cancel()
        assert stream.complete().finish_reason == "cancelled"


def test_many_threads_on_one_object(llm):
    prompts = [
        f"{begin} {who}" for begin in ("Once upon a time, a", "The old") for who in ("dog", "king", "cat")
    ]
    expected = {prompt: llm.generate(prompt, temperature=0, max_tokens=20).tokens for prompt in prompts}
    vector = llm.embed("a")
    calls = [
        lambda prompt=prompt: llm.generate(prompt, temperature=0, max_tokens=20) for prompt in prompts * 3
    ]
    threads = [begin(call) for call in calls]
    embedding = begin(lambda: llm.embed("a"))
    for thread, _ in (*threads, embedding):
        thread.join(60)
    for prompt, (_, found) in zip(prompts * 3, threads):
        assert found[0].tokens == expected[prompt]
    assert (embedding[1][0] == vector).all()


def test_the_gil_is_free_meanwhile(wide, endless, still_works):
    token = CancelToken()
    thread, found = begin(lambda: wide.generate(PROMPT, cancel=token, **endless))
    count, until = 0, time.monotonic() + 0.3
    while time.monotonic() < until:
        count += 1
        time.sleep(0)
    token.cancel()
    thread.join(30)
    assert count > 100
    assert found[0].finish_reason == "cancelled"


# What ends calls early.


def test_timeouts(wide, llm, endless, still_works):
    def call():
        with pytest.raises(TimedOutError, match=r"Stopped after 0\.2 s") as caught:
            wide.generate(PROMPT, timeout=0.2, **endless)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.errno is None

    assert 0.2 <= seconds(call) < 5
    stream = wide.stream(PROMPT, timeout=0.2, **endless)
    with pytest.raises(TimedOutError):
        list(stream)
    texts = ["a word " * 100] * 3000
    for call in (
        lambda: llm.embed(texts, timeout=0.2),
        lambda: llm.embed("a", timeout=0),
        lambda: llm.chat([{"role": "user", "content": "a"}], timeout=0),
        lambda: Llama(timeout=0),
    ):
        with pytest.raises(TimedOutError):
            call()
    # Waiting for another call counts.
    with wide.stream(PROMPT, **endless), pytest.raises(TimedOutError):
        wide.generate(PROMPT, timeout=0.2)
    assert wide.generate(PROMPT, timeout=1e9, **SHORT).finish_reason == "length"


def test_a_cancelled_generation_gives_what_it_has(wide, endless, still_works):
    token = CancelToken()
    timer = threading.Timer(0.2, token.cancel)
    timer.start()
    completion = wide.generate(PROMPT, cancel=token, **endless)
    timer.join()
    assert (completion.finish_reason, completion.stop) == ("cancelled", None)
    assert len(completion.tokens) == completion.usage.completion_tokens > 0
    assert wide.detokenize(completion.tokens) == completion.text

    token = CancelToken()
    stream = wide.stream(PROMPT, cancel=token, **endless)
    first = next(stream)
    token.cancel()
    assert stream.complete().text.startswith(first.text)
    assert stream.complete().finish_reason == "cancelled"


def test_tokens_stay_cancelled(wide, still_works):
    token = CancelToken()
    child = token.child()
    child.cancel()
    assert (token.cancelled, child.cancelled) == (False, True)
    assert repr(token) == "<CancelToken cancelled=False>"
    assert wide.generate(PROMPT, cancel=token, **SHORT).finish_reason == "length"
    token.cancel()
    assert repr(token) == "<CancelToken cancelled=True>"
    assert token.child().cancelled
    for call in (
        lambda: wide.generate(PROMPT, cancel=token),
        lambda: wide.chat([{"role": "user", "content": "a"}], cancel=token),
        lambda: wide.embed("a", cancel=token),
        lambda: Llama(cancel=token),
    ):
        with pytest.raises(CancelledError, match="cancelled"):
            call()


def test_a_call_that_waits_is_cancelled_at_once(wide, endless, still_works):
    token = CancelToken()
    with wide.stream(PROMPT, **endless):
        timer = threading.Timer(0.1, token.cancel)
        timer.start()
        with pytest.raises(CancelledError):
            wide.generate(PROMPT, cancel=token)
        timer.join()


def test_embedding_is_cancelled(llm):
    token = CancelToken()
    timer = threading.Timer(0.2, token.cancel)
    timer.start()
    with pytest.raises(CancelledError):
        llm.embed(["a word " * 100] * 3000, cancel=token)
    timer.join()
    assert llm.embed("a").shape == (256,)


def test_one_token_for_several_calls(wide, llm, endless):
    token = CancelToken()
    threads = [
        begin(lambda model=model: model.generate(PROMPT, cancel=token, **endless)) for model in (wide, llm)
    ]
    time.sleep(0.1)
    token.cancel()
    for thread, found in threads:
        thread.join(30)
        assert isinstance(found[0], CancelledError) or found[0].finish_reason == "cancelled"


# Closing.


def test_closed_objects(llm):
    with Llama(llm.path) as closed:
        assert not closed.closed
    closed.close()
    assert closed.closed
    assert repr(closed) == "<Llama, closed>"
    message = [{"role": "user", "content": "a"}]
    for call in (
        lambda: closed.generate("a"),
        lambda: closed.stream("a"),
        lambda: closed.chat(message),
        lambda: closed.stream_chat(message),
        lambda: closed.apply_chat_template(message),
        lambda: closed.embed("a"),
        lambda: closed.tokenize("a"),
        lambda: closed.detokenize([5]),
        lambda: closed.token_bytes(5),
        lambda: closed.is_control(5),
        lambda: closed.is_end_of_generation(5),
        lambda: closed.remembered(),
        lambda: closed.clear(),
        lambda: closed.metadata,
        lambda: closed.special_tokens,
        lambda: closed.path,
        lambda: closed.n_ctx,
        lambda: asyncio.run(closed.agenerate("a")),
    ):
        with pytest.raises(ClosedError, match="closed") as caught:
            call()
        assert isinstance(caught.value, ValueError)


def test_closing_while_calls_run_and_wait(endless):
    model = Llama(n_ctx=16384, threads=1)
    token = CancelToken()
    stream = model.stream(PROMPT, cancel=token, **endless)
    next(stream)
    running, first = begin(stream.complete)
    waiting = [begin(lambda: model.generate(PROMPT)), begin(lambda: model.embed("a"))]
    time.sleep(0.1)
    assert seconds(model.close) < 5
    for thread, found in ((running, first), *waiting):
        thread.join(10)
        # Not the caller's token has stopped it.
        assert isinstance(found[0], ClosedError), found
        assert "This text model is closed" in str(found[0])
    assert not token.cancelled
    with pytest.raises(ClosedError):
        stream.complete()


def test_closing_from_many_threads():
    model = Llama(threads=1)
    threads = [begin(model.close) for _ in range(8)]
    for thread, found in threads:
        thread.join(10)
        assert found == [None]


def test_closed_objects_hold_no_memory():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    def one():
        model = Llama(threads=1, mmap=False)
        model.generate("a", **SHORT)
        model.embed("a")
        model.close()
        return model

    # Allocators keep some for later.
    closed = [one() for _ in range(12)]
    before = resident()
    closed += [one() for _ in range(30)]
    # A model takes 6 MB, and its working memory more than that.
    assert resident() - before < 90e6


def test_dropped_objects_hold_no_thread():
    def count():
        with open("/proc/self/status") as file:
            return int(next(line for line in file if line.startswith("Threads:")).split()[1])

    for _ in range(3):
        Llama(threads=1)
    before = count()
    for _ in range(20):
        Llama(threads=1).generate("a", **SHORT)
    until = time.monotonic() + 10
    while count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert count() <= before


# Callbacks.


def test_progress():
    heard = []
    with Llama(progress=heard.append):
        pass
    assert heard == sorted(heard)
    assert (heard[0], heard[-1]) == (0, 1)
    assert all(type(fraction) is float for fraction in heard)


@pytest.mark.parametrize("error", [ArithmeticError, KeyboardInterrupt, SystemExit])
def test_a_progress_callback_that_raises(error):
    calls = []

    def fail(fraction):
        calls.append(fraction)
        raise error("mine")

    with pytest.raises(error, match="mine"):
        Llama(progress=fail)
    assert len(calls) == 1


def test_a_load_that_is_cancelled_from_its_callback():
    token = CancelToken()
    with pytest.raises(CancelledError):
        Llama(cancel=token, progress=lambda _: token.cancel())


def test_a_bar(capfd):
    with Llama(progress=True):
        pass
    printed = capfd.readouterr()
    assert "Loading demo:story" in printed.err and "%" in printed.err
    assert printed.out == ""
    with pytest.raises(ModelNotFoundError):
        Llama("missing.gguf", progress=True)


# Asyncio.


def test_asyncio(llm, wide, endless):
    messages = [{"role": "user", "content": "What is 3 + 4?"}]
    expected = llm.generate(PROMPT, **SHORT).text

    async def tour():
        completion, answer, vectors, other = await asyncio.gather(
            llm.agenerate(PROMPT, **SHORT),
            llm.achat(messages, temperature=0),
            llm.aembed(["a", "b"]),
            wide.agenerate(PROMPT, **SHORT),
        )
        assert completion.text == other.text == expected
        assert "7" in answer.text
        assert vectors.shape == (2, 256)
        assert "".join([piece.text async for piece in llm.astream(PROMPT, **SHORT)]) == expected
        pieces = [piece.text async for piece in llm.astream_chat(messages, temperature=0)]
        assert "".join(pieces) == answer.text
        # Left half-way: the next call need not wait for the rest.
        for half in (wide.astream(PROMPT, **endless), wide.astream_chat(messages, **endless)):
            assert await half.__anext__()
            await half.aclose()
        async for _ in wide.astream(PROMPT, **endless):
            break
        with pytest.raises(OptionError):
            await llm.agenerate(PROMPT, top_k=-1)
        with pytest.raises(OptionError):
            await llm.astream(PROMPT, top_k=-1).__anext__()
        return await wide.agenerate(PROMPT, timeout=10, **SHORT)

    assert asyncio.run(tour()).text == expected


def test_calls_that_wait_for_one_model_keep_nothing_else_waiting(llm, wide, endless):
    async def tour():
        running = [asyncio.ensure_future(wide.agenerate(PROMPT, **endless)) for _ in range(50)]
        await asyncio.sleep(0.1)
        # More than asyncio has threads of its own, for which others wait as well.
        answer = await asyncio.wait_for(llm.agenerate(PROMPT, **SHORT), 30)
        assert await asyncio.wait_for(asyncio.to_thread(len, "abc"), 30) == 3
        with pytest.raises(TimedOutError):
            await wide.agenerate(PROMPT, timeout=0.1, **SHORT)
        assert not any(task.done() for task in running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        return answer.finish_reason

    assert asyncio.run(tour()) == "length"


@pytest.mark.parametrize("own_token", [False, True])
@pytest.mark.parametrize("how", ["agenerate", "astream", "achat", "aembed"])
def test_a_cancelled_task_stops_the_engine(wide, endless, still_works, own_token, how):
    options = {"cancel": CancelToken()} if own_token else {}

    async def work():
        if how == "agenerate":
            await wide.agenerate(PROMPT, **options, **endless)
        elif how == "achat":
            await wide.achat([{"role": "user", "content": "a"}], **options, **endless)
        elif how == "aembed":
            await wide.aembed(["a word " * 100] * 3000, **options)
        else:
            async for _ in wide.astream(PROMPT, **options, **endless):
                pass

    async def tour():
        task = asyncio.ensure_future(work())
        await asyncio.sleep(0.1)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # Only the task was cancelled, not what the token is shared with.
        assert not any(token.cancelled for token in options.values())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(work(), 0.1)

    assert seconds(lambda: asyncio.run(tour())) < 10


def test_the_callers_token_works_in_tasks(wide, endless, still_works):
    async def tour():
        token = CancelToken()
        asyncio.get_running_loop().call_later(0.1, token.cancel)
        assert (await wide.agenerate(PROMPT, cancel=token, **endless)).finish_reason == "cancelled"
        with pytest.raises(CancelledError):
            await wide.agenerate(PROMPT, cancel=token)
        with pytest.raises(TimedOutError):
            await wide.agenerate(PROMPT, timeout=0.1, **endless)

    asyncio.run(tour())
