#!/usr/bin/env python3
"""Measures our engines on the CPU, against the same engines compiled natively and against other packages.

    python3 bench/cpu/run.py [--output FILE] [--level x86-64-v3]

Builds, below target/bench/cpu, what is measured: our C libraries and wheels, llama.cpp and whisper.cpp by
their own CMake from the same source packages, random models, and an environment with the other packages.
Then all take turns, one process at a time, each turn in the opposite order of the one before. A ratio is the
median of the turns' ratios, above 1 where ours is faster, with the lowest and highest of them; figures are
medians.

Needs Python 3.12 or newer with venv, Rust, a C++ compiler, for the first run the network, and a quiet
machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import (
    PROGRAMS,
    RECORDING,
    ROOT,
    Comparison,
    Contestant,
    Failed,
    Measure,
    busy,
    call,
    compile_program,
    cpu,
    libraries,
    output,
    publish,
    run_script,
    say,
    sources,
    table,
    take_turns,
)

HERE = ROOT / "bench/cpu"
WORK = ROOT / "target/bench/cpu"
PYTHON = WORK / "python/bin/python"
DEMO_SPEECH = ROOT / "models/speech/trifold-speech.bin"

ENGINES = ("llama", "whisper")

PROMPT = 256
TOKENS = 48

#: The models: random ones, and a demo model, whose transcripts are the same everywhere.
TEXT, SPEECH, DEMO = "text", "speech", "demo"
#: In each process, after one that is not counted.
ROUNDS = {TEXT: 1, SPEECH: 3, DEMO: 5}
NAMES = {
    (TEXT, "prompt"): f"text, prompt of {PROMPT}, tokens/s",
    (TEXT, "decode"): "text, single tokens, tokens/s",
    (SPEECH, "encode"): "speech, encoder, ms a window",
    (SPEECH, "decode"): "speech, decoder, ms a token",
    (SPEECH, "sample"): "speech, choosing tokens, ms a call",
    (SPEECH, "call"): "speech, whole call, ms",
    (DEMO, "call"): "speech, whole call, demo model, ms",
}

#: Against native builds.
NATIVE_GOALS: dict[str, dict[str, float | None]] = {
    TEXT: {"prompt": 0.98, "decode": 0.98},
    SPEECH: {"encode": 0.98, "decode": 0.98, "sample": None, "call": None},
    DEMO: {"call": None},
}
#: Against other packages: of the prompt, or the encoder, with AVX-512; and of single tokens.
PROMPT_GOAL, DECODE_GOAL = 1.3, 1.0


def main() -> None:
    """Builds, measures, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the tables there")
    parser.add_argument("--level", help="a lower CPU level, for a second table: the best one against it")
    cpus = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, default=cpus, help="one for each CPU by default")
    parser.add_argument("--turns", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="take our wheels from there")
    parser.add_argument("--build", action="store_true", help="build only")
    arguments = parser.parse_args()

    def work() -> None:
        build(arguments.wheels)
        if not arguments.build:
            publish(measure(arguments), arguments.output)

    run_script(work)


def build(wheels: Path | None) -> None:
    """Makes everything that is measured; what is there already takes no time."""
    if sys.version_info < (3, 12):
        raise Failed(
            f"Expected Python 3.12 or newer, found: {platform.python_version()}",
            "the newest cyllama needs it; run this script by another Python",
        )
    WORK.mkdir(parents=True, exist_ok=True)
    environment(wheels)
    prefix = libraries(ENGINES, WORK)
    cargo = ["cargo", "run", "--locked", "--quiet", "--release", "-p"]
    features = ["--no-default-features", "--features", ",".join(ENGINES)]
    for engine in ENGINES:
        models = ["--", engine, "--models", ROOT / "models", "--size", "large", "--save-models"]
        call(
            f"a random model for {engine}",
            [*cargo, "trifold-conformance", *features, *models, "-o", WORK / "models"],
        )
    folders = sources(ENGINES)
    for engine in ENGINES:
        native(engine, folders[engine])
        compile_program(engine, prefix, WORK)


def environment(folder: Path | None) -> None:
    """Other packages, and our wheels: those of the folder, or new ones."""
    if not PYTHON.exists():
        call("an environment", [sys.executable, "-m", "venv", PYTHON.parents[1]])
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    call("other packages", [*pip, "-r", HERE / "requirements.txt"], "the network is needed for the first run")
    if folder is None:
        folder = ROOT / "dist"
        call("our wheels", ["cargo", "xtask", "wheels", *(f"trifold-{engine}" for engine in ENGINES)])
    wheels = [wheel for engine in ENGINES for wheel in folder.glob(f"trifold_{engine}-*.whl")]
    if len(wheels) != len(ENGINES):
        raise Failed(
            f"Expected a wheel for each engine in: {folder} (found: {len(wheels)})", "leave --wheels out"
        )
    call("installing them", [*pip, "--force-reinstall", "--no-deps", *wheels])


def native(engine: str, source: Path) -> None:
    """The engine as its own CMake files compile it for this CPU."""
    folder = WORK / f"native-{engine}"
    cmake = PYTHON.with_name("cmake")
    defines = {
        "ENGINE": engine,
        "SOURCE": source,
        "CMAKE_MAKE_PROGRAM": PYTHON.with_name("ninja"),
        # Upstream turns these off where this is set, as for packages of distributions.
        "GGML_NATIVE": "ON",
    }
    flags = [f"-D{name}={value}" for name, value in defines.items()]
    # Without upstream's hundreds of warnings.
    say(f"{engine} by its own CMake, some minutes the first time")
    output(f"CMake of {engine}", [cmake, "-S", HERE, "-B", folder, "-G", "Ninja", *flags])
    output(f"compiling {engine}", [cmake, "--build", folder])


