"""The torch modules that a component is made of, so that they can be moved as a run needs them.

networks    called in each evaluation of a denoiser
before      encoders: called before the first evaluation under a condition
behind      decoders: called behind the last step
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DeclaresModules", "Parts", "modules_of"]


@attrs.frozen(eq=False)
class Parts:
    """The modules of a denoiser, an encoder or a codec, by names that are unique in it.

    Modules that manage their own memory, such as those with hooks that offload them, are not among them.
    """

    networks: Mapping[str, nn.Module] = attrs.field(factory=dict)
    before: Mapping[str, nn.Module] = attrs.field(factory=dict)
    behind: Mapping[str, nn.Module] = attrs.field(factory=dict)

    @property
    def all(self) -> Mapping[str, nn.Module]:
        """All of them, by name."""
        return {**self.networks, **self.before, **self.behind}


@runtime_checkable
class DeclaresModules(Protocol):
    """A component that declares the modules it is made of; a denoiser of a module need not."""

    def modules(self) -> Parts:
        """Its modules, as they are now."""
        ...


def modules_of(component: Any) -> Parts:
    """The modules of a component; none where it declares none. A ``torch.nn.Module`` is its own only network."""
    from torch import nn

    if isinstance(component, nn.Module):
        return Parts({"network": component})
    if isinstance(component, DeclaresModules):
        return component.modules()
    return Parts()
