"""Denoisers of whole diffusers pipelines: the pipeline's own code, evaluated once a call."""

from jvid_models.adapters.pipelines.denoiser import PipelineDenoiser
from jvid_models.adapters.pipelines.load import from_folder, from_pipeline
from jvid_models.adapters.pipelines.prompts import PipelinePrompts

__all__ = ["PipelineDenoiser", "PipelinePrompts", "from_folder", "from_pipeline"]
