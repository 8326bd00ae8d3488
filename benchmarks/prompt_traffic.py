"""Made-up prompts: honest ones, and the variations by which somebody probes a language model. Nothing is downloaded."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping

__all__ = ["VARIATIONS", "honest", "prompt"]

_SYLLABLES = [
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "je",
    "ki",
    "lo",
    "mu",
    "na",
    "pe",
    "qui",
    "ro",
    "su",
    "ta",
    "ve",
    "wi",
    "xo",
    "yu",
    "za",
    "bre",
    "cla",
    "dri",
    "flo",
    "gru",
    "pla",
    "ste",
    "tri",
]
_SMALL = [
    "the",
    "a",
    "of",
    "to",
    "in",
    "and",
    "for",
    "with",
    "on",
    "at",
    "by",
    "from",
    "that",
    "this",
    "it",
    "is",
    "are",
    "was",
    "be",
    "as",
    "or",
    "not",
    "but",
    "if",
    "when",
    "then",
    "than",
]
_ENDINGS = ["", "", "", "s", "ing", "ed", "er", "ly", "tion", "ment"]
_ASKS = [
    "Summarise the following text in three sentences: {}",
    "Translate this into French, please. {}",
    "What is the difference between {} and {}?",
    "You are a helpful assistant of our parcel service. Answer the customer politely. {}",
    "Write an email to my colleague about this: {}",
    "Explain like I am new to it: {}",
    "Here is an error that I get, what should I do? {}",
    "{}",
    "{}",
    "Please check the grammar of this paragraph and list the mistakes. {}",
]


def _words(seed: int) -> list[str]:
    """3,000 pronounceable words, the rarer ones longer."""
    rng = random.Random(seed)
    made: dict[str, None] = {}
    while len(made) < 3000:
        stem = "".join(rng.choice(_SYLLABLES) for _ in range(rng.choice((1, 2, 2, 3, 3, 4))))
        made[stem + rng.choice(_ENDINGS)] = None
    return list(made)


_WORDS = _words(0)  # the language is one; only what is said differs from seed to seed


def _sentence(rng: random.Random, topic: list[str]) -> str:
    words = []
    for _ in range(rng.randint(6, 18)):
        if rng.random() < 0.45:
            words.append(rng.choice(_SMALL))
        elif rng.random() < 0.6:
            words.append(rng.choice(topic))
        else:
            words.append(_WORDS[min(int(rng.expovariate(1 / 300)), 2999)])
    return " ".join(words).capitalize() + rng.choice(".....?!")


def prompt(rng: random.Random) -> str:
    """One honest prompt of 60 to some 2,000 characters: a common way to ask, and what only this one says."""
    topic = rng.sample(_WORDS, 25)
    ask = rng.choice(_ASKS)
    texts = []
    for _ in range(ask.count("{}")):
        sentences = 1 if ask.count("{}") > 1 else max(2, min(20, int(rng.expovariate(1 / 5))))
        texts.append(" ".join(_sentence(rng, topic) for _ in range(sentences)))
    return ask.format(*texts)


def honest(seed: int, n: int) -> list[str]:
    """``n`` different honest prompts."""
    rng = random.Random(f"honest {seed}")
    return list(dict.fromkeys(prompt(rng) for _ in range(n)))


def _typos(rng: random.Random, text: str) -> str:
    letters = list(text)
    for _ in range(max(1, len(letters) // 50)):
        letters[rng.randrange(len(letters))] = rng.choice(string.ascii_lowercase)
    return "".join(letters)


def _words_changed(rng: random.Random, text: str) -> str:
    words = text.split()
    for _ in range(max(1, len(words) // 10)):
        words[rng.randrange(len(words))] = rng.choice(_WORDS)
    return " ".join(words)


def _suffix(rng: random.Random, text: str) -> str:
    tokens = ("".join(rng.choice(string.printable[:94]) for _ in range(rng.randint(2, 6))) for _ in range(20))
    return f"{text} {' '.join(tokens)}"


def _cases(rng: random.Random, text: str) -> str:
    return "".join(letter.swapcase() if rng.random() < 0.3 else letter for letter in text)


def _spaces(rng: random.Random, text: str) -> str:
    return "".join(letter + (" " if rng.random() < 0.1 else "") for letter in text)


def _sentences_moved(rng: random.Random, text: str) -> str:
    parts = text.split(". ")
    rng.shuffle(parts)
    return ". ".join(parts)


def _wrapped(rng: random.Random, text: str) -> str:
    return f"{_sentence(rng, _WORDS)} {text} {_sentence(rng, _WORDS)}"


VARIATIONS: Mapping[str, Callable[[random.Random, str], str]] = {
    "typos, 2 % of the letters": _typos,
    "one word in ten replaced": _words_changed,
    "20 random tokens appended": _suffix,
    "30 % of the letters in the other case": _cases,
    "a space after 10 % of the letters": _spaces,
    "sentences in another order": _sentences_moved,
    "a sentence before and after": _wrapped,
}
