"""The table of things that can be drawn: one row per object, nothing else to edit when the world grows.

A row reads
    names | emoji | category | size | place | flags
- names: first the usual name, then synonyms; "a/b" in a name gives an irregular plural ("mouse/mice").
- size: relative height, 1 is a grown person's cottage-book size (a car); compressed before drawing.
- place: where it may be: g(round), s(ky), w(ater), in any combination; the first letter is the usual one.
- flags: c = its material can be recoloured (seen on the contact sheet), t = other things can stand on it,
  u = things can be under it (tree, umbrella), i = iconic: drawn more often while the model is young,
  h = it is only a head or an upper body, so it is not put on top of things,
  F = its flat drawing does not recolour well: a coloured one is always taken from the 3-D drawings.
"""
from __future__ import annotations

from dataclasses import dataclass

TABLE = """
cat, kitty | 🐈 | animal | .62 | g | ci
dog, puppy | 🐕 | animal | .72 | g | ci
horse, pony/ponies | 🐎 | animal | 1.1 | g | cti
cow | 🐄 | animal | 1.0 | g | t
pig, piglet | 🐖 | animal | .75 | g | ct
sheep/sheep, lamb | 🐑 | animal | .75 | g |
goat | 🐐 | animal | .8 | g |
rabbit, bunny/bunnies | 🐇 | animal | .5 | g | ci
mouse/mice | 🐁 | animal | .4 | g | c
elephant | 🐘 | animal | 1.3 | g | ct
giraffe | 🦒 | animal | 1.5 | g |
tiger | 🐅 | animal | .9 | g | t
lion | 🦁 | animal | .8 | g | h
bear | 🐻 | animal | .8 | g | ch
panda | 🐼 | animal | .8 | g | h
fox/foxes | 🦊 | animal | .75 | g | ch
monkey | 🐒 | animal | .75 | g | c
kangaroo | 🦘 | animal | .95 | g | c
camel | 🐫 | animal | 1.1 | g | c
zebra | 🦓 | animal | 1.0 | g |
deer/deer | 🦌 | animal | 1.0 | g | c
rooster | 🐓 | animal | .65 | g |
hen, chicken | 🐔 | animal | .6 | g | h
chick | 🐥 | animal | .45 | g | c
duck | 🦆 | animal | .55 | gw | cF
swan | 🦢 | animal | .75 | wg |
owl | 🦉 | animal | .6 | g | c
penguin | 🐧 | animal | .65 | g |
eagle | 🦅 | animal | .7 | s |
parrot | 🦜 | animal | .6 | g |
flamingo | 🦩 | animal | .9 | g | c
bird | 🐦 | animal | .5 | g | c
turtle, tortoise | 🐢 | animal | .55 | gw | ct
frog | 🐸 | animal | .6 | g | chF
crocodile, alligator | 🐊 | animal | .6 | gw | c
snake | 🐍 | animal | .55 | g | c
lizard | 🦎 | animal | .5 | g | c
dragon | 🐉 | animal | 1.2 | g | c
dinosaur | 🦕 | animal | 1.3 | g | c
t-rex | 🦖 | animal | 1.2 | g | c
whale | 🐋 | animal | 1.0 | w | c
dolphin | 🐬 | animal | .8 | w | c
fish/fish | 🐟 | animal | .5 | w | c
shark | 🦈 | animal | .85 | w |
octopus/octopuses | 🐙 | animal | .75 | wg | c
crab | 🦀 | animal | .5 | g | c
snail | 🐌 | animal | .45 | g |
butterfly/butterflies | 🦋 | animal | .5 | s | c
bee | 🐝 | animal | .45 | s |
ladybug | 🐞 | animal | .4 | g | c
squirrel | 🐿️ | animal | .5 | g | c
hedgehog | 🦔 | animal | .45 | g |
unicorn | 🦄 | animal | .9 | g | h
koala | 🐨 | animal | .7 | g | h
gorilla | 🦍 | animal | 1.0 | g | c
car, automobile | 🚗 | vehicle | .85 | g | cti
taxi | 🚕 | vehicle | .85 | g | ct
bus/buses | 🚌 | vehicle | 1.05 | g | t
truck, lorry/lorries | 🚚 | vehicle | 1.05 | g | t
tractor | 🚜 | vehicle | 1.0 | g | c
ambulance | 🚑 | vehicle | 1.0 | g | t
fire engine, fire truck | 🚒 | vehicle | 1.0 | g | t
motorcycle, motorbike | 🏍️ | vehicle | .75 | g | c
bicycle, bike | 🚲 | vehicle | .75 | g | c
scooter | 🛵 | vehicle | .7 | g | c
train, locomotive | 🚂 | vehicle | 1.05 | g |
airplane, plane | ✈️ | vehicle | .8 | s |
helicopter | 🚁 | vehicle | .8 | s |
rocket, spaceship | 🚀 | vehicle | 1.0 | sg | c
ship | 🚢 | vehicle | 1.1 | w |
sailboat, boat | ⛵ | vehicle | .95 | w | i
speedboat, motorboat | 🚤 | vehicle | .7 | w |
canoe | 🛶 | vehicle | .6 | w |
ufo | 🛸 | vehicle | .7 | s |
skateboard | 🛹 | thing | .4 | g | ct
surfboard | surfboard | thing | .32 | gw | cti
sled | 🛷 | thing | .55 | g | ct
tree | 🌳 | nature | 1.25 | g | ui
pine tree, fir tree | 🌲 | nature | 1.3 | g | u
palm tree | 🌴 | nature | 1.3 | g | u
cactus/cacti | 🌵 | nature | .9 | g | c
tulip, flower | 🌷 | nature | .6 | g | ci
rose | 🌹 | nature | .6 | g | c
sunflower | 🌻 | nature | .75 | g |
mushroom, toadstool | 🍄 | nature | .5 | g | ci
mountain | ⛰️ | nature | 1.6 | g | i
snowy mountain | 🏔️ | nature | 1.6 | g |
volcano/volcanoes | 🌋 | nature | 1.5 | g |
rock, stone | 🪨 | nature | .55 | g | ct
log | 🪵 | nature | .4 | g | t
snowman/snowmen | ⛄ | nature | .85 | g |
sun | ☀️ | sky | .6 | s | i
moon | 🌙 | sky | .55 | s | i
star | ⭐ | sky | .4 | s | ci
cloud | ☁️ | sky | .5 | s |
rainbow | 🌈 | sky | .85 | s |
house, home | 🏠 | building | 1.25 | g | cti
hut | 🛖 | building | 1.05 | g |
castle | 🏰 | building | 1.45 | g | i
church/churches | ⛪ | building | 1.35 | g |
tent | ⛺ | building | .9 | g | c
tower | 🗼 | building | 1.6 | g | c
factory/factories | 🏭 | building | 1.25 | g |
ball, soccer ball | ⚽ | thing | .42 | g |
basketball | 🏀 | thing | .42 | g | c
beach ball | beachball | thing | .45 | g | c
balloon | 🎈 | thing | .6 | s | ci
umbrella | ☂️ | thing | .7 | gs | cu
kite | 🪁 | thing | .55 | s |
gift, present | 🎁 | thing | .5 | g | t
box/boxes, crate | 📦 | thing | .5 | g | ct
book | 📕 | thing | .45 | g | ct
chair | 🪑 | thing | .75 | g | ct
sofa, couch/couches | 🛋️ | thing | .7 | g | ct
alarm clock, clock | ⏰ | thing | .45 | g | c
bell | 🔔 | thing | .45 | g | c
guitar | 🎸 | thing | .75 | g | c
drum | 🥁 | thing | .5 | g | t
teapot | 🫖 | thing | .45 | g | c
cup | ☕ | thing | .4 | g |
bucket | 🪣 | thing | .45 | g | c
robot | 🤖 | thing | .75 | g | h
teddy bear, teddy | 🧸 | thing | .65 | g | c
hat, top hat | 🎩 | thing | .45 | g | c
crown | 👑 | thing | .4 | g | c
boot | 👢 | thing | .45 | g | c
dress/dresses | 👗 | thing | .7 | g | c
shirt, t-shirt | 👕 | thing | .6 | g | c
backpack | 🎒 | thing | .55 | g | c
television, tv | 📺 | thing | .6 | g | c
camera | 📷 | thing | .45 | g |
key | 🔑 | thing | .4 | g | c
ghost | 👻 | thing | .75 | gs | c
heart | ❤️ | thing | .5 | s | c
lantern | 🏮 | thing | .5 | g | cF
apple | 🍎 | food | .42 | g | ci
banana | 🍌 | food | .42 | g | c
pear | 🍐 | food | .42 | g | c
lemon | 🍋 | food | .38 | g | c
strawberry/strawberries | 🍓 | food | .4 | g | c
grapes/grapes | 🍇 | food | .42 | g | cF
watermelon | 🍉 | food | .45 | g |
cherry/cherries | 🍒 | food | .4 | g | c
pineapple | 🍍 | food | .5 | g |
carrot | 🥕 | food | .42 | g | c
pumpkin | 🎃 | food | .5 | g | c
cheese/cheese | 🧀 | food | .42 | g |
cake, birthday cake | 🎂 | food | .55 | g |
cupcake | 🧁 | food | .42 | g | c
donut, doughnut | 🍩 | food | .42 | g | c
ice cream/ice creams | 🍦 | food | .5 | g |
pizza | 🍕 | food | .45 | g |
hamburger, burger | 🍔 | food | .45 | g |
egg | 🥚 | food | .38 | g | c
lollipop | 🍭 | food | .45 | g |
"""


