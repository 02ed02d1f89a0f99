"""What `jvid_training` registers: the commands of its part of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jvid.plugins import hookimpl

if TYPE_CHECKING:
    from jvid.plugins.registrar import Registrar


@hookimpl
def jvid_register(register: Registrar) -> None:
    """Lazy targets: nothing heavy is imported before a command runs."""
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
        "evaluate", "jvid_training.evaluation.cli:evaluate", help="Figures of clips: FVD, FID, flicker."
    )
    register.command(
        "ablation", "jvid_training.search.cli:ablation", help="Table 2's rows and one-parameter grids."
    )
    register.command(
        "sweep", "jvid_training.search.cli:sweep", help="Search strategies for several objectives."
    )
    register.command("report", "jvid_training.report.cli:report", help="Strategies side by side on one page.")
