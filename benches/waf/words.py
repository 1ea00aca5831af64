"""What people write, made by chance: words, names, numbers, sentences with their marks, pages with their tags.

The words are plain ones, those among them that languages of computers have too (`select`, `from`, `table`, `or`):
letters by chance would meet none of the words that rules look for, and flatter whoever skips rules by their words. Left
out are three that CRS takes for an attack whatever stands around them (`time`, `watch`, `union`): it would refuse every
text of 10 kB, and what a text costs that may pass could not be seen.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent

WORDS: Final = (_HERE / "words.txt").read_text().split()
NAMES: Final = (_HERE / "names.txt").read_text().split()
PLACES: Final = (_HERE / "places.txt").read_text().split()

_WEBKIT: Final = "AppleWebKit/537.36 (KHTML, like Gecko)"
_APPLE: Final = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.{tens}"

AGENTS: Final = (
    f"Mozilla/5.0 (X11; Linux x86_64) {_WEBKIT} Chrome/{{major}}.0.{{minor}}.0 Safari/537.36",
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/{{major}}.0.{{minor}}.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{major}.0) Gecko/20100101 Firefox/{major}.0",
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_APPLE} Safari/605.1.15",
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_{{tens}} like Mac OS X) {_APPLE} Mobile/15E148 Safari/604.1",
)

LANGUAGES: Final = (
    "en-US,en;q=0.9",
    "en-GB,en;q=0.8",
    "de-DE,de;q=0.9,en;q=0.5",
    "fr-FR,fr;q=0.8,en-US;q=0.5",
    "pt-BR",
)


class Chance(random.Random):
    """Chance from a seed, and what is written by it."""

    def word(self) -> str:
        """One of the words."""
        return self.choice(WORDS)

    def words(self, least: int, most: int) -> str:
        """Some words with spaces between."""
        return " ".join(self.choices(WORDS, k=self.randint(least, most)))

    def name(self) -> str:
        """A given name with a family name, from anywhere."""
        return f"{self.choice(NAMES)} {self.choice(NAMES)}"

    def hexadecimal(self, digits: int) -> str:
        """A number as sessions are known by."""
        return f"{self.getrandbits(digits * 4):0{digits}x}"

    def agent(self) -> str:
        """What a browser says that it is."""
        form = self.choice(AGENTS)
        return form.format(major=self.randint(110, 140), minor=self.randint(4000, 7999), tens=self.randint(0, 9))

    def plain(self, characters: int) -> str:
        """A text of words and numbers without marks, exactly so long."""
        text = " ".join(
            word if self.random() < 0.95 else str(self.randint(1, 99_999))
            for word in self.choices(WORDS, k=characters // 3)
        )
        return text[:characters].rstrip().ljust(characters, "e")

    def prose(self, octets: int) -> str:
        """Sentences with their marks and some letters beyond ASCII, so many octets of UTF-8."""
        return self._filled(octets, lambda: self.sentence() + self.choice((" ", " ", " ", "\n\n")))

    def sentence(self) -> str:
        """Words with the marks that people put between and around them."""
        words = self.choices(WORDS, k=self.randint(5, 18))
        words[0] = words[0].capitalize()
        for _ in range(self.randint(1, 3)):
            at = self.randrange(len(words))
            word = words[at]
            words[at] = self.choice(
                (f"{word},", f"{word};", f"{word}:", f'"{word}"', f"“{word}”", f"({word})", f"{word}'s", f"{word} —",
                 f"{word}n't", self.name(), f"{self.randint(1, 999)}.{self.randint(0, 99):02} €", f"#{word}",
                 f"{word} & {word}", f"{word}/{self.word()}", f"{self.randint(1, 31)}.{self.randint(1, 12)}.2026",
                 f"https://{word}.example/{self.word()}?{self.word()}={self.randint(1, 99)}", f"{word}@{word}.example")
            )  # fmt: skip
        return " ".join(words) + self.choice((".", ".", ".", ".", "!", "?", "…"))

    def page(self, octets: int) -> str:
        """HTML as an editor in a browser sends it, so many octets of UTF-8."""
        return self._filled(octets, self._element)

    def _element(self) -> str:
        sentence = self.sentence().replace("&", "&amp;")
        match self.randrange(6):
            case 0:
                return f'<h2 class="{self.word()}">{self.words(2, 6).capitalize()}</h2>\n'
            case 1:
                items = "".join(f"<li>{self.words(2, 8)}</li>" for _ in range(self.randint(2, 5)))
                return f"<ul>{items}</ul>\n"
            case 2:
                link = f"https://{self.word()}.example/{self.word()}-{self.randint(1, 999)}"
                return f'<p>{sentence} <a href="{link}" title="{self.words(1, 3)}">{self.words(1, 4)}</a></p>\n'
            case 3:
                size = f'width="{self.randint(100, 900)}" height="{self.randint(100, 900)}"'
                return f'<img src="/media/{self.word()}-{self.randint(1, 999)}.jpg" alt="{self.words(2, 5)}" {size}>\n'
            case _:
                return f"<p>{sentence} <strong>{self.words(1, 3)}</strong> {self.sentence()}</p>\n".replace(" & ", " ")

    def _filled(self, octets: int, part: Callable[[], str]) -> str:
        """Parts one after the other, cut where so many octets are reached; a letter that would be cut is left out."""
        made = bytearray()
        while len(made) < octets:
            made += part().encode()
        text = made[:octets].decode(errors="ignore")
        return text + "." * (octets - len(text.encode()))
