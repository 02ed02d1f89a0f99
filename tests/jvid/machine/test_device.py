"""Devices that torch or this machine does not have: one line with what there is, before anything loads."""

from __future__ import annotations

import pytest
import torch

from jvid.errors import InputError
from jvid.machine import device as machine
from jvid.machine.device import check_device, prepare
from jvid.plugins import hookimpl
from jvid.plugins.registry import Registry


def absent() -> list[str]:
    kinds = {"cuda": torch.cuda, "mps": torch.mps, "xpu": torch.xpu}
    return [
        name
        for kind, module in kinds.items()
        for name in (kind, f"{kind}:7")
        if not module.is_available() or (name != kind and module.device_count() < 8)
    ]


@pytest.mark.parametrize("name", absent())
def test_a_device_that_is_not_there_is_one_line_with_what_is(name: str) -> None:
    with pytest.raises(InputError) as caught:
        check_device(name)
    message, kind = str(caught.value), name.partition(":")[0]
    assert message.startswith(f"device {name!r} cannot be used (")
    assert "expected cpu" in message
    assert kind in message.partition("expected cpu")[2]
    assert "\n" not in message


def test_a_number_of_a_device_beyond_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def zeros(size: int, device: str) -> None:
        raise RuntimeError(
            "CUDA error: invalid device ordinal. CUDA kernel errors might be reported later\nmore"
        )

    monkeypatch.setattr(torch, "zeros", zeros)
    monkeypatch.setattr(machine, "_usable", lambda: ["cpu", "cuda:0", "cuda:1"])
    with pytest.raises(InputError) as caught:
        check_device("cuda:7", "--device")
    assert str(caught.value) == (
        "--device 'cuda:7' cannot be used (CUDA error: invalid device ordinal): expected cpu or cuda:0 or cuda:1"
    )


@pytest.mark.parametrize("name", ["abacus", "cuda:x", "", None])
def test_what_is_no_device_is_one_line_with_those_that_are(name: object) -> None:
    with pytest.raises(InputError, match=r"cannot be used .*: expected one of cpu, cuda, mps, xpu") as caught:
        check_device(name)
    assert "\n" not in str(caught.value)


def test_the_processor_is_there() -> None:
    check_device("cpu")
    check_device("cpu:0")
    with pytest.raises(InputError, match="--device 'abacus' cannot be used"):
        prepare("abacus")


@pytest.mark.parametrize("name", ["abacus", *absent()])
def test_a_component_on_such_a_device_is_refused_before_it_is_built(name: str) -> None:
    built = []

    def factory(device: str = "cpu") -> object:
        built.append(device)
        return lambda prompts: {}

    registry = Registry(entry_points=False)

    class Plugin:
        @hookimpl
        def jvid_register(self, register: object) -> None:
            register.text("local", factory)  # type: ignore[attr-defined]

    registry.add(Plugin(), "local")
    with pytest.raises(InputError, match=f"^text 'local': device '{name}' cannot be used"):
        registry.load("text", "local", device=name)
    assert built == []
    assert callable(registry.load("text", "local", device="cpu"))
    assert built == ["cpu"]
