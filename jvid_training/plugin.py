"""What `jvid_training` registers: feature networks, metrics, and the commands of its part of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jvid.plugins import hookimpl

if TYPE_CHECKING:
    from jvid.plugins.registrar import Registrar


@hookimpl
def jvid_register(register: Registrar) -> None:
    """Lazy targets: nothing heavy is imported before a command runs."""
    _register_metrics(register)
    register.command("encode", "jvid_training.cli:encode", help="Encode a recipe's clips into latents.")
    register.command("train", "jvid_training.cli:train", help="Train a recipe's network.")
    register.command("curves", "jvid_training.cli:curves", help="Plot the losses of runs.")
    register.command(
        "export", "jvid_training.cli:export", help="Put finished runs together into an ensemble."
    )
    register.command(
        "sheets", "jvid_training.cli:sheets", help="Contact sheets of an ensemble's strategies, per action."
    )
    register.command(
        "generate", "jvid_training.generation.cli:generate", help="Make thousands of clips into a folder."
    )
    register.command(
        "evaluate", "jvid_training.evaluation.cli:evaluate", help="Metrics of clips: FVD, FID, flicker."
    )
    register.command(
        "ablation", "jvid_training.search.cli:ablation", help="Table 2's rows and one-parameter grids."
    )
    register.command(
        "sweep", "jvid_training.search.cli:sweep", help="Search strategies for several objectives."
    )
    register.command("report", "jvid_training.report.cli:report", help="Strategies side by side on one page.")


def _register_metrics(register: Registrar) -> None:
    """Feature networks and metrics."""
    networks = "jvid_training.evaluation.networks"
    register.features("i3d", f"{networks}.i3d:I3DNetwork", help="I3D on Kinetics-400, a row for each clip.")
    register.features("i3d-frame", f"{networks}.i3d:still_network", help="I3D of each frame as a still clip.")
    register.features(
        "efficientnet-lite0",
        f"{networks}.efficientnet:EfficientNetNetwork",
        help="ImageNet features of frames.",
    )
    register.features(
        "torchscript",
        f"{networks}.torchscript:TorchScriptNetwork",
        help="A detector file: Inception-2015, I3D.",
    )
    register.features(
        "attributes",
        f"{networks}.attributes:AttributeNetwork",
        help="An attribute classifier of one's own, from its folder.",
    )
    register.features("pixels", f"{networks}.pixels:Pixels", help="Flicker and jerk of the pixels.")
    metrics = "jvid_training.evaluation.metrics"
    register.metric("fvd", f"{metrics}.frechet:fvd", help="Frechet distance of clips' features.")
    register.metric("fid", f"{metrics}.frechet:fid", help="Frechet distance of frames' features.")
    register.metric(
        "inception-score", f"{metrics}.inception:score", help="Inception score of frames, in 10 splits."
    )
    register.metric(
        "agreement", f"{metrics}.coherence:agreement_metric", help="Cosine of consecutive frames."
    )
    register.metric(
        "identity", f"{metrics}.coherence:identity_metric", help="Cosine of the first and last frame."
    )
    register.metric("flicker", f"{metrics}.motion:flicker", help="First difference of frames, of 255.")
    register.metric("flicker-ratio", f"{metrics}.motion:flicker_ratio", help="Flicker over real clips'.")
    register.metric("jerk", f"{metrics}.motion:jerk", help="Second difference of frames, of 255.")
    register.metric("jerk-ratio", f"{metrics}.motion:jerk_ratio", help="Jerk over real clips'.")
    register.metric("action", f"{metrics}.actions:action", help="Share of clips whose action is recognised.")
    register.metric(
        "attributes",
        f"{metrics}.attributes:attributes",
        help="Share of a caption's attributes that are seen.",
    )
    register.metric("psnr", f"{metrics}.truth:psnr", help="PSNR to the clip that the prompt is a caption of.")
    register.metric(
        "psnr-mean-frame", f"{metrics}.truth:mean_frame_psnr", help="The same of the mean frames: the look."
    )
    register.metric(
        "motion-error", f"{metrics}.truth:motion_error", help="The same of the frame differences."
    )
    _declare_references(register)


def _declare_references(register: Registrar) -> None:
    """Of what is a formula: networks of trained weights have none, nor what trains a classifier first."""
    at = "jvid_training.evaluation.references"
    register.reference("features", "pixels", f"{at}:pixels")
    for name, function in (
        ("fvd", "frechet"),
        ("fid", "frechet"),
        ("inception-score", "inception"),
        ("agreement", "agreement"),
        ("identity", "identity"),
        ("flicker", "flicker"),
        ("flicker-ratio", "flicker_ratio"),
        ("jerk", "jerk"),
        ("jerk-ratio", "jerk_ratio"),
        ("psnr", "psnr"),
        ("psnr-mean-frame", "mean_frame_psnr"),
        ("motion-error", "motion_error"),
    ):
        register.reference("metric", name, f"{at}:{function}")
