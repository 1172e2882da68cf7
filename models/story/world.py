"""The fixed little world that Trifold Story knows.

Everything the model is taught comes from the tables in this file and from the
grammars in `stories.py` and `chats.py`.  Nothing here is copied from a data set.
"""


def words(text):
    """Split a compact table: items are separated by commas."""
    return [item.strip() for item in text.split(",") if item.strip()]


def pairs(text):
    """Split a compact table of `key:value` items into a list of tuples."""
    return [tuple(part.strip() for part in item.split(":")) for item in words(text)]


# --- people -----------------------------------------------------------------

GIRL_NAMES = words(
    "Lily,Mia,Anna,Rosa,Ella,Ivy,Nora,Clara,Ruby,Molly,Daisy,Emma,Zoe,Lucy,Sara,Hazel,Tina,Maya,Ada,"
    "June,Poppy,Willow,Luna,Bella,Penny,Alice,Wanda,Fern,Olive,Stella,Nina,Mabel,Pearl,Dora,Kim,Greta"
)
BOY_NAMES = words(
    "Tom,Ben,Max,Sam,Leo,Finn,Jack,Oscar,Hugo,Noah,Theo,Eli,Otto,Milo,Henry,Toby,Felix,Jonas,Adam,Paul,"
    "Ravi,Omar,Bruno,Rufus,Gus,Pip,Basil,Rolf,Barney,Monty,Oliver,Peter,Albert,Victor,Dan,Charlie"
)
SYLLABLES = words(
    "ba,be,bo,bri,da,del,do,dra,fa,fi,flo,ga,gle,go,ha,hi,ja,jo,ka,ki,kro,la,le,lo,lu,ma,mi,mo,na,ni,no,"
    "pa,pe,po,ra,ri,ro,sa,si,so,ta,ti,to,tru,va,vi,wa,we,ya,za,zi,zo"
)
ENDINGS = words("n,r,s,l,x,m,k,nd,th,sh,a,o,y,ie,us,ra,la,na,ko,bo,ver,lin,mor,dy")

# --- story cast -------------------------------------------------------------

ANIMALS = words(
    "fox,rabbit,bear,owl,mouse,cat,dog,duck,frog,turtle,squirrel,hedgehog,lion,elephant,monkey,penguin,otter,"
    "beaver,deer,goat,sheep,pig,cow,horse,hen,goose,bee,ant,snail,whale,dolphin,seal,crab,parrot,crow,robin,"
    "badger,mole,wolf,tiger,zebra,giraffe,kangaroo,koala,panda,hamster,donkey,camel,swan,lizard,snake,spider,"
    "butterfly,ladybird,bat,moose,raccoon,kitten,puppy,lamb,pony,peacock,octopus,starfish,sparrow,weasel"
)
PEOPLE = words(
    "boy,girl,baker,farmer,painter,fisherman,gardener,teacher,doctor,sailor,shepherd,tailor,singer,dancer,"
    "cook,clockmaker,captain,postman,carpenter,miller,explorer,astronaut,detective,inventor,musician,student,"
    "king,queen,prince,princess,knight,pirate,clown,juggler,librarian,scientist,pilot,driver,guard,nurse"
)
FANTASY = words(
    "robot,dragon,wizard,witch,fairy,giant,unicorn,elf,dwarf,ghost,snowman,mermaid,troll,monster,goblin,"
    "phoenix,talking teapot,toy soldier,star,cloud,little train,paper boat,lighthouse,scarecrow,teddy bear,"
    "pumpkin,tree,magic broom,clock,vampire,alien,ninja,superhero,dinosaur,rubber duck"
)
KINDS = ANIMALS + PEOPLE + FANTASY
MALE_KINDS = set(words("boy,fisherman,postman,king,prince,knight,wizard,snowman,toy soldier,sailor"))
FEMALE_KINDS = set(words("girl,queen,princess,witch,fairy,mermaid,nurse,hen,cow"))

ADJECTIVES = words(
    "little,brave,shy,curious,kind,clever,sleepy,grumpy,hungry,gentle,tiny,proud,lazy,happy,lonely,silly,"
    "noisy,careful,patient,young,old,friendly,cheerful,quiet,clumsy,funny,small,big,wise,busy,polite,tired"
)

