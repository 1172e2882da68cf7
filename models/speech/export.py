"""Write the trained model in whisper.cpp's ggml format.

    python export.py --checkpoint work/speech.pt --type q5_0 --out trifold-speech.bin
"""

import argparse
import struct
from pathlib import Path

import gguf
import numpy as np
import torch

from audio import FFT, mel_filters
from tokens import N_VOCAB, Vocab, load_ranks

TYPES = {  # name: (ggml_ftype of the file, ggml_type of the matrices)
    "f16": (1, gguf.GGMLQuantizationType.F16),
    "q8_0": (7 + 2000, gguf.GGMLQuantizationType.Q8_0),  # 2000: version 2 of ggml's quantised formats
    "q5_0": (8 + 2000, gguf.GGMLQuantizationType.Q5_0),
}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--checkpoint", type=Path, default=Path("work/speech.pt"))
    ap.add_argument("--vocab", type=Path, help="default: the checkpoint's name with .vocab.json")
    ap.add_argument("--type", choices=TYPES, default="q5_0")
    ap.add_argument("--out", type=Path, default=Path("trifold-speech.bin"))
    args = ap.parse_args()
    saved = torch.load(args.checkpoint, weights_only=True)
    cfg, weights = saved["config"], {k: v.numpy() for k, v in saved["weights"].items()}
    vocab = Vocab.load(args.vocab or args.checkpoint.with_suffix(".vocab.json"))
    ftype, matrix_type = TYPES[args.type]

    # Every token that training never used gets the row of the "other" class.
    small = weights["decoder.token_embedding.weight"]
    full = np.repeat(small[vocab.other][None], N_VOCAB, 0)
    full[vocab.full] = small[: vocab.other]
    weights["decoder.token_embedding.weight"] = full

    with open(args.out, "wb") as f:
        f.write(struct.pack("<I", 0x67676D6C))
        f.write(struct.pack("<11i", N_VOCAB, cfg["audio_ctx"], cfg["dim"], cfg["heads"], cfg["audio_layers"], cfg["text_ctx"], cfg["dim"], cfg["heads"], cfg["text_layers"], cfg["mels"], ftype))
        filters = mel_filters(cfg["mels"])
        f.write(struct.pack("<2i", cfg["mels"], FFT // 2 + 1) + filters.astype("<f4").tobytes())
        ranks = sorted(load_ranks().items(), key=lambda item: item[1])
        assert [i for _, i in ranks] == list(range(len(ranks)))
        f.write(struct.pack("<i", len(ranks)))
        f.writelines(struct.pack("<i", len(token)) + token for token, _ in ranks)
        for name, w in weights.items():
            if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
                w = w[:, None]
            kind = gguf.GGMLQuantizationType.F32
            if "conv" in name and w.ndim == 3:
                kind = gguf.GGMLQuantizationType.F16
            elif w.ndim == 2 and "positional" not in name and "bias" not in name:
                kind = matrix_type
            data = gguf.quants.quantize(w.astype(np.float32), kind)
            raw = name.encode()
            f.write(struct.pack("<3i", w.ndim, len(raw), int(kind)) + struct.pack(f"<{w.ndim}i", *reversed(w.shape)) + raw)
            f.write(np.ascontiguousarray(data).tobytes())
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB, {sum(w.size for w in weights.values()) / 1e6:.2f}M numbers")


if __name__ == "__main__":
    main()
