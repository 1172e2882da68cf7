"""Results, errors and logs: what is left of calls."""

from __future__ import annotations

import copy
import dataclasses
import logging
import pickle

import pytest
import trifold_llama
from trifold_llama import CancelToken, Llama, LlamaError, OptionError

PROMPT = "Once upon a time"
SHORT = {"temperature": 0, "max_tokens": 4}


def test_copying_is_refused(llm):
    with llm.stream(PROMPT, **SHORT) as stream:
        for call in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=r"Cannot pickle or copy a Llama(?s:.*)path"):
                call(llm)
            with pytest.raises(TypeError, match="Cannot pickle or copy a Stream"):
                call(stream)
            with pytest.raises(TypeError, match="CancelToken"):
                call(CancelToken())


def test_results_are_values(llm):
    def once():
        return llm.generate(PROMPT, logprobs=2, seed=1, **SHORT)

    completion = once()
    with llm.stream(PROMPT, logprobs=2, **SHORT) as stream:
        piece = next(stream)
    for value in (completion, piece):
        for other in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value), copy.copy(value)):
            assert other == value and hash(other) == hash(value) and repr(other) == repr(value)
        with pytest.raises(dataclasses.FrozenInstanceError):
            value.text = ""
    # However long it took, and whatever the context remembered.
    assert once() == completion and hash(once()) == hash(completion)
    assert llm.generate(PROMPT, seed=1, **SHORT) != completion
    assert len({completion, once(), piece}) == 2
    assert completion.text in repr(completion)
    for name in ("Completion", "Logprob", "Piece", "Timings", "TokenLogprobs", "Usage"):
        documented = getattr(trifold_llama, name)
        assert dataclasses.is_dataclass(documented) and documented.__doc__


def test_errors_are_values(llm, tmp_path):
    errors = []
    for call in (
        lambda: Llama(tmp_path / "missing"),
        lambda: llm.generate("", top_k=-1),
        lambda: llm.generate([5] * 2000),
        lambda: llm.generate("a", timeout=0),
    ):
        with pytest.raises(LlamaError) as caught:
            call()
        errors.append(caught.value)
    for error in errors:
        other = pickle.loads(pickle.dumps(error))
        assert type(other) is type(error)
        assert (other.message, other.hint, str(other)) == (error.message, error.hint, str(error))
    assert str(errors[2]) == f"{errors[2].message}\nhint: {errors[2].hint}"


# Logs.


def test_logs_go_to_the_logger(caplog, capfd):
    caplog.set_level(logging.DEBUG, logger="trifold_llama")
    with Llama(threads=1) as model:
        model.generate("a", **SHORT)
    assert {record.name for record in caplog.records} == {"trifold_llama"}
    assert logging.DEBUG in {record.levelno for record in caplog.records}
    assert any("llama_model_loader" in record.getMessage() for record in caplog.records)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_what_is_not_wanted_is_not_logged(caplog):
    for level in (logging.INFO, logging.WARNING, logging.CRITICAL):
        caplog.clear()
        caplog.set_level(level, logger="trifold_llama")
        with Llama(threads=1) as model, pytest.raises(OptionError):
            model.generate("a", grammar="root ::= (")
        assert all(record.levelno >= level for record in caplog.records)
        assert bool(caplog.records) == (level < logging.CRITICAL)


def test_a_log_handler_that_raises(llm):
    class Broken(logging.Handler):
        def emit(self, record):
            raise ArithmeticError(record.getMessage())

    logger = logging.getLogger("trifold_llama")
    handler = Broken()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        with pytest.raises(ArithmeticError):
            Llama()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert llm.generate(PROMPT, **SHORT).finish_reason == "length"
