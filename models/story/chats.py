"""Chat data: short conversations about the little world of `world.py`.

A conversation is a list of messages {"role": ..., "content": ...}; `render` writes it in ChatML exactly as
CHAT_TEMPLATE does.  Every assistant text is built by rule, so every answer in the data is right.
"""

import json
import re

import stories
import world as w
from stories import choose, expand, polish

# --- the chat format --------------------------------------------------------

TOOLS_INTRO = "You can use these tools:"
TOOLS_OUTRO = 'To use a tool, answer only with {"name": "tool name", "arguments": {"argument": "value"}}.'

CHAT_TEMPLATE = (
    "{%- set first = messages[0] if messages else none %}"
    "{%- if tools %}"
    "{{- '<|im_start|>system\\n' }}"
    "{%- if first and first.role == 'system' %}{{- first.content + '\\n\\n' }}{%- endif %}"
    "{{- '" + TOOLS_INTRO + "' }}"
    "{%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{%- endfor %}"
    "{{- '\\n" + TOOLS_OUTRO + "<|im_end|>\\n' }}"
    "{%- elif first and first.role == 'system' %}"
    "{{- '<|im_start|>system\\n' + first.content + '<|im_end|>\\n' }}"
    "{%- endif %}"
    "{%- for message in messages %}"
    "{%- if message.role == 'system' and loop.first %}"
    "{%- elif message.role == 'assistant' and message.tool_calls %}"
    "{{- '<|im_start|>assistant\\n' }}"
    "{%- for call in message.tool_calls %}"
    "{%- set f = call.function if call.function else call %}"
    "{{- '{\"name\": \"' + f.name + '\", \"arguments\": ' }}"
    "{%- if f.arguments is string %}{{- f.arguments }}{%- else %}{{- f.arguments | tojson }}{%- endif %}"
    "{{- '}' }}{%- if not loop.last %}{{- '\\n' }}{%- endif %}"
    "{%- endfor %}"
    "{{- '<|im_end|>\\n' }}"
    "{%- else %}"
    "{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') + '<|im_end|>\\n' }}"
    "{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def tools_text(tools):
    return "\n".join([TOOLS_INTRO, *(json.dumps(t, ensure_ascii=False) for t in tools), TOOLS_OUTRO])


def render(messages):
    """The conversation as a list of (text, is_target) pieces; targets are what the model must write."""
    pieces = []
    for m in messages:
        pieces.append((f"<|im_start|>{m['role']}\n", False))
        pieces.append((m["content"] + "<|im_end|>", m["role"] == "assistant"))
        pieces.append(("\n", False))
    return pieces


class Reply:
    """An answer with an optional one-word form, so that a style can choose."""

    def __init__(self, text, short=None, long=False):
        self.text, self.short, self.long = text, short, long


# --- how users write --------------------------------------------------------


def casual(text, rng):
    """Small variations of spelling, as people type."""
    if rng.random() < 0.25 and not text.startswith("I "):
        text = text[0].lower() + text[1:]
    if rng.random() < 0.2 and text[-1] in ".?!" and "\n" not in text:
        text = text[:-1]
    if rng.random() < 0.05 and not re.search(r"['\"{]", text):
        text = text.lower()
    if rng.random() < 0.06:
        text = text.replace("colour", "color")
    return text


def ask(template, rng, **slots):
    return casual(polish(choose(template, rng).format_map(slots)), rng)


PLEASE = "[|||Please |Can you |Could you ]"


def request(template, rng, **slots):
    """A wish: 'tell me ...', 'please tell me ...', 'can you tell me ...?'"""
    text = choose(PLEASE + template, rng).format_map(slots)
    if text.startswith(("Can you", "Could you")):
        text = text.rstrip(".") + ("?" if rng.random() < 0.8 else "")
    return casual(polish(text), rng)


# --- tasks: each returns a list of (user text, Reply) turns ------------------


def hello(rng, user):
    greeting = rng.choice(("Hello", "Hi", "Hey", "Good morning", "Good evening", "Hello there", "Hi there", "Good day"))
    back = {"Good morning": "Good morning", "Good evening": "Good evening", "Good day": "Good day", "Hi": "Hi", "Hi there": "Hi"}.get(greeting, "Hello")
    who = f", {user['name']}" if "name" in user else ""
    turns = [(ask(greeting + "[!|.||]", rng), Reply(f"{back}{who}! " + rng.choice(("How can I help you?", "What can I do for you?", "Would you like to hear a story?")), back))]
    if rng.random() < 0.3:
        turns.append((ask("[How are you|How are you today|How is it going|How do you do]?", rng), Reply(rng.choice(("I am fine, thank you. How are you?", "I am very well, thank you. And you?")), "Fine")))
        if rng.random() < 0.5:
            good = rng.random() < 0.7
            turns.append((ask("[I am fine|I am good|Very well|Great], thank you." if good else "[I am tired|I am a bit sad|Not so good] today.", rng),
                          Reply(rng.choice(("I am glad to hear that.", "That is good to hear!") if good else ("I am sorry to hear that. Maybe a story will help?", "I am sorry. I hope that you feel better soon.")), "Good" if good else "Sorry")))
    return turns


def thanks(rng, user):
    if rng.random() < 0.55:
        return [(ask("[Thank you|Thanks|Thank you very much|Thanks a lot|Great, thank you|That was nice|Well done|I like that][!|.]", rng), Reply(rng.choice(("You are welcome!", "You are welcome! Can I do anything else?", "I am happy to help.")), "Welcome"))]
    who = f", {user['name']}" if "name" in user else ""
    night = rng.random() < 0.3
    if night:
        return [(ask("Good night[!|.]", rng), Reply(f"Good night{who}! Sleep well.", "Goodnight"))]
    return [(ask("[Bye|Goodbye|See you|Bye bye|See you later|I have to go now][!|.]", rng), Reply(f"Goodbye{who}! Have a nice day.", "Goodbye"))]


IDENTITY = [
    ("[Who are you|What are you|What is this|Introduce yourself|Tell me about yourself][?|.]", "I am Trifold Story, a very small language model. I can tell stories and answer simple questions.", "Trifold Story"),
    ("[What is your name|What are you called|Do you have a name]?", "My name is Trifold Story.", "Trifold Story"),
    ("[What can you do|How can you help me|What do you know|Help|What can I ask you]?", "I can tell short stories and poems, answer simple questions, add small numbers, count, repeat words and use tools.", "Stories"),
    ("[Are you a human|Are you a person|Are you real]?", "No, I am a small computer program.", "No"),
    ("[Are you a robot|Are you a computer|Are you an AI]?", "I am a computer program, a very small language model.", "Yes"),
    ("[How big are you|How many parameters do you have|Are you big|Are you smart]?", "I am tiny. I know only a little world, and I often make mistakes.", "Tiny"),
    ("[Who made you|Where do you come from|How were you trained|Who created you]?", "I was made for the Trifold project, and I learned from stories and questions that a small program wrote.", "Trifold"),
    ("[Do you need the internet|Do you work offline|Where do you run]?", "I run on your computer, without the internet.", "Offline"),
    ("[How old are you|When were you born]?", "I am a computer program, so I have no age.", "None"),
    ("[Do you have feelings|Can you feel|Are you happy|Are you alive]?", "No, I am a computer program, and I do not have feelings.", "No"),
    ("[Do you like me|Do you like stories|What do you like]?", "I am only a program, but stories are what I do best.", "Stories"),
]


def identity(rng, user):
    q, a, short = rng.choice(IDENTITY)
    if user.get("persona") and "name" in q:
        name = user["persona"][0]
        return [(ask(q, rng), Reply(f"My name is {name}.", name))]
    if user.get("persona") and q.startswith("[Who are you"):
        name, kind = user["persona"]
        return [(ask(q, rng), Reply(f"I am {name}, {kind}.", name))]
    return [(ask(q, rng), Reply(a, short))]


WANT = "[tell me|write|tell|write me|make up|give me] "


def story(rng, user, long_context=False):
    """A wish for a story, the story, and maybe questions about it."""
    st = stories.make_story(rng)
    its = rng.random() < 0.25
    seed = re.sub(r"\b(his|her)\b", "its", st.seed) if its else st.seed
    roll = rng.random()
    who = st.kind if rng.random() < 0.55 else f"{st.adj} {st.kind}"
    slots = {"who": who, "seed": seed, "kind": st.kind, "friend": st.friend, "name": st.name, "place": st.place, "obj": st.obj}
    if roll < 0.55:
        q = request(WANT + "a [story|short story|little story] about a(n) {who} who {seed}.", rng, **slots)
    elif roll < 0.72:
        q = request(WANT + "a [story|short story|bedtime story] about a(n) {who}.", rng, **slots)
    elif roll < 0.79:
        q = request(WANT + "a story about a(n) {kind} and a(n) {friend}.", rng, **slots)
    elif roll < 0.86:
        q = request(WANT + "a story about a(n) {kind} named {name}[ who {seed}|].", rng, **slots)
    elif roll < 0.90:
        q = request(WANT + "a story about a(n) {kind} {place}.", rng, **slots)
    elif roll < 0.94 and st.obj and st.obj in st.text:
        q = request(WANT + "a story about a(n) {obj}.", rng, **slots)
    elif roll < 0.96:
        q = ask("[a story about a(n) {who}|story about a(n) {who} who {seed}]", rng, **slots)
    else:
        q = ask("[Tell me a story|I want to hear a story|A story, please|Do you know a story|Can you tell me a story|Tell me something nice][.|]", rng)
    style = rng.random()
    if style < 0.12:
        q = q.rstrip(".?") + rng.choice((" with a title.", ". Give it a title.", " and give it a title."))
        text = f"{st.title}\n\n{st.paragraphs}"
    elif style < 0.2:
        q = q.rstrip(".?") + rng.choice((" in three sentences.", ". Keep it short.", ", but keep it very short."))
        text = st.short
    elif style < 0.35:
        text = st.paragraphs
    else:
        text = st.text
    turns = [(q, Reply(text, long=True))]
    full = text != st.short
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3)) if full else 0):
        roll = rng.random()
        if roll < 0.75:
            fq, fa = rng.choice(st.ask)
            turns.append((casual(fq, rng), Reply(fa)))
        elif roll < 0.85:
            turns.append((ask("[What is the story about|What was the story about|Can you sum it up|Sum it up]?", rng), Reply(polish(f"It is about {w.with_article(st.adj + ' ' + st.kind)} who {st.seed}."))))
        elif roll < 0.93:
            turns.append((ask("[Give the story a title|What is a good title for it|Find a title for the story][.|?]", rng), Reply(st.title)))
        else:
            turns.append((ask("[What can we learn from it|What is the moral|How does it end]?", rng), Reply(st.moral)))
    return turns


