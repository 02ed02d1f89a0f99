"""Registrations that a type checker accepts and refuses. mypy reads this file in `make lint`; nothing imports it to run it.

Each "type: ignore" is an error that it must find: one that is unused is an error.
"""

from __future__ import annotations

from jvid.plugins import hookimpl
from jvid.plugins.registrar import Registrar
from jvid.selectors import Always


@hookimpl
def jvid_register(register: Registrar) -> None:
    register.selector("fits", Always)
    register.solver("other-kind", Always)  # type: ignore[arg-type]
    register.sorcerer("no-kind", Always)  # type: ignore[attr-defined]

    @register.noise("decorated")  # type: ignore[arg-type]
    def decorated() -> Always:
        return Always("a")
