#!/usr/bin/env python3
"""Measures a GPU plugin: its speed against static builds, what it gives, and what it leaves.

    python3 bench/gpu/run.py [--output FILE] [--toolkit FOLDER] [--architectures 90]

Builds, below target/bench/gpu, what is measured: the plugin, our C libraries, all three engines with CUDA
inside by their own CMake from the same source packages, the program that writes down what engines give, and
random models. Then it measures, and prints one table.

Speed: both programs take turns, one process at a time, each turn in the opposite order of the one before; a
ratio is the median of the turns' ratios, above 1 where the plugin is faster, with the lowest and highest.

Needs Python 3.11 or newer, Rust, CMake, a C++ compiler, CUDA's toolkit, and a quiet machine with a GPU. Where
there is no Rust, what it builds can be given by options.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import (
    PROGRAMS,
    RECORDING,
    ROOT,
    SPEED,
    Comparison,
    Contestant,
    Figures,
    Measure,
    busy,
    call,
    compile_c,
    compile_program,
    cpu,
    figure,
    header,
    libraries,
    output,
    publish,
    row,
    run_script,
    say,
    sources,
    take_turns,
)

HERE = ROOT / "bench/gpu"
WORK = ROOT / "target/bench/gpu"

DEMO = {
    "llama": ROOT / "models/story/trifold-story.gguf",
    "whisper": ROOT / "models/speech/trifold-speech.bin",
    "diffusion": ROOT / "models/picture/trifold-picture.gguf",
}
RANDOM = {"llama": "text.gguf", "whisper": "speech.bin", "diffusion": "picture.gguf"}

PROMPT = 512
#: Of the random text model; some of them on the GPU.
LAYERS, SOME_LAYERS = 24, 12
SIZE = 512
GOAL = 0.98

#: What is measured on each model: options of the program, and its figures.
SPEEDS: dict[str, tuple[str, Sequence[Any], Sequence[Measure]]] = {
    "text": (
        "llama",
        ["-n", PROMPT, "-m", 128, "-r", 5],
        [
            Measure("prompt", f"text, prompts of {PROMPT}, tokens/s", True, GOAL),
            Measure("decode", "text, single tokens, tokens/s", True, GOAL),
        ],
    ),
    "text, in part": (
        "llama",
        ["-g", SOME_LAYERS, "-n", PROMPT, "-m", 32, "-r", 2],
        [
            Measure(
                "prompt",
                f"text, {SOME_LAYERS} of {LAYERS} layers on the GPU, prompts of {PROMPT}, tokens/s",
                True,
                GOAL,
            ),
            Measure(
                "decode",
                f"text, {SOME_LAYERS} of {LAYERS} layers on the GPU, single tokens, tokens/s",
                True,
                GOAL,
            ),
        ],
    ),
    "speech": (
        "whisper",
        ["-m", 48, "-r", 10],
        [
            Measure("encode", "speech, encoder, ms a window", False, GOAL),
            Measure("decode", "speech, decoder, ms a token", False, GOAL),
            Measure("call", "speech, whole call, ms", False),
        ],
    ),
    "pictures": (
        "diffusion",
        ["-w", SIZE, "-s", 8, "-r", 3],
        [
            Measure("step", f"pictures of {SIZE} x {SIZE}, ms a step", False, GOAL),
            Measure("call", "pictures, 8 steps, ms a picture", False),
        ],
    ),
}

#: Opened, used and closed so many times; what a picture model does meanwhile takes longer.
CYCLES: dict[str, tuple[int, Sequence[Any]]] = {
    "llama": (1000, []),
    "whisper": (100, []),
    "diffusion": (20, ["-w", 64, "-s", 2]),
}

#: Of the models of trifold-conformance: the demo models with random ones beside them, and large random ones.
SIZES = ("small", "large")
#: Of logarithms of probabilities, on average: what `trifold-pack align` allows another ggml.
LOGITS = {False: 0.1, True: 0.5}
PSNR = 30.0


@dataclass(frozen=True)
class Parts:
    """What was built, or given."""

    plugin: Path
    prefix: Path
    direct: Path
    conformance: Sequence[str | Path]
    models: Path
    programs: Path

    def ours(self, engine: str, options: Sequence[Any], model: Path) -> list[str | Path]:
        """The command line of a program with our library and the plugin."""
        return [self.programs / PROGRAMS[engine], "-p", self.plugin, *with_files(engine, options, model)]

    def random(self, engine: str) -> Path:
        """A random model that gives a GPU something to do."""
        return self.models / RANDOM[engine]


def main() -> None:
    """Builds, measures, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the table there")
    parser.add_argument("--toolkit", type=Path, default=toolkit(), help="CUDA's folder (by nvcc in PATH)")
    parser.add_argument("--architectures", help="what to compile for (this machine's GPU)")
    parser.add_argument("--name", default="cuda13", help="the plugin's name in engines.toml (cuda13)")
    parser.add_argument("--device", default="cuda", help="what its devices are asked for by (cuda)")
    parser.add_argument("--turns", type=int, default=5, help="how often speed is measured (5)")
    parser.add_argument("--only", choices=STEPS, action="append", help="a part of the table; may be repeated")
    parser.add_argument("--build", action="store_true", help="build only")
    given = parser.add_argument_group("what is taken as it is, instead of being built")
    given.add_argument("--plugin", type=Path, metavar="FILE")
    given.add_argument("--prefix", type=Path, metavar="FOLDER", help="our C libraries and their headers")
    given.add_argument("--direct", type=Path, metavar="FOLDER", help="with programs built by CMakeLists.txt")
    given.add_argument("--conformance", type=Path, metavar="PROGRAM", help="trifold-conformance")
    arguments = parser.parse_args()

    def work() -> None:
        # Static builds find cuBLAS where they were compiled, and a plugin beside its package.
        paths = [str(arguments.toolkit / "lib64"), os.environ.get("LD_LIBRARY_PATH", "")]
        os.environ["LD_LIBRARY_PATH"] = ":".join(filter(None, paths))
        parts = build(arguments)
        if not arguments.build:
            publish(measure(arguments, parts), arguments.output)

    run_script(work)


