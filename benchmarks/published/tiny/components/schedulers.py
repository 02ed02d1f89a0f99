"""Schedulers with the configurations of published models."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.parts import Part, diffusers

BETAS: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}

_LAST: dict[str, Any] = {"steps_offset": 1, "set_alpha_to_one": False, "clip_sample": False}


def pndm() -> Part:
    """Stable Diffusion 1.5's; ``set_alpha_to_one=False`` ends at the table's first entry."""
    return diffusers("PNDMScheduler", **BETAS, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)


def ddim(**more: Any) -> Part:
    """DDIM on the table of Stable Diffusion 1.5."""
    return diffusers("DDIMScheduler", **(BETAS | _LAST | more))


def zero_snr() -> Part:
    """v prediction on a table that ends at a signal-to-noise ratio of zero."""
    return ddim(prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing")


def animatediff() -> Part:
    """AnimateDiff's: linear betas."""
    return ddim(beta_schedule="linear", timestep_spacing="linspace", set_alpha_to_one=True)


def euler(**more: Any) -> Part:
    """SDXL's."""
    return diffusers(
        "EulerDiscreteScheduler", **(BETAS | {"timestep_spacing": "leading", "steps_offset": 1} | more)
    )


def edm() -> Part:
    """Stable Video Diffusion's: continuous levels of EDM, v prediction."""
    return euler(
        prediction_type="v_prediction",
        sigma_max=700.0,
        sigma_min=0.002,
        timestep_type="continuous",
        use_karras_sigmas=True,
    )


def unipc_flow(shift: float = 3.0) -> Part:
    """Wan's: UniPC on flow levels."""
    return diffusers(
        "UniPCMultistepScheduler", prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
    )


def cogvideox(shift: float = 3.0) -> Part:
    """CogVideoX's: v prediction, a shifted signal-to-noise ratio."""
    return diffusers(
        "CogVideoXDDIMScheduler",
        **BETAS,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        snr_shift_scale=shift,
        timestep_spacing="trailing",
    )


def flow(shift: float = 1.0, **more: Any) -> Part:
    """Euler's method on flow levels."""
    return diffusers("FlowMatchEulerDiscreteScheduler", shift=shift, **more)


def dynamic(**more: Any) -> Part:
    """Flow levels whose shift depends on the number of tokens: Flux's."""
    return flow(3.0, use_dynamic_shifting=True, **more)


def ltx() -> Part:
    """LTX's: a shift by the number of tokens, stretched to end at 0.1."""
    return flow(
        use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, max_image_seq_len=4096, shift_terminal=0.1
    )


def euler_ancestral() -> Part:
    """Allegro's, which draws noise at every step."""
    return diffusers("EulerAncestralDiscreteScheduler", **BETAS)
