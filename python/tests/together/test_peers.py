"""Our packages beside others with native code, in one process: everything imports, our engines answer as
they do alone, and no symbol of ours is bound by theirs, or of theirs by ours."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("answers.py")

#: What our extensions may take from outside: parts of glibc, and the compiler's support library.
SYSTEM = re.compile(r"^(libc|libm|libdl|libpthread|librt|libgcc_s)\.so|^ld-linux|^(lib)?python")

BINDING = re.compile(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: \w+ symbol `([^']+)'")


@dataclass
class Run:
    """A process that has ended."""

    status: int
    answers: object
    errors: str
    bindings: list[tuple[str, str, str]]

    @property
    def foreign(self) -> list[tuple[str, str, str]]:
        """Bindings between us and others that should not be."""
        return [
            (source, target, symbol)
            for source, target, symbol in self.bindings
            if (is_ours(source) and not is_ours(target) and not SYSTEM.match(Path(target).name))
            or (is_ours(target) and not is_ours(source))
        ]


def is_ours(path: str) -> bool:
    return re.search(r"/trifold_(llama|whisper|diffusion)/", path) is not None


def run(*names: str, visible: bool = False, folder: Path) -> Run:
    """Imports in this order, in a process of its own, with the loader telling what it binds."""
    log = folder / "-".join([*names, str(visible)]).replace(".", "_")
    arguments = [sys.executable, str(SCRIPT), *(["--global"] if visible else []), *names]
    environment = {**os.environ, "LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": str(log)}
    child = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    bindings = []
    for file in folder.glob(f"{log.name}.*"):
        with file.open(errors="replace") as lines:
            bindings += [
                found.groups() for line in lines if "trifold" in line and (found := BINDING.search(line))
            ]
        file.unlink()
    try:
        answers = json.loads(child.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        answers = None
    return Run(child.returncode, answers, child.stderr[-2000:], bindings)


@lru_cache(maxsize=1)
def alone(folder: Path) -> Run:
    return run("ours", folder=folder)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bindings")


def test_alone(folder: Path) -> None:
    found = alone(folder)
    assert found.status == 0, found.errors
    assert found.answers["speech"] == "Draw a red circle on a blue background."
    # The log is what the other tests rely on.
    ours = {Path(source).parent.name for source, _, _ in found.bindings if is_ours(source)}
    assert ours == {"trifold_llama", "trifold_whisper", "trifold_diffusion"}
    assert any(symbol == "memcpy" for _, _, symbol in found.bindings)
    assert not found.foreign


def test_beside(module: str, folder: Path) -> None:
    expected = alone(folder)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        cases = list(itertools.product([("ours", module), (module, "ours")], [False, True]))
        runs = list(pool.map(lambda case: run(*case[0], visible=case[1], folder=folder), cases))
    for (order, visible), found in zip(cases, runs):
        case = f"{' then '.join(order)}, {'RTLD_GLOBAL' if visible else 'RTLD_LOCAL'}"
        assert found.status == 0, f"{case}: {found.errors}"
        assert found.answers == expected.answers, case
        assert not found.foreign, f"{case}: {found.foreign[:10]}"
        assert found.bindings, case


def test_all_of_ours_in_every_order(folder: Path) -> None:
    expected = alone(folder)
    modules = ("trifold_llama", "trifold_whisper", "trifold_diffusion")
    for order in itertools.permutations(modules):
        found = run(*order, visible=True, folder=folder)
        assert (found.status, found.answers) == (0, expected.answers), f"{order}: {found.errors}"
        assert not found.foreign, found.foreign[:10]


def test_an_old_cpp_runtime_on_the_path_changes_nothing(folder: Path, tmp_path: Path) -> None:
    """As in an environment of conda, whose libstdc++ comes before the system's."""
    (tmp_path / "old.c").write_text("int trifold_old_runtime;\n")
    (tmp_path / "old.map").write_text("GLIBCXX_3.4 { global: *; };\n")
    subprocess.run(
        ["cc", "-shared", "-Wl,-soname,libstdc++.so.6", "-Wl,--version-script,old.map", "old.c"],
        cwd=tmp_path,
        check=True,
    )
    (tmp_path / "a.out").rename(tmp_path / "libstdc++.so.6")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}

    def child(*names: str) -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, str(SCRIPT), *names]
        return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)

    found = child("ours")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == alone(folder).answers
    # It is found: who needs the system's own does not load.
    assert "GLIBCXX" in child("_pywhispercpp").stderr