PLACES = [  # (phrase with preposition, noun phrase with "the")
    ("in a green forest", "the forest"), ("by the blue sea", "the sea"), ("on a small farm", "the farm"),
    ("on top of a hill", "the hill"), ("in a quiet village", "the village"), ("near a wide river", "the river"),
    ("in a big garden", "the garden"), ("on a snowy mountain", "the mountain"), ("in a busy town", "the town"),
    ("beside a calm lake", "the lake"), ("on a sunny island", "the island"), ("in an old castle", "the castle"),
    ("in a warm valley", "the valley"), ("at the edge of a meadow", "the meadow"), ("in a sandy desert", "the desert"),
    ("near a dark cave", "the cave"), ("in a tall tower", "the tower"), ("in a little house", "the house"),
    ("in a deep jungle", "the jungle"), ("under a wooden bridge", "the bridge"), ("in a bright city", "the city"),
]
COLOURS = words("red,blue,green,yellow,orange,purple,pink,brown,black,white,grey,golden,silver")
OBJECTS = words(
    "hat,kite,ball,key,scarf,bell,boat,lamp,cup,coat,drum,book,box,ring,shoe,umbrella,clock,basket,flute,"
    "balloon,button,blanket,bicycle,bucket,coin,crown,feather,flag,glove,ladder,letter,map,mirror,necklace,"
    "pencil,pillow,ribbon,rope,shell,spoon,star,stone,sword,toy,wagon,whistle,mug,bag,chair,lantern"
)
FOODS = words(
    "apple,pear,cake,carrot,cookie,pie,plum,banana,berry,nut,bun,cherry,peach,muffin,sandwich,pancake,orange,"
    "honey cake,slice of bread,piece of cheese,bowl of soup,strawberry,melon,potato,tomato,pizza"
)
WEATHER = words("sunny,rainy,windy,cloudy,snowy,foggy,cold,warm,bright,stormy")
TIMES = words("morning,afternoon,evening,day")
SEASONS = words("spring,summer,autumn,winter")

# --- facts ------------------------------------------------------------------

THING_COLOUR = pairs(
    "the sky:blue,grass:green,snow:white,coal:black,a banana:yellow,a strawberry:red,a carrot:orange,a plum:purple,"
    "chocolate:brown,an elephant:grey,a flamingo:pink,a lemon:yellow,milk:white,the sun:yellow,a leaf:green,"
    "a tomato:red,a pumpkin:orange,a crow:black,the sea:blue,a frog:green,a fire engine:red,a polar bear:white,"
    "a pea:green,a cherry:red,the night:black,a cloud:white,a pig:pink,a fox:orange,a lime:green,sand:yellow,"
    "blood:red,a blueberry:blue,an aubergine:purple,a mouse:grey,a bear:brown"
)
SOUND = pairs(
    "cow:moo,dog:woof,cat:meow,duck:quack,sheep:baa,pig:oink,horse:neigh,lion:roar,owl:hoot,bee:buzz,frog:croak,"
    "mouse:squeak,hen:cluck,wolf:howl,snake:hiss,bird:tweet,donkey:hee-haw,goat:bleat,crow:caw,rooster:cock-a-doodle-doo,"
    "tiger:roar,goose:honk,turkey:gobble"
)
BABY = pairs(
    "dog:puppy,cat:kitten,cow:calf,sheep:lamb,horse:foal,hen:chick,duck:duckling,goose:gosling,pig:piglet,bear:cub,"
    "lion:cub,frog:tadpole,goat:kid,deer:fawn,kangaroo:joey,swan:cygnet,owl:owlet,wolf:pup,seal:pup,elephant:calf,"
    "tiger:cub,fox:cub,whale:calf,person:baby"
)
HOME = pairs(
    "bee:hive,bird:nest,dog:kennel,horse:stable,fox:den,rabbit:burrow,spider:web,bear:cave,pig:sty,cow:barn,"
    "squirrel:tree,snail:shell,king:castle,camper:tent,hen:coop,beaver:lodge,ant:ant hill"
)
DIET = pairs(
    "rabbit:carrots,cow:grass,cat:fish,dog:bones,monkey:bananas,bear:honey,squirrel:nuts,panda:bamboo,bee:nectar,"
    "mouse:cheese,bird:seeds,horse:hay,sheep:grass,koala:leaves,giraffe:leaves,penguin:fish,lion:meat,frog:flies,"
    "hen:grain,goat:grass,otter:fish,wolf:meat,caterpillar:leaves"
)
MAKES = pairs(
    "bee:honey,cow:milk,hen:eggs,sheep:wool,spider:webs,baker:bread,painter:pictures,tailor:clothes,carpenter:furniture,"
    "cook:food,writer:stories,beaver:dams,musician:music,gardener:gardens"
)
LEGS = [(a, 4) for a in words("dog,cat,horse,cow,lion,rabbit,fox,sheep,pig,mouse,elephant,frog,bear,goat,table,chair")]
LEGS += [(a, 2) for a in words("bird,duck,hen,person,penguin,owl,goose,robin")]
LEGS += [(a, 6) for a in words("ant,bee,butterfly,fly,ladybird")] + [("spider", 8), ("snake", 0), ("fish", 0), ("worm", 0)]
FLY = (words("bird,bee,owl,butterfly,duck,robin,crow,bat,plane,kite,fly"), words("dog,cat,cow,horse,fish,pig,penguin,snail,bear,car,stone"))
SWIM = (words("fish,duck,frog,whale,seal,otter,dolphin,penguin,turtle,shark"), words("stone,bee,butterfly,house,car,tree,hen"))

