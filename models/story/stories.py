"""A story grammar: plots with slots and alternatives, expanded at random.

Template language:
  {slot}      the value of a slot
  [a|b|c]     one of the alternatives (they nest; an empty one makes text optional)
  a(n)        "a" or "an", chosen by the word that follows (a plain "a" is put right too)
Sentences get their capital letter automatically.
"""

import re
from dataclasses import dataclass, field

import world as w

INNER = re.compile(r"\[([^\[\]]*)\]")
ARTICLE = re.compile(r"\b([Aa])(?:\(n\)|n)? (\w+)")
START = re.compile(r"(^\"?|[.!?] +\"?|\n+\"?)([a-z])")


def choose(template, rng):
    """Replace every [a|b|c] by one of its alternatives, inside out."""
    while True:
        template, n = INNER.subn(lambda m: rng.choice(m.group(1).split("|")), template)
        if n == 0:
            return template


def polish(text):
    text = ARTICLE.sub(lambda m: m.group(1) + w.article(m.group(2))[1:] + " " + m.group(2), text)
    text = re.sub(r" {2,}", " ", text).strip()
    return START.sub(lambda m: m.group(1) + m.group(2).upper(), text)


def expand(template, slots, rng):
    return polish(choose(template, rng).format_map(slots))


# Each plot: `seed` completes "a story about a fox who ..."; `uses` names the slots that the seed fixes;
# `body` is the story after its opening; `moral` closes it; `ask` holds questions on the story.
PLOTS = [
    {
        "seed": "[lost|could not find] {his} {o}", "title": "the Lost {oc}",
        "body": [
            "One {w} {t}, {N} [looked for {his} {o}|wanted to use {his} {o}], but it was [gone|not there|nowhere to be seen].",
            "[\"Where is my {o}?\" {he} asked|\"Who took my {o}?\" {he} asked|\"Oh no, my {o} is gone!\" {he} cried].",
            "{N} looked [under the bed|behind the door|in every corner], but {he} [found only dust|found nothing at all|did not see it].",
            "Then {he} met a(n) {B} {m} named {M}. \"[I will help you|Let us look together|Two can see more than one],\" said {M}.",
            "They [searched|looked] [all day|for a long time|high and low]. At last they [saw|found] the {o} [under a big leaf|behind an old wall|in a hollow tree|beside a little stream].",
            "{N} [was so happy that {he} danced|laughed with joy|hugged {M}]. \"Thank you, {M}!\" {he} said.",
        ],
        "moral": "[From that day on|After that], {N} [always took good care of {his} {ob}|kept {his} {ob} in a safe place], and {N} and {M} were [good|best] friends.",
        "ask": [("What did {N} lose?", "{N} lost {his} {o}."), ("Who helped {N}?", "{M} the {m} helped {N}."), ("Who found the {ob}?", "{N} and {M} found the {ob} together.")],
    },
    {
        "seed": "found a(n) {o}", "title": "the {oc}",
        "body": [
            "One {w} {t}, {N} [found|saw] a(n) {o} [on the path|in the grass|under a tree|beside the water].",
            "\"[What a lovely {ob}!|How pretty!|Whose {ob} is this?]\" [said|thought] {N}.",
            "{he} wanted to keep it, but then {he} heard [someone crying|a sad voice|a small voice].",
            "It was {M} the {m}. \"I lost my {ob}, and I [cannot find it|miss it so much],\" said {M}.",
            "{N} [thought for a moment|looked at the {o} one last time]. Then {he} [gave it back|put it in front of {M}].",
            "{M} [smiled|jumped for joy|could not believe it]. \"You are [very kind|a true friend],\" {mhe} said.",
        ],
        "moral": "That {t}, {N} had no {ob}, but {he} had a new friend, and that was [much better|worth more than gold].",
        "ask": [("What did {N} find?", "{N} found a(n) {o}."), ("Who lost the {ob}?", "{M} the {m} lost the {ob}."), ("What did {N} do with the {ob}?", "{N} gave the {ob} back to {M}.")],
    },
    {
        "seed": "wanted to fly", "title": "the Big Sky",
        "body": [
            "Every day {N} [looked up|watched the birds] and [said|thought], \"I wish I could fly!\"",
            "First {he} [made wings from paper|tied leaves to {his} arms|jumped from a big stone], but {he} [fell into the mud|landed in a bush].",
            "Everyone laughed, but {M} the {m} did not. \"[Let me help you|I have an idea|Do not give up],\" {mhe} said.",
            "Together they [built a big kite|made a basket and a big balloon|made a little plane] [out of old cloth|with rope and paper|from wood and cloth].",
            "When the wind came, {N} [went up|rose] into the air, [higher and higher|over the trees|over {pl}].",
            "\"I can fly!\" {he} [shouted|laughed]. From above, everything looked [small and beautiful|like a toy].",
        ],
        "moral": "When {N} came down, {he} said, \"[With a friend, even the sky is not too far|A dream is easier with a friend].\"",
        "ask": [("What did {N} want?", "{N} wanted to fly."), ("Who helped {N} to fly?", "{M} the {m} helped {N} to fly."), ("How did the story end?", "In the end, {N} could fly with the help of {M}.")],
    },
    {
        "seed": "was afraid of the dark", "title": "the Dark Night",
        "body": [
            "[When the sun went down|Every evening], {N} [hid under a blanket|lit every lamp|shook with fear].",
            "\"The dark is full of [monsters|scary things],\" {he} [said|whispered].",
            "One night the light went out. {N} was all alone and [began to cry|could not move].",
            "Then {M} the {m} came and sat down [next to {him}|by {his} side]. \"[Look up|Open your eyes and look],\" said {M}.",
            "{N} looked up and saw [a thousand stars|the big round moon|the shining stars and the moon]. \"[How beautiful|Oh, how bright they are]!\" {he} said.",
            "\"You can see them only in the dark,\" said {M} [softly|with a smile].",
        ],
        "moral": "[From that night on|After that], {N} was not afraid [any more|of the dark any more]. {he} [counted the stars|said good night to the moon] until {he} fell asleep.",
        "ask": [("What was {N} afraid of?", "{N} was afraid of the dark."), ("What did {N} see in the sky?", "{N} saw the lights of the night sky."), ("Who sat down next to {N}?", "{M} the {m} sat down next to {N}.")],
    },
    {
        "seed": "learned to swim", "title": "the Cold Water",
        "body": [
            "{N} lived near the water, but {he} [could not swim|never went in].",
            "\"The water is too [cold|deep|wet] for me,\" {he} [always said|said every day].",
            "One {w} {t}, {his} {o} [fell|rolled] into the water. {N} did not know what to do.",
            "{M} the {m} swam by. \"[I can teach you|It is easy, I will show you],\" {mhe} said. \"[Kick your legs and breathe|Do not be afraid, I am here].\"",
            "{N} tried once and [swallowed water|went under]. {he} tried again and [floated a little|moved a little]. The third time, {he} could swim!",
            "{he} swam to {his} {o} and [brought it back|carried it home].",
        ],
        "moral": "\"[Trying is the first step|You learn by trying],\" said {M}, and they [swam together until the sun went down|laughed and swam all day].",
        "ask": [("What did {N} learn?", "{N} learned to swim."), ("Who taught {N} to swim?", "{M} the {m} taught {N} to swim."), ("What fell into the water?", "The {o} fell into the water.")],
    },
    {
        "seed": "shared the last {f}", "title": "the Last {fc}",
        "body": [
            "It was a(n) [long, cold winter|very dry summer|hard year], and there was not much to eat.",
            "{N} had only one {f} left. {he} [was very hungry|wanted to eat it at once].",
            "Then came {M}, a(n) {B} {m}. \"I have not eaten [for two days|since yesterday],\" said {M} [in a low voice|sadly].",
            "{N} looked at {his} {f}. It was [not very big|so small], but {he} [cut it in two|broke it into two pieces].",
            "\"Half for you and half for me,\" said {N}. They ate together and [told jokes|sang a song|felt warm].",
            "The next day {M} came back with [a big basket of food|many good things to eat]. \"[You helped me, now I help you|This is for my friend],\" {mhe} said.",
        ],
        "moral": "So {N} learned that [what you share comes back to you|sharing makes everything bigger].",
        "ask": [("What did {N} share?", "{N} shared the last {f}."), ("With whom did {N} share?", "{N} shared with {M} the {m}."), ("What did {M} bring the next day?", "{M} brought food for {N}.")],
    },
    {
        "seed": "built a boat", "title": "the Little Boat",
        "body": [
            "{N} [wanted|had always wanted] to see [the other side of the water|the great sea|a far island].",
            "So {he} [took some wood and a hammer|found old boards and rope] and [began to build a boat|started to work].",
            "{M} the {m} laughed. \"You [are too {A} to build a boat|do not know how to build a boat]!\" {mhe} said. But {N} [kept working|did not stop].",
            "After [seven days|three weeks|many days] the boat was ready. {N} painted it {c} and [gave it a name|put a flag on it].",
            "When {he} pushed it into the water, it [floated|did not sink]! {M} [opened {mhis} eyes wide|was amazed]. \"[I am sorry that I laughed|You were right],\" {mhe} said. \"May I come with you?\"",
            "\"Of course,\" said {N}, and they [sailed away together|sailed into the morning sun].",
        ],
        "moral": "They saw [whales and islands|many wonderful things], and {N} was [proud of {his} {c} boat|the happiest captain in the world].",
        "ask": [("What did {N} build?", "{N} built a boat."), ("What colour was the boat?", "The boat was {c}."), ("Who laughed at {N}?", "{M} the {m} laughed at {N}.")],
    },
    {
        "seed": "helped an old {m}", "title": "the Old {mc}",
        "body": [
            "One {w} {t}, {N} met an old {m} named {M} [on the road|at the gate|near a well].",
            "{M} was [carrying a heavy bag|looking for {mhis} glasses|trying to climb the stairs] and [was very tired|could not go on].",
            "{N} was [on {his} way to a party|in a hurry|late for lunch], but {he} stopped. [\"May I help you?\" {he} asked|\"Let me help you,\" {he} said].",
            "{N} [helped {M} all the way home|stayed with {M} until the work was done]. It took [a long time|the whole {t}].",
            "\"You are [very kind|a good {k}],\" said {M}. \"[Take this {o}|I want you to have this {o}]. [It will bring you luck|It is a gift].\"",
            "{N} was late, but {he} [did not mind|was happy].",
        ],
        "moral": "[Kindness is never a waste of time|{he} had learned that a kind act makes two people happy], and the {o} [stayed in {his} room for ever|always made {him} smile].",
        "ask": [("Who did {N} help?", "{N} helped an old {m} named {M}."), ("What did {M} give to {N}?", "{M} gave {N} a(n) {o}."), ("Was {N} late?", "Yes, {N} was late, but {he} did not mind.")],
    },
    {
        "seed": "could not sleep", "title": "the Long Night",
        "body": [
            "It was late at night, but {N} [was wide awake|could not close {his} eyes].",
            "{he} counted [sheep|stars|to one hundred]. {he} [drank warm milk|turned left and right|read a book]. Nothing helped.",
            "So {N} went outside and met {M} the {m}. \"Why are you awake?\" asked {M}.",
            "\"I cannot sleep,\" said {N}. \"[My head is full of thoughts|I am worried about tomorrow].\"",
            "\"Tell me [about it|your thoughts],\" said {M}. They sat [under a tree|on a bench|by the fire], and {N} [talked and talked|told {him2} everything].",
            "[Soon|After a while] {N} felt [lighter|calm]. {his} eyes [grew heavy|began to close].",
        ],
        "moral": "{M} [put a blanket over {him}|sang a quiet song], and {N} slept until [morning|the sun came up].",
        "ask": [("Why was {N} outside at night?", "{N} was outside because {he} could not sleep."), ("Who talked with {N}?", "{M} the {m} talked with {N}.")],
    },
    {
        "seed": "planted a [seed|tiny seed]", "title": "the Tiny Seed",
        "body": [
            "One day in spring, {N} [found|was given] a tiny seed. \"[What will it become?|What is in it?]\" {he} [wondered|asked].",
            "{he} [dug a small hole|made a hole in the ground] and put the seed in. Every day {he} gave it [some water|a little water].",
            "[A week went by|Many days went by], and nothing happened. \"[It is only a stone|Throw it away],\" said {M} the {m}.",
            "But {N} [waited|was patient]. {he} [sang to it|talked to it] every {t}.",
            "Then one {w} morning there was a little green leaf. It grew [and grew|taller every day], and at last it became [a tall {c} flower|an apple tree|a big sunflower].",
            "{M} [came to look|could not believe it]. \"[How did you do that|What is your secret]?\" {mhe} asked.",
        ],
        "moral": "\"[Water, sun and time|You must wait for good things],\" said {N} [with a smile|and laughed].",
        "ask": [("What did {N} plant?", "{N} planted a tiny seed."), ("What did {N} give the seed every day?", "{N} gave the seed water every day.")],
    },
    {
        "seed": "baked a [cake|big cake]", "title": "the Big Cake",
        "body": [
            "It was the birthday of {M} the {m}, and {N} wanted to [bake a cake|make something special].",
            "{he} took [flour, eggs and milk|sugar, butter and eggs] and [mixed them|stirred them] with a big spoon.",
            "But [{he} used salt, not sugar|the oven was too hot|{he} fell asleep], and the cake [was very bad|turned black].",
            "\"[Oh no|What shall I do]!\" said {N}. {he} had [only one hour left|little time].",
            "{he} [took a deep breath|washed the bowl] and began again. This time {he} [read the recipe twice|watched the oven carefully].",
            "The new cake was [golden and soft|sweet and warm], with [{c} sugar|cherries|a {c} candle] on top.",
        ],
        "moral": "\"This is the best cake [in the world|I have ever eaten]!\" said {M}, and {N} [was proud that {he} had tried again|smiled and took a second piece].",
        "ask": [("What did {N} bake?", "{N} baked a cake."), ("Whose birthday was it?", "It was the birthday of {M} the {m}."), ("Was the first cake good?", "No, the first cake was bad, but the second cake was very good.")],
    },
    {
        "seed": "climbed a [mountain|high mountain|tall mountain]", "title": "the High Mountain",
        "body": [
            "{N} could see a high mountain from {his} window. \"[One day I will stand on the top|I want to see the world from up there],\" {he} said.",
            "So one {w} morning {he} [packed a {f} and a rope|put on {his} boots] and [began to climb|went on {his} way].",
            "The path was [steep|long and full of stones], and soon {he} was [tired|out of breath].",
            "Halfway up, {he} met {M} the {m}. \"[Go home, it is too far|You will never get there],\" said {M}. \"[Just one more step|Step by step],\" said {N}, and {he} went on.",
            "[A cold wind blew|It began to rain|Clouds came], but {N} [did not turn back|held on to the rope].",
            "At last {he} stood on the top. {he} could see [{pl} far below|rivers, roads and little houses|the whole world].",
        ],
        "moral": "\"Every big climb is made of small steps,\" {N} [thought|said], and {he} [waved to {M}|ate {his} {f} above the clouds].",
        "ask": [("What did {N} climb?", "{N} climbed a high mountain."), ("Who told {N} to go home?", "{M} the {m} told {N} to go home.") ],
    },
    {
        "seed": "got lost in the [forest|woods]", "title": "the Dark Forest",
        "body": [
            "One {w} {t}, {N} [went to pick berries|followed a butterfly|went for a walk] in the forest.",
            "{he} [went deeper and deeper|did not look at the path], and soon {he} did not know the way home.",
            "The trees were [tall and dark|very close], and [an owl hooted|the wind howled]. {N} was [scared|a little afraid].",
            "\"[Is anybody there|Hello|Can anybody help me]?\" {he} called. \"I am here,\" said a voice. It was {M} the {m}.",
            "\"[Follow the stream|Look at the moss on the trees|Follow the evening star],\" said {M}. \"[It always shows the way|It goes to the village]. I will come with you.\"",
            "They walked [side by side|hand in hand] until they saw the lights of {N}'s home.",
        ],
        "moral": "{N} gave {M} [a {f}|a warm supper] and said, \"[Next time I will watch the path|A good friend is the best map].\"",
        "ask": [("Where did {N} get lost?", "{N} got lost in the forest."), ("Who showed {N} the way?", "{M} the {m} showed {N} the way."), ("What did {N} give to {M}?", "{N} gave {M} something good to eat.")],
    },
    {
        "seed": "wanted to see the [sea|ocean]", "title": "the Wide Sea",
        "body": [
            "{N} lived far from the water. {he} had [only heard stories about the sea|a picture of the sea on the wall].",
            "\"[I want to see the sea with my own eyes|I must go there],\" {he} said, and {he} [left early in the morning|packed a small bag].",
            "{he} walked [through fields and forests|over three hills]. On the way {he} met {M} the {m}, who [was sad and alone|had nothing to do].",
            "\"Come with me,\" said {N}, and {M} [came along|said yes]. They [shared a {f}|told stories] and slept [in the hay|under the stars].",
            "After [three days|a week], they smelled salt in the air. Then they saw it: the sea, [blue and wide|as big as the sky].",
            "They [ran into the waves|built a castle of sand|looked for shells] and [laughed|shouted for joy].",
        ],
        "moral": "\"It is even [bigger|more beautiful] than I thought,\" said {N}. \"But the best thing was [the way here with you|to see it with a friend].\"",
        "ask": [("What did {N} want to see?", "{N} wanted to see the sea."), ("Who went with {N}?", "{M} the {m} went with {N}.")],
    },
    {
        "seed": "told a lie", "title": "the Little Lie",
        "body": [
            "One day {N} [broke|dropped and broke] the {o} of {M} the {m}.",
            "\"Who did that?\" asked {M}. \"It was [the wind|the cat|somebody else],\" said {N}. That was a lie.",
            "That night {N} [could not sleep|had a stone in {his} belly|felt very bad]. The lie [grew bigger and bigger|was heavy].",
            "In the morning {he} went to {M}. \"[I broke your {ob}|It was me], and I am sorry,\" {he} said [in a small voice|with tears in {his} eyes].",
            "{M} was quiet for a moment. Then {mhe} [smiled|nodded]. \"Thank you for telling me the truth,\" {mhe} said. \"[We can fix it together|Let us fix it].\"",
            "They took [glue|needle and thread|a hammer], and soon the {ob} was [almost new|whole again].",
        ],
        "moral": "{N} felt as light as a feather. The truth is [sometimes hard, but it is always better than a lie|the best glue between friends].",
        "ask": [("What did {N} break?", "{N} broke the {o} of {M}."), ("Did {N} tell the truth in the end?", "Yes, in the end {N} told the truth.")],
    },
    {
        "seed": "made a new friend", "title": "the New Friend",
        "body": [
            "{N} was often alone. {he} [played alone|ate alone] and [talked to the trees|drew pictures in the sand].",
            "One {w} {t}, a new neighbour came: {M}, a(n) {B} {m}. {M} [was carrying|had] a {o}.",
            "{N} was too [shy|quiet] to say hello. {he} [hid behind a wall|looked at {his} feet].",
            "But then the wind [took {M}'s {o}|blew the {o} away], and it landed [right in front of {N}|at {N}'s feet].",
            "{N} picked it up and gave it back. \"Thank you. [What is your name|Do you want to play with me]?\" asked {M}.",
            "They played [until the evening|all day] and found out that they both liked [{fs}|songs|the same games].",
        ],
        "moral": "[Now {N} was never lonely again|After that day, {N} never played alone]. One small hello can [change everything|be the start of a friendship].",
        "ask": [("Who was the new neighbour?", "The new neighbour was {M}, a(n) {B} {m}."), ("What did the wind take?", "The wind took the {o}.")],
    },
    {
        "seed": "won a race", "title": "the Great Race",
        "body": [
            "One day there was a big race. The prize was a(n) {o}.",
            "\"I am the fastest!\" [said|shouted] {M} the {m}. \"You are too {A} to win, {N}.\" {N} [said nothing|only smiled].",
            "One, two, three, go! {M} ran [like the wind|very fast] and was soon far ahead.",
            "\"I have so much time,\" thought {M}, and {mhe} [sat down to eat a {f}|stopped to talk to the crowd|lay down for a nap].",
            "{N} ran [step by step|slowly but without a stop]. {he} passed {M} and [did not look back|ran on].",
            "When {M} [woke up|looked up], it was too late. {N} [was the first at the end|had won the race]!",
        ],
        "moral": "{N} got the {o}, and {M} learned that [it is not enough to be fast|you must never stop before the end].",
        "ask": [("Who won the race?", "{N} won the race."), ("What was the prize?", "The prize was a(n) {o}."), ("Why did {M} lose?", "{M} lost because {mhe} stopped before the end.")],
    },
    {
        "seed": "wanted to [sing|be a singer]", "title": "the Song",
        "body": [
            "{N} loved to sing, but {his} voice was [very low|rough|too loud]. When {he} sang, [the birds flew away|everyone covered their ears].",
            "\"Please stop,\" said the neighbours. {N} was sad and [did not sing any more|went away].",
            "One foggy night a boat was lost [on the water|near the rocks]. {M} the {m} was in it. \"I cannot see the land!\" {mhe} cried.",
            "{N} heard it. {he} stood on a rock and sang as loudly as {he} could.",
            "{M} [followed the song|heard the song and turned the boat] and came safely to the land.",
            "\"Your song [saved me|is the most beautiful song of all],\" said {M}.",
        ],
        "moral": "After that, {N} sang every {t}, and nobody [asked {him} to stop|covered their ears]. Every voice is [good for something|a gift].",
        "ask": [("What did {N} love to do?", "{N} loved to sing."), ("Who was in the boat?", "{M} the {m} was in the boat."), ("How did {N} save {M}?", "{N} sang loudly, and {M} followed the song to the land.")],
    },
    {
        "seed": "forgot a birthday", "title": "the Forgotten Birthday",
        "body": [
            "{N} was [very busy|always in a hurry]. {he} [had a hundred things to do|ran from here to there].",
            "One evening {he} looked at the calendar. \"Oh no! Today is the birthday of {M} the {m}, and I forgot it!\" {he} cried.",
            "The shops were closed, and {N} had no [gift|present]. What could {he} do?",
            "{he} took [some paper and a pencil|an old box and {c} paint] and made a [card|picture] with [many little hearts|a {c} star on it].",
            "Then {he} ran to {M}'s house [in the rain|through the dark]. \"I am sorry that I am late,\" said {N}. \"[I made this for you|This is for you].\"",
            "{M} looked at it [for a long time|with shining eyes]. \"Nobody has ever made [something|a present] for me,\" {mhe} said.",
        ],
        "moral": "It was the best gift of the day, because it [was made with love|came from the heart].",
        "ask": [("What did {N} forget?", "{N} forgot the birthday of {M}."), ("Whose birthday was it?", "It was the birthday of {M} the {m}.")],
    },
    {
        "seed": "[painted|wanted to paint] a [picture|big picture]", "title": "the {cc} Picture",
        "body": [
            "{N} had only one colour: {c}. {he} painted {c} trees, {c} houses and a {c} sun.",
            "\"A sun is not {c},\" said {M} the {m}. \"Your picture is wrong.\"",
            "{N} [put down the brush|was sad]. \"[Maybe I am not a painter|Maybe {M} is right],\" {he} thought.",
            "But at night {he} had a dream. [A {c} bird|A {c} fish] flew over a {c} sea, and everything was beautiful.",
            "In the morning {N} painted [the dream|what {he} had seen] on a big wall.",
            "People came from far away to see it. \"[I can feel the dream|It makes me happy],\" said [an old woman|a child]. {M} looked [for a long time|too] and said, \"[Now I see it|I was wrong].\"",
        ],
        "moral": "{N} smiled, for {he} knew that [there is no wrong way to dream|a picture comes from the heart].",
        "ask": [("What colour did {N} have?", "{N} had only one colour: {c}."), ("Who said that the picture was wrong?", "{M} the {m} said that the picture was wrong.")],
    },
    {
        "seed": "found a [treasure|hidden treasure]", "title": "the Treasure",
        "body": [
            "One {w} {t}, {N} found an old map [in a bottle|in a dusty book|behind a picture].",
            "There was a big {c} cross on it. \"A treasure!\" [cried|whispered] {N}. {he} asked {M} the {m} to come along.",
            "They [crossed a river|walked through a cave] and [climbed over rocks|dug with their hands]. It was hard work.",
            "At last they found a box. It was [heavy|old and locked]. {M} opened it with [a stone|a {c} key].",
            "There was no gold in it. There was only a letter: \"The real treasure is [the friend beside you|the one who came with you].\"",
            "{N} looked at {M}, and {M} looked at {N}. Then they [laughed|began to laugh] until their bellies hurt.",
        ],
        "moral": "They put the letter [back for the next finder|in a frame], and they went home [arm in arm|as rich as kings].",
        "ask": [("What did {N} find?", "{N} found a map to a treasure."), ("What was in the box?", "There was only a letter in the box."), ("Who went with {N}?", "{M} the {m} went with {N}.")],
    },
    {
        "seed": "had a bad dream", "title": "the Bad Dream",
        "body": [
            "In the middle of the night {N} woke up with a cry. {he} had had a bad dream.",
            "In the dream, [a big shadow ran after {him}|everyone had forgotten {him}|{he} fell and fell].",
            "{N} went to {M} the {m}, who lived next door. \"May I stay here?\" {he} asked [in a small voice|and trembled].",
            "{M} made [hot chocolate|warm milk with honey|a cup of tea]. \"[Let us change your dream|Dreams are like stories],\" {mhe} said. \"[You can give it a new end|We can find a better end].\"",
            "So they thought of a new end: [the shadow was only a lost puppy|everyone came with cake|a soft cloud caught {N}].",
            "{N} [laughed|had to smile]. The dream was not scary any more.",
        ],
        "moral": "[Then {he} fell asleep|{he} closed {his} eyes], and this time {he} dreamed of [{fs} and sunshine|a {c} sky|dancing stars].",
        "ask": [("Why did {N} wake up?", "{N} woke up because {he} had a bad dream."), ("Where did {N} go?", "{N} went to {M} the {m}.")],
    },
    {
        "seed": "saved a little bird", "title": "the Little Bird",
        "body": [
            "After a stormy night, {N} found a little bird on the ground. [One wing was hurt|It was cold and wet].",
            "\"Do not be afraid,\" said {N}. {he} put the bird into [a basket|a warm box|{his} hat] and carried it home.",
            "\"It is only a bird,\" said {M} the {m}. \"[Leave it|It will die].\" But {N} [gave it water and seeds|kept it warm] every day.",
            "[Day by day|Little by little], the bird became stronger. It [hopped|opened its eyes] and [sang a little song|ate from {N}'s hand].",
            "One {w} morning {N} opened the window. The bird [flew around the room|looked at {him}] and then flew out into the sky.",
            "{N} was [happy and sad at the same time|a little sad]. \"[Good luck|Fly well], little bird,\" {he} said.",
        ],
        "moral": "Every spring, the bird came back and sang [at {N}'s window|for {N}]. Even {M} [liked to listen|came to listen].",
        "ask": [("What did {N} find on the ground?", "{N} found a little bird on the ground."), ("What happened to the bird?", "The bird became strong again and flew away."), ("Did the bird come back?", "Yes, the bird came back every spring.")],
    },
    {
        "seed": "wanted to be [tall|bigger]", "title": "the Tall Dream",
        "body": [
            "{N} was the smallest {k} of all. \"I wish I were tall,\" {he} said every day.",
            "{he} [stood on a box|stretched {his} arms|ate ten {fs}], but {he} did not grow.",
            "One day the {o} of {M} the {m} fell into a very small hole. \"[My arm is too big|I cannot reach it]!\" cried {M}.",
            "\"Let me try,\" said {N}. {he} [crawled into the hole|put {his} small hand in] and came back with the {o}.",
            "\"You are wonderful!\" said {M}. \"Nobody else could [do that|go in there].\"",
            "{N} stood very straight. For the first time {he} felt [tall|as big as a tree].",
        ],
        "moral": "[After that|From then on], {N} liked to be small. It is [not the size that counts|what you do that makes you big].",
        "ask": [("What did {N} want to be?", "{N} wanted to be bigger."), ("What fell into the hole?", "The {o} of {M} fell into the hole."), ("Who got it back?", "{N} got it back.")],
    },
    {
        "seed": "caught a cold", "title": "the Big Sneeze",
        "body": [
            "Achoo! {N} had a cold. {his} nose was red, and {his} head was [hot|heavy].",
            "{N} had to stay in bed, and that was [very boring|no fun at all]. Outside, the others [played in the snow|were playing].",
            "Then there was a knock at the door. It was {M} the {m} with [a bowl of soup|a pot of tea and a {f}].",
            "\"[Eat this|This will help you],\" said {M}. \"[My grandmother made it|I made it for you].\" {N} [ate everything|felt warm inside].",
            "{M} stayed all {t}. They [read a book|played cards|told each other stories] and laughed.",
            "The next morning {N} [felt much better|jumped out of bed]. But now {M} said, \"Achoo!\"",
        ],
        "moral": "So {N} took [a pot of soup|a {f}] and went to {M}'s house, for [that is what friends do|now it was {his} turn].",
        "ask": [("Why did {N} stay in bed?", "{N} stayed in bed because {he} had a cold."), ("Who came with something warm?", "{M} the {m} came with something warm."), ("What happened to {M}?", "{M} caught the cold too.")],
    },
    {
        "seed": "[stole|took] a(n) {f}", "title": "the Stolen {fc}",
        "body": [
            "One {w} {t}, {N} saw a(n) {f} on the table of {M} the {m}. It [smelled so good|looked very sweet].",
            "Nobody was there. {N} [took it quickly|put it in {his} pocket] and ran away.",
            "But when {he} wanted to eat it, it did not [taste good|taste like anything]. {his} heart [beat very fast|felt heavy].",
            "{he} saw {M} [looking everywhere|standing at the empty table]. \"It was for [my sick mother|my little sister],\" said {M} sadly.",
            "{N} [blushed|felt ashamed]. {he} went to {M} and gave it back. \"I took it. I am so sorry,\" {he} said.",
            "\"[Everyone makes mistakes|It was brave to come back],\" said {M}. \"[Come, let us bring it to her together|Come with me].\"",
        ],
        "moral": "From then on, {N} [always asked first|never took what was not {his2}].",
        "ask": [("What did {N} take?", "{N} took a(n) {f}."), ("Did {N} give it back?", "Yes, {N} gave it back and said sorry."), ("Whose {fb} was it?", "It belonged to {M} the {m}.")],
    },
    {
        "seed": "[waited for|wanted to see] the first snow", "title": "the First Snow",
        "body": [
            "It was [late autumn|the end of November], and {N} looked out of the window every morning. \"[Is it snowing yet|When will the snow come]?\" {he} asked.",
            "\"[Be patient|You must wait],\" said {M} the {m}. But {N} [could not wait|did not like to wait].",
            "{he} [cut snowflakes out of paper|put on {his} warm {o}] and [hung them on the trees|sat on the roof].",
            "One night it became very quiet. In the morning [everything was white|the world was white and soft].",
            "\"{M}, wake up!\" shouted {N}. They ran outside and [made a big snowman|threw snowballs|went down the hill on a board].",
            "They gave the snowman a carrot nose and the {o}.",
        ],
        "moral": "\"[It was worth the wait|Now I know why it is good to wait],\" said {N}, with [red cheeks|snow on {his} nose].",
        "ask": [("What did {N} wait for?", "{N} waited for the first snow."), ("What did the snowman wear?", "The snowman wore the {o}.")],
    },
    {
        "seed": "had a magic {ob}", "title": "the Magic {oc}",
        "body": [
            "{N} had a(n) {o}. It looked [old|like every other {ob}], but it was magic: it could [make three wishes come true|grant three wishes].",
            "First {N} wished for [a mountain of {fs}|a house full of toys]. It was fun [for one day|at first], but then it was [too much|boring].",
            "Then {he} wished [to be the king of everything|that everyone would do what {he} said]. But soon {he} was [alone|lonely].",
            "\"Only one wish is left,\" said {N} to {M} the {m}. \"What shall I do?\"",
            "\"What makes you really happy?\" asked {M}. {N} thought [all night|for a long time].",
            "Then {he} said, \"I wish that everything was as before.\" And [puff|in the blink of an eye], it was so.",
        ],
        "moral": "{N} [gave the {ob} to the sea|put the {ob} away] and went to play with {M}. That was all {he} [needed|wanted].",
        "ask": [("What was magic?", "The {o} was magic."), ("How many wishes did {N} have?", "{N} had three wishes."), ("What was the last wish?", "{N} wished that everything was as before.")],
    },
    {
        "seed": "was always late", "title": "the Late Morning",
        "body": [
            "{N} was always late. {he} came late to [school|work], late to [lunch|dinner] and late to every party.",
            "\"You missed [the cake|the best part] again,\" {his} friends said. {N} was sorry, but [nothing changed|{he} did not know what to do].",
            "One day {M} the {m} gave {him} a(n) {c} clock. \"[It rings ten minutes early|It is a little fast],\" said {M} with a smile.",
            "The next morning the clock rang: ring, ring! {N} [jumped out of bed|got up at once] and ran outside.",
            "For the first time {he} was early. {he} saw [the sun rise over {pl}|the morning mist and a little deer|how quiet the world was].",
            "When the others came, {N} was already there. \"[Good morning|What took you so long]!\" {he} said, and everyone laughed.",
        ],
        "moral": "[Since then|From that day on], {N} loved the early morning, and {he} [was never late again|was late only on Sundays].",
        "ask": [("What was the problem with {N}?", "{N} was always late."), ("What did {M} give to {N}?", "{M} gave {N} a(n) {c} clock.")],
    },
    {
        "seed": "wanted to [reach|touch] the moon", "title": "the Moon",
        "body": [
            "Every night {N} looked at the moon. It was [round and bright|like a silver coin]. \"I want to touch it,\" {he} said.",
            "{he} climbed [the tallest tree|onto the roof|the highest hill], but the moon was still far away.",
            "{he} [threw a rope|jumped up and down], but [it fell back|it did not help].",
            "{M} the {m} watched {him}. \"Come with me,\" {mhe} said, and they went to [the lake|a quiet pond].",
            "There was the moon, [right on the water|shining in the water]! {N} put {his} hand into the water and touched it.",
            "The moon [broke into a thousand little lights|danced on the waves]. It was [the most beautiful thing|like magic].",
        ],
        "moral": "\"[Some things are near if you look in the right place|You only have to know where to look],\" said {M}, and they [stayed until morning|sat there for a long time].",
        "ask": [("What did {N} want to touch?", "{N} wanted to touch the moon."), ("Where did {N} find the moon?", "{N} found the moon in the water.")],
    },
    {
        "seed": "[stopped a fight|helped two friends who had a fight]", "title": "the Two Friends",
        "body": [
            "{M} the {m} and {M2} the {m2} were friends, but one day they had a fight about a(n) {o}.",
            "\"It is mine!\" shouted {M}. \"No, it is mine!\" shouted {M2}. They pulled [from both sides|and pulled].",
            "{N} [came by|heard the noise]. \"[What is the matter|Why are you shouting]?\" {he} asked.",
            "{N} [thought for a while|sat down between them]. \"[You can use it together|One has it today, the other tomorrow],\" {he} said.",
            "\"[That is fair|We did not think of that],\" said {M2}. {M} [was quiet and then nodded|held out {mhis} hand].",
            "Soon all three of them [were playing together|laughed again].",
        ],
        "moral": "A {ob} is [only a {ob}|just a thing], but a friend is [a friend|something you cannot buy].",
        "ask": [("What was the fight about?", "The fight was about a(n) {o}."), ("Who had a fight?", "{M} the {m} and {M2} the {m2} had a fight."), ("Who stopped the fight?", "{N} stopped the fight.")],
    },
    {
        "seed": "[lived alone|was very lonely]", "title": "the Letter",
        "body": [
            "Nobody ever came to visit {N}. {he} [talked to {his} {o}|counted the clouds] all day.",
            "One {w} {t}, {N} wrote a letter: \"[Is there anybody out there|I would like to have a friend]. {N}.\" {he} [put it in a bottle|tied it to a balloon] and sent it away.",
            "[Many days went by|The summer went by]. No answer came. {N} [almost forgot about it|was sad].",
            "Then one day there was a knock at the door. Outside stood {M}, a(n) {B} {m}, with the letter in {mhis} hand.",
            "\"I [found your letter|walked for ten days],\" said {M}. \"I am alone too.\"",
            "{N} [opened the door wide|smiled from ear to ear]. \"Come in! [The soup is warm|There are two chairs],\" {he} said.",
        ],
        "moral": "And from that day on, [there were two names on the door|nobody was alone in that house].",
        "ask": [("What did {N} write?", "{N} wrote a letter."), ("Who came to the door?", "{M}, a(n) {B} {m}, came to the door.")],
    },
]

