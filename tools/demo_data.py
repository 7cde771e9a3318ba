"""The demonstration's language: English sentences that each hold one spelled-out quantity.

A quantity has one spoken wording (several are possible), the plain form that the backbone learns, and for
three kinds a canonical form that only a task learns:

    kind      wording                                        plain                  canonical
    date      the third of May, two thousand and nineteen    3/5/2019               2019-05-03
    clock     a quarter past seven in the evening            7:15 pm                19:15
    money     twelve dollars and fifty cents                 12 dollars 50 cents    $12.50
    count     three hundred and twelve                       312
    measure   twelve kilometres                              12 km

Every fact here is made up. Values are split once and for all: a value whose checksum falls in one of
`HELD_OUT_SHARE` classes is met in no training sentence, of the backbone or of a task.
"""

from __future__ import annotations

import calendar
import random
import zlib
from collections import Counter
from dataclasses import dataclass

KINDS = ("date", "clock", "money", "count", "measure")
TASK_KINDS = {"iso-date": "date", "clock-24": "clock", "dollar-sign": "money"}
HELD_OUT_SHARE = 16

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_IRREGULAR_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
_MONTHS = list(calendar.month_name)

_NAMES = (
    "Anna Ben Clara Daniel Emma Frank Grace Henry Irene Jack Kate Leo Maria Nora Oscar Paul Rosa Sam Tom Victor "
    "Alice Peter Laura David"
).split()
_CITIES = (
    "London Paris Berlin Madrid Rome Vienna Dublin Oslo Boston Chicago Toronto Sydney Tokyo Cairo Lisbon Prague"
).split()
_THINGS = "book lamp chair table camera bicycle coat radio guitar clock painting kettle ladder tent phone".split()
_PLURALS = "chairs books lamps apples tickets bottles letters stamps houses trees boxes windows soldiers pages".split()

_TEMPLATES: dict[str, tuple[str, ...]] = {
    "date": (
        "The wedding is on {v}.",
        "Our lease ends on {v}.",
        "{name} was born on {v}.",
        "The museum in {city} opened on {v}.",
        "Please return the {thing} by {v}.",
        "The concert in {city} was moved to {v}.",
        "{name} signed the contract on {v}.",
        "The ship left {city} on {v}.",
        "My passport is valid until {v}.",
        "The court heard the case on {v}.",
        "We have booked the hall for {v}.",
        "{name} and {other} first met on {v}.",
        "It snowed in {city} on {v}.",
        "On {v}, {name} moved to {city}.",
        "On {v}, the old bridge was closed.",
        "The letter from {name} is dated {v}.",
    ),
    "clock": (
        "The train to {city} leaves at {v}.",
        "{name} called me at {v}.",
        "Dinner will be served at {v}.",
        "The shop in {city} opens at {v}.",
        "{name} woke up at {v}.",
        "Our flight from {city} lands at {v}.",
        "The bell rang at {v}.",
        "The meeting with {name} starts at {v}.",
        "The lights went out at {v}.",
        "Please feed the cat at {v}.",
        "The last bus goes at {v}.",
        "{name} and {other} arrived at {v}.",
        "At {v}, the rain stopped.",
        "At {v}, {name} left the house.",
        "The alarm is set for {v}.",
    ),
    "money": (
        "The {thing} costs {v}.",
        "{name} paid {v} for the {thing}.",
        "A ticket to {city} is {v}.",
        "{name} owes {other} {v}.",
        "The repair came to {v}.",
        "I found {v} in the old coat.",
        "Lunch for two was {v}.",
        "She sold the {thing} for {v}.",
        "The bank charged {name} {v}.",
        "We saved {v} this week.",
        "{name} won {v} in {city}.",
        "For {v}, you can keep the {thing}.",
        "The fine is {v}.",
    ),
    "count": (
        "We ordered {v} {plural}.",
        "{name} counted {v} {plural}.",
        "The village has {v} people.",
        "There are {v} {plural} in the hall.",
        "The library lent {v} books in March.",
        "{name} has seen {v} birds in {city}.",
        "About {v} guests came to the wedding.",
        "The army lost {v} soldiers.",
        "Page {v} is missing.",
        "They sold {v} {plural} in {city}.",
    ),
    "measure": (
        "The {thing} weighs {v}.",
        "{name} walked {v} before lunch.",
        "The river is {v} long.",
        "The bridge near {city} is {v} long.",
        "The tank holds {v}.",
        "{name} drank {v} of water.",
        "We drove {v} to {city}.",
        "Add {v} of flour.",
        "The box holds {v} of apples.",
        "The tower in {city} is {v} high.",
    ),
}
_UNITS = {
    "km": ("kilometre", "walked drove river"),
    "m": ("metre", "bridge tower"),
    "kg": ("kilogram", "weighs box"),
    "g": ("gram", "flour weighs"),
    "l": ("litre", "tank drank"),
}


@dataclass(frozen=True)
class Example:
    """One sentence with its quantity in the plain form and, where the kind has one, in the canonical form."""

    kind: str
    text: str
    plain: str
    canonical: str


def number_words(value: int, rng: random.Random) -> str:
    """`value` (0...9999) in words; the British "and" is there or not."""
    joint = " and " if rng.random() < 0.5 else " "
    thousands, rest = divmod(value, 1000)
    hundreds, tail = divmod(rest, 100)
    words = [f"{_ONES[thousands]} thousand"] if thousands else []
    if hundreds:
        words.append(f"{_ONES[hundreds]} hundred")
    if not words:
        return _below_hundred(tail)
    return " ".join(words) + (joint + _below_hundred(tail) if tail else "")