def measure(arguments: argparse.Namespace) -> str:
    """Lets all take turns, and makes the tables."""
    comparisons, lower = contestants(arguments)
    load = busy()
    started = time.monotonic()
    turns = take_turns([*comparisons, *lower], arguments.turns)
    minutes = (time.monotonic() - started) / 60
    text = f"{machine(arguments)} Load before: {load:.1f}; it took {minutes:.0f} minutes.\n\n"
    text += table("ours against", "theirs", comparisons, turns)
    if lower:
        text += "\n" + table("best level against", "that level", lower, turns)
    return text


def contestants(arguments: argparse.Namespace) -> tuple[list[Comparison], list[Comparison]]:
    """Who is compared with whom; and ours with ours at the lower level."""
    comparisons: list[Comparison] = []
    lower: list[Comparison] = []
    for model, engine in {TEXT: "llama", SPEECH: "whisper", DEMO: "whisper"}.items():
        options: list[str | Path] = [*program_options(model, arguments.threads), *files(model)]
        program = [WORK / PROGRAMS[engine], *options]
        ours = Contestant(f"our {engine}", model, program)
        other = Contestant(f"{engine}.cpp, native", model, [WORK / f"native-{engine}/native", *options])
        comparisons.append(compared(ours, other, NATIVE_GOALS[model]))
        if arguments.level:
            other = Contestant(arguments.level, model, program, {"TRIFOLD_CPU_LEVEL": arguments.level})
            lower.append(compared(ours, other, dict.fromkeys(NATIVE_GOALS[model])))

    ours = package("trifold-llama", TEXT, arguments.threads)
    for name in ("cyllama", "xllamacpp"):
        peer = package(name, TEXT, arguments.threads)
        comparisons.append(compared(ours, peer, {"prompt": PROMPT_GOAL, "decode": DECODE_GOAL}))
    # Our package has no way to read whisper.cpp's clocks, and so the C library stands for it.
    ours = next(one.ours for one in comparisons if one.ours.model == SPEECH)
    peer = package("pywhispercpp", SPEECH, arguments.threads)
    comparisons.append(compared(ours, peer, {"encode": PROMPT_GOAL, "decode": DECODE_GOAL}))
    ours = package("trifold-whisper", DEMO, arguments.threads)
    peer = package("pywhispercpp", DEMO, arguments.threads)
    comparisons.append(compared(ours, peer, {"call": None}))
    return comparisons, lower


def compared(ours: Contestant, other: Contestant, goals: Mapping[str, float | None]) -> Comparison:
    """With the names and goals of the measures."""
    model = ours.model
    measures = [Measure(key, NAMES[model, key], model == TEXT, goal) for key, goal in goals.items()]
    return Comparison(ours, other, measures)


def files(model: str) -> list[Path]:
    """What a program needs to measure a model."""
    return {
        TEXT: [WORK / "models/text.gguf"],
        SPEECH: [WORK / "models/speech.bin", RECORDING],
        DEMO: [DEMO_SPEECH, RECORDING],
    }[model]


def program_options(model: str, threads: int) -> list[str]:
    """The options of the C programs."""
    options = {
        TEXT: ["-n", PROMPT, "-m", TOKENS, "-r", ROUNDS[TEXT]],
        SPEECH: ["-m", TOKENS, "-r", ROUNDS[SPEECH]],
        DEMO: ["-r", ROUNDS[DEMO]],
    }[model]
    return [str(option) for option in ["-t", threads, *options]]


def package(name: str, model: str, threads: int) -> Contestant:
    """A package of Python, ours or another."""
    options = {"threads": threads, "prompt": PROMPT, "tokens": TOKENS, "rounds": ROUNDS[model]}
    if model == DEMO:
        options["tokens"] = 0
    flags = [f"--{option}={value}" for option, value in options.items()]
    return Contestant(name, model, [PYTHON, HERE / "drive.py", name, *files(model), *flags])


def machine(arguments: argparse.Namespace) -> str:
    """On what it was measured, and how the native builds were compiled."""
    script = "import trifold_llama as t; print(dict(t.versions())['cpu_level'])"
    variables = {name: value for name, value in os.environ.items() if name != "TRIFOLD_CPU_LEVEL"}
    level = output("asking for the CPU level", [PYTHON, "-c", script], variables).strip()
    openmp = {
        engine: "libgomp" in output("reading", ["readelf", "-d", WORK / f"native-{engine}/native"])
        for engine in ENGINES
    }
    with_openmp = {True: "with OpenMP", False: "without OpenMP"}
    compiler = output("asking the compiler", ["cc", "--version"]).splitlines()[0]
    builds = ", ".join(f"{engine} {with_openmp[openmp[engine]]}" for engine in ENGINES)
    script = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    names = ["cyllama", "xllamacpp", "pywhispercpp"]
    versions = output("asking for versions", [PYTHON, "-c", script, *names]).split()
    packages = ", ".join(f"{name} {version}" for name, version in zip(names, versions, strict=True))
    return (
        f"{cpu()}, {arguments.threads} threads, level {level}; {compiler}; native: {builds}; {packages}; "
        f"{arguments.turns} turns."
    )


if __name__ == "__main__":
    main()
