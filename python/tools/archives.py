"""Looks into wheels and source distributions.

``python archives.py check FILE [--forbid TEXT]… [--at-most BYTES]``: has the licences, and nothing that it
should not have. ``python archives.py compare FOLDER FOLDER``: are two builds the same, byte by byte?
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

#: What is made while working, and belongs in no archive.
REFUSE = (".git/", ".mypy_cache/", "__pycache__/", "target/")


@dataclass(frozen=True)
class Entry:
    """A file in an archive: its name, what the archive says of it, and its bytes."""

    name: str
    attributes: tuple[object, ...]
    content: bytes


def main() -> None:
    """Does what the command line says; the status is 1 if there is something to complain about."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    look = commands.add_parser("check")
    look.add_argument("file", type=Path)
    look.add_argument("--forbid", action="append", default=[], metavar="TEXT")
    look.add_argument("--at-most", type=int, default=sys.maxsize, metavar="BYTES")
    both = commands.add_parser("compare")
    both.add_argument("folders", type=Path, nargs=2)
    given = parser.parse_args()
    if given.command == "check":
        findings = check(given.file, given.forbid, given.at_most)
    else:
        findings = compare(*given.folders)
    if findings:
        sys.exit("\n".join(findings))


def check(file: Path, forbidden: list[str], at_most: int) -> list[str]:
    """What is wrong with an archive."""
    findings = []
    size = file.stat().st_size
    if size > at_most:
        findings.append(f"{file.name}: {size} bytes (expected: at most {at_most})")
    found = entries(file)
    names = [entry.name for entry in found]
    for licence in ("LICENSE-APACHE", "LICENSE-MIT"):
        if not any(name.endswith(f"/licences/{licence}") for name in names):
            findings.append(f"{file.name}: has no licences/{licence}")
    for name in names:
        if any(f"/{part}" in f"/{name}" for part in REFUSE):
            findings.append(f"{file.name}: {name} does not belong there")
    for entry in found:
        findings += [
            f"{file.name}: {entry.name} names {text}"
            for text in forbidden
            if text.encode() in entry.content or text in entry.name
        ]
    return findings


def compare(one: Path, other: Path) -> list[str]:
    """Where two folders of archives differ. Prints the sum of each file that is the same in both."""
    findings = []
    names = {path.name for folder in (one, other) for path in folder.iterdir()}
    if not names:
        findings.append(f"Nothing to compare in {one}")
    for name in sorted(names):
        pair = (one / name, other / name)
        absent = [str(path.parent) for path in pair if not path.is_file()]
        if absent:
            findings.append(f"{name}: not in {absent[0]}")
            continue
        sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in pair]
        if sums[0] == sums[1]:
            print(f"{sums[0]}  {name}")
        else:
            findings.append(f"{name}: {sums[0]} and {sums[1]}")
            findings += [f"    {difference}" for difference in differences(*pair)]
    return findings


def differences(one: Path, other: Path) -> list[str]:
    """In what two archives differ, which are not the same."""
    found = [{entry.name: entry for entry in entries(path)} for path in (one, other)]
    differing = [f"{name}: in one of them only" for name in sorted(found[0].keys() ^ found[1].keys())]
    for name in sorted(found[0].keys() & found[1].keys()):
        left, right = found[0][name], found[1][name]
        if left.content != right.content:
            sizes = f"{len(left.content)} and {len(right.content)} bytes"
            differing.append(f"{name}: {sizes}, from byte {first_difference(left.content, right.content)} on")
        if left.attributes != right.attributes:
            differing.append(f"{name}: {left.attributes} and {right.attributes}")
    if not differing and list(found[0]) != list(found[1]):
        differing.append("the order of the files")
    return differing or ["how it is packed"]


def first_difference(one: bytes, other: bytes) -> int:
    """The offset of the first byte that is not the same in both."""
    shorter = min(len(one), len(other))
    return next((at for at in range(shorter) if one[at] != other[at]), shorter)


def entries(path: Path) -> list[Entry]:
    """The files of a wheel or a source distribution, in its order."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return [
                Entry(info.filename, (info.date_time, oct(info.external_attr >> 16)), wheel.read(info))
                for info in wheel.infolist()
            ]
    found = []
    with tarfile.open(path) as source:
        for member in source.getmembers():
            attributes = (member.mtime, oct(member.mode), member.uid, member.gid, member.uname, member.gname)
            file = source.extractfile(member)
            found.append(Entry(member.name, (*attributes, member.linkname), file.read() if file else b""))
    return found


if __name__ == "__main__":
    main()
