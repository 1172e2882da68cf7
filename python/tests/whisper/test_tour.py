"""What people do with it."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import json
import os
import pickle
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
import trifold_whisper
from trifold_whisper import CancelToken, Segment, SpokenLanguage, Timings, Token, Transcript, Whisper, Word

DUCK = "Tell me a story about a hungry duck."
SONG = "Play the next song, please."


def test_every_sample_is_transcribed_word_for_word_and_in_time(whisper, sample, truth):
    for name, expected in truth.items():
        transcript = whisper.transcribe(sample(name))
        assert transcript.text == expected["text"]
        assert [segment.text for segment in transcript.segments] == [
            segment["text"] for segment in expected["segments"]
        ]
        for segment, wanted in zip(transcript.segments, expected["segments"]):
            assert segment.start == pytest.approx(wanted["start"], abs=0.1)
            assert segment.end == pytest.approx(wanted["end"], abs=0.1)


def test_a_transcript_has_all_that_is_known(whisper, sample):
    transcript = whisper.transcribe(sample("two-sentences.wav"), word_timestamps=True, threads=1)
    assert str(transcript) == transcript.text == f"{DUCK} {SONG}"
    assert transcript.duration == 4.53
    assert (transcript.language.code, transcript.language.name) == ("en", "english")
    assert transcript.language.probability > 0.9
    first, second = transcript.segments
    assert str(first) == DUCK
    assert 0 <= first.no_speech_probability < 0.5
    assert "".join(token.text for token in first.tokens).strip() == DUCK
    assert all(0 <= token.probability <= 1 and token.id >= 0 for token in first.tokens)
    words = [*first.words, *second.words]
    assert [str(word) for word in words] == transcript.text.split()
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert first.start <= times[0] and times[-1] <= second.end <= transcript.duration
    timings = transcript.timings
    assert timings.threads == 1
    assert timings.real_time_factor > 0
    assert timings.audio > 0 and timings.detection > 0
    assert timings.total >= timings.engine + timings.detection + timings.audio


def test_what_was_given_takes_no_time(whisper, kitchen_light):
    samples = trifold_whisper.load_audio(kitchen_light)
    timings = whisper.transcribe(samples, language="english").timings
    assert (timings.audio, timings.detection) == (None, None)
    assert whisper.transcribe(samples, language="EN").language == SpokenLanguage("en", "english", None)


def test_formats_are_those_of_the_engine(whisper, sample):
    transcript = whisper.transcribe(sample("two-sentences.wav"))
    assert transcript.to_text() == f"{DUCK}\n{SONG}\n"
    srt = transcript.to_srt().splitlines()
    assert srt[0] == "1" and srt[1].startswith("00:00:00,2") and srt[2] == DUCK
    vtt = transcript.to_vtt().splitlines()
    assert vtt[0] == "WEBVTT" and vtt[2].startswith("00:00:00.2") and vtt[3] == DUCK
    data = json.loads(transcript.to_json())
    assert data["text"] == transcript.text
    assert data["segments"][1]["start"] == transcript.segments[1].start
    assert data["language"]["code"] == "en"
    assert data["timings"]["threads"] == transcript.timings.threads


def test_transcripts_made_by_hand_are_formatted():
    segment = Segment(3661.5, 3661.5, "a <b> & c", 0.0, (Word(1, 2, "a", 0.5),), (Token(7, " a", 0.5),))
    transcript = Transcript(
        "a", SpokenLanguage("en", "english", None), (segment,), 4000, Timings(None, None, 1, 1, 2, 1)
    )
    assert transcript.to_srt() == "1\n01:01:01,500 --> 01:01:01,501\na <b> & c\n\n"
    assert "a &lt;b&gt; &amp; c" in transcript.to_vtt()
    assert json.loads(transcript.to_json())["segments"][0]["tokens"] == [
        {"id": 7, "text": " a", "probability": 0.5}
    ]
    for wrong in (-1.0, float("nan"), 1e300):
        broken = dataclasses.replace(transcript, segments=(dataclasses.replace(segment, start=wrong),))
        with pytest.raises(ValueError, match="seconds, 0 or more, for start"):
            broken.to_srt()
    with pytest.raises(TypeError):
        dataclasses.replace(transcript, segments=(dataclasses.replace(segment, text=None),)).to_srt()


def test_results_are_values(whisper, kitchen_light):
    transcript = whisper.transcribe(kitchen_light, word_timestamps=True)
    for other in (
        pickle.loads(pickle.dumps(transcript)),
        copy.deepcopy(transcript),
        whisper.transcribe(kitchen_light, word_timestamps=True),
    ):
        assert other == transcript
        assert hash(other) == hash(transcript)
        assert other.to_srt() == transcript.to_srt()
    assert transcript != whisper.transcribe(kitchen_light)
    assert "Turn on the kitchen light." in repr(transcript)
    with pytest.raises(dataclasses.FrozenInstanceError):
        transcript.text = ""


def test_segments_come_one_by_one(whisper, sample):
    with whisper.stream(sample("two-sentences.wav")) as stream:
        assert next(stream).text == DUCK
        assert [segment.text for segment in stream] == [SONG]
        assert next(stream, None) is None
        transcript = stream.complete()
        assert transcript == stream.complete()
    assert [segment.text for segment in transcript.segments] == [DUCK, SONG]


def test_progress_and_segments_are_told(whisper, long_speech):
    heard, segments = [], []
    transcript = whisper.transcribe(
        long_speech[: 16000 * 90], progress=heard.append, on_segment=segments.append
    )
    assert heard == sorted(set(heard))
    assert heard[-1] == 1.0 and len(heard) >= 3 and 0 <= heard[0] < 0.5
    assert tuple(segments) == transcript.segments
    assert len(segments) > 30

    heard.clear()
    with Whisper(progress=heard.append):
        pass
    assert heard == sorted(set(heard))
    assert heard[0] == 0.0 and heard[-1] == 1.0


def test_a_bar_by_tqdm(whisper, kitchen_light, monkeypatch):
    bars = []

    class Bar:
        def __init__(self, **options):
            self.options, self.n, self.shown, self.closed = options, 0, [], 0
            bars.append(self)

        def refresh(self):
            self.shown.append(self.n)

        def close(self):
            self.closed += 1

    module = types.ModuleType("tqdm.auto")
    module.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    whisper.transcribe(kitchen_light, progress=True)
    with pytest.raises(trifold_whisper.OptionError):
        whisper.transcribe(kitchen_light, progress=True, best_of=0)
    with pytest.raises(TypeError):
        whisper.transcribe(kitchen_light, progress=True, no_such=0)
    # It is seen when there is something to tell.
    (done,) = bars
    assert kitchen_light.name in done.options["desc"]
    assert done.shown[-1] == 100
    assert done.closed >= 1

    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match="pip install tqdm"):
        whisper.transcribe(kitchen_light, progress=True)


def test_languages(whisper, kitchen_light):
    assert whisper.languages["en"] == "english"
    assert len(whisper.languages) == 99
    for audio in (kitchen_light, trifold_whisper.load_audio(kitchen_light)):
        found = whisper.detect_language(audio, threads=1)
        assert {language.code for language in found} == set(whisper.languages)
        assert found[0].code == "en" and str(found[0]) == "en"
        probabilities = [language.probability for language in found]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(1, abs=1e-4)


def test_the_model_is_described(whisper):
    assert Path(whisper.path).name == "trifold-speech.bin"
    assert whisper.file_bytes == os.stat(whisper.path).st_size
    assert whisper.load_time > 0
    assert (whisper.size, whisper.weights, whisper.multilingual) == ("tiny", "q5_0", True)
    assert whisper.hparams["n_mels"] == 80
    assert whisper.path in repr(whisper) and "q5_0" in repr(whisper)
    names = dict(trifold_whisper.versions())
    assert names["whisper.cpp"] and names["ggml"] and "SSSE3" in names["system_info"]
    assert names["cpu_level"].startswith("x86-64-v")
    assert (trifold_whisper.SAMPLE_RATE, trifold_whisper.MAX_SAMPLE) == (16000, 8.0)
    assert trifold_whisper.MAX_DURATION == 24 * 60 * 60


def test_models_by_path(whisper, kitchen_light):
    for path in (whisper.path, Path(whisper.path)):
        with Whisper(path) as other:
            assert other.transcribe(kitchen_light).text == "Turn on the kitchen light."


def test_a_shared_model_outlives_its_first_owner(kitchen_light, long_speech):
    first = Whisper()
    second = first.share()
    stream = first.stream(long_speech, language="en")
    next(stream)
    # Not behind the other call, which takes much longer.
    assert second.transcribe(kitchen_light, timeout=20, language="en").text == "Turn on the kitchen light."
    first.close()
    assert second.transcribe(kitchen_light, language="en").text == "Turn on the kitchen light."
    third = second.share()
    second.close()
    assert third.path.endswith("trifold-speech.bin")
    third.close()


def test_many_threads_on_one_object(whisper, sample, truth):
    found: dict[int, str] = {}
    names = [name for name in truth] * 2

    def work(index):
        found[index] = whisper.transcribe(sample(names[index]), language="en").text

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(names))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {index: truth[name]["text"] for index, name in enumerate(names)}


def test_asyncio(whisper, sample, kitchen_light, long_speech):
    async def tour():
        first, second, languages, samples = await asyncio.gather(
            whisper.atranscribe(kitchen_light),
            whisper.atranscribe(sample("two-sentences.wav"), language="en"),
            whisper.adetect_language(kitchen_light),
            trifold_whisper.aload_audio(kitchen_light),
        )
        assert first.text == "Turn on the kitchen light."
        assert len(second.segments) == 2
        assert languages[0].code == "en"
        assert len(samples) == 28000
        segments = [segment.text async for segment in whisper.astream(sample("two-sentences.wav"))]
        assert segments == [DUCK, SONG]
        # Left half-way: the next call need not wait for the rest.
        half = whisper.astream(long_speech, language="en")
        assert (await half.__anext__()).text == DUCK
        await half.aclose()
        return await whisper.atranscribe(kitchen_light, timeout=20)

    assert asyncio.run(tour()).text == "Turn on the kitchen light."


@pytest.mark.parametrize("own_token", [False, True])
def test_a_cancelled_task_stops_the_engine(whisper, kitchen_light, long_speech, own_token):
    async def tour():
        started = asyncio.Event()
        loop = asyncio.get_running_loop()
        options = {"cancel": CancelToken()} if own_token else {}
        task = asyncio.ensure_future(
            whisper.atranscribe(
                long_speech,
                language="en",
                on_segment=lambda _: loop.call_soon_threadsafe(started.set),
                **options,
            )
        )
        await asyncio.wait_for(started.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # Only the task was cancelled, not what the token is shared with.
        assert not any(token.cancelled for token in options.values())
        return await whisper.atranscribe(kitchen_light, timeout=20, **options)

    assert asyncio.run(tour()).text == "Turn on the kitchen light."


def test_samples_may_change_while_the_engine_works(whisper, sample):
    samples = trifold_whisper.load_audio(sample("two-sentences.wav"))
    stream = whisper.stream(samples)
    samples[:] = np.nan
    assert stream.complete().text == f"{DUCK} {SONG}"
