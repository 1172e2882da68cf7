"""Train the speech model.

    python train.py --audio work/audio --out work/speech.pt --minutes 9
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import grammar
from audio import LogMel, damage, mask, mix
from model import Attention, Config, Linear, Speech
from tokens import EN, EOT, NO_TIMES, SOT, TIMES, TRANSCRIBE, Vocab, load_encoding
from windows import Windows

# Share of the time at which each stage ends, and its windows.  Short windows come first: they are cheap, and the
# decoder finds its place in the sound sooner.
STAGES = [
    (0.40, [(1.0, {"ctx": 320, "size": 512, "width": 48})]),
    (0.60, [(1.0, {"ctx": 512, "size": 320, "width": 96, "most": 3, "prompt": 0.2})]),
    (1.00, [
        (0.62, {"ctx": 1500, "size": 112, "width": 128, "most": 9, "prompt": 0.25}),
        (0.10, {"ctx": 1500, "size": 96, "width": 336, "most": 9, "prompt": 0.8, "long_prompt": True}),
        (0.14, {"ctx": 512, "size": 320, "width": 96, "most": 3, "prompt": 0.2}),
        (0.14, {"ctx": 320, "size": 512, "width": 48}),
    ]),
]
# For a run that starts from an earlier one (--init).
MORE_STAGES = [
    (0.50, [
        (0.45, {"ctx": 1500, "size": 112, "width": 128, "most": 9, "prompt": 0.25}),
        (0.10, {"ctx": 1500, "size": 96, "width": 336, "most": 9, "prompt": 0.8, "long_prompt": True}),
        (0.20, {"ctx": 512, "size": 320, "width": 96, "most": 3, "prompt": 0.2}),
        (0.25, {"ctx": 320, "size": 512, "width": 48}),
    ]),
    (1.00, [
        (0.55, {"ctx": 1500, "size": 112, "width": 128, "most": 9, "prompt": 0.25}),
        (0.18, {"ctx": 1500, "size": 96, "width": 336, "most": 9, "prompt": 0.8, "long_prompt": True}),
        (0.13, {"ctx": 512, "size": 320, "width": 96, "most": 3, "prompt": 0.2}),
        (0.14, {"ctx": 320, "size": 512, "width": 48}),
    ]),
]
# For a short run of the decoder alone (--tune): recordings that begin with a long silence, and some others.
TUNE_STAGES = [(1.00, [(0.75, {"ctx": 1500, "size": 8, "width": 64, "most": 2, "late": 0.7}), (0.25, {"ctx": 1500, "size": 8, "width": 128, "most": 9, "prompt": 0.3})])]
QUANTISE_FROM = 0.60


def text_loss(logits, labels, vocab):
    """Cross-entropy; the target of a timestamp is spread a little over its neighbours."""
    logp = logits.float().log_softmax(-1)
    known = labels >= 0
    target = labels.clamp_min(0)
    step = target - vocab.time0
    stamp = ((step >= 0) & (step < TIMES))[..., None]
    shift = torch.tensor([-2, -1, 0, 1, 2], device=labels.device)
    near = vocab.time0 + (step[..., None] + shift).clamp(0, TIMES - 1)
    weight = torch.tensor([0.06, 0.18, 0.52, 0.18, 0.06], device=labels.device)
    loss = -(logp.gather(-1, torch.where(stamp, near, target[..., None])) * weight).sum(-1)
    return (loss * known).sum() / known.sum()


@torch.no_grad()
def transcribe(model, mel, vocab, times, limit=64):
    """Greedy decoding of a batch, without whisper.cpp's rules."""
    audio = model.encoder(mel)
    start = [vocab.small[SOT], vocab.small[EN], vocab.small[TRANSCRIBE]] + ([] if times else [vocab.small[NO_TIMES]])
    ids = torch.tensor(start, device=mel.device).repeat(len(mel), 1)
    for _ in range(limit):
        best = model.decoder(ids, audio)[:, -1].argmax(-1, keepdim=True)
        best = torch.where((ids[:, -1:] == vocab.small[EOT]), vocab.small[EOT], best)
        ids = torch.cat([ids, best], 1)
        if (best == vocab.small[EOT]).all():
            break
    return ids[:, len(start) :].tolist()


