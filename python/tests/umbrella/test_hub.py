"""Models from Hugging Face, or rather from a server here that answers as it does (``conftest.py``)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import trifold_demo_models

MODELS = Path(trifold_demo_models.__file__).parent
COMMIT = "0123456789abcdef0123456789abcdef01234567"

#: Loads a model, and prints what came of it.
LOAD = """
    import json
    import {package}
    try:
        model = {package}.{kind}({name!r})
    except Exception as error:
        if isinstance(error, FileNotFoundError):
            assert (error.errno, error.filename) == (2, {name!r})
        kinds = [kind.__name__ for kind in type(error).__mro__]
        hint = getattr(error, "hint", None)
        print(json.dumps([kinds, getattr(error, "message", str(error)), hint, repr(error.__cause__)]))
    else:
        print(json.dumps(model.path))
"""


def load(hub, name, kind="Llama", **settings):
    """The path of a model's file below the cache, or its error: kinds, message, hint and cause."""
    script = LOAD.format(package=f"trifold_{kind.lower()}", kind=kind, name=name)
    done = hub.run(script, **settings)
    assert done.returncode == 0, done
    found = json.loads(done.stdout)
    if isinstance(found, str):
        assert done.stderr == ""
        return str(Path(found).relative_to(hub.cache))
    return found


def snapshot(repository, file):
    return f"models--{repository.replace('/', '--')}/snapshots/{COMMIT}/{file}"


def files(hub):
    """What is in the cache under the names of models."""
    return sorted(path.name for path in hub.cache.glob("models--*/snapshots/*/**/*") if path.is_file())


@pytest.mark.parametrize(
    ("kind", "file", "source", "word"),
    [
        ("Llama", "gguf/tiny-Q4_K_M.gguf", "trifold-story.gguf", "q4_k_m"),
        ("Whisper", "ggml-tiny.en.bin", "trifold-speech.bin", "tiny.en"),
        ("Diffusion", "tiny-Q4_0.gguf", "trifold-picture.gguf", "Q4_0"),
    ],
)
def test_a_model_is_downloaded_once_and_then_there(hub, kind, file, source, word):
    content = (MODELS / source).read_bytes()
    hub.repositories["owner/tiny"] = {"README.md": b"# Tiny", file: content, "mmproj-Q4_0.gguf": b""}
    expected = snapshot("owner/tiny", file)
    assert load(hub, f"hf:owner/tiny:{word}", kind) == expected
    assert (hub.cache / expected).read_bytes() == content
    assert f"GET /owner/tiny/resolve/main/{file}" in hub.requests
    assert files(hub) == [Path(file).name]

    # It is asked whether there is a newer one, and nothing more.
    hub.requests.clear()
    assert load(hub, f"hf:owner/tiny:{Path(file).name}", kind) == expected
    assert [request for request in hub.requests if request.startswith("GET /owner/tiny/")] == []

    hub.requests.clear()
    assert load(hub, "hf:owner/tiny", kind, HF_HUB_OFFLINE="1") == expected
    assert hub.requests == []


def test_parts_of_a_picture_model_are_downloaded(hub):
    hub.repositories["owner/tiny"] = {"tiny.gguf": (MODELS / "trifold-picture.gguf").read_bytes()}
    done = hub.run("""
        from trifold_diffusion import Diffusion, OptionError
        try:
            Diffusion(parts={"diffusion": "hf:owner/tiny", "eye": "hf:owner/tiny"})
        except OptionError as error:
            print(error)
        told = []
        with Diffusion("demo:picture", parts={"tiny_vae": "hf:owner/tiny:tiny"}, progress=told.append) as sd:
            print(sd.generate("a star", steps=1, seed=1, width=64, height=64), told[-1])
    """)
    assert done.returncode == 0, done
    wrong, picture = done.stdout.splitlines()
    assert wrong.startswith("Unknown part of a model: eye")
    assert picture == "<Picture 64x64, seed 1: 'a star'> 1.0"
    assert files(hub) == ["tiny.gguf"]


