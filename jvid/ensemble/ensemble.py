"""Named experts of one latent space, with what turns prompts into their conditions and latents into clips.

    ensemble = jvid.load("ensemble", "actions-64")       a registered one, or a folder
    ensemble.experts                                     ("video", "image")
    jvid.compose(ensemble.strategy, ensemble)            a Sampler

Everything heavy is ``Deferred``: networks, encoders and the codec load at their first use, so that a plan costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import attrs

from jvid.ensemble.deferred import Deferred, made
from jvid.ensemble.frames import FrameRule
from jvid.errors import InputError
from jvid.media.files import endings, listed
from jvid.plugins.choice import Choice, as_choices, parse_value

if TYPE_CHECKING:
    from torch import Tensor

    from jvid.core.conditions import PerExpert
    from jvid.core.protocols import Codec, Condition, Denoiser, NoiseSchedule, TextEncoder
    from jvid.core.spaces import LatentSpace
    from jvid.strategy.strategy import Strategy

__all__ = ["Ensemble", "Member"]

BORROWED = "borrowed"
"""The key of a condition under which those of other experts are, where their conditioners are others."""


@attrs.frozen(eq=False)
class Member:
    """One expert of an ensemble.

    Attributes:
        denoiser: a denoiser, or what makes it at its first use.
        denoises: "clips" ``(b c f h w)``; or "frames" ``(b c 1 h w)``, which are lifted to clips frame by frame.
        conditioner: prompts to the condition of this expert; members that hold the same object share its answers. None is an
            expert that takes no prompt.
        wrappers: the default stack of the kind "wrapper", for strategies that state none, the innermost first.
        schedule: the denoiser's own, where it is known without loading it; None is unknown.
        any_length: whether it denoises clips of any length as a whole; else it sees those longer than the ensemble's in windows.
        untested: the class of a model that was never compared with its reference and is taken all the same; None was compared.
    """

    denoiser: Denoiser | Deferred[Denoiser]
    denoises: Literal["clips", "frames"] = "clips"
    conditioner: TextEncoder | Deferred[TextEncoder] | None = None
    wrappers: tuple[Choice, ...] = attrs.field(default=(), converter=as_choices)
    schedule: NoiseSchedule | Deferred[NoiseSchedule] | None = None
    any_length: bool = False
    untested: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.denoises not in ("clips", "frames"):
            raise InputError(f"denoises {self.denoises!r}: expected 'clips' or 'frames'")

    @property
    def takes_any_length(self) -> bool:
        """Whether it denoises clips of any length without windows: as a whole, or frame by frame."""
        return self.any_length or self.denoises == "frames"


class Ensemble:
    """Experts by name, and what surrounds them.

    Args:
        members: by name; a denoiser by itself is a member that denoises clips.
        shape: ``(c, f, h, w)`` of one clip's latents.
        fps: frames per second of its clips.
        codec: latents to pixels, or what makes it; None where clips stay latents.
        schedule: the reference, known without loading a network; None is the first expert's.
        space: of the latents, known without loading a network; None is the experts' own.
        frames: the numbers of frames that clips can have.
        prompts: every prompt that it knows; none if it takes any sentence.
        strategy: the recommended one; None has none.
        name: as registered.
        folder: where its files are, None where it has no folder.
        same_space: take spaces that differ as one; for users who know that they are.
        times: a number of steps to the times that its own model visits, for the grid "native"; None has none.
        clean: latents ``(c, f, h, w)`` of a clip that runs change, or what makes them; None begins from noise.

    Raises:
        InputError: no members, a name that an option of the command line cannot hold, or a shape that is none.
    """

    def __init__(
        self,
        members: Mapping[str, Member | Denoiser],
        shape: Sequence[int],
        *,
        fps: float = 8.0,
        codec: Codec | Deferred[Codec] | None = None,
        schedule: NoiseSchedule | Deferred[NoiseSchedule] | None = None,
        space: LatentSpace | None = None,
        frames: FrameRule | None = None,
        prompts: Sequence[str] = (),
        strategy: Strategy | None = None,
        name: str = "ensemble",
        folder: str | Path | None = None,
        same_space: bool = False,
        times: Callable[[int], Sequence[float]] | None = None,
        clean: Tensor | Deferred[Tensor] | None = None,
    ) -> None:
        if not members:
            raise InputError(f"ensemble {name!r} has no experts: expected at least one, by name")
        if odd := [each for each in members if not _is_name(each)]:
            raise InputError(
                f"expert {odd[0]!r} of ensemble {name!r}: expected letters, digits, '-', '_' and '.', and no number, true, "
                "false or none"
            )
        if len(shape) != 4 or not all(type(size) is int and size > 0 for size in shape):
            raise InputError(
                f"shape {tuple(shape)} of ensemble {name!r}: expected (channels, frames, height, width)"
            )
        if isinstance(prompts, str):
            raise InputError(f"prompts {prompts!r} of ensemble {name!r}: expected a list of prompts")
        rate: object = fps
        if not isinstance(rate, int | float) or not 0 < rate < math.inf:
            raise InputError(f"fps {fps!r} of ensemble {name!r}: expected frames per second, above 0")
        for key, each in members.items():
            if not isinstance(each, Member) and not callable(each):
                raise InputError(
                    f"expert {key!r} of ensemble {name!r}: got {each!r}, expected a Member or a denoiser"
                )
        c, f, h, w = shape
        self.name, self.shape, self.fps = name, (c, f, h, w), float(fps)
        self.members: Mapping[str, Member] = MappingProxyType(
            {key: each if isinstance(each, Member) else Member(each) for key, each in members.items()}
        )
        self.prompts, self.strategy = tuple(prompts), strategy
        self.frames = frames or FrameRule()
        self.folder = None if folder is None else Path(folder)
        self.times = times
        self.same_space = same_space
        self._codec, self._schedule, self._space, self._clean = codec, schedule, space, clean
        self._clips: dict[str, Denoiser] = {}

    def __repr__(self) -> str:
        return f"Ensemble({self.name!r}, experts={list(self.experts)}, shape={self.shape}, fps={self.fps:g})"

    @property
    def experts(self) -> tuple[str, ...]:
        """The names of its experts, in order."""
        return tuple(self.members)

    @property
    def frame_experts(self) -> tuple[str, ...]:
        """The experts that denoise single frames."""
        return tuple(name for name, member in self.members.items() if member.denoises == "frames")

    @property
    def default_wrappers(self) -> Mapping[str, tuple[Choice, ...]]:
        """Each expert's default stack of wrappers."""
        return {name: member.wrappers for name, member in self.members.items()}

    @property
    def untested(self) -> Mapping[str, str]:
        """By expert, the classes of models that were never compared with their reference; clips' metadata has them."""
        return {name: member.untested for name, member in self.members.items() if member.untested is not None}

    @property
    def schedule(self) -> NoiseSchedule:
        """The reference schedule; the first expert's where none was given, which loads it."""
        if self._schedule is not None:
            return made(self._schedule)
        return made(next(iter(self.members.values())).denoiser).schedule

    @property
    def space(self) -> LatentSpace | None:
        """The latent space, where it is known without loading a network."""
        return self._space

    @property
    def codec(self) -> Codec:
        """Latents to pixels.

        Raises:
            InputError: the ensemble has none.
        """
        if self._codec is None:
            kept = listed(endings("latents"))
            raise InputError(f"ensemble {self.name!r} has no codec: keep latents ({kept}), or give it one")
        return made(self._codec)

    @property
    def has_codec(self) -> bool:
        """Whether latents can be decoded."""
        return self._codec is not None

    @property
    def clean(self) -> Tensor | None:
        """The latents ``(c, f, h, w)`` of the clip that runs change; None where they begin from noise."""
        return None if self._clean is None else made(self._clean)

    @property
    def changes_a_clip(self) -> bool:
        """Whether runs begin with noise on a given clip."""
        return self._clean is not None

    def member(self, name: str) -> Member:
        """One expert by name.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self.members:
            raise InputError(
                f"ensemble {self.name!r} has no expert {name!r}: expected one of {', '.join(self.members)}"
            )
        return self.members[name]

    def denoiser(self, name: str) -> Denoiser:
        """An expert's own denoiser, of clips or of frames; it loads at its first use."""
        return made(self.member(name).denoiser)

    def clips(self, name: str) -> Denoiser:
        """An expert as a denoiser of clips ``(b c f h w)``: one of frames denoises each frame alone."""
        if name not in self._clips:
            from jvid.denoisers.framewise import Framewise

            denoiser = self.denoiser(name)
            self._clips[name] = Framewise(denoiser) if self.member(name).denoises == "frames" else denoiser
        return self._clips[name]

    def known_schedule(self, name: str) -> NoiseSchedule | None:
        """An expert's own schedule, where it is known without loading its network; None where it is not."""
        if name not in self.members:
            return None
        member = self.members[name]
        if member.schedule is not None:
            return made(member.schedule)
        if isinstance(member.denoiser, Deferred) and not member.denoiser.is_made:
            return None
        return made(member.denoiser).schedule

    def shares_conditioner(self, one: str, other: str) -> bool:
        """Whether two experts are conditioned by the same encoder."""
        return self.member(one).conditioner is self.member(other).conditioner

    def condition(
        self,
        prompts: Sequence[str],
        experts: Iterable[str] | None = None,
        borrowed: Mapping[str, Iterable[str]] | None = None,
    ) -> Condition | PerExpert:
        """The condition of a batch: each expert's own embedding of the same prompts.

        Args:
            prompts: one a clip; "" is the empty sentence.
            experts: those that are conditioned; all if None.
            borrowed: by expert, the others that its wrappers evaluate; what they are conditioned on is put beside the
                expert's own.

        Returns:
            One condition where all of these experts share an encoder, else a ``PerExpert``.

        Raises:
            InputError: a prompt that an expert's encoder does not know; the message names the expert.
        """
        names = tuple(self.experts if experts is None else experts)
        beside = {name: tuple(others) for name, others in (borrowed or {}).items()}
        every = dict.fromkeys([*names, *(other for others in beside.values() for other in others)])
        encoded: dict[int, Condition] = {}
        by_expert = {name: self._encoded(name, prompts, encoded) for name in every}
        if len(encoded) == 1:
            return next(iter(by_expert.values()))
        conditions: dict[str, Condition] = {}
        for name in names:
            others = {o: by_expert[o] for o in beside.get(name, ()) if not self.shares_conditioner(name, o)}
            conditions[name] = _with_borrowed(by_expert[name], others)
        from jvid.core.conditions import PerExpert  # it loads torch

        return PerExpert(conditions)

    def _encoded(self, name: str, prompts: Sequence[str], encoded: dict[int, Condition]) -> Condition:
        """The condition of one expert; encoders that are shared are evaluated once."""
        conditioner = self.member(name).conditioner
        if id(conditioner) not in encoded:
            if conditioner is None:
                encoded[id(conditioner)] = {}
            else:
                try:
                    encoded[id(conditioner)] = made(conditioner)(list(prompts))
                except InputError as error:
                    if len({id(member.conditioner) for member in self.members.values()}) == 1:
                        raise
                    raise InputError(f"expert {name!r}: {error}") from error
        return encoded[id(conditioner)]

    def check_expert_names(self, names: Iterable[str], what: str) -> None:
        """Refuse names that no expert has; ``what`` is what names them.

        Raises:
            InputError: in one line, with the first such name.
        """
        if unknown := [name for name in names if name not in self.members]:
            raise InputError(
                f"{what} names expert {unknown[0]!r}: expected those of ensemble {self.name!r}, {', '.join(self.members)}"
            )

    def latents(self, frames: int | None = None) -> tuple[int, int, int, int]:
        """``(c, f, h, w)`` of the latents of a clip of ``frames`` frames; None is the ensemble's own number.

        Raises:
            InputError: a number of frames that it cannot make.
        """
        c, f, h, w = self.shape
        return (c, f, h, w) if frames is None else (c, self.frames.latents(frames), h, w)


def _with_borrowed(own: Condition, others: Mapping[str, Condition]) -> Condition:
    """An expert's condition with those of the others that its wrappers evaluate, of the prompt and of the empty one."""
    if not others:
        return own
    plain = {o: {key: value for key, value in cond.items() if key != "null"} for o, cond in others.items()}
    found: dict[str, Any] = {**own, BORROWED: plain}
    if "null" in own:
        null = {o: {**plain[o], **cond.get("null", {})} for o, cond in others.items()}
        found["null"] = {**own["null"], BORROWED: null}
    return found


def _is_name(name: Any) -> bool:
    # An option reads 1, nan or none as a value: no selector could name such an expert.
    letters = isinstance(name, str) and bool(name) and all(sign.isalnum() or sign in "-_." for sign in name)
    return letters and isinstance(parse_value(name), str)