# A story about anything else: "a fox who <does something unknown>".  It retells the wish itself.
ANY_VERBS = w.words(
    "wanted to dance,wanted to cook,liked to read,loved music,was very strong,could talk to trees,lived in a shoe,"
    "ate too much,collected stones,had a secret,went to school,worked at night,travelled the world,invented a machine,"
    "rode a bicycle,played the drum,loved the rain,hated the rain,kept a pet,wrote a book,slept all day,opened a shop,"
    "won a prize,missed a train,grew a beard,fixed a car,drew maps,told jokes,wore two hats,went to the moon"
)
ANY_PLOT = {
    "seed": "{any}", "title": "the {kc}",
    "body": [
        "Everybody knew {N}, the {k} who {any}. [Some people laughed about it|Some thought it was strange], but {N} did not mind.",
        "One {w} {t}, {M} the {m} came [to the door|by] with a(n) {o}. [\"I need your help,\" {mhe} said|\"Can you help me?\" {mhe} asked].",
        "\"[My friends do not believe me|Nobody believes me],\" said {M}. \"[They say that you are not real|They think that I made you up].\"",
        "So {N} [went with {M}|put on {his} coat and went along]. When they came to {pl}, everybody [stopped and looked|was very quiet].",
        "\"It is true!\" they [said|whispered]. \"[There really is a(n) {k} who {any}|This is the {k} who {any}]!\"",
        "{N} [showed them everything|told them all about it], and they [clapped their hands|wanted to hear more].",
    ],
    "moral": "[That day {N} made many friends|After that, nobody laughed]. It is good to be [different|just as you are].",
    "ask": [("Who came to {N}?", "{M} the {m} came to {N}."), ("What was special about {N}?", "{N} was the {k} who {any}.")],
}

