"""Writes the Python examples of the documentation as modules, for type checkers.

``python examples.py OUT``: one module for each document, docstring, or example that runs by itself. A line of
an example has the same number as in its document, so that what a checker says is found there.
"""

from __future__ import annotations

import ast
import doctest
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: Its examples with this mark above them are programs of their own; the others are for other libraries.
MIGRATING = ROOT / "docs" / "migrating.md"
RUNS = "<!-- runs -->"

FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Code:
    """A piece of an example: its first line's number in the document, from 1, and its text."""

    line: int
    text: str


def main(out: Path) -> None:
    """Writes the examples of all documents, and says how many lines there are."""
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.py"):
        old.unlink()
    lines = 0
    for document, pieces in examples().items():
        lines += sum(piece.text.count("\n") for piece in pieces)
        (out / f"{document}.py").write_text(module(pieces), encoding="utf-8")
    print(f"{lines} lines of examples")


def examples() -> dict[str, list[Code]]:
    """The examples by the names of their modules."""
    found: dict[str, list[Code]] = {}
    for path in [ROOT / "README.md", *sorted(ROOT.glob("python/trifold*/README.md"))]:
        name = "_".join([*path.relative_to(ROOT).parts[:-1], path.stem]).replace("-", "_")
        found[name] = blocks(path.read_text(encoding="utf-8"))
    for piece in blocks(MIGRATING.read_text(encoding="utf-8"), mark=RUNS):
        found[f"migrating_{piece.line}"] = [piece]
    for path in sorted(ROOT.glob("python/trifold*/trifold*/*.py")):
        for name, pieces in docstrings(path.read_text(encoding="utf-8")).items():
            package = path.parent.name
            # A doctest sees what its module has.
            home = package if path.stem == "__init__" else f"{package}.{path.stem}"
            found[f"{package}_{path.stem}_{name}"] = [Code(1, f"from {home} import *\n"), *pieces]
    # Data has no code.
    return {name: pieces for name, pieces in found.items() if pieces}


def blocks(text: str, mark: str | None = None) -> list[Code]:
    """The code between the fences of a Markdown text, or only that with a mark above it."""
    found = []
    for block in FENCE.finditer(text):
        line = text.count("\n", 0, block.start(1))
        if mark is not None and not text[: block.start()].endswith(f"{mark}\n"):
            continue
        if block[1].startswith(">>> "):
            found += prompts(block[1], line)
        else:
            found.append(Code(line + 1, block[1]))
    return found


def docstrings(source: str) -> dict[str, list[Code]]:
    """The examples in a module's docstrings, by the names of what these describe."""
    found = {}
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        text = ast.get_docstring(node, clean=False)
        # What is read is the source, not what its escapes stand for: in these no line may be broken.
        if text is None or ">>>" not in text:
            continue
        line = node.body[0].lineno
        name = "module" if isinstance(node, ast.Module) else f"{node.name}_{line}"
        found[name] = prompts(text, line - 1)
    return found


def prompts(text: str, line: int) -> list[Code]:
    """What stands behind ``>>>`` and ``...`` in a text that begins below this line of its document.

    Without that which is there to fail, as the types of its arguments may already be wrong.
    """
    return [
        Code(line + example.lineno + 1, example.source)
        for example in doctest.DocTestParser().get_examples(text)
        if example.exc_msg is None
    ]


def module(pieces: list[Code]) -> str:
    """The pieces, each at the line where its document has it."""
    text = ""
    for piece in pieces:
        here = text.count("\n") + 1
        if piece.line < here:
            raise ValueError(f"Expected line {here} or later (found: {piece.line})\n{piece.text}")
        text += "\n" * (piece.line - here) + piece.text
    return text


if __name__ == "__main__":
    main(Path(sys.argv[1]))
