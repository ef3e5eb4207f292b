"""CelebA read in the official layout, here from a few pictures made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cfbench.datasets.celeba import CelebASmiling, CelebAYoung, _CelebA, read_attributes
from cfbench.errors import CorruptFile, MissingResource, UnknownName

ROWS = {4: (1, -1, 0), 17: (-1, 1, 0), 36: (1, 1, 1), 40: (-1, -1, 2)}
"""Number of a picture: Smiling, Young, part."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    lines = [f"{number:06d}.jpg {smiling:2d} {young:2d}" for number, (smiling, young, _) in ROWS.items()]
    (folder / "list_attr_celeba.txt").write_text("\n".join([str(len(ROWS)), "Smiling Young ", *lines, ""]))
    parts = [f"{number:06d}.jpg {part}" for number, (*_, part) in ROWS.items()]
    (folder / "list_eval_partition.txt").write_text("\n".join([*parts, ""]))
    picture = np.zeros((218, 178, 3), np.uint8)
    picture[35:183, 15:163] = 200
    for number in ROWS:
        Image.fromarray(picture).save(folder / "img_align_celeba" / f"{number:06d}.jpg", quality=100, subsampling=0)
    return tmp_path


def test_official_parts_and_the_middle_of_each_face(root: Path) -> None:
    raw = CelebASmiling().raw(root)
    assert raw.train.numbers is not None
    assert raw.validation is not None
    assert raw.train.numbers.tolist() == [4, 17]
    assert raw.train.labels.tolist() == [1, 0]
    assert raw.train.attributes is not None
    assert raw.train.attributes.tolist() == [[1, 0], [0, 1]]
    assert raw.validation.labels.tolist() == [1]
    assert raw.test.labels.tolist() == [0]
    assert raw.train.images.shape == (2, 3, 64, 64)
    assert (raw.train.images.float() - 200).abs().max() <= 2, "the black margins are cropped"
    assert CelebAYoung().raw(root / "celeba").train.labels.tolist() == [0, 1]
    assert torch.equal(CelebAYoung().pictures(root, [36]), CelebASmiling().raw(root).validation.images)


def test_attributes_by_number(root: Path) -> None:
    table = read_attributes(root)
    assert list(table.columns) == ["Smiling", "Young"]
    assert table.loc[36].tolist() == [1, 1]

    class Bald(_CelebA):
        target_attributes = ("Bald",)

    with pytest.raises(UnknownName, match="no attribute 'Bald'; it has Smiling, Young"):
        Bald(root).raw(root)


def test_missing_and_damaged_files_say_what_to_do(root: Path) -> None:
    with pytest.raises(MissingResource, match=r"CelebA \(list_attr_celeba.txt\) is not in .*mmlab.*--data"):
        CelebASmiling().raw(root / "celeba" / "img_align_celeba")
    (root / "celeba" / "img_align_celeba" / "000017.jpg").unlink()
    with pytest.raises(MissingResource, match=r"1 of 2 pictures are missing, such as .*000017.jpg; ask for CelebA"):
        CelebASmiling().raw(root)
    path = root / "celeba" / "list_attr_celeba.txt"
    path.write_text(path.read_text().replace(" 1", " 7"))
    with pytest.raises(CorruptFile, match="values other than 1 and -1"):
        read_attributes(root)


def test_damaged_pictures_and_lists_of_parts_are_named(root: Path) -> None:
    picture = root / "celeba" / "img_align_celeba" / "000036.jpg"
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptFile, match=r"000036.jpg is not a readable picture"):
        CelebASmiling().raw(root)
    picture.write_bytes(whole)
    path = root / "celeba" / "list_eval_partition.txt"
    parts = path.read_text()
    path.write_text(parts.replace(" 2", " 1"))
    with pytest.raises(MissingResource, match=r"no picture of CelebA is of the test part; ask for CelebA"):
        CelebASmiling().raw(root)
    path.write_text(parts.replace(" 2", " 5"))
    with pytest.raises(CorruptFile, match="has parts other than 0, 1 and 2"):
        CelebASmiling().raw(root)
    path.write_text("nothing")
    with pytest.raises(CorruptFile, match="is not a list of parts"):
        CelebASmiling().raw(root)
    path.unlink()
    with pytest.raises(MissingResource, match=r"list_eval_partition.txt is missing; ask for CelebA"):
        CelebASmiling().raw(root)


def test_both_tasks_share_their_attribute_networks() -> None:
    for name, spec in CelebASmiling.networks.items():
        if spec.role in ("attribute-oracle", "extractor"):
            assert spec.build().state_dict().keys() == CelebAYoung.networks[name].build().state_dict().keys()
            assert (spec.recipe, spec.seed) == (CelebAYoung.networks[name].recipe, CelebAYoung.networks[name].seed)
    for task in (CelebASmiling, CelebAYoung):
        assert set(task.target_attributes) < set(task.attributes)
        assert len(task.attributes) == 40


def test_no_picture_of_a_face_is_packaged() -> None:
    folder = Path(CelebASmiling().folder).parent
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert kinds <= {".py", ".pyc", ".json", ".csv", ".safetensors"}