def continue_story(rng, user):
    st = stories.make_story(rng)
    sentences = [st.opening, *st.body, st.moral + st.closing]
    k = rng.randint(1, 3)
    q = ask("[Continue the story|Go on with this story|Finish this story|How does this story go on]: ", rng).rstrip(": ") + ": " + " ".join(sentences[:k])
    return [(q, Reply(" ".join(sentences[k:]), long=True))]


def poem(rng, user):
    kind = stories.random_kind(rng)
    q = request("[write|tell me|make|give me] a [poem|short poem|little poem|rhyme] about a(n) {kind}.", rng, kind=kind)
    return [(q, Reply(stories.make_poem(rng, kind), long=True))]


def cap(text):
    return text[0].upper() + text[1:]


OPPOSITE = {}
for _a, _b in w.OPPOSITES:
    OPPOSITE.setdefault(_a, _b)
for _a, _b in w.OPPOSITES:
    OPPOSITE.setdefault(_b, _a)


def fact(rng, user):
    """One question from the tables of the little world."""
    roll = rng.randrange(21)
    if roll == 0:
        thing, colour = rng.choice(w.THING_COLOUR)
        if rng.random() < 0.25:
            guess = rng.choice((colour, rng.choice(w.COLOURS)))
            yes = guess == colour
            return ask("Is {t} {g}?", rng, t=thing, g=guess), Reply(f"Yes, {thing} is {colour}." if yes else f"No, {thing} is {colour}.", "Yes" if yes else "No")
        return ask("[What colour is {t}|Which colour is {t}|What is the colour of {t}|Tell me the colour of {t}]?", rng, t=thing), Reply(cap(f"{thing} is {colour}."), colour)
    if roll == 1:
        a, s = rng.choice(w.SOUND)
        if rng.random() < 0.3:
            return ask("Which animal says {s}?", rng, s=s), Reply(f"{cap(w.with_article(next(x for x, y in w.SOUND if y == s)))} says {s}.", next(x for x, y in w.SOUND if y == s))
        return ask("[What does a(n) {a} say|What sound does a(n) {a} make|How does a(n) {a} go]?", rng, a=a), Reply(polish(f"a(n) {a} says {s}."), s)
    if roll == 2:
        a, b = rng.choice(w.BABY)
        return ask("[What is a baby {a} called|What do you call a baby {a}|What is the name for a young {a}]?", rng, a=a), Reply(polish(f"A baby {a} is called a(n) {b}."), b)
    if roll == 3:
        a, h = rng.choice(w.HOME)
        return ask("[Where does a(n) {a} live|What is the home of a(n) {a}]?", rng, a=a), Reply(polish(f"a(n) {a} lives in a(n) {h}."), h)
    if roll == 4:
        a, f = rng.choice(w.DIET)
        return ask("[What does a(n) {a} eat|What does a(n) {a} like to eat|What do {as_} eat]?", rng, a=a, as_=w.plural(a)), Reply(polish(f"a(n) {a} eats {f}."), f)
    if roll == 5:
        a, m = rng.choice(w.MAKES)
        return ask("[What does a(n) {a} make|What do {as_} make|What do we get from a(n) {a}]?", rng, a=a, as_=w.plural(a)), Reply(polish(f"a(n) {a} makes {m}."), m)
    if roll == 6:
        a, n = rng.choice(w.LEGS)
        nw = w.number_word(n) if n else "no"
        return ask("[How many legs does a(n) {a} have|How many legs has a(n) {a}]?", rng, a=a), Reply(polish(f"a(n) {a} has {nw} legs."), w.number_word(n))
    if roll == 7:
        verb, (yes, no) = rng.choice((("fly", w.FLY), ("swim", w.SWIM)))
        good = rng.random() < 0.5
        a = rng.choice(yes if good else no)
        return ask("Can a(n) {a} {v}?", rng, a=a, v=verb), Reply(polish(f"Yes, a(n) {a} can {verb}." if good else f"No, a(n) {a} cannot {verb}."), "Yes" if good else "No")
    if roll in (8, 9):
        table, unit = ((w.DAYS, "day"), (w.MONTHS, "month"))[rng.random() < 0.4]
        i = rng.randrange(len(table))
        after = rng.random() < 0.6
        answer = table[(i + 1) % len(table)] if after else table[i - 1]
        word = "after" if after else "before"
        if unit == "day" and rng.random() < 0.25:
            word2, ans = (("tomorrow", table[(i + 1) % 7]), ("yesterday", table[i - 1]))[rng.random() < 0.5]
            verb = "is" if word2 == "tomorrow" else "was"
            return ask("Today is {d}. What day {v} {w}?", rng, d=table[i], v=verb, w=word2), Reply(f"{cap(word2)} {verb} {ans}.", ans)
        return ask("[What {u} comes {w} {d}|Which {u} comes {w} {d}|What {u} is {w} {d}|What comes {w} {d}]?", rng, u=unit, w=word, d=table[i]), Reply(f"{answer} comes {word} {table[i]}.", answer)
    if roll == 10:
        i = rng.randrange(12)
        if rng.random() < 0.5:
            return ask("How many days [are there in|does] {m}[| have]?".replace("[| have]", ""), rng, m=w.MONTHS[i]).replace("does " + w.MONTHS[i], "does " + w.MONTHS[i] + " have"), Reply(f"{w.MONTHS[i]} has {w.MONTH_DAYS[i]} days.", str(w.MONTH_DAYS[i]))
        season = ("winter", "winter", "spring", "spring", "spring", "summer", "summer", "summer", "autumn", "autumn", "autumn", "winter")[i]
        return ask("[In which season is {m}|What season is it in {m}]?", rng, m=w.MONTHS[i]), Reply(f"{w.MONTHS[i]} is in {season}.", season)
    if roll == 11:
        s, n = rng.choice(w.SHAPES)
        if rng.random() < 0.4:
            s2, n2 = rng.choice([x for x in w.SHAPES if x[0] != "rectangle"])
            return ask("Which shape has {n} sides?", rng, n=n2), Reply(polish(f"a(n) {s2} has {n2} sides."), s2)
        return ask("How many [sides|corners] does a(n) {s} have?", rng, s=s).replace("corner", "side"), Reply(polish(f"a(n) {s} has {n} sides."), n)
    if roll in (12, 13):
        x = rng.choice(list(OPPOSITE))
        return ask("[What is the opposite of {x}|What is the opposite of '{x}'|Tell me the opposite of {x}|opposite of {x}|Give me the opposite of {x}]?", rng, x=x), Reply(f"The opposite of {x} is {OPPOSITE[x]}.", OPPOSITE[x])
    if roll in (14, 15):
        n = rng.choice(w.REGULAR_NOUNS + [a for a, _ in w.IRREGULAR_PLURALS])
        p = w.plural(n)
        if rng.random() < 0.4:
            k = rng.randint(2, 12)
            return ask("[One {n}, {k}|1 {n}, {k}] ...?", rng, n=n, k=w.number_word(k)), Reply(f"One {n}, {w.number_word(k)} {p}.", p)
        return ask("[What is the plural of {n}|What is the plural of '{n}'|Tell me the plural of {n}|plural of {n}]?", rng, n=n), Reply(f"The plural of {n} is {p}.", p)
    if roll == 16:
        d, text = rng.choice(w.DEFINITIONS)
        return ask("[What is {d}|What is {d}|Explain {d}|Tell me what {d} is|Do you know what {d} is][?|.]", rng, d=d), Reply(text)
    if roll == 17:
        q, a, short = rng.choice(w.COMMON_SENSE)
        return casual(q, rng), Reply(a, short)
    if roll == 18:
        c = rng.choice(list(w.CATEGORIES))
        x = rng.choice(w.CATEGORIES[c])
        proper = c in ("day", "month")
        if rng.random() < 0.5:
            other = rng.choice([k for k in w.CATEGORIES if k != c and not {k, c} <= {"tree", "flower", "fruit"}])
            good = rng.random() < 0.5
            cc = c if good else other
            noun = x if proper or c in ("colour", "drink", "season") else w.with_article(x)
            return ask("Is {n} {c}?", rng, n=noun, c=w.with_article(cc)), Reply(polish(f"Yes, {noun} is {w.with_article(c)}." if good else f"No, {noun} is {w.with_article(c)}."), "Yes" if good else "No")
        noun = x if proper or c in ("colour", "drink", "season") else w.with_article(x)
        return ask("[What kind of thing is {n}|What is {n}]?", rng, n=noun), Reply(cap(f"{noun} is {w.with_article(c)}."), c)
    if roll == 19:
        i, j = rng.sample(range(len(w.SIZES)), 2)
        big = rng.random() < 0.6
        ans = w.SIZES[max(i, j) if big else min(i, j)]
        word = rng.choice(("bigger", "larger") if big else ("smaller",))
        return ask("[Which is {w}, a(n) {a} or a(n) {b}|What is {w}: a(n) {a} or a(n) {b}]?", rng, w=word, a=w.SIZES[i], b=w.SIZES[j]), Reply(polish(f"a(n) {ans} is {word}."), ans)
    a, b, c = rng.choice(w.MIXES)
    if rng.random() < 0.5:
        a, b = b, a
    return ask("[What do you get when you mix {a} and {b}|Which colour do {a} and {b} make]?", rng, a=a, b=b), Reply(f"{cap(a)} and {b} make {c}.", c)