def test_all_files_of_a_split_model_are_downloaded(hub, split_story):
    names = [f"Q8_0/tiny-Q8_0-0000{number}-of-00002.gguf" for number in (1, 2)]
    hub.repositories["owner/tiny"] = {**dict(zip(names, split_story)), "tiny-Q4_0.gguf": b""}
    done = hub.run("""
        from trifold_llama import Llama
        with Llama("hf:owner/tiny:Q8_0") as llm, Llama("demo:story") as whole:
            options = {"max_tokens": 8, "temperature": 0}
            assert llm.generate("Once", **options).tokens == whole.generate("Once", **options).tokens
            print(llm.path)
    """)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert Path(done.stdout.strip()) == hub.cache / snapshot("owner/tiny", names[0])
    assert files(hub) == [Path(name).name for name in names]
    # All in the version of the first.
    assert f"GET /owner/tiny/resolve/{COMMIT}/{names[1]}" in hub.requests

    del hub.repositories["owner/tiny"][names[1]]
    kinds, message, hint, _ = load(hub, "hf:owner/tiny:Q8_0")
    assert kinds[0] == "ModelNotFoundError"
    assert message == "A file of the model is missing: hf:owner/tiny:Q8_0 (part 2 of 2)"
    assert hint


def test_what_is_not_there_is_an_error_that_says_what_is(hub):
    names = ["README.md", *(f"tiny-Q{bits}_0.gguf" for bits in range(2, 6))]
    hub.repositories["owner/tiny"] = dict.fromkeys(names, b"x")
    for name, kind, message in [
        ("hf:owner/tiny:Q9_K", "ModelNotFoundError", "No text model for this name in the repository"),
        ("hf:owner/tiny", "OptionError", "More than one model for this name in the repository"),
    ]:
        kinds, found, hint, _ = load(hub, name)
        assert kinds[0] == kind
        assert found == f"{message}: {name}"
        assert hint == (
            "Write one of these behind it: `tiny-Q2_0.gguf`, `tiny-Q3_0.gguf`, `tiny-Q4_0.gguf`, "
            "`tiny-Q5_0.gguf`."
        )
    kinds, message, hint, _ = load(hub, "hf:owner/tiny", "Whisper")
    assert kinds[0] == "ModelNotFoundError"
    assert hint.startswith("Its files are `README.md`, `tiny-Q2_0.gguf`")
    assert files(hub) == []

    # What is no model is told by the engine.
    kinds, message, hint, _ = load(hub, "hf:owner/tiny:README.md")
    assert kinds[0] == "ModelError"
    assert "README.md" in message


def test_refusals_of_hugging_face(hub, story):
    kinds, message, hint, cause = load(hub, "hf:owner/none:Q8_0")
    assert kinds[:2] == ["ModelNotFoundError", "LlamaError"]
    assert "FileNotFoundError" in kinds
    assert message == "No such repository at Hugging Face, or no access to it: hf:owner/none:Q8_0"
    assert "HF_TOKEN" in hint
    assert cause.startswith("RepositoryNotFoundError")

    hub.repositories["owner/tiny"] = {"tiny-Q8_0.gguf": story}
    for status, code, error, hint_part in [
        (
            403,
            "GatedRepo",
            "ModelError",
            "Accept the terms at https://huggingface.co/owner/tiny, and set HF_TOKEN",
        ),
        (404, "RepoNotFound", "ModelNotFoundError", "for a private one set HF_TOKEN"),
        (401, "", "ModelError", "set HF_TOKEN"),
        (403, "", "ModelError", "set HF_TOKEN"),
        (404, "EntryNotFound", "ModelNotFoundError", "https://huggingface.co/owner/tiny/tree/main"),
        (418, "", "ModelError", "Try again later"),
    ]:
        hub.refused["/owner/tiny/resolve"] = (status, code, "No")
        kinds, message, hint, cause = load(hub, "hf:owner/tiny", HF_TOKEN="hf_secret")
        assert kinds[0] == error, (status, message)
        assert "hf:owner/tiny" in message
        assert hint_part in hint
        assert cause != "None"
        assert "hf_secret" not in message + hint + cause
    assert "Bearer hf_secret" in hub.tokens
    assert files(hub) == []


