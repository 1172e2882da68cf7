"""What the scripts in the folders beside this file share: steps that build, turns, and tables."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

ROOT = Path(__file__).resolve().parents[1]
SPEED = ROOT / "bench/speed"
RECORDING = ROOT / "models/speech/samples/two-sentences.wav"

#: Engine → the program of bench/speed.
PROGRAMS = {"llama": "decode", "whisper": "transcribe", "diffusion": "draw"}

#: One process's figures, by measure.
Figures = dict[str, float]

NEEDED = "CONTRIBUTING.md lists what a build needs"


class Failed(Exception):
    """A step did not work; the second argument is a hint."""


@dataclass(frozen=True)
class Measure:
    """One of the figures that a program gives."""

    key: str
    title: str
    more_is_better: bool
    goal: Optional[float] = None


@dataclass(frozen=True, eq=False)
class Contestant:
    """A program that measures one thing on one model."""

    name: str
    model: str
    command: Sequence[str | Path]
    variables: Mapping[str, str] = field(default_factory=dict)
    #: What the engine gave in each run, as a digest, where the program says it.
    outputs: list[str] = field(default_factory=list)

    def run(self) -> Figures:
        """Its figures."""
        variables = {**os.environ, **self.variables}
        if "TRIFOLD_CPU_LEVEL" not in self.variables:
            variables.pop("TRIFOLD_CPU_LEVEL", None)
        found = json.loads(output(f"measuring {self.name}", self.command, variables))
        self.outputs.append(found.pop("output", ""))
        return {name: float(value) for name, value in found.items()}


#: The figures of all contestants, of one turn.
Turn = Mapping[Contestant, Figures]


@dataclass(frozen=True)
class Comparison:
    """Ours against another, on one model."""

    ours: Contestant
    other: Contestant
    measures: Sequence[Measure]

    def ratios(self, measure: Measure, turns: Sequence[Turn]) -> list[float]:
        """Of each turn, above 1 where ours is faster."""
        pairs = [(turn[self.ours][measure.key], turn[self.other][measure.key]) for turn in turns]
        return [a / b if measure.more_is_better else b / a for a, b in pairs]

    def rows(self, turns: Sequence[Turn]) -> list[str]:
        """Lines of the table."""
        lines = []
        for measure in self.measures:
            ratios = self.ratios(measure, turns)
            cells = [
                measure.title,
                self.other.name,
                f"{statistics.median(ratios):.2f}",
                f"{min(ratios):.2f} to {max(ratios):.2f}",
                f"≥ {measure.goal}" if measure.goal else "",
                figure(turn[self.ours][measure.key] for turn in turns),
                figure(turn[self.other][measure.key] for turn in turns),
            ]
            lines.append(row(cells))
        return lines


def run_script(work: Callable[[], None]) -> None:
    """Does the work of a script, and says why if it cannot."""
    try:
        work()
    except Failed as error:
        what, hint = error.args
        sys.exit(f"error: {what}\n\nhint: {hint}")
    except KeyboardInterrupt:
        sys.exit("error: Interrupted")


def publish(text: str, path: Optional[Path]) -> None:
    """Prints what came out, and writes it into a file."""
    print(text)
    if path:
        path.write_text(text)


def take_turns(comparisons: Iterable[Comparison], count: int) -> list[Turn]:
    """Lets all contestants run, one at a time, each turn in the opposite order of the one before."""
    everyone = list(dict.fromkeys(one for pair in comparisons for one in (pair.ours, pair.other)))
    turns: list[Turn] = []
    for turn in range(count):
        order = everyone if turn % 2 == 0 else everyone[::-1]
        turns.append({one: one.run() for one in order if say(f"turn {turn + 1}: {one.model}, {one.name}")})
    return turns


def busy() -> float:
    """The load; says so if it is too high for a measurement."""
    load = os.getloadavg()[0]
    if load > 0.5:
        say(f"warning: the load is {load:.1f}: what else runs here makes the figures worse")
    return load


def sources(engines: Iterable[str]) -> dict[str, Path]:
    """Where Cargo has put each engine's source."""
    import tomllib  # not in all Pythons that can say so

    known = tomllib.loads((ROOT / "engines.toml").read_text())["engine"]
    listed = output("cargo metadata", ["cargo", "metadata", "--locked", "--format-version", "1"])
    packages = {(one["name"], one["version"]): one for one in json.loads(listed)["packages"]}
    folders = {}
    for engine in engines:
        source = known[engine]["source"]
        if "crate" not in source:
            raise Failed(
                f"Expected a Cargo package as the source of: {engine}", "see `source` in engines.toml"
            )
        package = packages[source["crate"], source["version"]]
        folders[engine] = Path(package["manifest_path"]).parent / source["dir"]
    return folders