def toolkit() -> Path:
    """The folder of the nvcc in PATH, or where CUDA's installer puts it."""
    found = shutil.which("nvcc")
    return Path(found).resolve().parents[1] if found else Path("/usr/local/cuda")


def gpu(what: str) -> str:
    """What NVIDIA's driver says about the first GPU."""
    query = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader"]
    return output("asking for the GPU", query).splitlines()[0].strip()


def build(arguments: argparse.Namespace) -> Parts:
    """Makes everything that is measured; what is there already takes little time."""
    WORK.mkdir(parents=True, exist_ok=True)
    cargo = ["cargo", "run", "--locked", "--quiet", "--release", "-p"]
    architectures = arguments.architectures or gpu("compute_cap").replace(".", "")
    plugin = arguments.plugin
    if plugin is None:
        options = ["--toolkit", arguments.toolkit, "--architectures", architectures, "-o", WORK / "plugin"]
        command = [*cargo, "trifold-pack", "--", "plugin", arguments.name, *options]
        call("the plugin, some minutes the first time", command)
        plugin = WORK / f"plugin/libtrifold-backend-{arguments.name}.so"
    prefix = arguments.prefix or libraries(PROGRAMS, WORK)
    conformance = [*cargo, "trifold-conformance", "--"]
    if arguments.conformance:
        conformance = [arguments.conformance.resolve()]
    parts = Parts(
        plugin=plugin.resolve(),
        prefix=prefix.resolve(),
        direct=(arguments.direct or direct(arguments.toolkit, architectures)).resolve(),
        conformance=conformance,
        models=WORK / "models",
        programs=WORK,
    )
    for engine in PROGRAMS:
        if not parts.random(engine).exists():
            models = ["--models", ROOT / "models", "--size", "large", "--save-models", "-o", parts.models]
            call(f"a random model for {engine}", [*conformance, engine, *models])
        compile_program(engine, parts.prefix, WORK)
    compile_together(parts.prefix)
    return parts


