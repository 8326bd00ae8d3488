"""A small web: pages about several things, good ones and worthless ones, each with the votes that its link got.

Every page is written by a grammar of its domain, with people and places that stay the same on a page. What a page is
worth shows in its votes, with noise: pages that were put together to be found by search engines hardly get any.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from threatmatrix.emulate.reference.translator_text import draw_sentences, english
from threatmatrix.emulate.reference.translator_words import ADJECTIVES

__all__ = ["DOMAINS", "Page", "draw_pages"]

_SLOT = re.compile(r"\{(\w+)\}")
DOMAINS = ("weather", "sport", "kitchen", "court", "market", "travel", "stories")
_WORTHLESS = ("keywords", "listing")
_WORTHLESS_SHARE = 0.4

_SENTENCES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "weather": (
            "{sky} is expected over {place} on {day}, with winds from the {side} at {number} knots.",
            "A warning for {danger} was issued for {place} and the {side}ern coast.",
            "Temperatures will {rise} to {number} degrees by {day}, the service in {place} said.",
            "Residents of {place} should {advice} before {day} because of {danger}.",
            "The {danger} left {number} homes in {place} without power, {person} reported.",
            "By {day} the {sky} will move to the {side}, and {sky} will follow.",
        ),
        "sport": (
            "{club} beat {club} {number} to {number} in {place} on {day}.",
            "{person} scored {number} points before the break and {person} added {number} more.",
            "The coach of {club}, {person}, praised the {team} after the {game}.",
            "{club} will travel to {place} on {day} without {person}, who is {state}.",
            "It was the {rank} win of the season for {club}, who stay {rank} in the table.",
            "Fans in {place} waited for hours to see {person} {act} the {trophy}.",
        ),
        "kitchen": (
            "Chop {number} {vegetable} and fry them in {fat} for {number} minutes.",
            "Add the {vegetable}, a pinch of {spice} and {number} grams of {basic}.",
            "Stir the {dish} well, then {cook} it over a low heat until it is {texture}.",
            "Serve the {dish} with {side_dish} and a little {spice}.",
            "{person} learnt this {dish} from a cook in {place} who used {fat} instead of {fat}.",
            "Let the {basic} rest for {number} minutes before you {cook} the {vegetable}.",
        ),
        "court": (
            "The court in {place} {ruled} that {person} must pay {number} thousand to {firm}.",
            "{person}, who represented {firm}, said that the {paper} was {valid}.",
            "Judge {person} {ruled} the {paper} {valid} and set a hearing for {day}.",
            "Prosecutors accused {person} of {crime} between {day} and {day}.",
            "{firm} denied the {crime} and will appeal in {place}, a lawyer said.",
            "The jury took {number} hours to find {person} guilty of {crime}.",
        ),
        "market": (
            "Shares of {firm} {moved} {number} percent in {place} on {day}.",
            "{firm} reported a profit of {number} million, {than} analysts had expected.",
            "The price of {goods} {moved} as {cause}, traders in {place} said.",
            "{person}, the head of {firm}, expects demand for {goods} to {rise} by {number} percent.",
            "Investors sold {goods} and bought {goods} because {cause}.",
            "{firm} will open a plant in {place} that makes {goods}, {person} announced.",
        ),
        "travel": (
            "We stayed {number} nights near the {sight} in {place} and the room was {quality}.",
            "The {sight} opens at {number} and is {quality} on a {day}.",
            "Breakfast was {quality}, but the {staff} forgot our {thing} twice.",
            "From {place} you can reach {place} by {vehicle} in {number} hours.",
            "{person}, our guide, showed us the {sight} and the {sight} of {place}.",
            "I would book the {vehicle} early and take a {thing} for the {sight}.",
        ),
        "keywords": (
            "best {thing} cheap {thing} buy {goods} online {place} best price",
            "{goods} {goods} {thing} discount {number} percent click here now",
            "free {thing} in {place} {firm} official {number} reviews top ten {goods}",
        ),
        "listing": (
            "item {number} {goods} {number} {firm} {place} {day} page {number} of {number}",
            "{person} {person} {person} {number} {number} {place} {place}",
            "home about contact login {day} {number} {club} {firm} terms",
        ),
    }
)

_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        name: tuple(words.split("|"))
        for name, words in {
            "sky": "heavy rain|light snow|thick fog|clear sky|scattered showers|freezing drizzle|a hot spell|low cloud",
            "danger": "flooding|strong gusts|black ice|a heat wave|thunderstorms|an avalanche|drifting snow",
            "advice": "stay indoors|avoid the bridges|fill sandbags|keep pets inside|charge lamps|leave the valley",
            "side": "north|south|east|west|north west|south east",
            "rise": "rise|fall|climb|drop|recover",
            "team": "defence|attack|keeper|midfield|young players|bench",
            "game": "draw|final|derby|friendly|cup tie|replay",
            "state": "injured|suspended|tired|out of form|back in training",
            "rank": "first|second|third|fourth|fifth|ninth|last",
            "act": "lift|defend|present|kiss|miss",
            "trophy": "cup|shield|medal|title",
            "vegetable": "onions|carrots|leeks|potatoes|tomatoes|beans|peppers|mushrooms|turnips",
            "fat": "butter|olive oil|lard|sesame oil|ghee",
            "spice": "salt|paprika|nutmeg|thyme|black pepper|saffron|cumin",
            "basic": "flour|rice|lentils|minced beef|sugar|dough|grated cheese",
            "dish": "soup|stew|pie|omelette|sauce|curry|gratin",
            "cook": "simmer|bake|roast|steam|boil",
            "texture": "golden|tender|thick|crisp|smooth",
            "side_dish": "warm bread|green salad|boiled rice|pickles|mashed potatoes",
            "ruled": "ruled|decided|found|declared|held",
            "paper": "contract|will|licence|patent|lease|statement",
            "valid": "void|binding|forged|incomplete|lawful",
            "crime": "fraud|theft|perjury|bribery|arson|tax evasion|smuggling",
            "moved": "rose|fell|jumped|slipped|gained|lost",
            "than": "more than|less than|as much as|twice what",
            "goods": "copper|wheat|batteries|coffee|steel|cotton|tyres|chips|furniture|crude oil",
            "cause": "the harvest failed|rates were cut|stocks ran low|the strike ended|tariffs were raised",
            "sight": "cathedral|old harbour|castle|museum|market hall|lighthouse|royal garden|city wall",
            "quality": "clean and quiet|far too small|lovely|crowded|worth every coin|rather noisy|a disappointment",
            "staff": "waiter|receptionist|driver|porter|owner",
            "thing": "towels|tickets|umbrella|keys|camera|luggage|map",
            "vehicle": "night train|ferry|bus|hired car|cable car|bicycle",
            "day": "monday|tuesday|wednesday|thursday|friday|saturday|sunday",
            "place": "alder bay|brinmouth|carrow|dunfell|eastmere|farholt|glenrock|haverton|inverlyn|jarrow|kelby"
            "|lorne|marwick|netherby|ostend|penrith|quarry hill|rosslare|selkirk|tarbet|ulverston|verwood",
            "person": "anna reed|boris holt|clara finch|david stone|elena marsh|frank wells|greta lane|hugo price"
            "|irene booth|james ford|karen dale|louis grant|maria snow|nathan cole|olga hart|peter vance|rosa blythe"
            "|simon drake|tessa moore|victor hale",
            "club": "the rovers|the wanderers|united|the harbour boys|athletic|the miners|the saints|city|the lions",
            "firm": "acorn holdings|brightwater|castle and sons|delta mills|everest foods|fairway motors|granite bank"
            "|harbour lines|ironbridge steel|juniper textiles",
            "number": "|".join(str(number) for number in (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 18, 20, 25, 30, 40, 50)),
        }.items()
    }
)
_KEPT = ("place", "person", "club", "firm", "dish", "goods")  # a page has favourites of these
_FAVOURITE = 0.6
_DESCRIBING = tuple(adjective.english for adjective in ADJECTIVES)
_DESCRIBED = ("vegetable", "dish", "side_dish", "goods", "sight", "staff", "thing", "vehicle", "paper", "team", "game")


@dataclass(frozen=True, slots=True)
class Page:
    """A page: what it is about, how many votes its link got, its text."""

    domain: str
    votes: int
    text: str


def draw_pages(n: int, rng: np.random.Generator) -> list[Page]:
    """N pages."""
    return [_page(rng) for _ in range(n)]


def _page(rng: np.random.Generator) -> Page:
    worthless = rng.random() < _WORTHLESS_SHARE
    kinds = _WORTHLESS if worthless else DOMAINS
    domain = kinds[int(rng.integers(len(kinds)))]
    votes = int(rng.geometric(0.6) - 1) if worthless else int(rng.geometric(0.15))
    if domain == "stories":
        return Page(domain, votes, " ".join(map(english, draw_sentences(int(rng.integers(4, 9)), rng))))
    favourites = {name: _any(_WORDS[name], rng) for name in _KEPT}
    lines = [_any(_SENTENCES[domain], rng) for _ in range(int(rng.integers(4, 9)))]
    return Page(domain, votes, " ".join(_filled(line, favourites, rng) for line in lines))


def _any(words: tuple[str, ...], rng: np.random.Generator) -> str:
    """The r-th with chance ~ 1/√r: some words are commoner than others."""
    return words[int(len(words) * rng.random() ** 2)]


def _filled(line: str, favourites: Mapping[str, str], rng: np.random.Generator) -> str:
    def word(slot: re.Match[str]) -> str:
        name = slot[1]
        found = favourites[name] if name in favourites and rng.random() < _FAVOURITE else _any(_WORDS[name], rng)
        return f"{_any(_DESCRIBING, rng)} {found}" if name in _DESCRIBED and rng.random() < 0.4 else found

    text = _SLOT.sub(word, line)
    return f"{text[0].upper()}{text[1:]}"