def libraries(engines: Iterable[str], work: Path) -> Path:
    """Builds our C libraries, and returns their prefix."""
    pack = ["cargo", "run", "--locked", "--quiet", "--release", "-p", "trifold-pack", "--"]
    names = ["--engines", ",".join(engines), "--no-python"]
    call("our C libraries", [*pack, "layout", "sealed-shared", *names, "-o", work / "layouts"])
    return work / "layouts/sealed-shared/prefix"


def compile_program(engine: str, prefix: Path, folder: Path) -> Path:
    """Compiles the program of bench/speed for our C library of an engine."""
    program = PROGRAMS[engine]
    compile_c(
        f"{program} with our {engine}",
        ["-DTRIFOLD", SPEED / f"{program}.c", f"-I{prefix}/include/trifold-{engine}"],
        [f"-L{prefix}/lib", f"-ltrifold-{engine}", f"-Wl,-rpath,{prefix}/lib", "-o", folder / program],
    )
    return folder / program


def compile_c(what: str, compiling: Sequence[Any], linking: Sequence[Any]) -> None:
    """Runs the C compiler."""
    call(what, [os.environ.get("CC", "cc"), "-O2", *compiling, *linking])


def cpu() -> str:
    """What this machine's CPU calls itself."""
    return next(
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )


def table(heading: str, theirs: str, comparisons: Iterable[Comparison], turns: Sequence[Turn]) -> str:
    """The comparisons as a table in Markdown."""
    lines = header(["measure", heading, "ratio", "turns", "goal", "ours", theirs])
    for comparison in comparisons:
        lines += comparison.rows(turns)
    return "\n".join(lines) + "\n"


def header(cells: Sequence[str]) -> list[str]:
    """The first lines of a table."""
    return [row(cells), "| --- " * len(cells) + "|"]


def row(cells: Iterable[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def figure(values: Iterable[float]) -> str:
    """The median, with three digits or more."""
    median = statistics.median(values)
    return f"{median:.0f}" if median >= 100 else f"{median:.3g}"


def say(text: str) -> bool:
    """Shows what goes on."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
    return True


def call(what: str, command: Sequence[Any], hint: str = "what it printed is above") -> None:
    """Runs a step that prints for people."""
    say(what)
    try:
        done = subprocess.run(list(map(str, command)), stdout=sys.stderr, cwd=ROOT)
    except FileNotFoundError as error:
        raise Failed(f"Could not start, for {what}: {command[0]}", NEEDED) from error
    if done.returncode != 0:
        raise Failed(f"Could not finish: {what} (exit status {done.returncode})", hint)


def output(what: str, command: Sequence[Any], variables: Optional[Mapping[str, str]] = None) -> str:
    """What a program prints; what it says beside that is shown only if it fails."""
    try:
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, env=variables, cwd=ROOT
        )
    except FileNotFoundError as error:
        raise Failed(f"Could not start, for {what}: {command[0]}", NEEDED) from error
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        raise Failed(f"Could not finish {what}: exit status {done.returncode}", "what it printed is above")
    return done.stdout
