"""The word lists of this recipe, and what is said of them."""

import pathlib
from collections.abc import Iterable

WORDS = pathlib.Path(__file__).parent / "words"


def _read(name: str) -> list[str]:
    lines = (WORDS / name).read_text().splitlines()
    return [word for line in lines if not line.startswith("#") for word in line.split()]


COMMON = _read("common.txt")
NAMES = _read("names.txt")
PLACES = _read("places.txt")
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
TEMPLATES = [line for line in (WORDS / "templates.txt").read_text().splitlines() if line and not line.startswith("#")]

NOUNS = """light door window table chair phone computer book car bus train house garden kitchen dog cat bird horse tree flower
apple banana bread cheese coffee tea water milk sugar salt dinner lunch breakfast order package invoice payment ticket card
account password email letter message picture movie song story question problem answer meeting report project system
machine engine battery camera screen button key box bag bottle cup plate knife shirt jacket shoe hat ring clock map city
river mountain island beach school hospital bank market store station airport bridge tower road garage office teacher
doctor driver nurse manager customer friend baby king queen address delivery refund service flight hotel""".split()
ADJECTIVES = """big small old new good bad hot cold warm cool fast slow happy sad easy hard high low long short strong weak clean
dirty dark bright quiet loud empty full heavy cheap expensive beautiful nice red green blue yellow black white late early
ready busy broken open wet dry sweet safe""".split()
VERBS = """open close find buy sell see check change clean move bring take use pay cancel confirm send read write watch
carry fix repair order return update remove lock wash paint keep drop""".split()
COLORS = "red green blue yellow orange purple pink white black gray brown".split()
ROOMS = ["kitchen", "bedroom", "bathroom", "garage", "garden", "basement", "hall", "office", "living room", "dining room"]
DIRECTIONS = "front rear side back left right center top bottom".split()
THINGS = "light,lights,heater,fan,radio,television,music,camera,alarm,door,window,garage door,front door,oven,computer".split(",")
FAMILY = "mother father brother sister wife husband son daughter uncle aunt friend cousin".split()

# Of words that sound alike one spelling is kept out of random sequences, where nothing tells which one is meant.
HOMOPHONES = set(
    """sea meat weak wood hear buy by for to too two son weight peace steal read wear their write mark may cell its than eye week
    know hour our won eight four night knight fair mail male sale sail wait weather whether which witch would right one no new knew
    pair pear plane plain rain reign road rode role roll scene seen sight site son sun stair stare tail tale vary very waste waist
    way weigh where here board bored brake break flower flour hole whole hair hare be bee see sea so sew some sum there they're
    not knot blue blew red heel heal cent scent sent dear deer die dye tea tee our are principal principle rose rows soul sole an in
    a the and""".split()
) - set("right new no mail rain road very way where here break not blue red sun see flower whole some there night".split())

RANDOM_WORDS = [word for word in COMMON if word not in HOMOPHONES]


def vocabulary() -> set[str]:
    """Every word that the texts hold, without case: lists, letters, and the words that numbers are read with."""
    from shared import numbers

    words: set[str] = set()

    def add(more: Iterable[str]) -> None:
        words.update(word.lower().strip(".,?") for word in more)

    for words_of_kind in (COMMON, NAMES, PLACES, DAYS, MONTHS, NOUNS, ADJECTIVES, VERBS, COLORS, DIRECTIONS, FAMILY):
        add(words_of_kind)
    for phrase in ROOMS + THINGS + TEMPLATES:
        add(word for word in phrase.split() if "{" not in word)
    add(numbers.ONES + numbers.TENS + [numbers.ordinal(n) for n in range(1, 32) if n <= 20 or n % 10 == 0])
    add("hundred thousand percent dollars o'clock am pm".split())
    add("abcdefghijklmnopqrstuvwxyz")
    return words