OPENINGS = [
    "[Once upon a time|Once|Long ago|A long time ago], there [was|lived] a(n) {A} {k} named {N}. {he} lived {p}.",
    "[Once upon a time, {p2}, there lived|{p2} there lived] a(n) {A} {k} named {N}.",
    "{N} was a(n) {A} {k} who lived {p}.",
    "There was once a(n) {A} {k} {p}. {his} name was {N}.",
]
CLOSINGS = ["", "", "", " The end."]


@dataclass
class Story:
    kind: str
    adj: str
    name: str
    friend: str
    friend_name: str
    place: str
    seed: str
    title: str
    opening: str
    body: list
    moral: str
    closing: str
    ask: list = field(default_factory=list)
    obj: str = ""

    @property
    def text(self):
        return " ".join([self.opening, *self.body, self.moral]) + self.closing

    @property
    def paragraphs(self):
        half = len(self.body) // 2
        return "\n\n".join([" ".join([self.opening, *self.body[:half]]), " ".join(self.body[half:]), self.moral + self.closing])

    @property
    def short(self):
        return " ".join([self.opening.split(". ")[0].rstrip(".") + ".", self.body[0], self.moral])


def pronouns(kind, rng):
    if kind in w.MALE_KINDS:
        return "he", "his", "him"
    if kind in w.FEMALE_KINDS:
        return "she", "her", "her"
    return rng.choice((("he", "his", "him"), ("she", "her", "her")))