def direct(folder: Path, architectures: str) -> Path:
    """The engines with CUDA inside as their own CMake files compile them."""
    out = WORK / "direct"
    defines = {
        **{name.upper(): path for name, path in sources(PROGRAMS).items()},
        "CMAKE_CUDA_ARCHITECTURES": architectures.replace(",", ";"),
        "CMAKE_CUDA_COMPILER": folder / "bin/nvcc",
        "CUDAToolkit_ROOT": folder,
        # Upstream turns these off where this is set, as for packages of distributions.
        "GGML_NATIVE": "ON",
    }
    flags = [f"-D{name}={value}" for name, value in defines.items()]
    # Starts with what takes longest; make waits for one engine's library before it begins with another.
    if shutil.which("ninja"):
        flags += ["-G", "Ninja"]
    # Without upstream's hundreds of warnings.
    say("the engines by their own CMake, some minutes the first time")
    output("CMake", ["cmake", "-S", HERE, "-B", out, *flags])
    output("compiling", ["cmake", "--build", out, "--parallel", os.cpu_count() or 1])
    return out


def compile_together(prefix: Path) -> None:
    """Compiles the program with all three engines in it."""
    objects = []
    for engine, program in PROGRAMS.items():
        objects.append(WORK / f"{program}-together.o")
        names = ["-DTRIFOLD", "-DTOGETHER", f"-Dmain=run_{program}", f"-I{prefix}/include/trifold-{engine}"]
        compile_c(f"{program}, for together", ["-c", *names, SPEED / f"{program}.c"], ["-o", objects[-1]])
    engines = [f"-ltrifold-{engine}" for engine in PROGRAMS]
    linking = [f"-L{prefix}/lib", *engines, "-lpthread", f"-Wl,-rpath,{prefix}/lib", "-o", WORK / "together"]
    compile_c("together", ["-DTOGETHER", SPEED / "together.c", *objects], linking)


def with_files(engine: str, options: Sequence[Any], model: Path) -> list[str | Path]:
    """The options of a program, and the files that it needs."""
    files = [model, RECORDING] if engine == "whisper" else [model]
    return [*map(str, options), *files]


def measure(arguments: argparse.Namespace, parts: Parts) -> str:
    """Makes the table."""
    load = busy()
    started = time.monotonic()
    lines = header(["what", "found", "goal", "met", "figures"])
    for name in arguments.only or STEPS:
        lines += STEPS[name](arguments, parts)
    minutes = (time.monotonic() - started) / 60
    text = f"{machine(arguments)} Load before: {load:.1f}; it took {minutes:.0f} minutes.\n\n"
    return text + "\n".join(lines) + "\n"


def machine(arguments: argparse.Namespace) -> str:
    """On what it was measured."""
    nvcc = output("asking nvcc", [arguments.toolkit / "bin/nvcc", "--version"])
    release = next(
        line.split("release ")[1].split(",")[0] for line in nvcc.splitlines() if "release " in line
    )
    return (
        f"{gpu('name')}, driver {gpu('driver_version')}, CUDA {release}; {cpu()}, {os.cpu_count()} threads; "
        f"{arguments.turns} turns."
    )


def line(what: str, found: str, goal: str = "", met: bool | None = None, figures: str = "") -> str:
    """A line of the table."""
    return row([what, found, goal, {None: "", True: "yes", False: "**no**"}[met], figures])


