"""A critic that learns beside the decoder, to tell its frames from real ones.

    critic     L_C = mean max(0, 1 - C(v)) + mean max(0, 1 + C(D(z)))        D held
    decoder    L_D = reconstruction + w lambda (-mean C(D(z))),              C held
               lambda = |d reconstruction / d D(z)| / |d mean C(D(z)) / d D(z)|, of each clip

C judges patches of short stretches of frames, so that both what frames show and how they move must pass. L1 and distances
in features leave the decoder the mean of what the latents leave open; a critic makes it choose. The hinge and the balance of
gradients are those of VQGAN (Esser, Rombach and Ommer 2021, https://arxiv.org/abs/2012.09841), taken here at the frames
and for each clip alone, so that the loss of a clip depends neither on the batch nor on the number of processes.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

__all__ = ["Contest", "Critic", "Scores", "stretch"]

LARGEST = 1e4
"""Of lambda: a critic without a gradient has nothing to say."""


def stretch(clips: Tensor, first: Tensor, frames: int) -> Tensor:
    """``frames`` frames of each clip ``(b c f h w)`` from its own ``first`` ``(b,)`` on."""
    return torch.stack([clip[:, s : s + frames] for clip, s in zip(clips, first.tolist(), strict=True)])


class Critic(nn.Module):
    """Frames ``(b 3 f H W)`` in [-1, 1] -> a score of each patch ``(b 1 f H/2^n W/2^n)``, n the number of widths."""

    def __init__(self, widths: Sequence[int] = (32, 64, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for width in widths:
            layers.append(nn.Conv3d(before, width, (3, 4, 4), stride=(1, 2, 2), padding=1))
            if before > 3:  # the first layer must see how bright and how sharp
                layers.append(nn.GroupNorm(8, width))
            layers.append(nn.LeakyReLU(0.2))
            before = width
        self.layers = nn.Sequential(*layers, nn.Conv3d(before, 1, 3, padding=1))

    def forward(self, frames: Tensor) -> Tensor:
        """A score above 0 says real."""
        found: Tensor = self.layers(frames)
        return found


@attrs.frozen(eq=False)
class Scores:
    """What the critic says of a batch's stretches."""

    made: Tensor
    """The decoder's stretches ``(b 3 f H W)``."""
    real: Tensor
    """Scores of the real ones."""
    fake: Tensor
    """Scores of ``made``; no gradient reaches the decoder."""
    judged: Tensor
    """The same; no gradient reaches the critic."""

    def critic_loss(self) -> Tensor:
        """The hinge, per clip."""
        return (F.relu(1 - self.real) + F.relu(1 + self.fake)).flatten(1).mean(1).float()

    def decoder_loss(self, reconstruction: Tensor) -> Tensor:
        """-C, per clip, with the gradient of ``reconstruction`` ``(b,)`` at the same frames."""
        score = -self.judged.flatten(1).mean(1).float()
        (own,) = torch.autograd.grad(score.sum(), self.made, retain_graph=True)
        (other,) = torch.autograd.grad(reconstruction.sum(), self.made, retain_graph=True)
        wanted, has = (gradient.float().flatten(1).norm(dim=1) for gradient in (other, own))
        return score * (wanted / (has + 1e-12)).clamp(max=LARGEST)


class Contest(nn.Module):
    """A decoder and its critic as one network: one optimiser trains both in one step."""

    def __init__(self, decoder: nn.Module, critic: Critic) -> None:
        super().__init__()
        self.decoder, self.critic = decoder, critic

    def forward(
        self, latents: Tensor, target: Tensor | None = None, first: Tensor | None = None, frames: int = 0
    ) -> Tensor | tuple[Tensor, Scores]:
        """The decoder's clips ``(b 3 f H W)``; with real ones, the critic's scores of ``frames`` frames from ``first`` too."""
        clips: Tensor = self.decoder(latents)
        if target is None or first is None:
            return clips
        made = stretch(clips, first, frames)
        # In the clips that are handed out stand the very frames that were judged: gradients are compared at them.
        clips = clips.clone()
        for i, s in enumerate(first.tolist()):
            clips[i, :, s : s + frames] = made[i]
        held = {name: weight.detach() for name, weight in self.critic.named_parameters()}
        scores = Scores(
            made,
            self.critic(stretch(target, first, frames)),
            self.critic(made.detach()),
            functional_call(self.critic, held, (made,)),
        )
        return clips, scores
