"""Pipelines that change a picture that they are given, by noise on its latents."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.families.calls import FIRST
from benchmarks.published.tiny.families.control import CONTROL, CONTROL_XL, UNION
from benchmarks.published.tiny.families.control_transformers import FLUX_CONTROL, FLUX_NET
from benchmarks.published.tiny.families.early import ALT, IF
from benchmarks.published.tiny.families.flux import CHROMA, FLUX
from benchmarks.published.tiny.families.kandinsky import KANDINSKY, KANDINSKY3, KANDINSKY22
from benchmarks.published.tiny.families.kolors import KOLORS
from benchmarks.published.tiny.families.lumina import Z_IMAGE
from benchmarks.published.tiny.families.quantized import AMUSED
from benchmarks.published.tiny.families.qwen_image import QWEN_IMAGE
from benchmarks.published.tiny.families.sana import SPRINT
from benchmarks.published.tiny.families.stable_diffusion import DDIM, LCM, SD2, SDXL
from benchmarks.published.tiny.families.stable_diffusion3 import SD3
from benchmarks.published.tiny.parts import Recipe, picture

KIND = "image-to-image"

_NOISED: dict[str, Any] = {"image": FIRST, "strength": 0.7}

_OF_ITS_SIZE: dict[str, Any] = _NOISED | {"height": ..., "width": ...}
"""Of calls that take the size of the picture."""


def _controlled(recipe: Recipe) -> Recipe:
    return recipe.but(KIND).called(control_image=FIRST, **_NOISED)


CHANGED = DDIM.but(KIND).called(**_OF_ITS_SIZE)
CHANGED_XL = SDXL.but(KIND).called(**_OF_ITS_SIZE)
CHANGED3 = SD3.but(KIND).called(**_NOISED)

RECIPES: dict[str, Recipe] = {
    "StableDiffusionImg2ImgPipeline": CHANGED,
    "StableDiffusionImg2ImgPipeline:2": SD2.but(KIND).called(**_OF_ITS_SIZE),
    "StableDiffusionPAGImg2ImgPipeline": CHANGED.but(pag_applied_layers=["mid"]),
    "StableDiffusionXLImg2ImgPipeline": CHANGED_XL,
    "StableDiffusionXLPAGImg2ImgPipeline": CHANGED_XL,
    "StableDiffusionControlNetImg2ImgPipeline": _controlled(CONTROL),
    "StableDiffusionControlNetImg2ImgPipeline:part": _controlled(CONTROL).called(control_guidance_end=0.5),
    "StableDiffusionXLControlNetImg2ImgPipeline": _controlled(CONTROL_XL),
    "StableDiffusionXLControlNetPAGImg2ImgPipeline": _controlled(CONTROL_XL),
    "StableDiffusionXLControlNetUnionImg2ImgPipeline": _controlled(UNION),
    "LatentConsistencyModelImg2ImgPipeline": LCM.but(KIND).called(**_OF_ITS_SIZE),
    "AltDiffusionImg2ImgPipeline": ALT.but(KIND).called(**_OF_ITS_SIZE),
    "KolorsImg2ImgPipeline": KOLORS.but(KIND).called(**_NOISED).needing("sentencepiece"),
    "IFImg2ImgPipeline": IF.but(KIND).called(**_OF_ITS_SIZE).called(image=picture(16, 16)),
    "StableDiffusion3Img2ImgPipeline": CHANGED3,
    "StableDiffusion3PAGImg2ImgPipeline": CHANGED3.but(pag_applied_layers="blocks.1"),
    "FluxImg2ImgPipeline": FLUX.but(KIND).called(**_NOISED),
    "FluxControlImg2ImgPipeline": _controlled(FLUX_CONTROL),
    "FluxControlNetImg2ImgPipeline": _controlled(FLUX_NET),
    "ChromaImg2ImgPipeline": CHROMA.but(KIND).called(**_NOISED),
    "QwenImageImg2ImgPipeline": QWEN_IMAGE.but(KIND).called(**_NOISED),
    "ZImageImg2ImgPipeline": Z_IMAGE.but(KIND).called(**_NOISED),
    "SanaSprintImg2ImgPipeline": SPRINT.but(KIND).called(**_NOISED),
    "Kandinsky3Img2ImgPipeline": KANDINSKY3.but(KIND).called(**_OF_ITS_SIZE),
    "KandinskyImg2ImgCombinedPipeline": KANDINSKY.but(KIND).called(**_NOISED),
    "KandinskyV22Img2ImgCombinedPipeline": KANDINSKY22.but(KIND).called(**_NOISED),
    "AmusedImg2ImgPipeline": AMUSED.but(KIND).called(**_OF_ITS_SIZE),
}