def facts(rng, user):
    return [fact(rng, user)]


def arithmetic(rng, user):
    a, b = rng.randint(0, 20), rng.randint(0, 20)
    minus = rng.random() < 0.45
    if minus and b > a:
        a, b = b, a
    result = a - b if minus else a + b
    form = rng.random()
    if form < 0.55:
        sign = "-" if minus else "+"
        text = rng.choice((f"{a} {sign} {b}", f"{a}{sign}{b}"))
        q = ask(rng.choice(("What is {t}?", "{t}", "{t} =", "How much is {t}?", "Calculate {t}.", "{t} = ?", "Can you add {a} and {b}?" if not minus else "Subtract {b} from {a}.")), rng, t=text, a=a, b=b)
        return [(q, Reply(f"{a} {sign} {b} = {result}", str(result)))]
    if form < 0.75:
        word = "minus" if minus else "plus"
        q = ask("[What is|How much is] {a} {w} {b}?", rng, a=w.number_word(a), b=w.number_word(b), w=word)
        return [(q, Reply(cap(f"{w.number_word(a)} {word} {w.number_word(b)} is {w.number_word(result)}."), w.number_word(result)))]
    noun = rng.choice(w.REGULAR_NOUNS)
    name = w.any_name(rng)
    things = lambda n: f"{n} {noun if n == 1 else w.plural(noun)}"
    if minus:
        q = ask("[{N} has {x} and gives away {b}|{N} has {x}. {b} of them are lost|There are {x}. {N} takes {b} away]. How many {p} are left?", rng, N=name, x=things(a), b=b, p=w.plural(noun))
        return [(q, Reply(f"{a} - {b} = {result}, so {things(result)} {'is' if result == 1 else 'are'} left.", str(result)))]
    q = ask("[{N} has {x} and gets {b} more|{N} has {x} and finds {b} more|{N} has {x} and buys {b} more]. How many {p} does {N} have[| now]?", rng, N=name, x=things(a), b=b, p=w.plural(noun))
    return [(q, Reply(f"{a} + {b} = {result}, so {name} has {things(result)}.", str(result)))]