DAYS = words("Monday,Tuesday,Wednesday,Thursday,Friday,Saturday,Sunday")
MONTHS = words("January,February,March,April,May,June,July,August,September,October,November,December")
MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
SHAPES = pairs("triangle:three,square:four,rectangle:four,pentagon:five,hexagon:six,octagon:eight")
OPPOSITES = pairs(
    "hot:cold,big:small,up:down,day:night,happy:sad,fast:slow,old:young,open:closed,left:right,in:out,full:empty,"
    "wet:dry,hard:soft,loud:quiet,light:dark,high:low,long:short,near:far,early:late,good:bad,rich:poor,strong:weak,"
    "clean:dirty,easy:difficult,thick:thin,wide:narrow,first:last,before:after,above:below,front:back,push:pull,"
    "start:stop,give:take,win:lose,true:false,yes:no,black:white,inside:outside,heavy:light,warm:cool,awake:asleep,"
    "brave:afraid,sharp:blunt,sweet:sour,buy:sell,laugh:cry,love:hate,north:south,east:west,summer:winter,top:bottom,"
    "tall:short,begin:end,same:different,smooth:rough,kind:mean,noisy:quiet,always:never,many:few,arrive:leave"
)
IRREGULAR_PLURALS = pairs(
    "mouse:mice,goose:geese,sheep:sheep,child:children,foot:feet,tooth:teeth,man:men,woman:women,wolf:wolves,leaf:leaves,"
    "knife:knives,loaf:loaves,shelf:shelves,deer:deer,fish:fish,person:people,ox:oxen,fly:flies,baby:babies,city:cities,"
    "story:stories,berry:berries,cherry:cherries,puppy:puppies,pony:ponies,fox:foxes,box:boxes,bus:buses,dish:dishes,"
    "brush:brushes,glass:glasses,watch:watches,peach:peaches,potato:potatoes,tomato:tomatoes,butterfly:butterflies,half:halves"
)
REGULAR_NOUNS = words(
    "cat,dog,apple,book,tree,car,house,hat,kite,ball,key,cow,duck,frog,bird,boat,star,cup,lamp,door,window,flower,"
    "stone,bear,owl,lion,horse,chair,table,spoon,shoe,river,hill,garden,pencil,banana,egg,girl,boy,king,queen,ship,"
    "train,cloud,road,bell,ring,coat,robot,dragon,wizard,farm,song,game,letter,picture,monkey,carrot,nut,plum,pear"
)
RHYMES = [
    words(group) for group in (
        "cat,hat,bat,mat,rat", "dog,frog,log,fog", "sun,fun,run,bun", "bee,tree,sea,key,knee", "moon,spoon,soon,noon",
        "car,star,jar,far", "house,mouse", "bear,chair,pear,hair", "cake,lake,snake,make", "king,ring,sing,wing",
        "boat,goat,coat", "night,light,kite,bright", "red,bed,head,bread", "ball,wall,tall,fall", "day,play,say,way",
        "rain,train,plane", "book,cook,look,hook", "fox,box,socks", "bell,shell,well,tell", "hen,pen,ten,men",
        "blue,shoe,two,zoo", "snow,go,slow,low", "duck,luck,truck",
    )
]
CATEGORIES = {
    "animal": words("fox,rabbit,bear,owl,mouse,cat,dog,duck,frog,cow,horse,lion,tiger,sheep,goat,whale,penguin"),
    "fruit": words("apple,pear,banana,plum,cherry,peach,orange,lemon,melon,grape,strawberry"),
    "vegetable": words("carrot,potato,onion,pea,bean,cabbage,leek,turnip"),
    "flower": words("rose,daisy,tulip,lily,sunflower,violet"),
    "tree": words("oak,birch,pine,willow,maple"),
    "tool": words("hammer,saw,spade,screwdriver,rake"),
    "vehicle": words("car,bus,train,bicycle,truck,boat,plane"),
    "instrument": words("drum,flute,piano,violin,guitar,trumpet"),
    "colour": words("red,blue,green,yellow,orange,purple,pink,brown,black,white"),
    "drink": words("water,milk,tea,juice,lemonade"),
    "piece of clothing": words("hat,coat,shoe,scarf,glove,shirt,sock,dress"),
    "shape": words("circle,square,triangle,rectangle,pentagon"),
    "day": DAYS, "month": MONTHS, "season": SEASONS,
}
CATEGORY_PLURAL = {"piece of clothing": "pieces of clothing"}
SIZES = words("ant,bee,mouse,frog,cat,dog,sheep,pig,cow,horse,elephant,whale,house,mountain")  # small to large
MIXES = [("blue", "yellow", "green"), ("red", "yellow", "orange"), ("red", "blue", "purple"), ("red", "white", "pink"), ("black", "white", "grey")]
DEFINITIONS = [line.split(":", 1) for line in """\
the sun:The sun is a star. It gives us light and warmth.
the moon:The moon is a big ball of rock that goes around the Earth.
a star:A star is a big ball of hot gas that shines in the sky.
rain:Rain is water that falls from the clouds.
snow:Snow is frozen water that falls from the clouds in small white flakes.
a cloud:A cloud is made of very small drops of water in the sky.
a river:A river is a long stream of water that flows to the sea.
the sea:The sea is a very large area of salt water.
an island:An island is land with water all around it.
a forest:A forest is a place with many trees.
a farm:A farm is a place where people grow food and keep animals.
a book:A book has many pages with words and pictures to read.
a friend:A friend is someone you like and who likes you.
a story:A story tells what happened to someone. It has a beginning and an end.
a clock:A clock is a machine that shows the time.
a bridge:A bridge is a road over water or a valley.
a map:A map is a picture that shows where places are.
a seed:A seed is a small thing from which a plant grows.
ice:Ice is frozen water. It is cold and hard.
fire:Fire is hot and bright. It burns wood and gives warmth.
wind:Wind is moving air.
a rainbow:A rainbow is an arc of colours in the sky. You see it when the sun shines through rain.
a robot:A robot is a machine that can do work by itself.
a computer:A computer is a machine that works with numbers and words.
a dragon:A dragon is a big animal in stories. It can fly and breathe fire.
a school:A school is a place where children learn.
a kitchen:A kitchen is a room where people cook.
a garden:A garden is a place where plants and flowers grow.
honey:Honey is a sweet food that bees make.
bread:Bread is a food made from flour and water.
winter:Winter is the coldest season of the year.
summer:Summer is the warmest season of the year.
music:Music is sound that is nice to hear. People sing it or play it.
a language model:A language model is a computer program that writes text, one small piece at a time.""".splitlines()]
COMMON_SENSE = [line.split("|") for line in """\
What do you wear in the rain?|You wear a raincoat in the rain.|a raincoat
What do you use to cut paper?|You use scissors to cut paper.|scissors
What do you use to write?|You use a pencil to write.|a pencil
What do you use to eat soup?|You use a spoon to eat soup.|a spoon
Where do you sleep?|You sleep in a bed.|a bed
Where do you buy bread?|You buy bread at the bakery.|the bakery
What do you do when you are tired?|When you are tired, you go to sleep.|sleep
What do you do when you are hungry?|When you are hungry, you eat something.|eat
What do you do when you are thirsty?|When you are thirsty, you drink some water.|drink
When does the sun rise?|The sun rises in the morning.|morning
When does the sun set?|The sun sets in the evening.|evening
When do we see the stars?|We see the stars at night.|night
Where do fish live?|Fish live in water.|water
What melts in the sun?|Ice melts in the sun.|ice
What do plants need?|Plants need water, light and soil.|water
What falls from the sky in winter?|Snow falls from the sky in winter.|snow
Who flies a plane?|A pilot flies a plane.|a pilot
Who helps you when you are sick?|A doctor helps you when you are sick.|a doctor
Who grows food on a farm?|A farmer grows food on a farm.|a farmer
Who teaches children at school?|A teacher teaches children at school.|a teacher
What do we use to open a lock?|We use a key to open a lock.|a key
What do we use to tell the time?|We use a clock to tell the time.|a clock
What has wheels and takes many people?|A bus has wheels and takes many people.|a bus
How many eyes do you have?|A person has two eyes.|two
How many fingers does a hand have?|A hand has five fingers.|five
How many wheels does a bicycle have?|A bicycle has two wheels.|two
How many wheels does a car have?|A car has four wheels.|four
How many legs does a chair have?|A chair has four legs.|four
How many days are there in a week?|There are seven days in a week.|seven
How many months are there in a year?|There are twelve months in a year.|twelve
How many seasons are there?|There are four seasons.|four
How many hours are there in a day?|There are twenty-four hours in a day.|twenty-four
How many minutes are there in an hour?|There are sixty minutes in an hour.|sixty
How many letters are there in the alphabet?|There are twenty-six letters in the alphabet.|twenty-six
What is the first day of the week?|Monday is the first day of the week.|Monday
What is the last month of the year?|December is the last month of the year.|December
What is the first month of the year?|January is the first month of the year.|January
What is the coldest season?|Winter is the coldest season.|winter
What is the warmest season?|Summer is the warmest season.|summer
Which animal has a long trunk?|An elephant has a long trunk.|an elephant
Which animal has a long neck?|A giraffe has a long neck.|a giraffe
Which animal carries its house on its back?|A snail carries its house on its back.|a snail
Which animal has stripes?|A zebra has stripes.|a zebra
Which animal is the king of the animals?|The lion is called the king of the animals.|the lion""".splitlines()]

