"""The page for people who come from other libraries: its code for trifold runs and prints what it says."""

from __future__ import annotations

import dataclasses
import doctest
import inspect
import re
import shutil
from pathlib import Path

import pytest
import trifold
import trifold_diffusion
import trifold_llama
import trifold_whisper

PAGE = Path(__file__).parents[3] / "docs" / "migrating.md"
SAMPLE = PAGE.parents[1] / "models" / "speech" / "samples" / "two-sentences.wav"

TASK = re.compile(r"^## (\d+\. .+)$", re.MULTILINE)
#: Code that has `<!-- runs -->` above it, and what it prints.
RUNS = re.compile(r"^<!-- runs -->\n```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^(\w+):\n\n\| trifold \|.*\n\| ---.*\n((?:\|.*\n)+)", re.MULTILINE)


def tasks() -> dict[str, str]:
    """The text below each numbered heading."""
    _, *parts = TASK.split(PAGE.read_text(encoding="utf-8").partition("\n## Names\n")[0])
    return dict(zip(parts[::2], parts[1::2]))


def test_there_are_twelve_tasks_and_each_is_in_the_contents() -> None:
    assert [int(title.partition(".")[0]) for title in tasks()] == list(range(1, 13))
    contents = re.findall(r"^\d+\. \[.+\]\(#(.+)\)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in tasks()]
    assert contents == anchors


@pytest.mark.parametrize("task", tasks())
def test_the_code_prints_what_the_page_says(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = RUNS.findall(tasks()[task])
    assert len(found) == tasks()[task].count("**trifold**") == 1
    code, expected = found[0]
    shutil.copy(SAMPLE, tmp_path / "talk.wav")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, f"{PAGE.name}: {task}", "exec"), {"__name__": "__main__"})
    printed = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines()).rstrip("\n") + "\n"
    assert doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS), printed


@pytest.mark.parametrize("task", tasks())
def test_the_others_code_is_python(task: str) -> None:
    blocks = CODE.findall(tasks()[task])
    assert len(blocks) > 1
    for code in blocks:
        compile(code, f"{PAGE.name}: {task}", "exec")


def names(kind: type, *namespaces: type) -> set[str]:
    """Parameters and public members of an engine's class, keys of options, fields of results."""
    found = {name for name in dir(kind) if not name.startswith("_")}
    for member in (kind, *(getattr(kind, name) for name in found)):
        if inspect.isfunction(member) or inspect.isclass(member):
            found = found | set(inspect.signature(member).parameters)
    for namespace in namespaces:
        if dataclasses.is_dataclass(namespace):
            found |= {field.name for field in dataclasses.fields(namespace)}
        else:
            found |= set(namespace.__annotations__)
    return found


def test_the_names_of_the_tables_exist() -> None:
    known = {
        "Text": names(trifold.Llama, trifold_llama.GenerateOptions, trifold_llama.Completion)
        | {"trifold_llama"},
        "Speech": names(trifold.Whisper, trifold_whisper.TranscribeOptions, trifold_whisper.Segment),
        "Pictures": names(trifold.Diffusion, trifold_diffusion.GenerateOptions, trifold_diffusion.Parts),
    }
    tables = dict(TABLE.findall(PAGE.read_text(encoding="utf-8")))
    assert tables.keys() == known.keys()
    for title, rows in tables.items():
        cells = [row.split("|")[1] for row in rows.splitlines()]
        listed = [name for cell in cells for name in re.findall(r"`(\w+)(?:=[^`]*)?`", cell)]
        assert len(listed) >= len(cells)
        assert set(listed) <= known[title], title
    parts = set(re.findall(r'"(\w+)": …', "".join(r.split("|")[1] for r in tables["Pictures"].splitlines())))
    assert parts == set(trifold_diffusion.Parts.__annotations__)
