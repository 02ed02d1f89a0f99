"""The pipeline classes whose samples were compared with diffusers' own runs and found equal.

The list is the census's (`python -m benchmarks.published`); its table is docs/published.md.
"""

from __future__ import annotations

__all__ = ["COMPARED", "KEEP_STATE"]

COMPARED: frozenset[str] = frozenset(
    """
    AllegroPipeline
    AltDiffusionPipeline
    AnimateDiffPAGPipeline
    AnimateDiffPipeline
    AnimateDiffSDXLPipeline
    AuraFlowPipeline
    BriaFibo2Pipeline
    BriaFiboPipeline
    BriaPipeline
    ChromaPipeline
    ChronoEditPipeline
    CogVideoXImageToVideoPipeline
    CogVideoXPipeline
    CogView3PlusPipeline
    CogView4Pipeline
    Cosmos2TextToImagePipeline
    Cosmos2VideoToWorldPipeline
    Cosmos2_5_PredictBasePipeline
    Cosmos3OmniPipeline
    CosmosTextToWorldPipeline
    DreamLiteMobilePipeline
    DreamLitePipeline
    EasyAnimatePipeline
    Flux2KleinKVPipeline
    Flux2KleinPipeline
    Flux2Pipeline
    FluxPipeline
    HiDreamImagePipeline
    HunyuanDiTPAGPipeline
    HunyuanDiTPipeline
    HunyuanImagePipeline
    HunyuanSkyreelsImageToVideoPipeline
    HunyuanVideo15ImageToVideoPipeline
    HunyuanVideo15Pipeline
    HunyuanVideoFramepackPipeline
    HunyuanVideoImageToVideoPipeline
    HunyuanVideoPipeline
    I2VGenXLPipeline
    Kandinsky3Pipeline
    Kandinsky6TI2VAPipeline
    Krea2Pipeline
    LTX2ConditionPipeline
    LTX2ImageToVideoPipeline
    LTX2Pipeline
    LTXImageToVideoPipeline
    LTXPipeline
    LatentConsistencyModelPipeline
    LattePipeline
    LongCatImagePipeline
    Lumina2Pipeline
    LuminaPipeline
    MochiPipeline
    MotifVideoImage2VideoPipeline
    MotifVideoPipeline
    NucleusMoEImagePipeline
    OvisImagePipeline
    PIAPipeline
    PRXPipeline
    PixArtAlphaPipeline
    PixArtSigmaPAGPipeline
    PixArtSigmaPipeline
    QwenImagePipeline
    SanaImageToVideoPipeline
    SanaPAGPipeline
    SanaPipeline
    SanaVideoPipeline
    SanaWMPipeline
    SkyReelsV2ImageToVideoPipeline
    SkyReelsV2Pipeline
    StableDiffusion3PAGPipeline
    StableDiffusion3Pipeline
    StableDiffusionGLIGENTextImagePipeline
    StableDiffusionLDM3DPipeline
    StableDiffusionPAGPipeline
    StableDiffusionPanoramaPipeline
    StableDiffusionPipeline
    StableDiffusionXLPAGPipeline
    StableDiffusionXLPipeline
    StableUnCLIPPipeline
    StableVideoDiffusionPipeline
    TextToVideoSDPipeline
    VersatileDiffusionTextToImagePipeline
    WanImageToVideoPipeline
    WanPipeline
    WanVACEPipeline
    ZImageOmniPipeline
    ZImagePipeline
    """.split()
)

KEEP_STATE: frozenset[str] = frozenset(
    {
        "LTX2ConditionPipeline",
        "LTX2HDRPipeline",
        "LTX2ImageToVideoPipeline",
        "LTX2InContextPipeline",
        "LTX2Pipeline",
    }
)
"""Classes whose loop keeps a state: sound beside frames. They run in a `Stream`."""