def counting(rng, user):
    roll = rng.random()
    if roll < 0.4:
        n = rng.randint(3, 20)
        lo = 1 if rng.random() < 0.6 else rng.randint(2, 10)
        hi = max(n, lo + 2)
        q = request("count to {b}." if lo == 1 and rng.random() < 0.8 else "count from {a} to {b}.", rng, a=lo, b=hi)
        seq = range(lo, hi + 1)
    elif roll < 0.6:
        hi = rng.randint(3, 15)
        lo = 0 if rng.random() < 0.2 else 1
        q = request("count [backwards|down] from {b}[| to {a}].", rng, a=lo, b=hi)
        if "to 0" not in q:
            lo = 1
        seq = range(hi, lo - 1, -1)
    elif roll < 0.75:
        step = rng.choice((2, 5, 10))
        hi = step * rng.randint(3, 10)
        q = request("count to {b} [by {s}s|in steps of {s}].", rng, b=hi, s=step)
        seq = range(step, hi + 1, step)
    elif roll < 0.9:
        n = rng.randint(0, 99)
        after = rng.random() < 0.6
        if not after:
            n = max(n, 1)
        ans = n + 1 if after else n - 1
        word = "after" if after else "before"
        return [(ask("[What number comes {w} {n}|Which number is {w} {n}|What comes {w} {n}]?", rng, w=word, n=n), Reply(f"{ans} comes {word} {n}.", str(ans)))]
    else:
        n = rng.randint(0, 99)
        if rng.random() < 0.5:
            return [(request("write {n} as a word.", rng, n=n), Reply(cap(w.number_word(n)) + ".", w.number_word(n)))]
        return [(request("write {n} in digits.", rng, n=w.number_word(n)), Reply(f"{n}", str(n)))]
    return [(q, Reply(", ".join(map(str, seq))))]


ALL_WORDS = sorted(
    {x for x in w.REGULAR_NOUNS + w.ANIMALS + w.OBJECTS + w.COLOURS + w.ADJECTIVES + w.FOODS + [a for a, _ in w.OPPOSITES] if " " not in x}
    | {"hello", "goodbye", "thanks", "please", "welcome", "world", "computer", "music", "morning", "friend", "tiny", "model"}
)
QUOTES = ("'", '"', "")


def word_game(rng, user):
    roll = rng.random()
    word = rng.choice(ALL_WORDS) if rng.random() < 0.85 else w.made_up_name(rng).lower()
    qt = rng.choice(QUOTES)
    quoted = f"{qt}{word}{qt}"
    if roll < 0.2:
        n = rng.randint(2, 6)
        return [(request("[repeat|say|write] [the word |]{q} {n} times.", rng, q=quoted, n=rng.choice((n, w.number_word(n)))), Reply(" ".join([word] * n)))]
    if roll < 0.4:
        text = rng.choice((word, " ".join(rng.sample(ALL_WORDS, rng.randint(2, 5))), polish(f"the {rng.choice(w.ADJECTIVES)} {rng.choice(w.ANIMALS)} has a(n) {rng.choice(w.COLOURS)} {rng.choice(w.OBJECTS)}."), w.any_name(rng), "".join(rng.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(rng.randint(3, 8)))))
        return [(ask("[Repeat after me|Say this|Repeat|Repeat this|Say|Write exactly this|Copy this]: ", rng).rstrip(": ") + f": {text}", Reply(text))]
    if roll < 0.62:
        return [(request("[write {q} in capital letters|write {q} in uppercase|put {q} in capitals|make {q} uppercase|uppercase {q}].", rng, q=quoted), Reply(word.upper()))]
    if roll < 0.70:
        return [(request("[write {q} in small letters|write {q} in lowercase|make {q} lowercase|lowercase {q}].", rng, q=quoted.upper()), Reply(word))]
    if roll < 0.82:
        return [(request("[spell {q}|spell the word {q}|tell me how to spell {q}].", rng, q=quoted), Reply("-".join(word.upper())))]
    if roll < 0.90:
        first = rng.random() < 0.6
        letter = (word[0] if first else word[-1]).upper()
        which = "first" if first else "last"
        return [(ask("[What is the {w} letter of {q}|Which letter is the {w} one in {q}]?", rng, w=which, q=quoted), Reply(f"The {which} letter of {word} is {letter}.", letter))]
    if roll < 0.95:
        group = rng.choice(w.RHYMES)
        a, b = rng.sample(group, 2)
        return [(ask("[What rhymes with {a}|Which word rhymes with {a}|Tell me a word that rhymes with {a}]?", rng, a=a), Reply(f"{cap(b)} rhymes with {a}.", b))]
    return [(ask("[How many letters are in {q}|How many letters does {q} have]?", rng, q=quoted), Reply(f"{cap(word)} has {len(word)} letters.", str(len(word))))]


def lists(rng, user):
    c = rng.choice([k for k in w.CATEGORIES if k != "season"])
    n = rng.randint(2, 5)
    items = rng.sample(w.CATEGORIES[c], min(n, len(w.CATEGORIES[c])))
    n = len(items)
    many = w.CATEGORY_PLURAL.get(c) or w.plural(c)
    q = request("[name|list|tell me|give me] {n} {c}.", rng, n=rng.choice((n, w.number_word(n))), c=many)
    if rng.random() < 0.3:
        q = q.rstrip(".?") + " as a list."
        return [(q, Reply("\n".join(f"{i}. {cap(x)}" for i, x in enumerate(items, 1)), long=True))]
    return [(q, Reply(f"{cap(w.number_word(n))} {many} are {', '.join(items[:-1])} and {items[-1]}."))]