def test_without_the_network(hub, story):
    hub.repositories["owner/tiny"] = {"tiny-Q8_0.gguf": story}
    # Nobody listens there.
    away = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    kinds, message, hint, cause = load(hub, "hf:owner/tiny", **away)
    assert kinds[0] == "ModelError"
    assert message.startswith("Could not download hf:owner/tiny: ")
    assert hint.startswith("Check the connection")
    assert "ConnectError" in cause
    kinds, message, hint, cause = load(hub, "hf:owner/tiny", HF_HUB_OFFLINE="1")
    assert kinds[0] == "ModelNotFoundError"
    assert message == f"Not downloaded from Hugging Face: hf:owner/tiny (looked in: {hub.cache})"
    assert hint == "Unset HF_HUB_OFFLINE to download it."
    assert hub.requests == []

    path = load(hub, "hf:owner/tiny")
    script = """
        import logging
        logging.basicConfig(format="%(name)s %(levelname)s %(message)s")
        from trifold_llama import Llama
        print(Llama("hf:owner/tiny").path)
    """
    done = hub.run(script, **away)
    assert done.stdout.strip() == str(hub.cache / path)
    said = f"Hugging Face cannot be reached; using what was downloaded before: {hub.cache / path}"
    assert done.stderr.strip() == f"trifold_llama WARNING {said}"


def test_a_broken_download_leaves_no_model(hub, story):
    hub.repositories["owner/tiny"] = {"tiny-Q8_0.gguf": story}
    hub.breaks = 100_000
    script = """
        import huggingface_hub.file_download
        from trifold_llama import Llama, ModelError
        # It waits before it tries again.
        huggingface_hub.file_download.time.sleep = lambda seconds: None
        try:
            Llama("hf:owner/tiny")
        except ModelError as error:
            print(error)
    """
    done = hub.run(script)
    assert done.returncode == 0, done
    assert done.stdout.startswith("Could not download hf:owner/tiny: ")
    assert "hint: Check the connection" in done.stdout
    assert files(hub) == []
    assert not any(path.read_bytes()[:4] == b"GGUF" for path in hub.cache.rglob("blobs/*[0-9a-f]"))

    hub.breaks = None
    assert load(hub, "hf:owner/tiny") == snapshot("owner/tiny", "tiny-Q8_0.gguf")