def speed(arguments: argparse.Namespace, parts: Parts) -> Iterator[str]:
    """The plugin against static builds."""
    comparisons = []
    for model, (engine, options, measures) in SPEEDS.items():
        path = parts.random(engine)
        command = [parts.direct / PROGRAMS[engine], *with_files(engine, options, path)]
        ours = Contestant("plugin", model, parts.ours(engine, options, path))
        comparisons.append(Comparison(ours, Contestant("direct", model, command), measures))
    turns = take_turns(comparisons, arguments.turns)
    for comparison in comparisons:
        for measure in comparison.measures:
            ratios = comparison.ratios(measure, turns)
            ratio = statistics.median(ratios)
            plugin, static = (
                figure(turn[one][measure.key] for turn in turns)
                for one in (comparison.ours, comparison.other)
            )
            yield line(
                f"{measure.title}: plugin ÷ direct",
                f"{ratio:.3f} ({min(ratios):.2f} to {max(ratios):.2f})",
                f"≥ {measure.goal}" if measure.goal else "",
                ratio >= measure.goal if measure.goal else None,
                f"{plugin}, direct {static}",
            )
    equal = {
        pair.ours.model: len({*pair.ours.outputs, *pair.other.outputs}) == 1
        for pair in comparisons
        if pair.ours.outputs
    }
    same = [model for model, is_equal in equal.items() if is_equal]
    yield line(
        "the same bits as the direct build, all turns",
        f"{len(same)} of {len(equal)}",
        figures=", ".join(same),
    )


