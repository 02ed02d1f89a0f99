"""Characters: a value for each attribute, drawn of those that fit each other.

A layer whose name has "female" or "male" in it is for that sex alone. A character performs the actions that each of its
layers draws; an action that one of them lacks is left out, as nothing is drawn half.
"""

from __future__ import annotations

import attrs
import numpy as np
from sheets import Sheets

from jvid.errors import InputError

SEXES = {"woman": "female", "man": "male"}
LAYERED = ("body", "hair", "head", "facial", "torso", "legs", "feet", "cape")
"""Attributes that have layers of their own."""
ATTRIBUTES = (
    "sex",
    "body",
    "hair",
    "hair_colour",
    "head",
    "facial",
    "torso",
    "legs",
    "feet",
    "cape",
)
NONE = "none"


@attrs.frozen
class Character:
    """The value of each attribute; "none" where a character is without."""

    sex: str
    body: str
    hair: str = NONE
    hair_colour: str = NONE
    head: str = NONE
    facial: str = NONE
    torso: str = NONE
    legs: str = NONE
    feet: str = NONE
    cape: str = NONE

    def values(self) -> dict[str, str]:
        """Every attribute by name, as metadata has them."""
        return {name: getattr(self, name) for name in ATTRIBUTES}


class Wardrobe:
    """What characters are made of, by the table of ``layers.toml``."""

    def __init__(self, sheets: Sheets) -> None:
        self.sheets, self.table = sheets, sheets.table
        self.actions = tuple(self.table["actions"])
        self.directions = tuple(self.table["directions"])
        for name in LAYERED:
            for value, files in self.table[name].items():
                if not any(_fits(files, sex) for sex in SEXES.values()):
                    raise InputError(f"{name} {value!r}: its layers are of two sexes; mend layers.toml")

    def values(self, name: str, sex: str) -> list[str]:
        """The values of an attribute that fit a sex ("woman" or "man")."""
        return [value for value, files in self.table[name].items() if _fits(files, SEXES[sex])]

    def check(self) -> None:
        """Refuse a layer that is absent, of another size or without a place in the order, before anything is composed."""
        stacks = [files for name in LAYERED for files in self.table[name].values()]
        stacks += [action.get("layers", []) for action in self.table["actions"].values()]
        colours = list(self.table["hair_colour"].values())
        files = {
            file.format(sex=sex, colour=colour)
            for stack in stacks
            for sex in SEXES.values()
            if _fits(stack, sex)
            for file in stack
            for colour in (colours if "{colour}" in file else [""])
        }
        for file in sorted(files):
            self.sheets.check(file)
            self.sheets.place(file)

    def draw(self, random: np.random.Generator) -> Character:
        """A character of random attributes."""
        chances = self.table["chances"]

        def one(name: str) -> str:
            values = self.values(name, sex)
            return values[random.integers(len(values))] if values else NONE

        def maybe(name: str) -> str:
            return one(name) if random.random() < chances[name] else NONE

        sex = list(SEXES)[random.integers(len(SEXES))]
        body, head, torso, feet, cape = one("body"), maybe("head"), one("torso"), one("feet"), maybe("cape")
        facial = maybe("facial")
        hair, colours = one("hair"), list(self.table["hair_colour"])
        colour = colours[random.integers(len(colours))]
        legs = NONE if torso.split()[-1] in chances["covers_legs"] else one("legs")
        if head != NONE:  # a hat takes the place of hair, and a beard has the colour of the hair
            hair = colour = facial = NONE
        return Character(sex, body, hair, colour, head, facial, torso, legs, feet, cape)

    def layers(self, character: Character, action: str) -> list[str]:
        """The files that draw a character in an action."""
        chosen = [
            file
            for name in ATTRIBUTES
            if name in LAYERED and getattr(character, name) != NONE
            for file in self.table[name][getattr(character, name)]
        ]
        chosen += self.table["actions"][action].get("layers", [])
        colour = self.table["hair_colour"].get(character.hair_colour, "")
        return [file.format(sex=SEXES[character.sex], colour=colour) for file in chosen]

    def performs(self, character: Character) -> list[str]:
        """The actions that all of a character's layers draw."""
        return [
            action
            for action in self.actions
            if all(self.sheets.draws(file, action) for file in self.layers(character, action))
        ]

    def clip(self, character: Character, action: str, direction: str) -> np.ndarray:
        """Frames ``(8, 64, 64, 3)`` uint8."""
        return self.sheets.clip(self.layers(character, action), action, direction)


def _fits(files: list[str], sex: str) -> bool:
    return all(("female" if "female" in file else "male") == sex for file in files if "male" in file)
