"""The closed vocabulary of captions: known words, as rows of token numbers.

    "A woman, with green hair." -> a woman with green hair -> 1 2 7 6 3 4 0 0

Case and punctuation do not count; a hyphen or an apostrophe within a word does. A row begins with the mark 1, so that the empty
sentence has a token too, and is filled up with 0 to the vocabulary's own number of tokens.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

import attrs
import torch
from torch import Tensor

from jvid.errors import InputError

__all__ = ["FIRST", "Vocabulary", "words_of"]

_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_PAD, _START, FIRST = 0, 1, 2
"""The filling, the mark that begins a row, and the number of the first word."""


def words_of(caption: str) -> list[str]:
    """The words of a caption, in lower case and without punctuation.

    >>> words_of("A knight's plate-mail, worn.")
    ['a', "knight's", 'plate-mail', 'worn']
    """
    return _WORD.findall(caption.casefold())


@attrs.frozen
class Vocabulary:
    """Known words, in order, and how many tokens a row has: the mark and the longest caption's words."""

    words: tuple[str, ...]
    tokens: int
    _numbers: dict[str, int] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if not self.words or len(set(self.words)) != len(self.words):
            raise InputError(f"a vocabulary of {len(self.words)} words: expected at least one, each once")
        if odd := [word for word in self.words if words_of(word) != [word]]:
            raise InputError(f"vocabulary: {odd[0]!r} is no single word in lower case")
        if self.tokens < 2:
            raise InputError(f"a vocabulary of {self.tokens} tokens: expected at least 2, a mark and a word")
        object.__setattr__(self, "_numbers", {word: n for n, word in enumerate(self.words, FIRST)})

    @classmethod
    def of(cls, captions: Iterable[str], tokens: int | None = None) -> Vocabulary:
        """The words of captions, sorted, with room for the longest one.

        Args:
            captions: all that are to be known; single words do, beside ``tokens``.
            tokens: of a row, the mark included; None is those of the longest caption.

        Raises:
            InputError: no word, or a caption that is longer than ``tokens``.
        """
        split = {caption: words_of(caption) for caption in captions}
        longest = max(split, key=lambda caption: len(split[caption]), default="")
        needed = len(split.get(longest, ())) + 1
        if tokens is not None and tokens < needed:
            raise InputError(
                f"tokens={tokens}: expected at least {needed}, of a mark and the words of {longest!r}"
            )
        return cls(tuple(sorted({word for words in split.values() for word in words})), tokens or needed)

    def rows(self, prompts: Sequence[str]) -> Tensor:
        """b prompts -> token numbers ``(b, tokens)``, int64.

        Raises:
            InputError: unknown words, with the closest ones that are known, or more words than a row holds.
        """
        found = [self.numbers(prompt) for prompt in prompts]
        return torch.tensor([row + [_PAD] * (self.tokens - len(row)) for row in found], dtype=torch.int64)

    def numbers(self, prompt: str) -> list[int]:
        """The token numbers of one prompt, the mark first and without filling; errors are those of ``rows``."""
        words = words_of(prompt)
        if unknown := [word for word in words if word not in self._numbers]:
            raise InputError(self._refusal(list(dict.fromkeys(unknown)), prompt))
        if len(words) >= self.tokens:
            raise InputError(
                f"prompt {prompt!r} has {len(words)} words: expected at most {self.tokens - 1}; shorten it"
            )
        return [_START, *(self._numbers[word] for word in words)]

    def _refusal(self, unknown: Sequence[str], prompt: str) -> str:
        """All unknown words of a prompt in one line, each with the known words that are close to it."""
        close = {word: difflib.get_close_matches(word, self.words, n=3, cutoff=0.5) for word in unknown}
        if len(unknown) == 1:
            (word, near), *_ = close.items()
            offered = f"the closest are {', '.join(map(repr, near))}" if near else f"they are {self._first()}"
            return f"unknown word {word!r} in prompt {prompt!r}: {len(self.words)} words are known, {offered}"
        each = [
            f"{word!r} (the closest are {', '.join(map(repr, near))})"
            if near
            else f"{word!r} (none is close)"
            for word, near in close.items()
        ]
        known = "" if all(close.values()) else f": {self._first()}"
        return (
            f"unknown words in prompt {prompt!r}: {', '.join(each)}; {len(self.words)} words are known{known}"
        )

    def _first(self) -> str:
        """The first words that are known, for a message."""
        return ", ".join(self.words[:12]) + (", ..." if len(self.words) > 12 else "")
