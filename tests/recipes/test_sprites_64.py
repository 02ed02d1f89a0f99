"""The sprites' data set, on layers of a few colours that are made here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from jvid.errors import InputError

RECIPE = Path(__file__).parents[2] / "recipes" / "sprites-64"
ACTIONS = {"casts": (0, 7), "thrusts": (4, 8), "walks": (8, 9), "slashes": (12, 6), "shoots": (16, 13)}
GREY = (112, 128, 112)


@pytest.fixture(scope="module", autouse=True)
def modules() -> Any:
    """The recipe's modules, which are scripts beside each other."""
    sys.path.insert(0, str(RECIPE))
    yield
    sys.path.remove(str(RECIPE))


def write_sheet(
    path: Path,
    colour: tuple[int, int, int],
    box: tuple[int, int, int, int],
    alpha: int = 255,
    actions: tuple[str, ...] = tuple(ACTIONS),
    size: tuple[int, int] = (832, 1344),
) -> None:
    """A sheet whose cells hold a rectangle; its red channel counts the columns, its blue channel the directions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = np.zeros((size[1], size[0], 4), np.uint8)
    top, left, bottom, right = box
    for action in actions:
        row, count = ACTIONS[action]
        for direction in range(4):
            for column in range(count):
                cell = sheet[(row + direction) * 64 :, column * 64 :]
                cell[top:bottom, left:right] = (colour[0] + column, colour[1], colour[2] + direction, alpha)
    Image.fromarray(sheet).save(path)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bodies, hair that covers them, a cape in two layers, shoes, and a shirt without thrust and shoot."""
    root = tmp_path_factory.mktemp("sheets")
    for sex, shade in (("female", 100), ("male", 150)):
        write_sheet(root / f"body/{sex}/light.png", (shade, 10, 20), (8, 24, 56, 40))
        write_sheet(root / f"body/{sex}/orc.png", (shade, 90, 20), (8, 24, 56, 40))
        for colour, green in (("red", 30), ("blue", 60)):
            write_sheet(root / f"hair/{sex}/long/{colour}.png", (shade, green, 200), (8, 24, 24, 40))
        write_sheet(root / f"feet/{sex}/shoes.png", (20, 20, 20), (50, 24, 56, 40))
        write_sheet(root / f"torso/{sex}/mail.png", (60, 60, 60), (24, 24, 40, 40), alpha=128)
    write_sheet(
        root / "torso/robe_female_no_th-sh.png",
        (0, 0, 90),
        (24, 24, 56, 40),
        actions=("casts", "walks", "slashes"),
    )
    write_sheet(root / "behind_body/cape_female.png", (200, 0, 0), (20, 20, 50, 44))
    write_sheet(root / "torso/back/cape_female.png", (0, 200, 0), (38, 24, 42, 40))
    return root


def table(**changes: Any) -> dict[str, Any]:
    """The recipe's actions and order, with the layers of `root`."""
    import tomllib

    whole = tomllib.loads((RECIPE / "layers.toml").read_text(encoding="utf-8"))
    for action in whole["actions"].values():
        action.pop("layers", None)
    return whole | {
        "body": {"light-skinned": ["body/{sex}/light.png"], "orc": ["body/{sex}/orc.png"]},
        "chances": {"head": 0.3, "facial": 0.5, "cape": 0.5, "covers_legs": ["robe"]},
        "hair": {"long": ["hair/{sex}/long/{colour}.png"]},
        "hair_colour": {"red": "red", "blue": "blue"},
        "head": {"a hat": ["hair/{sex}/long/red.png"]},
        "facial": {"beard": ["hair/male/long/{colour}.png"]},
        "torso": {"chain mail": ["torso/{sex}/mail.png"], "a robe": ["torso/robe_female_no_th-sh.png"]},
        "legs": {"red pants": ["feet/{sex}/shoes.png"]},
        "feet": {f"{colour} shoes": ["feet/{sex}/shoes.png"] for colour in ("black", "brown")},
        "cape": {"a red cape": ["behind_body/cape_female.png", "torso/back/cape_female.png"]},
        **changes,
    }


def wardrobe(root: Path, **changes: Any) -> Any:
    from sheets import Sheets
    from wardrobe import Wardrobe

    return Wardrobe(Sheets(root, table(**changes)))


def woman(**values: str) -> Any:
    from wardrobe import Character

    given = {"body": "light-skinned", "hair": "long", "hair_colour": "red", "torso": "chain mail"}
    return Character("woman", **{**given, "legs": "red pants", "feet": "black shoes", **values})


