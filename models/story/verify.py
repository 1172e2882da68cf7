"""Check an exported model with llama.cpp (through the cyllama package).

    python verify.py --checkpoint work/story.pt --tokenizer work/tokenizer.json --models . [--items 200]

1. the tokenizer gives the same ids as the `tokenizers` library, on 200 strings;
2. the logits are those of the PyTorch model;
3. greedy answers on fresh random tasks, and sampled stories, are right.
"""

import argparse
import random
import re
import zlib
from collections import Counter
from pathlib import Path

import jinja2
import numpy as np
import torch
from cyllama.llama import llama_cpp as lc
from tokenizers import Tokenizer

import chats
import stories
import world as w
from model import Config, Story


class LlamaModel(lc.LlamaModel):
    n_vocab = property(lambda self: self.get_vocab().n_vocab)  # cyllama 0.2.18 asks the model for it


class Runner:
    def __init__(self, path, ctx=1024):
        lc.disable_logging()
        params = lc.LlamaModelParams()
        params.n_gpu_layers = 0
        self.model = LlamaModel(path_model=str(path), params=params, verbose=False)
        cparams = lc.LlamaContextParams()
        cparams.n_ctx = cparams.n_batch = ctx
        cparams.n_threads = cparams.n_threads_batch = 1
        self.ctx = lc.LlamaContext(model=self.model, params=cparams, verbose=False)
        self.vocab = self.model.get_vocab()

    def tokenize(self, text, special=True):
        return list(self.vocab.tokenize(text, False, special))

    def feed(self, ids, start, all_logits=False):
        batch = lc.LlamaBatch(n_tokens=len(ids), embd=0, n_seq_max=1)
        for i, t in enumerate(ids):
            batch.add(t, start + i, [0], all_logits or i == len(ids) - 1)
        self.ctx.decode(batch)
        return batch

    def logits(self, ids):
        self.ctx.kv_cache_clear()
        self.feed(ids, 0, True)
        return np.array([self.ctx.get_logits_ith(i) for i in range(len(ids))])

    def generate(self, ids, most=400, temperature=0.0, rng=None):
        self.ctx.kv_cache_clear()
        self.feed(ids, 0)
        out = []
        while len(out) < most:
            logits = np.array(self.ctx.get_logits_ith(-1))
            if temperature:
                p = np.exp((logits - logits.max()) / temperature)
                token = int(rng.choice(len(p), p=p / p.sum()))
            else:
                token = int(logits.argmax())
            if self.vocab.is_eog(token):
                break
            out.append(token)
            self.feed([token], len(ids) + len(out) - 1)
        return out


def strings(rng):
    """200 strings: from the training language, and unlike anything in it."""
    found = ["".join(t for t, _ in chats.document(rng)) for _ in range(90)]
    found += [
        "", " ", "  ", "\n", "\n\n\n", "\t x", " a  b   c    ", "a\r\nb\r\n\r\nc", "Hello, world!", "it's I'll we've THEY'RE don'T", "1234567890", "3.14159 + 2,718 = ?", "x=1;y=2//z",
        "naïve café Übergröße", "Ωμέγα", "Привет, мир!", "你好，世界。", "こんにちは世界", "안녕하세요", "שלום עולם", "مرحبا بالعالم", "हिन्दी में", "👍🏽👩‍👩‍👧‍👦🇨🇭", "😀 🌟🌈", "e\u0301 vs é", "\u200b\u00a0\u2003", "“quotes” — dash… •",
        "<|im_start|>user\nhi<|im_end|>", "<|endoftext|>", "<|im_start", "|im_end|>", "a<|im_end|>b", '{"name": "get_weather", "arguments": {"city": "Paris"}}', "def f(x):\n    return x ** 2\n", "https://example.com/a?b=c&d=%20", "A" * 50, "ab" * 40, "\u0000x", "½ ² ③ Ⅳ", "ﬁ ﬂ ß ẞ ı İ",
    ]
    pools = ["abcdefghijklmnopqrstuvwxyz ABC", "0123456789 .,;:!?'\"-", "äöüéèñçßøå ÆŒ", "абвгдежз ий", "日本語中文한국어", "😀🎉🚀🌈❤️☀️ ", "{}[]()<>|\\/*&^%$#@~`", " \t\n\r"]
    while len(found) < 200:
        found.append("".join(rng.choice(rng.choice(pools)) for _ in range(rng.randint(1, 60))))
    return found[:200]


def check_tokens(runner, tok):
    same, lines = 0, strings(random.Random(5))
    for s in lines:
        ours = tok.encode(s, add_special_tokens=False).ids
        theirs = runner.tokenize(s)
        same += ours == theirs
        if ours != theirs:
            print("  differs:", repr(s[:60]), ours[:12], theirs[:12])
    print(f"tokenizer: {same} of {len(lines)} strings alike")