NUMBER_WORDS = words(
    "zero,one,two,three,four,five,six,seven,eight,nine,ten,eleven,twelve,thirteen,fourteen,fifteen,sixteen,"
    "seventeen,eighteen,nineteen,twenty"
)
CITIES = words("Paris,London,Rome,Berlin,Madrid,Oslo,Vienna,Lisbon,Dublin,Tokyo,Cairo,Lima,Delhi,Boston,Prague,Athens,New York,Sydney,Chicago,Geneva")
ROOMS = words("kitchen,bedroom,bathroom,garden,office,hall,garage,cellar,attic,living room")
SONGS = words("Happy Birthday,Blue Moon,The Red Balloon,Morning Rain,Summer Song,Little Star,Silver River,Home Again,Night Train,Dancing Leaves")
EMOJI = words("😀,🌟,🌈,🐻,🎈,🌻,🍎,🚀,🐟,🎉,☀️,❤️")


def article(noun):
    """`a` or `an`, for the words of this world."""
    first = noun.lower()
    if first.startswith(("hour", "honest")):
        return "an"
    return "an" if first[:1] in "aeiou" and not first.startswith(("uni", "one", "use", "eu")) else "a"


def with_article(noun):
    return f"{article(noun)} {noun}"


def plural(noun):
    known = dict(IRREGULAR_PLURALS)
    if noun in known:
        return known[noun]
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def number_word(n):
    """Number words from 0 to 99."""
    if n <= 20:
        return NUMBER_WORDS[n]
    tens = words("twenty,thirty,forty,fifty,sixty,seventy,eighty,ninety")[n // 10 - 2]
    return tens if n % 10 == 0 else f"{tens}-{NUMBER_WORDS[n % 10]}"


def made_up_name(rng):
    """A random pronounceable name, so that the model learns to copy names it has never seen."""
    name = "".join(rng.choice(SYLLABLES) for _ in range(rng.choice((1, 2, 2, 3)))) + rng.choice(ENDINGS)
    return name.capitalize()


def any_name(rng):
    if rng.random() < 0.35:
        return made_up_name(rng)
    return rng.choice(GIRL_NAMES + BOY_NAMES)
