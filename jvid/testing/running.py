"""A property through hypothesis, and what falsifies it as one line.

Derandomized, without a database and without a deadline: the same run each time, on any machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jvid.extras import extra
from jvid.testing.checking import Skip, Trial
from jvid.testing.globals import watched

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["example_text", "run_property"]

FEW = 5
"""With no more examples than this, what fails is not made smaller: the subject is slow."""


def run_property(
    function: Callable[..., Any], strategies: Mapping[str, SearchStrategy[Any]], trial: Trial
) -> None:
    """Call ``function`` on examples of the strategies until one fails; that one stands in ``trial.falsified``.

    Raises:
        MissingDependencyError: hypothesis is not installed.
        Skip: no example fits.
    """
    with extra("testing"):
        import hypothesis
        from hypothesis import HealthCheck, Phase
        from hypothesis.errors import Flaky, HypothesisException, Unsatisfiable

    if trial.at is not None:
        if trial.at.keys() == strategies.keys():
            function(**trial.at)
        return

    last: list[tuple[Mapping[str, Any], Exception]] = []

    def tried(**example: Any) -> None:
        try:
            with watched(trial.leaks.append):
                function(**example)
        except (HypothesisException, Skip):
            raise
        except Exception as error:
            last.append((example, error))
            raise

    few = trial.examples <= FEW
    phases = (Phase.generate,) if few else (Phase.generate, Phase.shrink)
    settings = hypothesis.settings(
        max_examples=trial.examples, derandomize=True, database=None, deadline=None, phases=phases,
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False, print_blob=False,
        verbosity=hypothesis.Verbosity.quiet,
    )  # fmt: skip
    tried.__module__, tried.__qualname__ = function.__module__, function.__qualname__
    try:
        settings(hypothesis.given(**strategies)(tried))()
    except Skip:
        raise
    except Unsatisfiable:
        raise Skip("no example of the sizes and times given applies") from None
    except Flaky:
        trial.falsified, said = last[-1]
        raise AssertionError(f"not the same from call to call; once: {one_line(said)}") from said
    except Exception:
        if last:
            trial.falsified = last[-1][0]
        raise


def one_line(error: BaseException) -> str:
    """An assertion's message, or another exception with its type; its first line."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else "no message"
    return text if isinstance(error, AssertionError) else f"{type(error).__name__}: {text}"


def example_text(example: Mapping[str, Any]) -> str:
    """``dict(shape=(1, 4, 1, 2, 2), seed=0)``, to paste."""
    return f"dict({', '.join(f'{name}={value!r}' for name, value in example.items())})"