def check_template(runner):
    env = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    env.policies["json.dumps_kwargs"] = {"sort_keys": False, "ensure_ascii": False}
    template = env.from_string(runner.model.get_default_chat_template() if hasattr(runner.model, "get_default_chat_template") else chats.CHAT_TEMPLATE)
    rng, good, n = random.Random(11), 0, 0
    for _ in range(200):
        messages = chats.chat(rng)
        n += 1
        good += template.render(messages=messages, add_generation_prompt=False) == "".join(t for t, _ in chats.render(messages))
    tools = [{"type": "function", "function": chats.make_tool(chats.tool_specs(rng)[0], rng)[0]}]
    text = template.render(messages=[{"role": "user", "content": "hi"}], tools=tools, add_generation_prompt=True)
    good_tools = text == f"<|im_start|>system\n{chats.tools_text(tools)}<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    print(f"chat template: {good} of {n} chats as in training; tools {'as in training' if good_tools else 'DIFFER'}")


def check_logits(runner, tok, model, rng):
    worst, total, agree, count = 0, 0, 0, 0
    for _ in range(20):
        ids = tok.encode("<|endoftext|>" + "".join(t for t, _ in chats.document(rng)), add_special_tokens=False).ids[:400]
        theirs = runner.logits(ids)
        with torch.no_grad():
            ours = model(torch.tensor([ids]))[0].numpy()
        worst = max(worst, np.abs(ours - theirs).max())
        total += np.abs(ours - theirs).mean()
        agree += (ours.argmax(-1) == theirs.argmax(-1)).sum()
        count += len(ids)
    print(f"logits: largest difference {worst:.4f}, mean {total / 20:.5f}, same best token at {agree / count:.2%} of {count} places")


def prompt(messages):
    return "<|endoftext|>" + "".join(t for t, _ in chats.render(messages)) + "<|im_start|>assistant\n"


def tasks(name, rng):
    """(messages, reference) of one random item."""
    user = {}
    if name == "tool calls":
        while True:
            messages = chats.tool_chat(rng)
            spots = [i for i, m in enumerate(messages) if m["role"] == "assistant" and m["content"].startswith("{")]
            if spots:
                return messages[: spots[0]], messages[spots[0]]["content"]
    if name == "tool results":
        while True:
            messages = chats.tool_chat(rng)
            spots = [i for i, m in enumerate(messages) if m["role"] == "tool"]
            if spots:
                return messages[: spots[0] + 1], messages[spots[0] + 1]["content"]
    if name == "memory after other turns":
        turns = chats.tell(rng, user)
        key = next(iter(user))
        for f in rng.sample([chats.facts, chats.arithmetic, chats.counting, chats.hello, chats.word_game, chats.identity], 2):
            turns += f(rng, {})
        q, a, _ = chats.MEMORY[key][2:]
        turns.append((chats.ask(q, rng), chats.Reply(chats.polish(a.format(v=user[key])))))
    elif name == "one-word style":
        while True:
            q, r = chats.fact(rng, user)
            if r.short:
                break
        return [{"role": "system", "content": "Answer with one word."}, {"role": "user", "content": q}], chats.cap(r.short)
    elif name == "capital-letter style":
        q, r = chats.fact(rng, user)
        return [{"role": "system", "content": "Answer in capital letters."}, {"role": "user", "content": q}], r.text.upper()
    elif name == "questions on a story":
        turns = []
        while len(turns) < 2:
            st = stories.make_story(rng)
            q, a = rng.choice(st.ask)
            turns = [(f"Tell me a story about a {st.kind}.", chats.Reply(st.text)), (q, chats.Reply(a))]
    else:
        f = {"facts": chats.facts, "additions and subtractions": chats.arithmetic, "counting": chats.counting, "word games": chats.word_game, "reading": chats.reading, "JSON extraction": chats.extract, "happy or sad": chats.sentiment}[name]
        turns = f(rng, user)
    messages = []
    for q, r in turns:
        messages += [{"role": "user", "content": q}, {"role": "assistant", "content": r.text}]
    return messages[:-1], messages[-1]["content"]


NAMES = [
    "facts", "additions and subtractions", "counting", "word games", "reading", "questions on a story", "memory after other turns", "JSON extraction",
    "happy or sad", "one-word style", "capital-letter style", "tool calls", "tool results",
]


def fine(reply, reference, question):
    if reply == reference:
        return True
    rhyme = re.search(r"rhymes with (\w+)", question)
    if rhyme:
        return any(rhyme.group(1) in g and reply.split(" ")[0].lower() in g for g in w.RHYMES)
    return False


