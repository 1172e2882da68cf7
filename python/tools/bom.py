"""Checks bills of materials by CycloneDX's own schema: ``python bom.py FILE…``.

What the schema cannot say is checked, too: no reference is there twice, and none leads nowhere.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def main() -> None:
    """Says what is wrong with each file."""
    bad = [
        f"{name}: {problem}" for name in sys.argv[1:] for problem in problems(Path(name).read_text("utf-8"))
    ]
    if bad or len(sys.argv) < 2:
        sys.exit("\n".join(bad) or __doc__)


def problems(text: str) -> list[str]:
    """What is wrong with a bill of materials."""
    bom = json.loads(text)
    validator = JsonStrictValidator(SchemaVersion.from_version(bom["specVersion"]))
    found = [str(error) for error in validator.validate_str(text, all_errors=True) or ()]
    known = references(bom["components"])
    found += [f"{name} is there more than once" for name in sorted(set(known)) if known.count(name) > 1]
    used = {name for each in bom["dependencies"] for name in (each["ref"], *each["dependsOn"])}
    return found + [f"{name} is used, and not there" for name in sorted(used - set(known))]


def references(components: list[dict]) -> list[str]:
    """The references of components, and of those inside of them."""
    found = []
    for component in components:
        found += [component["bom-ref"], *references(component.get("components", []))]
    return found


if __name__ == "__main__":
    main()
