"""Sentences of a clip: three that name every attribute in different words, and a short one.

a tanned woman with long green hair in chain mail, red pants and black shoes casts a spell, facing left
facing left, a tanned woman with long green hair casts a spell in chain mail, red pants and black shoes
a tanned woman who wears chain mail, red pants and black shoes and has long green hair is casting a spell, facing left
a woman with long green hair in chain mail casts a spell, facing left
"""

from __future__ import annotations

from collections.abc import Sequence

from wardrobe import NONE, Character

ACTIONS = {
    "casts": ("casts a spell", "is casting a spell"),
    "thrusts": ("thrusts a spear", "is thrusting a spear"),
    "walks": ("walks", "is walking"),
    "slashes": ("slashes with a dagger", "is slashing with a dagger"),
    "shoots": ("shoots an arrow", "is shooting an arrow"),
}
"""The words of an action, of ``layers.toml``: in the simple present and in the continuous."""

DIRECTIONS = {
    "up": "facing away",
    "left": "facing left",
    "down": "facing the viewer",
    "right": "facing right",
}

SINGULAR, PLURAL = ("mohawk", "ponytail", "topknot"), ("bangs", "pigtails")
"""Hair that is a noun; other styles are adjectives."""


def captions_of(character: Character, action: str, direction: str) -> list[str]:
    """All sentences of a clip or of one of its frames, the most complete first."""
    does, doing = ACTIONS[action]
    facing = DIRECTIONS[direction]
    who, hair = _subject(character), _hair(character)
    having, and_has = (f" with {hair}", f" and has {hair}") if hair else ("", "")
    hat = [character.head] if character.head != NONE else []
    worn = [character.torso, character.legs, character.feet, character.cape]
    clothes = _listed([*hat, *(each for each in worn if each != NONE)])
    brief = _listed([*hat, character.torso])
    return [
        f"{who}{having} in {clothes} {does}, {facing}",
        f"{facing}, {who}{having} {does} in {clothes}",
        f"{who} who wears {clothes}{and_has} {doing}, {facing}",
        f"{_subject(character, skin=False)}{having} in {brief} {does}, {facing}",
    ]


def _subject(character: Character, skin: bool = True) -> str:
    if character.body == "skeleton":
        return "a skeleton"
    return _one(f"{character.body} {character.sex}" if skin else character.sex)


def _hair(character: Character) -> str:
    if character.hair == NONE:
        return ""
    if character.hair in SINGULAR:
        hair = _one(f"{character.hair_colour} {character.hair}")
    elif character.hair in PLURAL:
        hair = f"{character.hair_colour} {character.hair}"
    else:
        hair = f"{character.hair} {character.hair_colour} hair"
    return f"{hair} and {_one(character.facial)}" if character.facial != NONE else hair


def _one(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _listed(items: Sequence[str]) -> str:
    *others, last = items
    return f"{', '.join(others)} and {last}" if others else last
