"""How near to the clip each expert's x_0 is, at levels of noise, and which weights of both come nearest.

    python -m benchmarks.expert_errors [--ensemble actions-64] [--clips 24] [--leave-out ACTOR ...]

    w x_video + (1 - w) x_image     w = (E_i - C) / (E_v + E_i - 2 C)     E: mean squared errors, C: mean product of the errors

On windows of the clips trained on and of the held-out person's, encoded by `jvid encode recipes/actions-64/video.toml`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from jvid.core.conditions import for_expert
from jvid.core.keyed import keyed_normal
from jvid.ensemble import Source
from jvid_training.data.streams import generator
from jvid_training.data.windows import Windows
from jvid_training.recipe import load_recipe

LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97)
RECIPE = Path(__file__).parents[1] / "recipes" / "actions-64" / "video.toml"
ROWS = 8


def least(video: Tensor, image: Tensor) -> tuple[float, float]:
    """The video model's weight of least error, from both experts' errors, and that error."""
    own, other, both = (float((a * b).mean()) for a, b in ((video, video), (image, image), (video, image)))
    weight = (other - both) / (own + other - 2.0 * both)
    return weight, weight**2 * own + (1.0 - weight) ** 2 * other + 2.0 * weight * (1.0 - weight) * both


def main() -> None:
    """Print a table for each split."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ensemble", "--pair", default="actions-64")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument(
        "--leave-out", nargs="*", default=[], help="actors of the training split that are not shown"
    )
    options = parser.parse_args()
    ensemble, data = Source(options.ensemble).load(), load_recipe(RECIPE).data
    experts = {name: ensemble.clips(name) for name in ("video", "image")}
    for split in ("train", "holdout"):
        windows = Windows(Path(data.latents), split, leave_out=options.leave_out if split == "train" else ())
        drawn = [windows.draw(generator(99, index, 0)) for index in range(options.clips)]
        x_0 = torch.stack([windows.latents(window) for window in drawn])
        actions = [window.sequence.action for window in drawn]
        prompts = [f"A person {data.phrases[action]}" for action in actions]
        print(f"\n{split}, {options.clips} clips\n\n| t | video | image | weight of video | error with it |")
        print("| ---: | ---: | ---: | ---: | ---: |")
        for level in LEVELS:
            t = torch.tensor(level, dtype=torch.float64)
            alpha_t, sigma_t = (float(value) for value in ensemble.schedule(t))
            x_t = alpha_t * x_0 + sigma_t * keyed_normal(range(len(x_0)), ("errors",), ensemble.shape)
            errors: dict[str, list[Tensor]] = {name: [] for name in experts}
            with torch.no_grad():
                for start in range(0, len(x_t), ROWS):
                    rows = slice(start, start + ROWS)
                    cond = ensemble.condition(prompts[rows], experts)
                    for name, denoiser in experts.items():
                        errors[name].append(x_0[rows] - denoiser(x_t[rows], t, for_expert(cond, name)))
            video, image = (torch.cat(errors[name]) for name in ("video", "image"))
            weight, error = least(video, image)
            alone = [float(part.square().mean()) for part in (video, image)]
            print(f"| {level:g} | {alone[0]:.4f} | {alone[1]:.4f} | {weight:.2f} | {error:.4f} |", flush=True)


if __name__ == "__main__":
    main()
