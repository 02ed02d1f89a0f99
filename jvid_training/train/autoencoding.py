"""What an autoencoder of one's own learns: to reconstruct frames from noisy latents.

    z = E(v),    e = D(z + s u n) - v,    n ~ N(0, 1), u ~ U(0, 1)
    L = mean |e| + mean e^2 + w mean_c KL(N(m_c, s_c^2) || N(0, 1))
    KL(N(m, s^2) || N(0, 1)) = (m^2 + s^2 - 1 - ln(s^2 + 1e-6)) / 2, finite for a channel that is constant

m_c and s_c^2 are the mean and variance of latent channel c over the batch. The prior keeps the latents at unit scale, so that the
deviation s of the noise needs no unit. The noise makes nearby latents decode to nearby frames: errors of sampled latents stay
small. There is no adversary.
"""

from __future__ import annotations

import math

import attrs
import torch
from torch import Tensor, nn

from jvid.errors import InputError, one_line
from jvid_models.networks.autoencoder import Autoencoder
from jvid_training.data.pictures import Pictures
from jvid_training.data.streams import generator
from jvid_training.data.windows import HELD_OUT_STEP
from jvid_training.recipe import Recipe

__all__ = ["Autoencode"]


@attrs.frozen(eq=False)
class Autoencode:
    """The objective of the module's head, over single frames or random patches of them."""

    recipe: Recipe
    channels: int
    factor: int

    @classmethod
    def of(cls, recipe: Recipe) -> Autoencode:
        """The objective of a recipe.

        Raises:
            InputError: the network is refused or does not run, or its factor does not divide the frames or the patches.
        """
        with torch.device("meta"):
            network = Autoencoder(**recipe.network)
        for key, side in (("data.size", recipe.data.size), ("training.patch", recipe.training.patch)):
            if side is not None and side % network.factor:
                raise InputError(
                    f"{key}: got {side}, expected a multiple of {network.factor}, the autoencoder's factor"
                )
        if recipe.training.patch is not None and recipe.training.patch > recipe.data.size:
            raise InputError(
                f"training.patch: got {recipe.training.patch}, expected at most data.size, {recipe.data.size}"
            )
        side = recipe.training.patch or recipe.data.size
        try:
            with torch.device("meta"), torch.no_grad():
                network(torch.empty(1, 3, side, side), torch.zeros(()))
        except (RuntimeError, ValueError, TypeError) as error:
            raise InputError(
                f"network: {network.kind} does not run with these options: {one_line(error, typed=True)}"
            ) from None
        return cls(recipe, network.channels, network.factor)

    def sample(self, pictures: Pictures, seed: int, step: int, place: int, batch: int) -> dict[str, Tensor]:
        """Keys: ``x`` (3 H W) a frame or a patch at a multiple of the factor, ``noise`` (c h w) of its latents."""
        random = generator(seed, step, place)
        x = pictures.draw(random)
        if (patch := self.recipe.training.patch) is not None and step != HELD_OUT_STEP:
            top, left = (
                int(random.integers((side - patch) // self.factor + 1)) * self.factor for side in x.shape[1:]
            )
            x = x[:, top : top + patch, left : left + patch]
        shape = (self.channels, x.shape[1] // self.factor, x.shape[2] // self.factor)
        level = self.recipe.training.latent_noise * float(random.random())
        return {"x": x, "noise": level * torch.from_numpy(random.standard_normal(shape).astype("float32"))}

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """L of each sample ``(b,)``; the prior's part is the batch's, and the same for all."""
        frames, z = network(batch["x"], batch["noise"])
        error = (frames.float() - batch["x"]).flatten(1)
        loss = error.abs().mean(1) + error.square().mean(1)
        variance, mean = torch.var_mean(z.float(), dim=(0, 2, 3), correction=0)
        prior = (mean.square() + variance - 1 - (variance + 1e-6).log()).mean() / 2
        return loss + self.recipe.training.prior * prior

    def figures(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """``psnr`` ``(b,)``: dB of clean reconstructions, of values from -1 to 1, clipped as a codec clips them."""
        frames, _ = network(batch["x"], torch.zeros_like(batch["noise"]))
        error = (frames.float().clamp(-1, 1) - batch["x"]).square().flatten(1).mean(1)
        return {"psnr": 10 * (math.log10(4.0) - error.clamp_min(1e-12).log10())}