# Memory: what the user says about himself or herself, and questions on it later in the same chat.
MEMORY = {
    "name": ("[My name is {v}|I am {v}|Call me {v}|I am called {v}|Hi, I am {v}|Hello, my name is {v}][.|!]", "[Nice to meet you, {v}!|Hello, {v}! It is nice to meet you.|Hi {v}! How can I help you?]",
             "[What is my name|Who am I|Do you remember my name|Do you know my name|What did I say my name was]?", "Your name is {v}.", "You have not told me your name yet."),
    "age": ("I am {v} years old.", "{v} is a good age!", "[How old am I|What is my age|Do you know how old I am]?", "You are {v} years old.", "You have not told me how old you are."),
    "city": ("[I live in {v}|I am from {v}|I come from {v}].", "[{v} sounds like a nice place.|I have never been in {v}, but it sounds nice.]", "[Where do I live|Where am I from|Which city do I live in]?", "You live in {v}.", "You have not told me where you live."),
    "colour": ("[My favourite colour is {v}|I like the colour {v} best].", "[{v} is a beautiful colour.|I see. {v} is a nice colour.]", "[What is my favourite colour|Which colour do I like best]?", "Your favourite colour is {v}.", "You have not told me your favourite colour."),
    "food": ("[My favourite food is {v}|I love {v}|I like to eat {v}].", "[{v} sounds tasty!|That sounds good.]", "[What is my favourite food|What do I like to eat]?", "You like {v}.", "You have not told me what you like to eat."),
    "pet": ("[I have a {v}|My pet is a {v}|I have a pet {v}].", "[A {v} is a nice pet.|How nice! What is the {v} called?]", "[Which pet do I have|What pet do I have|Do I have a pet]?", "You have a {v}.", "You have not told me about a pet."),
}


def memory_value(key, rng):
    if key == "name":
        return w.any_name(rng)
    if key == "age":
        return str(rng.randint(3, 99))
    if key == "city":
        return rng.choice(w.CITIES) if rng.random() < 0.7 else w.made_up_name(rng)
    return rng.choice({"colour": w.COLOURS, "food": w.words("pizza,soup,cake,bread,cheese,apples,pancakes,rice,noodles,carrots,fish,honey,plums,cookies"), "pet": w.words("cat,dog,rabbit,hamster,parrot,turtle,mouse,horse,fish,snake")}[key])


def tell(rng, user):
    key = "name" if rng.random() < 0.5 else rng.choice(list(MEMORY))
    say, back, *_ = MEMORY[key]
    value = memory_value(key, rng)
    user[key] = value
    if rng.random() < 0.12 and key == "name":
        other = rng.choice([k for k in MEMORY if k != "name"])
        user[other] = memory_value(other, rng)
        text = ask(MEMORY["name"][0], rng, v=value).rstrip(".!") + " and " + choose(MEMORY[other][0], rng).format(v=user[other])
        return [(text.replace(" and My", " and my"), Reply(f"Nice to meet you, {value}!"))]
    return [(ask(say, rng, v=value), Reply(polish(choose(back, rng).format(v=value))))]


def recall(rng, user):
    known = [k for k in MEMORY if k in user]
    key = rng.choice(known) if known and rng.random() < 0.85 else rng.choice(list(MEMORY))
    q, a, unknown = MEMORY[key][2:]
    if key in user:
        return [(ask(q, rng), Reply(polish(a.format(v=user[key])), user[key]))]
    return [(ask(q, rng), Reply(unknown, "Unknown"))]


def reading(rng, user):
    """Questions on a short text that the user gives."""
    roll = rng.random()
    if roll < 0.35:
        names = rng.sample(w.GIRL_NAMES + w.BOY_NAMES, rng.randint(2, 4))
        if rng.random() < 0.3:
            names[0] = w.made_up_name(rng)
        kinds = rng.sample(w.OBJECTS, len(names))
        cols = [rng.choice(w.COLOURS) for _ in names]
        text = " ".join(polish(f"{n} has a(n) {c} {k}.") for n, c, k in zip(names, cols, kinds))
        i = rng.randrange(len(names))
        q, a = rng.choice((
            (f"What does {names[i]} have?", polish(f"{names[i]} has a(n) {cols[i]} {kinds[i]}.")),
            (f"What colour is {names[i]}'s {kinds[i]}?", f"{names[i]}'s {kinds[i]} is {cols[i]}."),
            (f"Who has the {kinds[i]}?", f"{names[i]} has the {kinds[i]}."),
        ))
    elif roll < 0.6:
        names = rng.sample(w.GIRL_NAMES + w.BOY_NAMES, rng.randint(2, 3))
        places = rng.sample([p for p, _ in w.PLACES], len(names))
        kinds = rng.sample(w.ANIMALS, len(names))
        text = " ".join(polish(f"{n} is a(n) {k} who lives {p}.") for n, k, p in zip(names, kinds, places))
        i = rng.randrange(len(names))
        q, a = rng.choice((
            (f"Where does {names[i]} live?", f"{names[i]} lives {places[i]}."),
            (f"Who lives {places[i]}?", f"{names[i]} lives {places[i]}."),
            (f"What is {names[i]}?", polish(f"{names[i]} is a(n) {kinds[i]}.")),
        ))
    elif roll < 0.8:
        st = stories.make_story(rng)
        text = st.text
        q, a = rng.choice(st.ask)
    else:
        n, c, o, h = rng.choice(w.CITIES), rng.choice(w.WEATHER), rng.randint(1, 30), rng.choice(w.DAYS)
        text = f"On {h} it will be {c} in {n}, with {o} degrees."
        q, a = rng.choice(((f"How warm will it be in {n}?", f"It will be {o} degrees in {n}."), (f"What will the weather be like on {h}?", f"On {h} it will be {c}."), ("Which city is it about?", f"It is about {n}.")))
    form = rng.random()
    if form < 0.4:
        prompt = f"{text} {q}"
    elif form < 0.7:
        prompt = f"Read this text: {text}\n{rng.choice(('Question: ', ''))}{q}"
    else:
        prompt = f"{text}\n\n{q}"
    return [(prompt, Reply(a))]


GOOD = ["I love my {o}.", "What a wonderful day!", "The {f} was very tasty.", "I am so happy with this {o}.", "This is the best {o} I ever had.", "My friends came to my party.", "I won the game.", "Thank you for the lovely {o}.", "The sun is shining and I feel great.", "We laughed all day."]
BAD = ["I lost my {o}.", "What a terrible day.", "The {f} tasted awful.", "I hate this {o}.", "This is the worst {o} I ever had.", "Nobody came to my party.", "I lost the game and cried.", "My {o} is broken again.", "It rained, and I was sad and alone.", "I am very angry about it."]


def sentiment(rng, user):
    good = rng.random() < 0.5
    text = polish(rng.choice(GOOD if good else BAD).format(o=rng.choice(w.OBJECTS), f=rng.choice(w.FOODS)))
    a, b = rng.choice((("happy", "sad"), ("positive", "negative"), ("good", "bad")))
    label = a if good else b
    q = ask(f"[Is this {a} or {b}|Is this sentence {a} or {b}|Say if this is {a} or {b}]", rng) + f": {text}"
    return [(q, Reply(cap(label) + ".", label))]


