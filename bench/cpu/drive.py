"""Measures one installed package on one model, and prints the figures as JSON.

    python bench/cpu/drive.py PACKAGE MODEL [RECORDING] [--threads N] [--prompt N] [--tokens N] [--rounds N]

Each package does the same work by the fastest way that it offers to Python programs, and each figure is
the median of some rounds, after one that is not counted. Text: tokens a second, of a prompt and of tokens
that come one by one. Speech: milliseconds of a whole call, and, where whisper.cpp's own clocks can be read,
of the encoder and of one token of the decoder.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import tempfile
import time
import wave
from collections.abc import Iterator
from typing import Any, Callable

Figures = dict[str, float]


def main() -> None:
    """Measures what the arguments say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("package", choices=[*TEXT, *SPEECH])
    parser.add_argument("model")
    parser.add_argument("recording", nargs="?")
    for name, default in [("threads", 1), ("prompt", 256), ("tokens", 48), ("rounds", 1)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    measure = {**TEXT, **SPEECH}[arguments.package]
    # Some engines print to standard output, which is for the figures alone.
    with os.fdopen(os.dup(1), "w") as result:
        os.dup2(2, 1)
        rounds = measure(arguments)[1:]
        figures = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
        print(json.dumps(figures), file=result)


def prompt_of(arguments: argparse.Namespace) -> list[int]:
    """The tokens that `bench/speed/decode.c` has."""
    return [3 + (i * 7919) % 1997 for i in range(arguments.prompt)]


def trifold_llama(arguments: argparse.Namespace) -> list[Figures]:
    """Ours: `generate`, and what it says about its time, choosing tokens and making text included."""
    from trifold_llama import Llama

    prompt = prompt_of(arguments)
    figures = []
    with Llama(arguments.model, n_ctx=context_size(arguments), threads=arguments.threads) as llm:
        for _ in range(arguments.rounds + 1):
            llm.clear()  # what is remembered is not processed again
            completion = llm.generate(prompt, max_tokens=arguments.tokens, temperature=0)
            counted(completion.usage.completion_tokens, arguments)
            timings = completion.timings
            figures.append(
                {"prompt": timings.prompt_tokens_per_second, "decode": timings.decode_tokens_per_second}
            )
    return figures


def cyllama(arguments: argparse.Namespace) -> list[Figures]:
    """Calls llama.cpp's own functions, as `decode.c` does; no token is chosen."""
    from cyllama.llama import llama_cpp

    model = llama_cpp.LlamaModel(arguments.model, llama_cpp.LlamaModelParams())
    params = llama_cpp.LlamaContextParams()
    params.n_ctx = context_size(arguments)
    params.n_threads = params.n_threads_batch = arguments.threads
    context = llama_cpp.LlamaContext(model, params)
    prompt = prompt_of(arguments)

    def decode(tokens: list[int], position: int) -> None:
        if context.decode(llama_cpp.llama_batch_get_one(tokens, position)) != 0:
            raise SystemExit("error: decode failed")
        context.synchronize()

    figures = []
    for _ in range(arguments.rounds + 1):
        context.kv_cache_clear()
        started = time.perf_counter()
        decode(prompt, 0)
        read = time.perf_counter()
        for i in range(arguments.tokens):
            decode([prompt[i % len(prompt)]], len(prompt) + i)
        figures.append(
            {
                "prompt": len(prompt) / (read - started),
                "decode": arguments.tokens / (time.perf_counter() - read),
            }
        )
    return figures


def xllamacpp(arguments: argparse.Namespace) -> list[Figures]:
    """Has llama.cpp's server only, and this the times that it tells with each answer."""
    import xllamacpp as package

    params = package.CommonParams()
    params.model.path = arguments.model
    params.n_ctx = context_size(arguments)
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = arguments.threads
    server = package.Server(params)
    request = {
        "prompt": prompt_of(arguments),
        "max_tokens": arguments.tokens,
        "n_predict": arguments.tokens,
        "temperature": 0,
        "ignore_eos": True,
        "cache_prompt": False,
    }
    figures = []
    for _ in range(arguments.rounds + 1):
        timings = server.handle_completions(request)["timings"]
        if timings["prompt_n"] != arguments.prompt:
            raise SystemExit(f"error: Expected {arguments.prompt} tokens processed, found: {timings}")
        counted(timings["predicted_n"], arguments)
        figures.append({"prompt": timings["prompt_per_second"], "decode": timings["predicted_per_second"]})
    return figures


def context_size(arguments: argparse.Namespace) -> int:
    """The same for all: attention looks at the whole context in some builds."""
    return -(-(arguments.prompt + arguments.tokens + 64) // 256) * 256


def counted(tokens: int, arguments: argparse.Namespace) -> None:
    """Refuses an answer that ended early."""
    if tokens != arguments.tokens:
        raise SystemExit(f"error: Expected {arguments.tokens} tokens, found: {tokens}")


def trifold_whisper(arguments: argparse.Namespace) -> list[Figures]:
    """Ours: a call from the samples to the transcript."""
    from trifold_whisper import Whisper

    samples = samples_of(arguments.recording)
    with Whisper(arguments.model) as whisper:
        return rounds_of(
            arguments,
            lambda: (
                whisper.transcribe(samples, language="en", temperature_step=0, threads=arguments.threads).text
            ),
        )


def pywhispercpp(arguments: argparse.Namespace) -> list[Figures]:
    """The same, and whisper.cpp's clocks, which it prints."""
    import _pywhispercpp as native
    from pywhispercpp.model import Model

    samples = samples_of(arguments.recording)
    options: dict[str, Any] = {
        "language": "en",
        "temperature_inc": 0.0,
        "n_threads": arguments.threads,
        "print_progress": False,
    }
    if arguments.tokens:  # as transcribe.c has them
        options |= {"max_tokens": arguments.tokens, "no_timestamps": True, "single_segment": True}
    model = Model(arguments.model, **options)

    def clocks() -> Figures:
        with tempfile.TemporaryFile("w+") as file, redirected(file.fileno()):
            native.whisper_print_timings(model._ctx)
            native.whisper_reset_timings(model._ctx)
            file.seek(0)
            text = file.read()
        found = dict(re.findall(r"(encode|decode) time = .*\(\s*([\d.]+) ms per run\)", text))
        return {name: float(found[name]) for name in ("encode", "decode")}

    return rounds_of(arguments, lambda: " ".join(one.text for one in model.transcribe(samples)), clocks)


def samples_of(path: str) -> Any:
    """A recording as packages take it; files of other kinds are not what is measured."""
    import numpy

    with wave.open(path, "rb") as file:
        raw = file.readframes(file.getnframes())
    return numpy.frombuffer(raw, dtype="<i2").astype(numpy.float32) / 32768


def rounds_of(
    arguments: argparse.Namespace,
    call: Callable[[], str],
    clocks: Callable[[], Figures] = lambda: {},
) -> list[Figures]:
    """Times a call, and asks for what its engine says about it."""
    figures = []
    for _ in range(arguments.rounds + 1):
        started = time.perf_counter()
        call()
        elapsed = time.perf_counter() - started
        figures.append({"call": 1e3 * elapsed, **clocks()})
    return figures


@contextlib.contextmanager
def redirected(descriptor: int) -> Iterator[None]:
    """Writes what C code prints to standard error elsewhere."""
    before = os.dup(2)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


TEXT: dict[str, Callable[[argparse.Namespace], list[Figures]]] = {
    "trifold-llama": trifold_llama,
    "cyllama": cyllama,
    "xllamacpp": xllamacpp,
}
SPEECH: dict[str, Callable[[argparse.Namespace], list[Figures]]] = {
    "trifold-whisper": trifold_whisper,
    "pywhispercpp": pywhispercpp,
}

if __name__ == "__main__":
    main()
