"""Writes down what is said in a recording, through whisper.cpp's own C API and ctypes."""

import ctypes
import sys
import wave
from array import array

library, model, recording = sys.argv[1:]
whisper = ctypes.CDLL(library)


def function(name, result, *arguments):
    found = getattr(whisper, f"trifold_whisper_{name}")
    found.restype, found.argtypes = result, arguments
    return found


pointer, integer, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
floats = ctypes.POINTER(ctypes.c_float)

assert function("open", ctypes.c_int32, pointer)(None) == 0
context = function("whisper_init_from_file", pointer, text)(model.encode())
assert context

with wave.open(recording) as file:
    assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
    samples = array("h", file.readframes(file.getnframes()))
samples.extend([0] * (30 * 16000 - len(samples)))
pcm = (ctypes.c_float * len(samples))(*(sample / 32768 for sample in samples))
assert function("whisper_pcm_to_mel", integer, pointer, floats, integer, integer)(context, pcm, len(pcm), 1) == 0
assert function("whisper_encode", integer, pointer, integer, integer)(context, 0, 1) == 0


def token(name):
    return function(f"whisper_token_{name}", integer, pointer)(context)


tokens_of = ctypes.POINTER(ctypes.c_int32)
decode = function("whisper_decode", integer, pointer, tokens_of, integer, integer, integer)
logits_of = function("whisper_get_logits", floats, pointer)
word_of = function("whisper_token_to_str", text, pointer, integer)
size = function("whisper_n_vocab", integer, pointer)(context)
end = token("eot")

new, past, words = [token("sot"), token("not")], 0, []
if function("whisper_is_multilingual", integer, pointer)(context):
    language = function("whisper_lang_id", integer, text)(b"en")
    language = function("whisper_token_lang", integer, pointer, integer)(context, language)
    new = [token("sot"), language, token("transcribe"), token("not")]
while len(words) < 40:
    given = (ctypes.c_int32 * len(new))(*new)
    assert decode(context, given, len(new), past, 1) == 0
    past += len(new)
    last = logits_of(context)
    start = (len(new) - 1) * size if len(new) > 1 else 0
    best = max(range(end + 1), key=lambda at: last[start + at])
    if best == end:
        break
    words.append(word_of(context, best))
    new = [best]
print(b"".join(words).decode().strip())
function("whisper_free", None, pointer)(context)
