"""An ensemble's folder that is damaged, and exports that are refused."""

from __future__ import annotations

import json

import pytest
import torch

from jvid.errors import InputError, MissingDependencyError
from jvid_models.ensembles import export as exporting
from jvid_models.ensembles.export import ExportedExpert, export_ensemble
from jvid_models.ensembles.folder import load_ensemble
from jvid_models.networks.unets import image_unet
from tests.jvid_models.ensembles.exported import TINY, meta, parts


@pytest.mark.parametrize(("which", "use"), [
    ("image", lambda ensemble: ensemble.denoiser("image")),
    ("video", lambda ensemble: ensemble.denoiser("video")),
    ("decoder", lambda ensemble: ensemble.codec),
    ("prompts", lambda ensemble: ensemble.condition([""])),
])  # fmt: skip
def test_a_damaged_file_is_reported_in_one_line(folder, which, use):
    path = folder / f"{which}.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\xff" * 64):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=which) as caught:
            use(load_ensemble(folder))
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(MissingDependencyError, match=which):
        use(load_ensemble(folder))


def test_weights_of_another_network_are_reported(folder):
    (folder / "image.safetensors").write_bytes((folder / "decoder.safetensors").read_bytes())
    with pytest.raises(InputError, match="do not fit the ensemble's document") as caught:
        load_ensemble(folder).denoiser("image")
    assert "\n" not in str(caught.value)


def test_a_damaged_document_is_reported(folder, tmp_path):
    path = folder / "ensemble.json"
    described = json.loads(path.read_text())
    assert described["licence"] == "none"
    path.write_text(json.dumps({"format": 2}))
    with pytest.raises(InputError, match="lacks name"):
        load_ensemble(folder)
    path.write_text(json.dumps(described | {"experts": {"video": {"denoises": "clips"}}}))
    with pytest.raises(InputError, match="expert 'video' lacks network, weights"):
        load_ensemble(folder)
    for key in ("schedule", "latents", "experts", "decoder"):
        path.write_text(json.dumps(described | {key: [1]}))
        with pytest.raises(
            InputError, match=f"{key} is a list, expected an object: export the ensemble again"
        ):
            load_ensemble(folder)
    image = described["experts"]["image"]
    for value, words in (
        [2, "expert 'image' is a int"],
        [image | {"network": "u"}, "the network of expert 'image' is a str"],
    ):
        path.write_text(json.dumps(described | {"experts": {"image": value}}))
        with pytest.raises(InputError, match=words):
            load_ensemble(folder)
    path.write_text(json.dumps(described | {"decoder": {"blocks": 1, "block": 2}}))
    with pytest.raises(InputError, match=r"describes no network of decoder.safetensors: .*'block'"):
        _ = load_ensemble(folder).codec
    path.write_text("{")
    with pytest.raises(InputError, match="expected the document of an ensemble"):
        load_ensemble(folder)
    with pytest.raises(MissingDependencyError, match=r"no ensemble\.json"):
        load_ensemble(tmp_path / "nowhere")


def test_an_export_is_whole_or_not_at_all(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fails(written):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "_read_back", fails)
    with pytest.raises(InputError, match="No space left"):
        export_ensemble(folder, *parts(1), meta())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]
    monkeypatch.undo()
    export_ensemble(folder, *parts(1), meta())
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after["image.safetensors"] != before["image.safetensors"]
    assert after["CARD.md"] == before["CARD.md"]
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize("held", ["thesis.tex", "data/clip.avi", "weights.safetensors"])
def test_only_an_export_is_replaced(tmp_path, held):
    mine = tmp_path / "mine"
    (mine / held).parent.mkdir(parents=True)
    (mine / held).write_text("mine")
    with pytest.raises(
        InputError, match="only a folder with nothing but what this command writes is replaced"
    ):
        export_ensemble(mine, *parts(), meta())
    assert (mine / held).read_text() == "mine"
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is a file: expected the name of a new folder"):
        export_ensemble(tmp_path / "file", *parts(), meta())


def test_parts_that_do_not_fit_are_refused(tmp_path):
    experts, decoder, table = parts()
    target = tmp_path / "ensemble"
    wide = ExportedExpert(image_unet(**(TINY | {"text_width": 16})), "frames")
    with pytest.raises(InputError, match="the image UNet takes text 16 wide"):
        export_ensemble(target, {**experts, "image": wide}, decoder, table, meta())
    with pytest.raises(InputError, match="lacks fps"):
        export_ensemble(target, experts, decoder, table, {k: v for k, v in meta().items() if k != "fps"})
    latents = {"shape": [8, 3, 8, 8], "mean": [0] * 8, "std": [1] * 8}
    with pytest.raises(InputError, match="latents have 8"):
        export_ensemble(target, experts, decoder, table, meta(latents=latents))
    with pytest.raises(InputError, match="image UNet denoises frames: got denoises='clips'"):
        export_ensemble(target, {"image": ExportedExpert(experts["image"].network)}, decoder, table, meta())
    for name in ("decoder", "prompts", "a b", "../up", ""):
        with pytest.raises(InputError, match="expected letters, digits"):
            export_ensemble(target, {**experts, name: experts["video"]}, decoder, table, meta())
    with pytest.raises(InputError, match="no experts"):
        export_ensemble(target, {}, decoder, table, meta())
    with pytest.raises(InputError, match=r"names expert 'video': expected those of ensemble 'tiny', image"):
        export_ensemble(target, {"image": experts["image"]}, decoder, table, meta())
    with torch.no_grad():
        next(experts["image"].network.parameters()).view(-1)[0] = 1e6
    with pytest.raises(InputError, match="not finite in fp16"):
        export_ensemble(target, experts, decoder, table, meta())
    assert not list(tmp_path.iterdir())