def test_layers_lie_over_each_other_in_the_order_of_their_folders(root: Path) -> None:
    """Behind the body the cape shows at its sides, before the body over the torso; hair covers all, the torso half."""
    frames = wardrobe(root).clip(woman(cape="a red cape"), "walks", "left")
    assert frames.shape == (8, 64, 64, 3)
    frame = frames[0]  # column 1 of its row: the first of a walk stands
    assert frame[0, 0].tolist() == list(GREY)
    assert frame[30, 21].tolist() == [201, 0, 1], "the cape beside the body"
    assert frame[10, 30].tolist() == [101, 30, 201], "hair over the body"
    assert frame[39, 30].tolist() == [1, 200, 1], "the cape's back over the torso"
    assert frame[52, 30].tolist() == [21, 20, 21], "shoes over the body"
    body, mail, a = np.array([101, 10, 21]), np.array([61, 60, 61]), 128 / 255
    assert frame[30, 30].tolist() == np.rint(a * mail + (1 - a) * body).tolist(), "half transparent"


def test_eight_frames_hold_the_ends_of_short_actions_and_sample_long_ones(root: Path) -> None:
    made = wardrobe(root)
    for action, columns in {
        "casts": [0, 1, 2, 3, 4, 5, 6, 6],
        "thrusts": [0, 1, 2, 3, 4, 5, 6, 7],
        "walks": [1, 2, 3, 4, 5, 6, 7, 8],
        "slashes": [0, 0, 1, 2, 3, 4, 5, 5],
        "shoots": [0, 2, 3, 5, 7, 9, 10, 12],
    }.items():
        for place, direction in enumerate(("up", "left", "down", "right")):
            frames = made.clip(woman(), action, direction)
            assert [int(frame[52, 30, 0]) - 20 for frame in frames] == columns, action
            assert {int(frame[52, 30, 2]) - 20 for frame in frames} == {place}, direction


def test_what_a_layer_lacks_is_left_out(root: Path) -> None:
    made = wardrobe(root)
    assert made.performs(woman()) == list(ACTIONS)
    assert made.performs(woman(torso="a robe")) == ["casts", "walks", "slashes"]
    assert made.values("torso", "man") == ["chain mail"]
    assert (made.values("cape", "man"), made.values("facial", "woman")) == ([], [])
    drawn = [made.draw(np.random.default_rng(seed)) for seed in range(200)]
    assert {each.torso for each in drawn if each.sex == "man"} == {"chain mail"}
    assert {each.cape for each in drawn if each.sex == "man"} == {"none"}
    assert {each.facial for each in drawn if each.sex == "woman"} == {"none"}
    robes = [each for each in drawn if each.torso == "a robe"]
    assert robes
    assert {each.legs for each in robes} == {"none"}
    assert {(each.hair, each.hair_colour) for each in drawn if each.head != "none"} == {("none", "none")}


def test_captions_name_every_attribute() -> None:
    from captions import captions_of

    assert captions_of(woman(body="orc", cape="a red cape"), "casts", "left") == [
        "an orc woman with long red hair in chain mail, red pants, black shoes and a red cape casts a spell, facing left",
        "facing left, an orc woman with long red hair casts a spell in chain mail, red pants, black shoes and a red cape",
        "an orc woman who wears chain mail, red pants, black shoes and a red cape and has long red hair is casting a spell, "
        "facing left",
        "a woman with long red hair in chain mail casts a spell, facing left",
    ]
    hat = captions_of(woman(head="a hat", hair="none", hair_colour="none"), "walks", "up")
    assert (
        hat[0] == "a light-skinned woman in a hat, chain mail, red pants and black shoes walks, facing away"
    )
    assert hat[3] == "a woman in a hat and chain mail walks, facing away"
    knot = captions_of(woman(hair="topknot", hair_colour="auburn"), "shoots", "down")
    assert knot[3] == "a woman with an auburn topknot in chain mail shoots an arrow, facing the viewer"


