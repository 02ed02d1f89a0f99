"""`JVIDPipeline`: an ensemble and a strategy as a diffusers pipeline."""

from jvid_models.diffusion_pipeline.output import JVIDPipelineOutput
from jvid_models.diffusion_pipeline.pipeline import JVIDPipeline

__all__ = ["JVIDPipeline", "JVIDPipelineOutput"]
