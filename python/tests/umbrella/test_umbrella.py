"""The package ``trifold``: lazy imports, versions, and the program."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trifold
from trifold.__main__ import program


def python(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment or None)


def test_importing_it_loads_no_engine() -> None:
    script = "import sys, trifold; print([name for name in sys.modules if name.startswith('trifold')])"
    assert python(script).stdout == "['trifold']\n"


def test_each_name_is_the_engine_s_own() -> None:
    import trifold_diffusion
    import trifold_llama
    import trifold_whisper

    assert trifold.Llama is trifold_llama.Llama
    assert trifold.Whisper is trifold_whisper.Whisper
    assert trifold.Diffusion is trifold_diffusion.Diffusion
    assert trifold.__all__ == dir(trifold)
    with pytest.raises(AttributeError, match="'trifold' has no attribute 'Lama'"):
        trifold.Lama  # noqa: B018


def alone(folder: Path) -> None:
    """Puts the umbrella into a folder, without any engine."""
    (folder / "trifold").symlink_to(Path(trifold.__file__).parent)


def test_only_what_is_installed_is_listed(tmp_path: Path) -> None:
    alone(tmp_path)
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import pydoc, trifold
assert dir(trifold) == sorted(trifold.__all__)
star = {{}}
exec("from trifold import *", star)
print(dir(trifold), sorted(star.keys() & {{"Diffusion", "Llama", "Whisper"}}))
shown = pydoc.plain(pydoc.render_doc(trifold))
print([name for name in ("Diffusion", "Llama", "Whisper") if "class " + name in shown])
"""

    def listed() -> list[str]:
        found = python(script, "-S", "-I")
        assert found.stderr == ""
        return found.stdout.splitlines()

    assert listed() == ["['__version__', 'devices'] []", "[]"]
    (tmp_path / "trifold_llama.py").write_text(
        f"__version__ = {trifold.__version__!r}\nclass Llama:\n    'It.'\nLlama.__module__ = 'trifold'\n"
    )
    assert listed() == ["['Llama', '__version__', 'devices'] ['Llama']", "['Llama']"]


@pytest.mark.parametrize("extra", ["llama", "whisper", "diffusion"])
def test_without_the_engines(extra: str, tmp_path: Path) -> None:
    alone(tmp_path)
    name = extra.capitalize()
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import trifold; trifold.{name}"
    errors = python(script, "-S", "-I").stderr
    assert f"ImportError: The package trifold-{extra} is not installed" in errors
    assert f"hint: pip install 'trifold[{extra}]=={trifold.__version__}'" in errors


def test_another_version_is_refused_with_both_named(tmp_path: Path) -> None:
    (tmp_path / "trifold_llama.py").write_text("__version__ = '9.9'\nLlama = 1\n")
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import trifold; trifold.Llama"
    errors = python(script).stderr
    assert f"Expected trifold-llama {trifold.__version__}, the version of trifold (found: 9.9)" in errors
    assert "hint: pip install" in errors


def test_a_broken_engine_s_own_error_is_seen(tmp_path: Path) -> None:
    (tmp_path / "trifold_llama.py").write_text("import no_such_module\n")
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import trifold; trifold.Llama"
    assert "No module named 'no_such_module'" in python(script).stderr


def test_a_program_that_is_not_there_is_named_as_python_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda *_: str(tmp_path))
    with pytest.raises(FileNotFoundError, match="pip install --force-reinstall trifold") as caught:
        program()
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(tmp_path / "trifold"))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program(), *arguments], capture_output=True, text=True, check=False)


def test_the_program_runs_the_demo(tmp_path: Path) -> None:
    found = run("demo", "--output", str(tmp_path / "demo"))
    assert found.returncode == 0, found.stderr
    assert "Draw a red circle on a blue background." in found.stdout
    assert (tmp_path / "demo" / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_the_program_is_also_a_module() -> None:
    command = [sys.executable, "-m", "trifold", "doctor", "--json"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(json.loads(found.stdout)["engines"]) == 3


def test_the_program_draws_with_the_tokenizers_of_the_package_or_says_what_is_missing(tmp_path: Path) -> None:
    picture = tmp_path / "circle.png"
    small = ["--width", "64", "--height", "64", "--steps", "1", "-o", str(picture), "a circle"]
    found = run("draw", *small)
    assert found.returncode == 0, found.stderr
    assert picture.exists()

    # Away from its package.
    alone = tmp_path / "trifold"
    alone.write_bytes(Path(program()).read_bytes())
    alone.chmod(0o755)
    import trifold_demo_models

    models = Path(trifold_demo_models.__file__).parent
    model = ["--model", str(models / "trifold-picture.gguf")]
    found = subprocess.run([alone, "draw", *model, *small], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "Failed to find the tokenizer vocabularies" in found.stderr
    assert "pip install trifold-diffusion" in found.stderr
    found = subprocess.run([alone, "generate", "Once"], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "error: Demo model not installed: demo:story" in found.stderr
    assert "pip install trifold-demo-models" in found.stderr


def test_doctor_says_where_the_demo_models_are(tmp_path: Path) -> None:
    import trifold_demo_models

    story = Path(trifold_demo_models.__file__).with_name("trifold-story.gguf")
    assert f"5.6 MB, beside the program: {story}\n" in run("doctor").stdout
    models = json.loads(run("doctor", "--json").stdout)["demo_models"]
    assert {(model["place"], model["hint"]) for model in models} == {("beside", None)}
    assert models[0]["path"] == str(story)

    def doctor(**environment: str) -> str:
        found = subprocess.run(
            [away, "doctor"], capture_output=True, text=True, check=True, env={**os.environ, **environment}
        )
        return found.stdout

    away = tmp_path / "trifold"
    away.write_bytes(Path(program()).read_bytes())
    away.chmod(0o755)
    found = doctor()
    assert found.count(" MB, not there\n") == 3
    assert "Install them with `pip install trifold-demo-models`" in found
    assert f"beside the program: {story}\n" in doctor(TRIFOLD_DEMO_MODELS=str(story.parent))
    nowhere = doctor(TRIFOLD_DEMO_MODELS=str(tmp_path / "none"))
    assert nowhere.count(" MB, not there\n") == 3
    assert f"There is no folder {tmp_path / 'none'}." in nowhere


def test_all_packages_have_one_version() -> None:
    import re
    from importlib.metadata import requires, version

    import trifold_demo_models
    import trifold_diffusion
    import trifold_llama
    import trifold_whisper

    modules = [trifold, trifold_demo_models, trifold_diffusion, trifold_llama, trifold_whisper]
    names = [module.__name__.replace("_", "-") for module in modules]
    assert {module.__version__ for module in modules} == {trifold.__version__}
    assert {version(name) for name in names} == {trifold.__version__}
    for name in names:
        for requirement in requires(name) or []:
            if ours := re.match(r"(trifold[a-z-]*) ?(\(?==[^;) ]*)?", requirement):
                assert ours[2] == f"=={trifold.__version__}", f"{name}: {requirement}"


def test_devices_of_every_engine():
    found = trifold.devices()
    assert sorted(found) == ["Diffusion", "Llama", "Whisper"]
    assert all(devices[0].id == "cpu" for devices in found.values())
