"""Mel spectrograms as whisper.cpp makes them, and the damage that training does to clean speech (all on the GPU)."""

import numpy as np
import torch

RATE, FFT, HOP = 16_000, 400, 160


def mel_filters(mels=80):
    """Slaney-style triangular filters, each of unit area."""

    def to_mel(f):
        return np.where(f < 1000, 3 * f / 200, 15 + 27 * np.log(np.maximum(f, 1) / 1000) / np.log(6.4))

    def to_hz(m):
        return np.where(m < 15, 200 * m / 3, 1000 * np.exp(np.log(6.4) * (m - 15) / 27))

    edges = to_hz(np.linspace(0, to_mel(np.array(RATE / 2)), mels + 2))
    freq = np.linspace(0, RATE / 2, FFT // 2 + 1)
    rise = (freq - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - freq) / (edges[2:] - edges[1:-1])[:, None]
    return (np.maximum(0, np.minimum(rise, fall)) * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


class LogMel:
    def __init__(self, device):
        self.filters = torch.tensor(mel_filters(), device=device)
        self.window = torch.hann_window(FFT, device=device)

    def __call__(self, audio):
        power = torch.stft(audio, FFT, HOP, window=self.window, center=True, pad_mode="reflect", return_complex=True)[..., :-1].abs().square()
        mel = (self.filters @ power).clamp_min(1e-10).log10()
        return (torch.maximum(mel, mel.amax((1, 2), keepdim=True) - 8) + 4) / 4


def mix(store, placed, batch, length):
    """Put utterances into silent windows.  `placed` holds rows (window, start in store, offset, count, gain)."""
    device = store.device
    placed = torch.as_tensor(placed, device=device)
    row, src, dst, count = placed[:, :4].long().unbind(1)
    gain = placed[:, 4].float()
    which = torch.repeat_interleave(torch.arange(len(count), device=device), count)
    pos = torch.arange(len(which), device=device) - (count.cumsum(0) - count)[which]
    out = torch.zeros(batch * length, device=device)
    out.index_add_(0, (row * length + dst)[which] + pos, store[src[which] + pos].float() * (gain / 32768)[which])
    return out.view(batch, length)


def chance(p, n, device):
    return (torch.rand(n, 1, device=device) < p).float()


def damage(audio, ends):
    """Random room, microphone, noise and loudness.  `ends`: the sample at which each recording stops."""
    n, length = audio.shape
    device = audio.device
    rand = lambda lo, hi, *shape: lo + (hi - lo) * torch.rand(*shape, device=device)
    freq = torch.fft.rfftfreq(length, 1 / RATE, device=device)

    # Microphone: a smooth curve through random gains, at times only the telephone band.
    knots = rand(-8, 8, n, 1, 8) * chance(0.6, n, device)[:, None]
    place = (freq.clamp_min(60) / 60).log2() / 7.1  # 0 at 60 Hz, 1 at 8 kHz
    at = (place * 7).clamp(0, 6.999)
    low = at.long()
    curve = knots[:, 0, low] * (1 - (at - low)) + knots[:, 0, low + 1] * (at - low)
    phone = chance(0.08, n, device) * ((freq < 250) | (freq > 3600)).float()
    response = 10 ** ((curve - 40 * phone) / 20)

    # Room: the direct sound and a decaying tail of noise (in some batches).
    spectrum = torch.fft.rfft(audio) * response
    if torch.rand(()) < 0.4:
        size = 6000
        t = torch.arange(size, device=device) / RATE
        tail = torch.randn(n, size, device=device) * torch.exp(-t / rand(0.01, 0.08, n, 1)) * rand(0.02, 0.12, n, 1) * chance(0.75, n, device)
        tail[:, 0] = 1
        spectrum = spectrum * torch.fft.rfft(tail, length)
    speech = torch.fft.irfft(spectrum, length)
    del spectrum, response

    # Noise: white to brown, in some batches with mains hum.
    shape = freq.clamp_min(30)[None] ** -rand(0, 1.2, n, 1)
    noise = torch.fft.irfft(torch.fft.rfft(torch.randn_like(audio)) * shape, length)
    noise = noise / noise.square().mean(1, keepdim=True).sqrt()
    if torch.rand(()) < 0.15:
        clock = torch.arange(length, device=device) / RATE
        hum = torch.sin(2 * torch.pi * rand(45, 65, n, 1) * clock) + 0.5 * torch.sin(2 * torch.pi * rand(90, 130, n, 1) * clock)
        noise = noise + chance(0.6, n, device) * rand(0.3, 2, n, 1) * hum
    active = (audio != 0).sum(1, keepdim=True)
    level = (speech.square().sum(1, keepdim=True) / active.clamp_min(1)).sqrt()
    level = torch.where(active > 0, level, 0.05)
    snr = rand(3, 40, n, 1)
    noisy = chance(0.65, n, device)
    out = speech + noise * level * 10 ** (-snr / 20) * noisy
    out = out * (torch.arange(length, device=device) < ends[:, None])
    peak = out.abs().amax(1, keepdim=True).clamp_min(1e-6)
    out = out / peak * 10 ** rand(-1.7, 0.1, n, 1)  # a few recordings clip
    return (out.clamp(-1, 1) * 32767).round() / 32767


def mask(mel):
    """SpecAugment: hide a few bands and moments in half of the windows."""
    n, bins, frames = mel.shape
    device = mel.device
    low = mel.amin((1, 2), keepdim=True)
    hide = torch.zeros(n, bins, frames, dtype=torch.bool, device=device)
    for axis, size, widest, times in ((1, bins, 8, 2), (2, frames, 12, 4)):
        index = torch.arange(size, device=device)
        for _ in range(times):
            first = torch.randint(0, size, (n, 1), device=device)
            width = torch.randint(0, widest + 1, (n, 1), device=device) * (torch.rand(n, 1, device=device) < 0.5)
            hit = (index >= first) & (index < first + width)
            hide |= hit[:, :, None] if axis == 1 else hit[:, None, :]
    return torch.where(hide, low, mel)
