"""The closed language of the speech model: about 350 words in simple sentences.

`sentence(rng)` returns one random sentence, and whether it is kept for testing.
"""

import re
import zlib

INNER = re.compile(r"\[([^\[\]]*)\]")


def words(text):
    return [item.strip() for item in text.split(",")]


UNITS = words("zero,one,two,three,four,five,six,seven,eight,nine,ten,eleven,twelve,thirteen,fourteen,fifteen,sixteen,seventeen,eighteen,nineteen")
TENS = words("twenty,thirty,forty,fifty,sixty,seventy,eighty,ninety")
DAYS = words("Monday,Tuesday,Wednesday,Thursday,Friday,Saturday,Sunday")
MONTHS = words("January,February,March,April,May,June,July,August,September,October,November,December")
COLOURS = words("red,blue,green,yellow,orange,purple,pink,brown,black,white,grey,golden")
ROOMS = words("kitchen,bedroom,bathroom,garden,office,garage,living room,hall")
DEVICES = words("light,lamp,heater,fan,radio,television,oven,camera,alarm,computer,printer")
OPENINGS = words("door,window,gate,curtains,box,letter")
NAMES = words("Anna,Tom,Peter,Maria,Lucy,Sam,David,Emma,John,Sarah,Paul,Laura")
CITIES = words("London,Paris,Berlin,Rome,Madrid,Vienna,Dublin,Boston")
ANIMALS = words("dog,cat,horse,bird,fish,cow,sheep,mouse,rabbit,duck,bear,lion")
FOODS = words("bread,milk,butter,cheese,apples,bananas,eggs,coffee,tea,water,sugar,rice,soup,chocolate")
OBJECTS = words("book,ball,car,table,chair,bag,phone,key,cup,hat,picture,clock,bottle,bicycle,train,boat,house,tree")
ADJECTIVES = words("big,small,old,new,happy,fast,slow,warm,cold,young,good,little,long,short,clean,quiet,loud,nice,beautiful,tired,hungry,friendly")
PLACES = words("park,school,station,market,river,forest,beach,city,village,bridge,airport,hospital,museum,library,shop,street")
MOVES = words("walked to,ran to,went to,looked at,waited at,stopped at,came from,lived near")
ACTIONS = words("reading,writing,sleeping,eating,drinking,singing,dancing,playing,working,cooking,waiting,laughing")
TASKS = words("call the doctor,water the plants,feed the cat,buy some bread,clean the kitchen,write a letter,wash the car,open the window,pay the rent,meet the teacher")
WEATHER = words("sunny,rainy,windy,cloudy,snowy,foggy")
SONGS = words("song,album,film,story,podcast")
WHERE = words("on,under,behind,near,beside")
SHAPES = words("circle,square,triangle,star,heart")
SCENES = words("house,tree,castle,rocket,cat,dog,bird,fish,car,flower,snowman,mushroom")

SLOTS = {
    "day": DAYS, "month": MONTHS, "colour": COLOURS, "room": ROOMS, "device": DEVICES, "opening": OPENINGS, "name": NAMES,
    "city": CITIES, "animal": ANIMALS, "food": FOODS, "object": OBJECTS, "adj": ADJECTIVES, "place": PLACES, "move": MOVES,
    "action": ACTIONS, "task": TASKS, "weather": WEATHER, "song": SONGS, "where": WHERE,
    "shape": SHAPES, "scene": SCENES,
}