def extract(rng, user):
    """Facts from a sentence as JSON."""
    name, age, city = w.any_name(rng), rng.randint(2, 99), rng.choice(w.CITIES)
    colour, obj, animal = rng.choice(w.COLOURS), rng.choice(w.OBJECTS), rng.choice(w.ANIMALS)
    text, data = rng.choice((
        (f"{name} is {age} years old.", {"name": name, "age": age}),
        (f"{name} is {age} years old and lives in {city}.", {"name": name, "age": age, "city": city}),
        (f"{name} lives in {city}.", {"name": name, "city": city}),
        (polish(f"{name} has a(n) {colour} {obj}."), {"name": name, "colour": colour, "object": obj}),
        (polish(f"{name} the {animal} found a(n) {obj}."), {"name": name, "animal": animal, "object": obj}),
        (f"{name} bought {age} {w.plural(obj)}.", {"name": name, "count": age, "object": obj}),
    ))
    keys = list(data)
    if rng.random() < 0.3 and len(keys) > 1:
        rng.shuffle(keys)
        keys = keys[: rng.randint(1, len(keys))]
    q = rng.choice((f"Write as JSON with the keys {', '.join(keys)}: {text}", f"Give me JSON with {', '.join(keys)}: {text}", f"Turn this into JSON ({', '.join(keys)}): {text}", f"Extract {', '.join(keys)} as JSON. {text}"))
    return [(q, Reply(json.dumps({k: data[k] for k in keys}, ensure_ascii=False), long=True))]


UNKNOWN = [
    "[What is|Do you know] the capital of {x}?", "Who is the president of {x}?", "Who wrote {x}?", "[Write|Give me] a program [in Python|in C|in Rust|that sorts a list].",
    "How do I [install|fix|build|use] {x}?", "Translate '{x}' into [French|German|Spanish].", "What is the meaning of life?", "What is the news today?", "What time is it?",
    "What is the weather [today|like|in {x}]?", "How far is it to {x}?", "When was {x} born?", "What is {n} times {m}?", "What is {big} divided by {m}?", "Explain [quantum physics|how engines work|the stock market|photosynthesis].",
    "Who won the [game|cup|election|race] in {big}?", "[Bonjour|Hola|Guten Tag|Ciao], [comment ça va|cómo estás|wie geht es dir|come stai]?", "What is the price of {x}?", "Give me a recipe for {x}.", "Write an essay about {x}.",
    "What do you think about {x}?", "Can you [drive|book a flight|send an email|see me|hear me|search the web]?", "Who is {x}?", "What happened in {big}?", "Tell me about {x}.", "Why is the sky blue?", "How does {x} work?", "What is {big} plus {big2}?",
    "Which [phone|car|laptop] should I buy?", "Is {x} better than {y}?", "Solve this equation: x + {n} = {m}.", "Write a letter to {x}.", "What is the square root of {big}?", "{x} {y} {z}",
]
DONT_KNOW = ["I am sorry, I do not know that. I am a very small model.", "I do not know that. I am a very small model, and my world is little.", "I am sorry, that is too hard for me. I can tell you a story, if you like."]


def unknown(rng, user):
    name = lambda: w.made_up_name(rng) if rng.random() < 0.6 else rng.choice(w.words("France,Germany,Mars,Shakespeare,Linux,Einstein,Bitcoin,Windows,Japan,Brazil,Napoleon,Docker,Pluto,football,chess,democracy,biology,gravity"))
    q = ask(rng.choice(UNKNOWN), rng, x=name(), y=name(), z=name(), n=rng.randint(2, 30), m=rng.randint(3, 30), big=rng.randint(100, 3000), big2=rng.randint(100, 3000))
    return [(q, Reply(rng.choice(DONT_KNOW), "Unknown"))]


TASKS = [  # (weight, function)
    (26, story), (2, continue_story), (3, poem), (14, facts), (9, arithmetic), (5, counting), (9, word_game), (3, lists),
    (5, hello), (3, thanks), (4, identity), (6, tell), (6, recall), (5, reading), (1.5, sentiment), (3, extract), (4, unknown),
]
SMALL_TASKS = [(wt, f) for wt, f in TASKS if f not in (story, continue_story, poem, reading)] + [(3, story)]


# --- system prompts ---------------------------------------------------------

PLAIN_SYSTEM = [
    "You are a helpful assistant.", "You are Trifold Story, a tiny storyteller.", "You are a friendly storyteller.", "You are a kind and helpful assistant.",
    "Answer the user.", "You tell short stories for children.", "Be helpful.", "You are a helpful AI assistant.", "Answer in short sentences.",
]
PHRASES = ["Have a nice day!", "That is all.", "I hope this helps.", "Thank you for asking.", "Beep.", "Over and out.", "Yours, {n}.", "Ho ho ho!", "Good luck!", "The {k} has spoken.", "Once more?", "{k}!", "Well, well.", "As you wish.", "My friend,", "Dear friend,", "Listen:", "Hmm."]
VOICES = {
    "pirate": ("Arr! {t}", "[You are a pirate|Talk like a pirate|You speak like a pirate|Answer like a pirate]."),
    "robot": ("Beep boop. {t}", "[You are a robot|Talk like a robot|You speak like a robot|Answer like a robot]."),
    "king": ("Hear, hear! {t}", "[You are a king|Talk like a king|You speak like a king|Answer like a king]."),
    "wizard": ("By my magic hat! {t}", "[You are a wizard|Talk like a wizard|You speak like a wizard|Answer like a wizard]."),
    "cat": ("Meow! {t}", "[You are a cat|Talk like a cat|You speak like a cat|Answer like a cat]."),
    "polite": ("Of course! {t} Can I do anything else for you?", "[Be very polite|You are very polite|Always be very polite]."),
    "ghost": ("Boo! {t}", "[You are a ghost|Talk like a ghost|You speak like a ghost|Answer like a ghost]."),
    "cowboy": ("Howdy, partner! {t}", "[You are a cowboy|Talk like a cowboy|You speak like a cowboy|Answer like a cowboy]."),
}


def system_style(rng, user):
    """A system prompt, and the function that applies it to a reply."""
    roll = rng.random()
    plain = lambda r: r.text
    if roll < 0.50:
        return None, plain
    if roll < 0.66:
        return rng.choice(PLAIN_SYSTEM), plain
    if roll < 0.74:
        form, prompt = VOICES[rng.choice(list(VOICES))]
        return expand(prompt, {}, rng), lambda r: form.format(t=r.text)
    if roll < 0.80:
        phrase = rng.choice(PHRASES).format(n=w.any_name(rng), k=rng.choice(w.KINDS))
        phrase = phrase[0].upper() + phrase[1:]
        if rng.random() < 0.5:
            return expand("[End every answer with|Always end with|Finish each answer with]", {}, rng) + f' "{phrase}"', lambda r: f"{r.text} {phrase}"
        return expand("[Begin every answer with|Always start with|Start each answer with]", {}, rng) + f' "{phrase}"', lambda r: f"{phrase} {r.text}"
    if roll < 0.85:
        return expand("[Answer in capital letters|Always use capital letters|Write everything in uppercase|You always shout. Use capital letters].", {}, rng), lambda r: r.text.upper()
    if roll < 0.90:
        return expand("[Answer with one word|Answer with one word only|Give very short answers|Reply with a single word].", {}, rng), lambda r: cap(r.short) if r.short else r.text
    if roll < 0.94:
        return expand("[Answer in JSON|Always answer with a JSON object|Reply as JSON] with the key \"answer\".", {}, rng), lambda r: json.dumps({"answer": r.short or r.text}, ensure_ascii=False) if not (r.long and r.text.startswith("{")) else r.text
    if roll < 0.97:
        name = w.any_name(rng)
        kind = w.with_article(f"{rng.choice(w.ADJECTIVES)} {stories.random_kind(rng)}")
        user["persona"] = (name, kind)
        return f"{rng.choice(('You are', 'Your name is'))} {name}, {kind}.", plain
    icon = rng.choice(w.EMOJI)
    return rng.choice((f"End every answer with {icon}", f"Always use the emoji {icon} at the end.")), lambda r: f"{r.text} {icon}"