def read(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def test_a_data_set_has_disjoint_characters_and_the_same_words_everywhere(root: Path, tmp_path: Path) -> None:
    from compose import compose
    from wardrobe import Character

    made, sizes = wardrobe(root), {"stills": 12, "clips": 6, "held-out": 6}
    compose(made, tmp_path / "one", sizes, 15)
    compose(made, tmp_path / "two", sizes, 15)
    files = sorted(
        path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()
    )
    assert files == sorted(
        path.relative_to(tmp_path / "two") for path in (tmp_path / "two").rglob("*") if path.is_file()
    )
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    lines = {
        name: read(tmp_path / "one" / name)
        for name in ("stills/train", "stills/held-out", "clips/train", "clips/held-out")
    }
    of = ("sex", "body", "hair", "hair_colour", "head", "facial", "torso", "legs", "feet", "cape")
    characters = {name: {tuple(line[key] for key in of) for line in found} for name, found in lines.items()}
    assert {name: len(found) for name, found in characters.items()} == {
        "stills/train": 12, "stills/held-out": 6, "clips/train": 6, "clips/held-out": 6,
    }  # fmt: skip
    assert characters["stills/held-out"] == characters["clips/held-out"]
    groups = [characters[name] for name in ("stills/train", "clips/train", "clips/held-out")]
    assert len(set().union(*groups)) == 24
    words = [
        {(key, value) for each in group for key, value in zip(of, each, strict=True)} for group in groups
    ]
    assert words[0] == words[1] == words[2]
    performed = sum(4 * len(made.performs(Character(*each))) for each in characters["clips/train"])
    assert len(lines["clips/train"]) == performed
    assert len(lines["clips/held-out"]) == 24
    for name, found in lines.items():
        there = {path.name for path in (tmp_path / "one" / name).iterdir()} - {"metadata.jsonl"}
        assert there == {line["file_name"] for line in found}
    line = lines["clips/held-out"][5]
    path = tmp_path / "one/clips/held-out" / line["file_name"]
    with av.open(str(path)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        assert float(container.streams.video[0].average_rate) == 8
    expected = made.clip(Character(*(line[key] for key in of)), line["action"], line["direction"])
    np.testing.assert_array_equal(frames, expected)


def test_wrong_layers_numbers_and_folders_are_one_line(root: Path, tmp_path: Path, capsys) -> None:
    from compose import compose, main

    write_sheet(root / "torso/odd_female.png", (0, 0, 0), (0, 0, 1, 1), size=(1152, 1344))
    odd = wardrobe(root, torso={"odd": ["torso/odd_female.png"], "mail": ["torso/male/mail.png"]})
    with pytest.raises(InputError, match=r"layer .*odd_female.png: a sheet of 1152x1344, expected 832x1344"):
        compose(odd, tmp_path / "odd", {"stills": 1, "clips": 1, "held-out": 1}, 0)
    with pytest.raises(InputError, match="torso 'both': its layers are of two sexes"):
        wardrobe(root, torso={"both": ["torso/female/mail.png", "torso/male/mail.png"]})
    with pytest.raises(InputError, match=r"layer wings/x\.png: its folder has no place in the order"):
        wardrobe(root).sheets.place("wings/x.png")
    with pytest.raises(InputError, match="held-out: none of 1 characters has"):
        compose(wardrobe(root), tmp_path / "few", {"stills": 20, "clips": 12, "held-out": 1}, 0)
    assert not (tmp_path / "few").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").write_text("mine")
    assert main(["-o", str(tmp_path / "full"), "--sheets", str(root)]) == 2
    assert capsys.readouterr().err.startswith("compose.py: error: output ")
    assert main(["-o", str(tmp_path / "none"), "--sheets", str(tmp_path)]) == 2
    assert "no layer" in capsys.readouterr().err


def test_every_layer_of_the_recipe_has_a_place(root: Path) -> None:
    import tomllib

    from captions import ACTIONS as WORDS
    from sheets import Sheets

    whole = tomllib.loads((RECIPE / "layers.toml").read_text(encoding="utf-8"))
    sheets = Sheets(root, whole)
    groups = ("body", "hair", "head", "facial", "torso", "legs", "feet", "cape")
    files = [file for name in groups for stack in whole[name].values() for file in stack]
    assert all(sheets.place(file) >= 0 for file in files)
    assert sheets.place("behind_body/cape/x.png") < sheets.place("body/x.png") < sheets.place("feet/x.png")
    assert sheets.place("legs/x.png") < sheets.place("torso/x.png") < sheets.place("torso/back/cape/x.png")
    assert sheets.place("torso/back/cape/x.png") < sheets.place("hair/x.png") < sheets.place("weapons/x.png")
    assert set(whole["actions"]) == set(WORDS)