def check_tasks(runner, tok, items):
    for name in NAMES:
        rng, good, shown = random.Random(zlib.crc32(name.encode())), 0, 0
        for _ in range(items):
            ids = []
            while not 0 < len(ids) <= 800:
                messages, reference = tasks(name, rng)
                ids = tok.encode(prompt(messages), add_special_tokens=False).ids
            reply = tok.decode(runner.generate(ids, 200))
            ok = fine(reply, reference, messages[-1]["content"])
            good += ok
            if not ok and shown < 2:
                shown += 1
                print(f"    {messages[-1]['content'][-110:]!r} -> {reply[:110]!r}, not {reference[:110]!r}")
        print(f"  {name}: {good / items:.1%} of {items}", flush=True)


def plot_words():
    """The words that each plot's own stories use, to tell which plot a story follows."""
    rng = random.Random(1)
    return [Counter(x for _ in range(40) for x in set(re.findall(r"[a-z]+", make_plot(rng, plot).lower()))) for plot in stories.PLOTS]


def make_plot(rng, plot):
    st = stories.make_story(rng, plot=plot)
    return " ".join([*st.body, st.moral])


def check_stories(runner, tok, items, temperature):
    rng, dice = random.Random(77), np.random.default_rng(77)
    bags = plot_words()
    common = sum(bags, Counter())
    ended = kind = same = 0
    for _ in range(items):
        want = rng.randrange(len(stories.PLOTS))
        st = stories.make_story(rng, plot=stories.PLOTS[want])
        request = stories.polish(f"tell me a story about a {st.adj} {st.kind} who {st.seed}.")
        ids = tok.encode(prompt([{"role": "user", "content": request}]), add_special_tokens=False).ids
        out = runner.generate(ids, 400, temperature, dice)
        text = tok.decode(out).lower()
        ended += len(out) < 400
        kind += st.kind.lower() in text
        found = set(re.findall(r"[a-z]+", text))
        scores = [sum(bag[x] / common[x] for x in found if common[x]) for bag in bags]
        same += scores.index(max(scores)) == want
    print(f"  {items} stories at temperature {temperature}: {ended / items:.0%} come to an end, {kind / items:.0%} have the hero and {same / items:.0%} the plot that was asked for")


SHOW = [
    ([], "Hello!"), ([], "Tell me a story about a shy dragon who lost a blue shoe."), ([], "Tell me a story about a robot who wanted to fly."), ([], "What is 8 + 7?"), ([], "What day comes after Friday?"),
    ([], "What is the plural of mouse?"), ([], "Write 'garden' in capital letters."), ([], "Count from 5 to 12."), ([], "What is the capital of France?"),
    ([{"role": "system", "content": "You are a pirate."}], "What colour is the sky?"),
    ([{"role": "user", "content": "My name is Zora."}, {"role": "assistant", "content": "Nice to meet you, Zora!"}], "What is my name?"),
    ([{"role": "system", "content": chats.tools_text([{"type": "function", "function": {"name": "get_weather", "description": "Get the weather in a city.", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}])}], "What is the weather in Zurich?"),
]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--checkpoint", type=Path, default=Path("work/story.pt"))
    ap.add_argument("--tokenizer", type=Path, default=Path("work/tokenizer.json"))
    ap.add_argument("--models", type=Path, default=Path("."))
    ap.add_argument("--items", type=int, default=200)
    args = ap.parse_args()
    torch.set_num_threads(2)
    tok = Tokenizer.from_file(str(args.tokenizer))
    saved = torch.load(args.checkpoint, weights_only=True)
    model = Story(Config(**saved["config"])).eval()
    model.load_state_dict({k: v.float() for k, v in saved["weights"].items()})

    for name in ("trifold-story-f16.gguf", "trifold-story.gguf"):
        print(f"== {name}")
        runner = Runner(args.models / name)
        check_tokens(runner, tok)
        check_template(runner)
        check_logits(runner, tok, model, random.Random(6))
    if args.items:
        check_tasks(runner, tok, args.items)
        check_stories(runner, tok, max(20, args.items // 4), 0.8)
    dice = np.random.default_rng(1)
    for before, question in SHOW:
        ids = tok.encode(prompt(before + [{"role": "user", "content": question}]), add_special_tokens=False).ids
        print(f"> {before[0]['content'][:60] + ' ... ' if before else ''}{question}\n{tok.decode(runner.generate(ids, 400))}")
    ids = tok.encode("<|endoftext|>Once upon a time", add_special_tokens=False).ids
    print(f"> (no chat, temperature 0.8) Once upon a time\n{tok.decode(ids + runner.generate(ids, 400, 0.8, dice), skip_special_tokens=True)}")


if __name__ == "__main__":
    main()