@pytest.mark.parametrize("way", ["timeout", "cancel", "callback", "interrupt"])
def test_a_download_can_be_stopped(hub, story, way):
    # Bytes are handed on in pieces of 10 MB.
    hub.repositories["owner/tiny"] = {"tiny-Q8_0.gguf": story + bytes(40_000_000)}
    hub.slow.set()
    script = f"""if True:
        import threading, time
        import huggingface_hub.utils, huggingface_hub.errors
        from trifold_llama import CancelToken, Llama
        way = {way!r}
        token = CancelToken()
        options = {{"cancel": token}}
        def stop(fraction):
            assert threading.current_thread() is threading.main_thread()
            assert 0 < fraction < 1
            1 / 0
        if way == "timeout":
            options["timeout"] = 2
        if way == "callback":
            options["progress"] = stop
        print("begins", flush=True)
        if way == "cancel":
            threading.Timer(2, token.cancel).start()
        try:
            Llama("hf:owner/tiny", **options)
        except BaseException as error:
            print(type(error).__name__, error, flush=True)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env=hub.environment(), text=True
    )
    try:
        assert child.stdout.readline() == "begins\n"
        assert way == "callback" or hub.halfway.wait(30)
        if way == "interrupt":
            child.send_signal(signal.SIGINT)
        begin = time.monotonic()
        out, _ = child.communicate(timeout=30)
        assert time.monotonic() - begin < 10
        assert child.returncode == 0
    finally:
        child.kill()
        child.communicate()
    expected = {
        "timeout": "TimedOutError Stopped after 2 s, as the option timeout says\n",
        "cancel": "CancelledError The call was cancelled\n",
        "callback": "ZeroDivisionError division by zero\n",
        "interrupt": "KeyboardInterrupt \n",
    }
    assert out == expected[way]
    assert files(hub) == []


def test_progress(hub, story):
    hub.repositories["owner/tiny"] = {"tiny-Q8_0.gguf": story}
    done = hub.run("""
        from trifold_llama import Llama
        told = []
        Llama("hf:owner/tiny", progress=told.append)
        print(told)
    """)
    told = json.loads(done.stdout)
    assert done.stderr == ""
    # Downloaded, and then loaded.
    assert told[0] > 0
    assert told.count(1.0) == 2
    assert all(0 <= fraction <= 1 for fraction in told)
    # A bar where there is no terminal is for loading alone, and nothing is left of it.
    done = hub.run('from trifold_llama import Llama; Llama("hf:owner/tiny", progress=True)')
    assert "Loading hf:owner/tiny" in done.stderr


def test_names_are_checked_before_anything_is_asked_for(hub):
    names = [
        "hf:",
        "hf:owner",
        "hf:/repo",
        "hf:owner/",
        "hf:../repo",
        "hf:owner/..",
        "hf:owner/a b",
        "hf:owner/repo\n",
        "hf:owner/repo:",
        "hf:owner/repo:../x.gguf",
        "hf:owner/repo:/x.gguf",
        "hf:owner/repo:a//b.gguf",
        "hf:owner/repo:a\\b",
        "hf:owner/repo:a\x00b",
        "hf:owner/repo: Q8_0",
        "hf:https://huggingface.co/owner/repo",
    ]
    done = hub.run(f"""
        import sys
        from trifold_llama import Llama, OptionError
        for name in {names!r}:
            try:
                Llama(name)
            except OptionError as error:
                assert error.message.startswith("Expected a Hugging Face name such as"), name
                print(error.hint)
        try:
            Llama("hf:owner/repo", n_ctx=-1)
        except OptionError as error:
            print(error)
        assert "huggingface_hub" not in sys.modules
    """)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(names) + 1
    assert hub.requests == []


@pytest.mark.parametrize("kind", ["Llama", "Whisper", "Diffusion"])
def test_without_the_package_huggingface_hub(hub, story, kind):
    hidden = "import sys; sys.modules['huggingface_hub'] = None\n"
    package = f"trifold_{kind.lower()}"
    script = f"""
        import {package}
        try:
            {package}.{kind}("hf:owner/tiny")
        except ImportError as error:
            print(error)
    """
    done = hub.run(hidden + textwrap.dedent(script))
    assert "Models from Hugging Face need the package huggingface_hub" in done.stdout
    assert f"hint: pip install 'trifold-{kind.lower()}[hub]'" in done.stdout

    # What is there already is used.
    if kind == "Llama":
        hub.repositories["owner/tiny"] = {"tiny-Q8_0.gguf": story}
        path = load(hub, "hf:owner/tiny")
        hub.requests.clear()
        done = hub.run(f'{hidden}from trifold_llama import Llama; print(Llama("hf:owner/tiny:q8_0").path)')
        assert done.stdout.strip() == str(hub.cache / path)
        assert hub.requests == []


def test_the_program_finds_what_was_downloaded(hub, story):
    from trifold.__main__ import program

    command = [program(), "generate", "Once", "--max-tokens", "4", "--model", "hf:owner/tiny:Q8_0"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=hub.environment())
    assert found.returncode == 1
    assert (
        f"error: Not downloaded from Hugging Face: hf:owner/tiny:Q8_0 (looked in: {hub.cache})"
        in found.stderr
    )
    assert "`hf download owner/tiny FILE`" in found.stderr

    hub.repositories["owner/tiny"] = {"tiny-Q8_0.gguf": story}
    load(hub, "hf:owner/tiny")
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=hub.environment())
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip()