@dataclass(frozen=True)
class Thing:
    """One row of the table."""

    name: str
    names: tuple[tuple[str, str], ...]  # (singular, plural), the first is the usual one
    emoji: str
    category: str
    size: float
    places: str
    flags: str

    @property
    def colourable(self) -> bool:
        return "c" in self.flags

    @property
    def iconic(self) -> bool:
        return "i" in self.flags

    @property
    def codes(self) -> str:
        return "-".join(f"{ord(c):04x}" for c in self.emoji)


def plural(name: str) -> str:
    """The regular English plural of a name."""
    if name.endswith(("s", "x", "ch", "sh")):
        return name + "es"
    return name + "s"


def _names(text: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for part in text.split(","):
        one, _, many = part.strip().partition("/")
        pairs.append((one, many or plural(one)))
    return tuple(pairs)


def _parse(table: str) -> list[Thing]:
    rows = []
    for line in table.strip().splitlines():
        names, emoji, category, size, places, flags = (cell.strip() for cell in line.split("|"))
        parsed = _names(names)
        rows.append(Thing(parsed[0][0], parsed, emoji, category, float(size), places, flags))
    return rows


THINGS: list[Thing] = _parse(TABLE)
BY_NAME: dict[str, Thing] = {thing.name: thing for thing in THINGS}

# Target colours in OKLCh: lightness, chroma, hue in degrees.
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.58, 0.22, 27),
    "orange": (0.72, 0.17, 58),
    "yellow": (0.86, 0.17, 95),
    "green": (0.66, 0.18, 142),
    "teal": (0.68, 0.11, 195),
    "blue": (0.56, 0.19, 257),
    "purple": (0.52, 0.20, 303),
    "pink": (0.76, 0.15, 355),
    "brown": (0.46, 0.08, 55),
    "black": (0.27, 0.01, 270),
    "white": (0.94, 0.005, 90),
    "grey": (0.66, 0.008, 260),
}
COLOUR_NAMES = list(COLOURS)
COLOUR_SYNONYMS = {"grey": ("gray",), "purple": ("violet",), "teal": ("turquoise",)}