def name_for(he, rng):
    if rng.random() < 0.2:
        return w.made_up_name(rng)
    return rng.choice(w.BOY_NAMES if he == "he" else w.GIRL_NAMES)


def random_kind(rng):
    roll = rng.random()
    if roll < 0.04:
        return w.made_up_name(rng).lower()
    if roll < 0.52:
        return rng.choice(w.ANIMALS)
    return rng.choice(w.PEOPLE if roll < 0.76 else w.FANTASY)


def make_story(rng, kind=None, name=None, plot=None, friend=None, place=None):
    """One random story; the arguments fix parts of it."""
    kind = kind or random_kind(rng)
    friend = friend or rng.choice([k for k in (random_kind(rng) for _ in range(4)) if k != kind] or ["owl"])
    third = rng.choice([k for k in w.ANIMALS if k not in (kind, friend)])
    he, his, him = pronouns(kind, rng)
    mhe, mhis, mhim = pronouns(friend, rng)
    name = name or name_for(he, rng)
    friend_name = name_for(mhe, rng)
    while friend_name == name:
        friend_name = name_for(mhe, rng)
    third_name = rng.choice([n for n in w.GIRL_NAMES + w.BOY_NAMES if n not in (name, friend_name)])
    place_phrase, place_noun = place or rng.choice(w.PLACES)
    colour, thing, food = rng.choice(w.COLOURS), rng.choice(w.OBJECTS), rng.choice(w.FOODS)
    food_plural = " of ".join([w.plural(food.split(" of ")[0]), *food.split(" of ")[1:]])
    if plot is None:
        plot = ANY_PLOT if rng.random() < 0.06 else rng.choice(PLOTS)
    obj = f"{colour} {thing}" if rng.random() < 0.8 else thing
    slots = {
        "N": name, "k": kind, "kc": kind.title(), "A": rng.choice(w.ADJECTIVES), "he": he, "his": his, "him": him,
        "his2": "hers" if he == "she" else "his", "him2": mhim,
        "M": friend_name, "m": friend, "mc": friend.title(), "B": rng.choice(w.ADJECTIVES), "mhe": mhe, "mhis": mhis, "mhim": mhim,
        "M2": third_name, "m2": third, "p": place_phrase, "p2": place_phrase, "pl": place_noun,
        "o": obj, "ob": thing, "oc": obj.title(), "f": food, "fs": food_plural, "fb": food, "fc": food.title(), "c": colour, "cc": colour.title(), "w": rng.choice(w.WEATHER), "t": rng.choice(w.TIMES),
        "any": rng.choice(ANY_VERBS),
    }

    def line(template):
        return expand(template, slots, rng)

    body = [line(t) for t in plot["body"]]
    asks = [(line("[What was the name of the {k}|What is the {k} called|What was the {k}'s name]?"), line("The {k} was named {N}."))]
    asks += [(line("Where did {N} live?"), line("{N} lived {p}."))]
    asks += [(line(q), line(a)) for q, a in plot["ask"]]
    seed = choose(plot["seed"], rng).format_map(slots)
    seed = ARTICLE.sub(lambda m: m.group(1) + w.article(m.group(2))[1:] + " " + m.group(2), seed)
    return Story(
        kind=kind, adj=slots["A"], name=name, friend=friend, friend_name=friend_name, place=place_phrase, seed=seed,
        title=choose("The {A} {k} and ", rng).format_map({"A": slots["A"].title(), "k": kind.title()})
        + plot["title"].format_map(slots) if plot is not ANY_PLOT else f"{name} the {kind.title()}",
        opening=line(rng.choice(OPENINGS)), body=body, moral=line(plot["moral"]), closing=rng.choice(CLOSINGS), ask=asks, obj=obj,
    )


