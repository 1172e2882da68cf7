"""The examples of the documentation, as type checkers see them."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

PAGE = """# Page

```python
import trifold

for piece in "ab":
    print(piece)
```

```text
no code
```

<!-- runs -->
```python
second = 2
```

```python
>>> third = 3
>>> if third:
...     print(
...         third)
3
>>> third + ""
Traceback (most recent call last):
TypeError: no
>>> third
3

```
"""

SOURCE = '''"""A module.

    >>> a = 1
    >>> a
    1
"""

b = ">>> no example"


class C:
    """A class.

    Examples:
        >>> for i in range(2):
        ...     print(i)
        0
        1
    """

    def f(self) -> None:
        """Without one."""

    async def g(self) -> None:
        """With one.

        >>> C()
        """
'''


def test_code_keeps_the_lines_of_its_document(examples):
    lines = examples.module(examples.blocks(PAGE)).splitlines()
    page = PAGE.splitlines()
    assert [line for line in lines if line] == [
        "import trifold",
        'for piece in "ab":',
        "    print(piece)",
        "second = 2",
        "third = 3",
        "if third:",
        "    print(",
        "        third)",
        "third",
    ]
    for number, line in enumerate(lines):
        assert line in page[number], number


def test_a_mark_chooses(examples):
    assert [piece.text for piece in examples.blocks(PAGE, mark="<!-- runs -->")] == ["second = 2\n"]


def test_docstrings_keep_their_lines(examples):
    found = examples.docstrings(SOURCE)
    assert sorted(found) == ["C_12", "g_25", "module"]
    source = SOURCE.splitlines()
    for pieces in found.values():
        text = examples.module(pieces)
        ast.parse(text)
        for number, line in enumerate(text.splitlines()):
            assert line in source[number], number
    assert [piece.text for piece in found["module"]] == ["a = 1\n", "a\n"]
    assert [piece.text for piece in found["C_12"]] == ["for i in range(2):\n    print(i)\n"]


def test_what_overlaps_is_refused(examples):
    one, other = examples.Code(1, "a = 1\nb = 2\n"), examples.Code(2, "c = 3\n")
    with pytest.raises(ValueError, match=r"Expected line 3 or later \(found: 2\)"):
        examples.module([one, other])


def test_all_documents_have_examples(examples, tmp_path):
    found = examples.examples()
    names = "\n".join(found)
    for document in ("README", "python_trifold_README", "trifold_llama___init___module"):
        assert document in found, names
    for package in ("llama", "whisper", "diffusion"):
        assert f"python_trifold_{package}_README" in found, names
        assert any(name.startswith(f"trifold_{package}__{package}_") for name in found), names
    assert sum(name.startswith("migrating_") for name in found) == 12
    # As the lints do it; what was there before is no example any more.
    (tmp_path / "old.py").touch()
    subprocess.run([sys.executable, examples.__file__, tmp_path], check=True, capture_output=True)
    assert {path.stem for path in tmp_path.iterdir()} == set(found)
    for path in tmp_path.iterdir():
        compile(path.read_text(encoding="utf-8"), path.name, "exec")