def evaluate(model, path, vocab, encoding, mels, device, noise=None, most=400):
    store = torch.from_numpy(np.load(path / "samples.npy")).to(device)
    starts = np.load(path / "starts.npy")
    texts = json.loads((path / "texts.json").read_text())[:most]
    wrong, total, shift = [0, 0], 0, []
    small = {v: k for k, v in vocab.small.items()}
    generator = torch.Generator(device).manual_seed(0)
    for lo in range(0, len(texts), 100):
        group = range(lo, min(lo + 100, len(texts)))
        offset = [8000 * (i % 3) // 2 for i in group]
        placed = np.array([(k, starts[i], offset[k], starts[i + 1] - starts[i], 1.0) for k, i in enumerate(group)], np.float64)
        sound = mix(store, placed, len(placed), 1500 * 320)
        if noise is not None:
            level = (sound.square().sum(1, keepdim=True) / (sound != 0).sum(1, keepdim=True)).sqrt()
            sound = sound + torch.randn(sound.shape, device=device, generator=generator) * level * 10 ** (-noise / 20)
        mel = mels(sound)
        for mode in (0, 1):
            for k, ids in enumerate(transcribe(model, mel, vocab, times=mode == 1)):
                ids = ids[: ids.index(vocab.small[EOT])] if vocab.small[EOT] in ids else ids
                said = encoding.decode([small[t] for t in ids if t < len(vocab.text_ids)])
                wrong[mode] += grammar.edits(grammar.normalise(texts[group[k]]), grammar.normalise(said))
                stamps = [t - vocab.time0 for t in ids if vocab.time0 <= t < vocab.other]
                if mode and len(stamps) == 2:
                    first, last = offset[k] / 320, (offset[k] + starts[group[k] + 1] - starts[group[k]]) / 320
                    shift += [abs(stamps[0] - first) * 0.02, abs(stamps[1] - last) * 0.02]
        total += sum(len(grammar.normalise(texts[i])) for i in group)
    return f"WER {wrong[0] / total:.2%} plain, {wrong[1] / total:.2%} with times; times off by {np.mean(shift or [9]):.3f} s on average"


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--audio", type=Path, default=Path("work/audio"))
    ap.add_argument("--out", type=Path, default=Path("work/speech.pt"))
    ap.add_argument("--minutes", type=float, default=9.0)
    ap.add_argument("--lr", type=float, default=1.5e-3)
    ap.add_argument("--init", type=Path, help="go on from this checkpoint")
    ap.add_argument("--tune", action="store_true", help="train only the decoder, on TUNE_STAGES")
    ap.add_argument("--workers", type=int, default=12)
    ap.add_argument("--config", type=json.loads, default={}, help="changes to the model's shape, as JSON")
    ap.add_argument("--shrink", type=int, default=1, help="divide all batch sizes (for a trial on a small machine)")
    ap.add_argument("--test", type=int, default=400, help="utterances per test set")
    args = ap.parse_args()

    start = time.time()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    train = args.audio / "train"
    store = torch.from_numpy(np.load(train / "samples.npy")).to(device)
    starts = np.load(train / "starts.npy")
    texts = json.loads((train / "texts.json").read_text())
    encoding = load_encoding()
    vocab = Vocab.from_texts(texts, encoding)
    if args.init:
        before = Vocab.load(args.init.with_suffix(".vocab.json"))
        vocab = Vocab(sorted({*before.text_ids, *vocab.text_ids}))
    vocab.save(args.out.with_suffix(".vocab.json"))
    model = Speech(Config(**args.config), vocab).to(device)
    if args.init:
        weights = torch.load(args.init, weights_only=True, map_location=device)["weights"]
        rows = model.state_dict()["decoder.token_embedding.weight"].clone()
        rows[[vocab.small[t] for t in before.full] + [vocab.other]] = weights["decoder.token_embedding.weight"]
        model.load_state_dict({**weights, "decoder.token_embedding.weight": rows}, strict=False)
    print(f"{sum(p.numel() for n, p in model.named_parameters() if 'letters' not in n) / 1e6:.2f}M parameters, compact vocabulary of {vocab.size}, {len(texts)} utterances", flush=True)
    opt = torch.optim.AdamW((model.decoder if args.tune else model).parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=0.02, fused=device == "cuda")
    mels = LogMel(device)

    feeds = {}

    def feed(spec):
        key = json.dumps(spec, sort_keys=True)
        if key not in feeds:
            spec = dict(spec, size=max(1, spec["size"] // args.shrink))
            data = Windows(vocab, texts, encoding, starts, seed=len(feeds), **spec)
            loader = torch.utils.data.DataLoader(data, batch_size=None, num_workers=args.workers, prefetch_factor=4 if args.workers else None)
            feeds[key] = (spec, iter(loader))
        return feeds[key]

    pick = np.random.default_rng(3)
    step, seen, log = 0, 0, []
    while (done := (time.time() - start) / (60 * args.minutes)) < 1:
        stage = next(s for end, s in (TUNE_STAGES if args.tune else MORE_STAGES if args.init else STAGES) if done < end)
        spec, source = feed(stage[pick.choice(len(stage), p=[p for p, _ in stage])][1])
        tokens, labels, placed, letters, counts, ends = next(source)
        Linear.quantise = args.tune or done > QUANTISE_FROM
        Attention.pad = step % 2 == 0
        for group in opt.param_groups:
            group["lr"] = args.lr * min(1, (step + 1) / (20 if args.tune else 400)) * (1.02 - done)
        with torch.no_grad():
            sound = mix(store, placed, len(tokens), spec["ctx"] * 320)
            if not (args.tune and step % 2):
                sound = damage(sound, torch.as_tensor(ends, device=device))
            mel = mask(mels(sound))
        tokens, labels = torch.as_tensor(tokens, device=device), torch.as_tensor(labels, device=device)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            with torch.set_grad_enabled(not args.tune):
                audio = model.encoder(mel)
            ctc = model.letters(audio)
            logits = model.decoder(tokens, audio)
        loss = text_loss(logits, labels, vocab)
        if len(letters) and not args.tune:
            letters, counts = torch.as_tensor(letters, device=device), torch.as_tensor(counts, device=device)
            ctc = F.ctc_loss(ctc.float().log_softmax(-1).transpose(0, 1), letters, torch.full_like(counts, spec["ctx"]), counts, reduction="none", zero_infinity=True)
            ctc = (ctc * (counts > 0) / counts.clamp_min(1)).mean()
        else:
            ctc = 0 * ctc.sum()
        (loss + 0.3 * ctc).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        opt.zero_grad(set_to_none=True)
        step += 1
        seen += len(tokens)
        log.append(torch.stack([loss.detach(), ctc.detach()]))
        if step % (10 if args.tune else 200) == 0 or step < 3:
            text, char = torch.stack(log).mean(0).tolist()
            log.clear()
            print(f"step {step}  windows {seen}  text {text:.4f}  ctc {char:.4f}  {time.time() - start:.0f} s ({done:.0%}, ctx {spec['ctx']})", flush=True)

    weights = {k: v.float().cpu() for k, v in model.state_dict().items() if not k.startswith("letters")}
    torch.save({"config": model.cfg.asdict(), "weights": weights, "steps": step, "windows": seen}, args.out)
    print(f"{step} steps, {seen} windows, {time.time() - start:.0f} s", flush=True)
    model.eval()
    Attention.pad = True
    for name in ("new-sentences", "new-voices") if args.test else ():
        for noise in (None, 10):
            print(f"{name}, {'clean' if noise is None else f'{noise} dB white noise'}: {evaluate(model, args.audio / name, vocab, encoding, mels, device, noise, args.test)}", flush=True)


if __name__ == "__main__":
    main()