POEMS = [
    "A(n) {A} {k} went out to play\nupon a bright and sunny day.\nIt ran and jumped till day was done,\nand said good night to the setting sun.",
    "The {k} looked up into the night\nand saw a star so small and bright.\n\"I wish,\" it said, \"that I could be\na little light for all to see.\"",
    "One {k}, two {k}s, three {k}s, four,\nthey all came knocking at my door.\nI gave them {c} hats to wear,\nand off they went without a care.",
    "A {k} I know, its name is {N},\nit loves the snow, it loves the rain.\nIt sings a song both night and day,\nand then it dances far away.",
    "Oh {k}, oh {k}, where do you go?\nThrough summer sun and winter snow.\nI go to look for something new,\na {c} sky, a sea of blue.",
    "The wind is soft, the moon is high,\nthe {k} looks up into the sky.\nSleep well, sleep well, the day is done,\ntomorrow brings another sun.",
    "A(n) {A} {k} sat by the sea\nand drank a little cup of tea.\nThe waves went in, the waves went out,\nthe {k} was happy, there is no doubt.",
    "I had a {k}, its coat was {c},\nit came along when I felt blue.\nWe walked the hills, we crossed the stream,\nand in the end it was a dream.",
]


def make_poem(rng, kind=None):
    slots = {"k": kind or random_kind(rng), "A": rng.choice(w.ADJECTIVES), "c": rng.choice(w.COLOURS), "N": rng.choice(w.GIRL_NAMES + w.BOY_NAMES)}
    return "\n".join(polish(line) for line in rng.choice(POEMS).format_map(slots).split("\n"))
