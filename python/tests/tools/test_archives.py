"""What is said about wheels and source distributions."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile

import pytest

LICENCES = {"p/licences/LICENSE-APACHE": b"a", "p/licences/LICENSE-MIT": b"m"}


@pytest.fixture(params=[".whl", ".tar.gz"])
def write(request, tmp_path):
    """Writes an archive of one kind, in a folder below the temporary one."""

    def write(folder, content, *, time=(2026, 1, 1, 0, 0, 0)):
        path = tmp_path / folder / f"p-1{request.param}"
        path.parent.mkdir(exist_ok=True)
        if request.param == ".whl":
            with zipfile.ZipFile(path, "w") as wheel:
                for name, data in content.items():
                    wheel.writestr(zipfile.ZipInfo(name, time), data)
        else:
            with tarfile.open(path, "w:gz", compresslevel=1) as source:
                for name, data in content.items():
                    member = tarfile.TarInfo(name)
                    member.size, member.mtime = len(data), time[0]
                    source.addfile(member, io.BytesIO(data))
            # The time at which it was packed is in there, too.
            data = bytearray(path.read_bytes())
            data[4:8] = bytes(4)
            path.write_bytes(data)
        return path

    return write


def test_a_good_one(archives, write):
    assert archives.check(write("a", LICENCES), ["/home/me"], 10_000) == []


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        ({"p/a": b"x\x00/home/me/b.c"}, "p/a names /home/me"),
        ({"p/__pycache__/a.pyc": b""}, "p/__pycache__/a.pyc does not belong there"),
        ({"target/a": b""}, "target/a does not belong there"),
    ],
)
def test_what_does_not_belong(archives, write, content, finding):
    (found,) = archives.check(write("a", {**LICENCES, **content}), ["/home/me"], 10_000)
    assert found.endswith(f": {finding}")


def test_without_licences_or_too_large(archives, write):
    path = write("a", {"p/licences/LICENSE-MIT": b""})
    assert archives.check(path, [], 10) == [
        f"{path.name}: {path.stat().st_size} bytes (expected: at most 10)",
        f"{path.name}: has no licences/LICENSE-APACHE",
    ]


def test_two_builds(archives, write, tmp_path, capsys):
    one = write("one", LICENCES)
    write("two", LICENCES)
    assert archives.compare(tmp_path / "one", tmp_path / "two") == []
    digest, name = capsys.readouterr().out.split()
    assert (len(digest), name) == (64, one.name)


def test_each_difference_is_named(archives, write, tmp_path):
    def differences(content, **options):
        return archives.differences(write("one", LICENCES), write("two", content, **options))

    licence, other = LICENCES
    assert differences({**LICENCES, licence: b"b"}) == [f"{licence}: 1 and 1 bytes, from byte 0 on"]
    assert differences({**LICENCES, licence: b"a "}) == [f"{licence}: 1 and 2 bytes, from byte 1 on"]
    assert differences({licence: b"a"}) == [f"{other}: in one of them only"]
    assert differences(dict(reversed(LICENCES.items()))) == ["the order of the files"]
    assert len(differences(LICENCES, time=(2027, 1, 1, 0, 0, 0))) == 2
    (sums, *_) = archives.compare(tmp_path / "one", tmp_path / "two")
    assert " and " in sums


def test_a_file_in_one_folder_only(archives, write, tmp_path):
    path = write("one", LICENCES)
    (tmp_path / "two").mkdir()
    assert archives.compare(tmp_path / "one", tmp_path / "two") == [f"{path.name}: not in {tmp_path / 'two'}"]
    path.unlink()
    assert archives.compare(tmp_path / "one", tmp_path / "two") == [
        f"Nothing to compare in {tmp_path / 'one'}"
    ]


def test_the_status_says_it(archives, write, tmp_path):
    path = write("one", LICENCES)

    def run(*arguments):
        return subprocess.run([sys.executable, archives.__file__, *arguments], capture_output=True, text=True)

    assert run("check", path).returncode == 0
    refused = run("check", path, "--at-most", "1")
    assert (refused.returncode, "expected: at most 1" in refused.stderr) == (1, True)
    assert run("compare", path.parent, path.parent).returncode == 0
