"""A small Llama-architecture language model (RMSNorm, RoPE, grouped-query attention, SwiGLU, tied embeddings)."""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention.flex_attention import flex_attention


@dataclass
class Config:
    vocab: int = 2048
    dim: int = 256
    layers: int = 8
    heads: int = 4
    kv_heads: int = 2
    ffn: int = 512
    context: int = 1024
    rope_base: float = 10000.0
    eps: float = 1e-5

    asdict = asdict


class RMSNorm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x):
        y = x.float()
        return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps)).type_as(x) * self.weight


def rope_tables(cfg, length, device=None):
    half = cfg.dim // cfg.heads // 2
    freq = cfg.rope_base ** (-torch.arange(half, device=device, dtype=torch.float32) / half)
    angle = torch.arange(length, device=device, dtype=torch.float32)[:, None] * freq
    return angle.cos(), angle.sin()


def rotate(x, cos, sin):
    """RoPE over neighbouring pairs (the order GGUF's "llama" architecture expects)."""
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2).type_as(x)


class Block(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        head = cfg.dim // cfg.heads
        self.attn_norm = RMSNorm(cfg.dim, cfg.eps)
        self.q = nn.Linear(cfg.dim, cfg.dim, bias=False)
        self.k = nn.Linear(cfg.dim, cfg.kv_heads * head, bias=False)
        self.v = nn.Linear(cfg.dim, cfg.kv_heads * head, bias=False)
        self.o = nn.Linear(cfg.dim, cfg.dim, bias=False)
        self.ffn_norm = RMSNorm(cfg.dim, cfg.eps)
        self.gate = nn.Linear(cfg.dim, cfg.ffn, bias=False)
        self.up = nn.Linear(cfg.dim, cfg.ffn, bias=False)
        self.down = nn.Linear(cfg.ffn, cfg.dim, bias=False)

    def forward(self, x, cos, sin, mask):
        b, t, _ = x.shape
        cfg = self.cfg
        y = self.attn_norm(x)
        q = rotate(self.q(y).view(b, t, cfg.heads, -1).transpose(1, 2), cos, sin)
        k = rotate(self.k(y).view(b, t, cfg.kv_heads, -1).transpose(1, 2), cos, sin)
        v = self.v(y).view(b, t, cfg.kv_heads, -1).transpose(1, 2)
        x = x + self.o(attend(q, k, v, mask).transpose(1, 2).reshape(b, t, -1))
        y = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


def attend(q, k, v, mask):
    """Causal attention, or attention under a flex_attention block mask or a dense mask."""
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    if isinstance(mask, torch.Tensor):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
    return flex_attention(q, k, v, block_mask=mask, enable_gqa=True)


class Story(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.embed = nn.Embedding(cfg.vocab, cfg.dim)
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.layers))
        self.norm = RMSNorm(cfg.dim, cfg.eps)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                scale = 0.02 if not name.endswith(("o.weight", "down.weight")) else 0.02 / (2 * cfg.layers) ** 0.5
                nn.init.normal_(p, std=scale)

    def forward(self, tokens, mask=None):
        x = self.embed(tokens)
        cos, sin = rope_tables(self.cfg, tokens.shape[1], tokens.device)
        for block in self.blocks:
            x = block(x, cos, sin, mask)
        return F.linear(self.norm(x), self.embed.weight)