def agreement(arguments: argparse.Namespace, parts: Parts) -> Iterator[str]:
    """What the engines give, on the GPU and on the CPU."""
    folder = WORK / "answers"
    folder.mkdir(exist_ok=True)
    cases = [(engine, size) for engine in PROGRAMS for size in SIZES]
    threads = max(1, (os.cpu_count() or 1) // len(cases))

    def answers(engine: str, size: str, device: str) -> list[dict[str, Any]]:
        path = folder / f"{engine}-{size}-{device}.json"
        options = [engine, "--models", ROOT / "models", "--size", size, "--threads", threads, "-o", path]
        if device != "cpu":
            options += ["--device", device, "--backend", parts.plugin]
        output(f"asking {engine}, {size} models, on {device}", [*parts.conformance, *options])
        found: list[dict[str, Any]] = json.loads(path.read_text())["cases"]
        return found

    say("what the engines give, on the GPU and on the CPU")
    with ThreadPoolExecutor() as pool:
        jobs = [
            [pool.submit(answers, engine, size, device) for device in ("cpu", arguments.device)]
            for engine, size in cases
        ]
        found = [[job.result() for job in pair] for pair in jobs]
    by_model: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for (engine, _), (on_cpu, on_gpu) in zip(cases, found):
        for one, other in zip(on_cpu, on_gpu):
            by_model.setdefault(f"{engine}, {one['model']}", []).append((one, other))
    for model, pairs in by_model.items():
        yield from KINDS[pairs[0][0]["kind"]](model, pairs)


Pairs = Sequence[tuple[dict[str, Any], dict[str, Any]]]


def compare_text(model: str, pairs: Pairs) -> Iterator[str]:
    """Logits, as logarithms of probabilities, and greedy answers."""
    differences = [
        abs(a - b)
        for one, other in pairs
        for place, other_place in zip(one["logits"], other["logits"])
        for a, b in zip(place, other_place)
    ]
    mean, goal = statistics.fmean(differences), LOGITS[pairs[0][0]["random"]]
    found = f"mean {mean:.3f}"
    yield line(
        f"{model}: logits against the CPU",
        found,
        f"≤ {goal}",
        mean <= goal,
        f"at most {max(differences):.2f}",
    )
    # What random weights say next is often as probable as something else.
    yield compare_all(f"{model}: answers of 32 tokens", pairs, "tokens", not pairs[0][0]["random"])


def compare_transcripts(model: str, pairs: Pairs) -> Iterator[str]:
    """Texts, and the probabilities of the tokens that both have."""
    differences = [
        abs(a[1] - b[1])
        for one, other in pairs
        if one["text"] == other["text"]
        for a, b in zip(one["tokens"], other["tokens"])
    ]
    figures = f"probabilities of tokens: at most {max(differences, default=math.nan):.4f}"
    yield compare_all(f"{model}: transcripts", pairs, "text", True, figures)


def compare_all(what: str, pairs: Pairs, key: str, is_goal: bool, figures: str = "") -> str:
    """How many are equal."""
    same = sum(one[key] == other[key] for one, other in pairs)
    met = same == len(pairs) if is_goal else None
    return line(
        f"{what}, the same as on the CPU", f"{same} of {len(pairs)}", "all" if is_goal else "", met, figures
    )


def compare_pictures(model: str, pairs: Pairs) -> Iterator[str]:
    """Peak signal-to-noise ratios."""
    ratios = []
    for one, other in pairs:
        errors = [(a - b) ** 2 for a, b in zip(one["rgb8"], other["rgb8"])]
        mean = statistics.fmean(errors)
        ratios.append(10 * math.log10(255**2 / mean) if mean else math.inf)
    figures = ", ".join(f"{ratio:.1f}" for ratio in ratios)
    worst = min(ratios)
    yield line(
        f"{model}: pictures against the CPU, dB", f"{worst:.1f}", f"> {PSNR:.0f}", worst > PSNR, figures
    )


KINDS: dict[str, Callable[[str, Pairs], Iterator[str]]] = {
    "text": compare_text,
    "transcript": compare_transcripts,
    "picture": compare_pictures,
}


def memory(arguments: argparse.Namespace, parts: Parts) -> Iterator[str]:
    """What the GPU has after models were opened, used and closed."""
    for engine, (cycles, options) in CYCLES.items():
        say(f"{engine}: {cycles} times")
        command = parts.ours(engine, ["-c", cycles, *options], DEMO[engine])
        found = json.loads(output(f"opening and closing {engine}", command))
        lost = found["free_after_first"] - found["free_after_last"]
        free = f"{found['free_after_last'] / 1e6:.0f} MB free"
        what = f"{engine}: GPU memory lost by opening, using and closing the demo model {cycles} times, bytes"
        yield line(what, str(lost), "0", lost <= 0, free)


def together(arguments: argparse.Namespace, parts: Parts) -> Iterator[str]:
    """All engines on threads of one process."""
    commands = {
        engine: parts.ours(engine, [*options, "-r", rounds], parts.random(engine))
        for (engine, options, _), rounds in zip(
            (SPEEDS[model] for model in ("text", "speech", "pictures")), (20, 40, 5)
        )
    }
    say("each engine alone, then all in one process")
    alone = [json.loads(output(f"running {engine}", command)) for engine, command in commands.items()]
    words = [word for command in commands.values() for word in ("--", *command[1:])]
    lines = output("running all three", [parts.programs / "together", *words]).splitlines()
    at_once = {frozenset(one): one for one in map(json.loads, lines)}
    # Each engine has measures of its own.
    found = [at_once.get(frozenset(one), {}) for one in alone]
    same = sum(one["output"] == other.get("output") for one, other in zip(alone, found))
    key = {"llama": "decode", "whisper": "encode", "diffusion": "step"}
    figures = ", ".join(
        f"{engine} {key[engine]} {one[key[engine]]:.3g} → {other.get(key[engine], math.nan):.3g}"
        for engine, one, other in zip(commands, alone, found)
    )
    what = "all three engines at once in one process: the same bits as alone"
    yield line(what, f"{same} of {len(alone)}", "all", same == len(alone), figures)


def two(arguments: argparse.Namespace, parts: Parts) -> Iterator[str]:
    """Two processes on one GPU."""
    options = SPEEDS["text"][1]
    command = parts.ours("llama", [*options, "-r", 20], parts.random("llama"))
    say("two processes at once")
    alone = json.loads(output("running one", command))
    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(output, "running two", command) for _ in range(2)]
        both: list[Figures] = [json.loads(job.result()) for job in jobs]
    same = sum(one["output"] == alone["output"] for one in both)
    speeds = " and ".join(figure([one["decode"]]) for one in both)
    figures = f"single tokens/s: {speeds}, alone {figure([alone['decode']])}"
    yield line("two processes at once: the same bits as alone", f"{same} of 2", "all", same == 2, figures)


STEPS: dict[str, Callable[[argparse.Namespace, Parts], Iterable[str]]] = {
    "speed": speed,
    "agreement": agreement,
    "memory": memory,
    "together": together,
    "two": two,
}

if __name__ == "__main__":
    main()