TEMPLATES = [  # (weight, template)
    (4, "[Turn|Switch] [on|off] the [|{room} ]{device}[|, please]."),
    (2, "[Open|Close] the [|{room} |{colour} ]{opening}[|, please]."),
    (2, "[Lock|Unlock] the [front|back|{room}] door."),
    (3, "[Set|Start] a timer for {n} [minutes|seconds|hours]."),
    (1, "[Stop|Cancel|Pause] the [timer|alarm|music|radio|{song}]."),
    (2, "Wake me up at {clock}[| on {day}| tomorrow]."),
    (2, "Play [the next|the last|a new|my favourite|the first] {song}[|, please]."),
    (1, "[Play|Stop] the music[| in the {room}]."),
    (1, "[Turn the volume|Turn the {device}] [up|down]."),
    (1, "Make the {room} [warm|cold|quiet|clean|light]."),
    (2, "[Call|Write to|Send a message to|Read the message from] {name}[|, please]."),
    (2, "What time is it[| in {city}| now]?"),
    (2, "What [is the weather like [in {city}|today|tomorrow|on {day}]|was the weather like [in {city}|on {day}]]?"),
    (2, "Remind me to {task}[| on {day}| at {clock}| tomorrow]."),
    (2, "Add {food}[| and {food}] to the shopping list."),
    (1, "Show me the way to the {place}."),
    (1, "How far is it to [{city}|the {place}]?"),
    (3, "Today is {day}[| the {nth} of {month}]."),
    (2, "[The meeting|The party|My birthday|The holiday|The test] is [on {day}|in {month}|on the {nth} of {month}|at {clock}]."),
    (2, "We will [go to|meet at|wait at] the {place} [on {day}|tomorrow|at {clock}|in {month}]."),
    (2, "It is {clock}[| in {city}]."),
    (2, "It [is|was|will be] [very |]{weather} [in {city}|today|on {day}|in {month}]."),
    (5, "The {adj} {animal} {move} the {place}."),
    (4, "The {colour} {object} is {where} the [{adj} |]{object}."),
    (3, "{name} has {count} {colour} [books|balls|cars|bags|cups|hats|keys|boats]."),
    (3, "I like {food} and {food}."),
    (2, "[I|We] do not like {food}."),
    (3, "[{name}|The {animal}] is {action} in the {room}."),
    (3, "{name} and {name} {move} the {place}[| on {day}]."),
    (2, "Where is [my|the|your] [{colour}|{adj}] {object}?"),
    (2, "How many [dogs|cats|birds|horses|books|cars|trees|boats] are [there|in the {place}]?"),
    (2, "[Do you like|Can I have|Would you like] some {food}?"),
    (2, "Can you see the {adj} {animal} {where} the {object}?"),
    (2, "My name is {name}, and I live in {city}."),
    (2, "[My favourite colour|The colour of the {object}] is {colour}."),
    (1, "There [is a|was a] {adj} {object} in the {place}."),
    (1, "This is a {adj} {colour} {object}."),
    (1, "[Good morning|Good evening|Good night|Hello|Goodbye|Thank you|Welcome][|, {name}]."),
    (1, "[Yes, please|No, thank you|Yes|No|Maybe|Help|Help me, please|I do not know|I am sorry|Thank you very much|See you tomorrow|See you on {day}|How are you|I am fine, thank you|That is right|That is wrong]."),
    (3, "[Draw|Paint] a {colour} {shape}[| on a {colour} background]."),
    (3, "[Draw|Paint] a [|{colour} ]{scene}[| on a {colour} background| at night| in the snow]."),
    (1, "[Draw|Paint] a {colour} {shape} and a {colour} {shape}."),
    (2, "Tell me a story about a [|{adj} ]{animal}."),
    (5, "{n}."),
    (5, "{digits}."),
    (2, "The number is {n}."),
    (2, "[My phone number|The code] is {digits}."),
    (2, "{n} [plus|minus] {n} is {n}."),
    (1, "Count from {n} to {n}."),
    (1, "{day}."), (1, "{month}."), (1, "{colour}."),
    (1, "{day} and {day}."), (1, "{colour} and {colour}."),
    (9, "{mixed}."),
]
NTH = words("first,second,third,fourth,fifth,sixth,seventh,eighth,ninth,tenth")
# Words for random lists; words that sound like others are left out.
LIST_WORDS = sorted({w for t in (COLOURS, ROOMS, DEVICES, OPENINGS, NAMES, CITIES, ANIMALS, FOODS, OBJECTS, ADJECTIVES, PLACES, ACTIONS, WEATHER, SONGS, DAYS, MONTHS, TENS, UNITS[10:], NTH) for x in t for w in x.split()}
                    | set(words("timer,minutes,seconds,hours,music,volume,number,people,birthday,holiday,meeting,party,shopping,list,morning,evening,tomorrow,today,message,question,answer,remind,unlock,cancel,pause,repeat,favourite,please,thank,hello,goodbye")))


def number(n):
    if n < 20:
        return UNITS[n]
    return TENS[n // 10 - 2] + ("" if n % 10 == 0 else "-" + UNITS[n % 10])


def fill(name, rng):
    if name == "n":
        return number(rng.randrange(100))
    if name == "count":
        return UNITS[rng.randint(2, 12)]
    if name == "clock":
        hour = UNITS[rng.randint(1, 12)]
        return rng.choice((hour, f"half past {hour}", f"{hour} {rng.choice(('fifteen', 'thirty', 'forty-five', 'twenty', 'ten'))}"))
    if name == "nth":
        return rng.choice(NTH)
    if name == "digits":
        return " ".join(rng.choice(UNITS[:10]) for _ in range(rng.randint(2, 7)))
    if name == "mixed":
        return " ".join(rng.choice(LIST_WORDS) for _ in range(rng.randint(1, 7)))
    return rng.choice(SLOTS[name])


def sentence(rng):
    """A random sentence, and True if it is held out: training never sees one in sixteen of the sentences that have
    five words or more and at least two free places, so that their words and patterns are known but not they themselves."""
    text = rng.choices([t for _, t in TEMPLATES], [w for w, _ in TEMPLATES])[0]
    while True:
        text, n = INNER.subn(lambda m: rng.choice(m.group(1).split("|")), text)
        if n == 0:
            break
    places = [2 if name in ("digits", "mixed") else 1 for name in re.findall(r"\{(\w+)\}", text)]
    text = re.sub(r"\{(\w+)\}", lambda m: fill(m.group(1), rng), text)
    text = re.sub(r"\ba ([aeo])", r"an \1", text)
    if text.startswith("How are you"):
        text = "How are you?"
    text = text[0].upper() + text[1:]
    return text, sum(places) >= 2 and len(text.split()) >= 5 and zlib.crc32(text.encode()) % 16 == 0


def normalise(text):
    """Words only, for the word error rate."""
    return re.sub(r"[^a-z' ]", " ", text.lower().replace("-", " ")).split()


def edits(a, b):
    """Word edit distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]