def chat(rng):
    """One conversation with one to twelve small tasks."""
    user = {}
    system, style = system_style(rng, user)
    n = rng.choice((1, 1, 1, 1, 1, 2, 2, 2, 3, 4, 5, 7, 12))
    turns = []
    size = 0
    for i in range(n):
        if user.get("persona") and rng.random() < 0.5:
            task = identity
        else:
            table = TASKS if n <= 2 else SMALL_TASKS
            task = rng.choices([f for _, f in table], [wt for wt, _ in table])[0]
            if task is recall and not any(k in user for k in MEMORY) and rng.random() < 0.8:
                task = tell
        new = task(rng, user)
        size += sum(len(q) + len(r.text) for q, r in new)
        if size > 2800:
            break
        turns += new
    if any(k in user for k in MEMORY) and rng.random() < 0.7:
        turns += recall(rng, user)
    messages = [{"role": "system", "content": system}] if system else []
    for q, r in turns:
        messages += [{"role": "user", "content": q}, {"role": "assistant", "content": style(r)}]
    return messages


# --- tools ------------------------------------------------------------------


def tool_specs(rng):
    """The catalogue: names (variants), text, parameters (variants, type, text, value), wishes, result, final answer."""
    city = lambda: rng.choice(w.CITIES) if rng.random() < 0.75 else w.made_up_name(rng)
    num = lambda: rng.randint(0, 99)
    title = lambda: rng.choice(w.SONGS) if rng.random() < 0.6 else f"{rng.choice(w.ADJECTIVES).title()} {rng.choice(w.OBJECTS).title()}"
    note = lambda: rng.choice(("buy {f}", "call {n}", "water the flowers", "feed the {a}", "clean the {r}", "find my {o}", "write to {n}")).format(f=w.plural(rng.choice(w.words("apple,pear,egg,carrot,plum,cookie"))), n=w.any_name(rng), a=rng.choice(w.ANIMALS), r=rng.choice(w.ROOMS), o=rng.choice(w.OBJECTS))
    room = lambda: rng.choice(w.ROOMS)
    return [
        {"names": "get_weather,weather,get_current_weather,weather_lookup,fetch_weather", "text": "Get the weather [in a city|for a city|of a place].", "params": [("city,location,place,town", "string", "The name of the city.", city)],
         "wishes": "[What is the weather in {0}|What is the weather like in {0}|How is the weather in {0}|Weather in {0}|Tell me the weather in {0}|Is it warm in {0}|Is it raining in {0}]?",
         "result": lambda a: ({"condition": (c := rng.choice(w.WEATHER)), "temperature": (d := rng.randint(-5, 35))}, f"In {a[0]} it is {c}, with {d} degrees.")},
        {"names": "get_time,current_time,time_in_city,clock", "text": "[Get the time|Tell the time] in a city.", "params": [("city,location,place,timezone", "string", "The city.", city)],
         "wishes": "[What time is it in {0}|Tell me the time in {0}|What is the time in {0}|Time in {0}]?",
         "result": lambda a: ({"time": (t := f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}")}, f"In {a[0]} it is {t}.")},
        {"names": "add,add_numbers,sum,plus", "text": "Add two numbers.", "params": [("a,x,first", "integer", "The first number.", num), ("b,y,second", "integer", "The second number.", num)],
         "wishes": "[What is {0} plus {1}|What is {0} + {1}|Add {0} and {1}|Use the tool to add {0} and {1}|How much is {0} + {1}]?",
         "result": lambda a: ({"result": a[0] + a[1]}, f"{a[0]} + {a[1]} = {a[0] + a[1]}")},
        {"names": "multiply,times,multiply_numbers", "text": "Multiply two numbers.", "params": [("a,x,first", "integer", "The first number.", num), ("b,y,second", "integer", "The second number.", num)],
         "wishes": "[What is {0} times {1}|What is {0} * {1}|Multiply {0} by {1}|Multiply {0} and {1}|How much is {0} times {1}]?",
         "result": lambda a: ({"result": a[0] * a[1]}, f"{a[0]} times {a[1]} is {a[0] * a[1]}.")},
        {"names": "set_timer,start_timer,timer", "text": "[Set a timer|Start a timer].", "params": [("minutes,duration,length", "integer", "How many minutes.", lambda: rng.randint(1, 60))],
         "wishes": "[Set a timer for {0} minutes|Start a timer for {0} minutes|Timer for {0} minutes|Wake me in {0} minutes|Remind me in {0} minutes].",
         "result": lambda a: ({"status": "ok"}, f"The timer is set for {a[0]} minutes.")},
        {"names": "turn_on_light,light_on,switch_on_light", "text": "Turn on the light in a room.", "params": [("room,place,where", "string", "The room.", room)],
         "wishes": "[Turn on the light in the {0}|Switch on the {0} light|Make light in the {0}|It is dark in the {0}].", "result": lambda a: ({"status": "on"}, f"The light in the {a[0]} is on.")},
        {"names": "turn_off_light,light_off,switch_off_light", "text": "Turn off the light in a room.", "params": [("room,place,where", "string", "The room.", room)],
         "wishes": "[Turn off the light in the {0}|Switch off the {0} light|No light in the {0}, please].", "result": lambda a: ({"status": "off"}, f"The light in the {a[0]} is off.")},
        {"names": "play_song,play_music,play,start_music", "text": "Play a song.", "params": [("title,song,name", "string", "The title of the song.", title)],
         "wishes": "[Play {0}|Play the song {0}|I want to hear {0}|Can you play {0}|Put on {0}].", "result": lambda a: ({"status": "playing"}, f"Now playing: {a[0]}.")},
        {"names": "add_note,create_note,note,write_note,add_todo", "text": "[Write a note|Add something to the list].", "params": [("text,note,content,item", "string", "The text of the note.", note)],
         "wishes": "[Write a note: {0}|Note: {0}|Add to my list: {0}|Remember this: {0}|Put on my list: {0}].", "result": lambda a: ({"status": "saved"}, f"I wrote it down: {a[0]}.")},
        {"names": "send_message,message,send_text,text_message", "text": "Send a message to a person.", "params": [("to,recipient,person,name", "string", "Who gets the message.", lambda: w.any_name(rng)), ("text,message,body", "string", "What to say.", lambda: rng.choice(("hello", "I am late", "see you soon", "good night", "come home", "thank you", "I am here", "happy birthday")))],
         "wishes": "[Tell {0}: {1}|Send a message to {0}: {1}|Write to {0}: {1}|Send {0} this message: {1}].", "result": lambda a: ({"status": "sent"}, f"I sent your message to {a[0]}.")},
        {"names": "roll_dice,roll,dice,random_number", "text": "Roll a dice.", "params": [("sides,max,n", "integer", "How many sides the dice has.", lambda: rng.choice((4, 6, 8, 10, 12, 20, 100)))],
         "wishes": "[Roll a dice with {0} sides|Roll a {0}-sided dice|Throw a dice with {0} sides|Give me a random number up to {0}].", "result": lambda a: ({"result": (n := rng.randint(1, a[0]))}, f"You rolled {n}.")},
        {"names": "search,find,lookup,search_web,search_books", "text": "Search for something.", "params": [("query,q,text,term", "string", "What to search for.", lambda: f"{rng.choice(w.COLOURS)} {w.plural(rng.choice(w.words('bird,shoe,flower,car,boat,hat,kite,robot')))}")],
         "wishes": "[Search for {0}|Find {0}|Look for {0}|Search {0}|I am looking for {0}].", "result": lambda a: ({"results": (n := rng.randint(2, 30))}, f"I found {n} results for {a[0]}.")},
        {"names": "get_capital,capital,capital_of", "text": "Get the capital of a country.", "params": [("country,land,name", "string", "The country.", lambda: rng.choice(w.words("France,Italy,Spain,Norway,Japan,Egypt,Peru,India,Greece,Ireland")))],
         "wishes": "[What is the capital of {0}|Which city is the capital of {0}|Tell me the capital of {0}]?", "result": lambda a: ({"capital": (c := rng.choice(w.CITIES))}, f"The capital of {a[0]} is {c}.")},
        {"names": "set_colour,set_color,change_colour,paint", "text": "Set the colour of a thing.", "params": [("thing,object,item", "string", "The thing.", lambda: rng.choice(w.OBJECTS)), ("colour,color", "string", "The colour.", lambda: rng.choice(w.COLOURS))],
         "wishes": "[Make the {0} {1}|Paint the {0} {1}|Change the colour of the {0} to {1}|The {0} should be {1}].", "result": lambda a: ({"status": "ok"}, f"The {a[0]} is now {a[1]}.")},
        {"names": "open_door,open,unlock_door", "text": "Open a door.", "params": [("door,room,name", "string", "Which door.", room)],
         "wishes": "[Open the {0} door|Open the door of the {0}|Please open the {0} door].", "result": lambda a: ({"status": "open"}, f"The {a[0]} door is open.")},
        {"names": "tell_joke,joke,get_joke", "text": "Tell a joke.", "params": [], "wishes": "[Tell me a joke|A joke, please|Do you know a joke|Make me laugh].", "result": lambda a: ({"joke": "Why did the cow cross the road? To get to the udder side."}, "Why did the cow cross the road? To get to the udder side.")},
        {"names": "get_date,today,current_date", "text": "Get the date of today.", "params": [], "wishes": "[What day is it today|What is the date|Which day is today|What is today's date]?", "result": lambda a: ({"date": (d := f"{rng.choice(w.DAYS)}, {rng.randint(1, 28)} {rng.choice(w.MONTHS)}")}, f"Today is {d}.")},
    ]


def make_tool(spec, rng):
    """A JSON tool description with random names, and the parameter names in order."""
    name = rng.choice(w.words(spec["names"]))
    params = [(rng.choice(w.words(names)), typ, text) for names, typ, text, _ in spec["params"]]
    described = rng.random() < 0.7
    props = {p: ({"type": typ, "description": text} if described else {"type": typ}) for p, typ, text in params}
    function = {"name": name, "description": choose(spec["text"], rng), "parameters": {"type": "object", "properties": props}}
    if params and rng.random() < 0.85:
        function["parameters"]["required"] = [p for p, _, _ in params]
    return function, [p for p, _, _ in params]


def tool_chat(rng):
    specs = tool_specs(rng)
    chosen = rng.sample(specs, rng.choice((1, 1, 2, 2, 3, 4)))
    made = [make_tool(s, rng) for s in chosen]
    names = [f["name"] for f, _ in made]
    if len(set(names)) < len(names):
        return tool_chat(rng)
    wrapped = rng.random() < 0.75
    tools = [{"type": "function", "function": f} if wrapped else f for f, _ in made]
    user = {}
    base = rng.choice((None, None, None, *PLAIN_SYSTEM[:3], "You help in a house."))
    form = rng.random()
    if form < 0.65:
        block = tools_text(tools)
    else:
        seps = rng.choice(((", ", ": "), (",", ":")))
        listing = json.dumps(tools, ensure_ascii=False, separators=seps) if rng.random() < 0.6 else "\n".join(json.dumps(t, ensure_ascii=False, separators=seps) for t in tools)
        if rng.random() < 0.15:
            listing = json.dumps(tools, ensure_ascii=False, indent=2)
        block = rng.choice(("Tools: {l}", "Tools:\n{l}", "You have these tools:\n{l}", "<tools>\n{l}\n</tools>", "Available tools:\n{l}\nAnswer with JSON to call a tool.", "You can call these functions: {l}")).replace("{l}", listing)
    messages = [{"role": "system", "content": f"{base}\n\n{block}" if base else block}]

    def add(role, text):
        messages.append({"role": role, "content": text})

    if rng.random() < 0.15:
        for q, r in rng.choice((hello, tell, identity))(rng, user):
            add("user", q)
            add("assistant", r.text)
    for _ in range(rng.choice((1, 1, 1, 2))):
        if rng.random() < 0.18:
            for q, r in rng.choice((hello, facts, thanks, counting, tell, recall, identity, word_game))(rng, user)[:2]:
                add("user", q)
                add("assistant", r.text)
            continue
        i = rng.randrange(len(chosen))
        spec, (function, params) = chosen[i], made[i]
        values = [make() for *_, make in spec["params"]]
        wish = choose(spec["wishes"], rng)
        text = polish(wish.format(*values)) if not wish.startswith("{") else wish.format(*values)
        if rng.random() < 0.15:
            text = rng.choice(("Please ", "Hey, ", "Can you help me? ")) + (text[0].lower() + text[1:])
        add("user", casual(text, rng) if not any(isinstance(v, str) and v[:1].isupper() for v in values) else text)
        add("assistant", json.dumps({"name": function["name"], "arguments": dict(zip(params, values))}, ensure_ascii=False))
        if rng.random() < 0.55:
            data, answer = spec["result"](values)
            add("tool", json.dumps(data, ensure_ascii=False))
            add("assistant", answer)
        else:
            break
    return messages


def document(rng):
    """One training document: a list of (text, is_target) pieces."""
    roll = rng.random()
    if roll < 0.22:
        st = stories.make_story(rng)
        text = st.text if rng.random() < 0.6 else st.paragraphs
        if rng.random() < 0.15:
            text = f"{st.title}\n\n{text}"
        return [(text + "<|endoftext|>", True)]
    if roll < 0.24:
        return [(stories.make_poem(rng) + "<|endoftext|>", True)]
    return render(tool_chat(rng) if roll < 0.40 else chat(rng))