def _below_hundred(value: int) -> str:
    if value < 20:
        return _ONES[value]
    tens, ones = divmod(value, 10)
    return _TENS[tens - 2] + (f"-{_ONES[ones]}" if ones else "")


def _ordinal(value: int) -> str:
    head, dash, last = _below_hundred(value).rpartition("-")
    if last in _IRREGULAR_ORDINALS:
        last = _IRREGULAR_ORDINALS[last]
    else:
        last = last[:-1] + "ieth" if last.endswith("y") else last + "th"
    return head + dash + last


def _year_words(year: int, rng: random.Random) -> str:
    century, rest = divmod(year, 100)
    if 2000 <= year < 2010:
        return number_words(year, rng)
    if year >= 2010 and rng.random() < 0.5:
        return number_words(year, rng)
    if rest == 0:
        return f"{_below_hundred(century)} hundred"
    return f"{_below_hundred(century)} " + (f"oh {_ONES[rest]}" if rest < 10 else _below_hundred(rest))


def _date(rng: random.Random) -> tuple[str, str, str]:
    year, month = rng.randint(1900, 2049), rng.randint(1, 12)
    day = rng.randint(1, calendar.monthrange(year, month)[1])
    name, ordinal, spoken = _MONTHS[month], _ordinal(day), _year_words(year, rng)
    wording = rng.choice((f"the {ordinal} of {name}", f"{name} the {ordinal}", f"{name} {ordinal}"))
    return f"{wording}, {spoken}", f"{day}/{month}/{year}", f"{year}-{month:02}-{day:02}"


def _clock(rng: random.Random) -> tuple[str, str, str]:
    hour = rng.randrange(24)
    minute = rng.choice((0, 15, 30, 45, rng.randrange(60), rng.randrange(60), rng.randrange(60)))
    half = "am" if hour < 12 else "pm"
    plain, canonical = f"{(hour + 11) % 12 + 1}:{minute:02} {half}", f"{hour:02}:{minute:02}"
    spoken_hour = _ONES[(hour + 11) % 12 + 1]
    part = "the morning" if hour < 12 else "the afternoon" if hour < 18 else "the evening"
    if minute == 0:
        if hour in (0, 12):
            return ("midnight" if hour == 0 else "noon"), plain, canonical
        return f"{spoken_hour} o'clock in {part}", plain, canonical
    if rng.random() < 0.4:
        minutes = f"oh {_ONES[minute]}" if minute < 10 else _below_hundred(minute)
        return f"{spoken_hour} {minutes} in {part}", plain, canonical
    if minute <= 30:
        wording = f"{_minutes(minute)} past {spoken_hour}"
    else:
        wording = f"{_minutes(60 - minute)} to {_ONES[hour % 12 + 1]}"
    return f"{wording} in {part}", plain, canonical


def _minutes(minute: int) -> str:
    return {15: "a quarter", 30: "half"}.get(minute, _below_hundred(minute))


def _money(rng: random.Random) -> tuple[str, str, str]:
    dollars = rng.choice((0, rng.randint(1, 20), rng.randint(1, 99), rng.randint(1, 999)))
    cents = rng.randint(1, 99) if dollars == 0 or rng.random() < 0.7 else 0
    counted = [(n, unit + "s" * (n != 1)) for n, unit in ((dollars, "dollar"), (cents, "cent")) if n]
    wording = " and ".join(f"{number_words(n, rng)} {unit}" for n, unit in counted)
    return wording, " ".join(f"{n} {unit}" for n, unit in counted), f"${dollars}.{cents:02}"


def _count(rng: random.Random) -> tuple[str, str, str]:
    value = rng.randint(2, rng.choice((99, 999, 9999)))
    return number_words(value, rng), str(value), ""


def _measure(rng: random.Random, template: str) -> tuple[str, str, str]:
    value = rng.randint(2, rng.choice((20, 99, 999)))
    unit = rng.choice([unit for unit, (_, clues) in _UNITS.items() if any(clue in template for clue in clues.split())])
    return f"{number_words(value, rng)} {_UNITS[unit][0]}s", f"{value} {unit}", ""


def is_held_out(kind: str, plain: str) -> bool:
    """Whether the value behind `plain` is kept for testing."""
    return zlib.crc32(f"{kind} {plain}".encode()) % HELD_OUT_SHARE == 0


def example(rng: random.Random, kind: str, held_out: bool) -> Example:
    """One random sentence whose value is on the wanted side of the split."""
    template = rng.choice(_TEMPLATES[kind])
    draw = {"date": _date, "clock": _clock, "money": _money, "count": _count}
    while True:
        wording, plain, canonical = _measure(rng, template) if kind == "measure" else draw[kind](rng)
        if is_held_out(kind, plain) == held_out:
            break
    name, other = rng.sample(_NAMES, 2)
    city, thing, plural = rng.choice(_CITIES), rng.choice(_THINGS), rng.choice(_PLURALS)
    text = template.format(v=wording, name=name, other=other, city=city, thing=thing, plural=plural)
    return Example(kind, text[0].upper() + text[1:], plain, canonical)


def held_out_examples(seed: int, kinds: tuple[str, ...], count: int) -> list[Example]:
    """`count` different test sentences, the kinds in turn, no value in more than three of them."""
    rng = random.Random(seed)
    found: dict[str, Example] = {}
    met: Counter[str] = Counter()
    while len(found) < count:
        item = example(rng, kinds[len(found) % len(kinds)], held_out=True)
        if item.text not in found and met[item.plain] < 3:
            found[item.text] = item
            met[item.plain] += 1
    return list(found.values())
