"""HAM10000 read in the official layout, here from a few pictures made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cfbench.datasets.ham10000 import DIAGNOSES, HAM10000, _part, read_metadata
from cfbench.errors import CorruptFile, MissingResource


@pytest.fixture
def root(tmp_path: Path) -> Path:
    lesions = [f"HAM_{index // 2:07d}" for index in range(60)]
    names = [f"ISIC_{24306 + index:07d}" for index in range(60)]
    table = pd.DataFrame(
        {"lesion_id": lesions, "image_id": names, "dx": [DIAGNOSES[index // 2 % 7] for index in range(60)]}
    )
    table.to_csv(tmp_path / "HAM10000_metadata", index=False)
    for half, part in enumerate(("HAM10000_images_part_1", "HAM10000_images_part_2")):
        (tmp_path / part).mkdir()
        for name in names[half::2]:
            Image.fromarray(np.full((45, 60, 3), 10 + half, np.uint8)).save(tmp_path / part / f"{name}.jpg")
    return tmp_path


def test_both_folders_are_read_and_no_lesion_is_in_two_parts(root: Path) -> None:
    raw = HAM10000().raw(root)
    assert raw.validation is not None
    parts = [raw.train, raw.validation, raw.test]
    assert sum(map(len, parts)) == 60
    lesions = [set(((part.numbers - 24306) // 2).tolist()) for part in parts if part.numbers is not None]
    assert len(set.union(*lesions)) == sum(map(len, lesions)) == 30
    for part in parts:
        assert part.numbers is not None
        assert part.labels.tolist() == [(int(number) - 24306) // 2 % 7 for number in part.numbers]
        assert part.images.float().mean((1, 2, 3)).round().tolist() == [10 + int(number) % 2 for number in part.numbers]


def test_parts_have_their_shares() -> None:
    parts = pd.Series([_part(f"HAM_{index:07d}") for index in range(7000)]).value_counts(normalize=True)
    assert parts["test"] == pytest.approx(0.25, abs=0.02)
    assert parts["validation"] == pytest.approx(0.125, abs=0.02)


def test_missing_and_foreign_files_say_what_to_do(root: Path) -> None:
    with pytest.raises(MissingResource, match=r"HAM10000 is not in .*doi.org/10.7910/DVN/DBW86T.*--data"):
        read_metadata(root / "HAM10000_images_part_1")
    for path in (root / "HAM10000_images_part_2").iterdir():
        path.unlink()
    with pytest.raises(MissingResource, match=r"30 of 60 pictures are missing, such as .*; get HAM10000_metadata"):
        HAM10000().raw(root)
    table = root / "HAM10000_metadata"
    table.write_text(table.read_text().replace(",vasc", ",wart"))
    with pytest.raises(CorruptFile, match="has diagnoses wart; expected akiec, bcc"):
        read_metadata(root)
    table.write_text("a,b\n1,2\n")
    with pytest.raises(CorruptFile, match="has no columns image_id, lesion_id and dx"):
        read_metadata(root)


def test_a_damaged_picture_is_named(root: Path) -> None:
    path = root / "HAM10000_images_part_2" / "ISIC_0024307.jpg"
    path.write_bytes(b"not a picture")
    with pytest.raises(CorruptFile, match=r"ISIC_0024307.jpg is not a readable picture"):
        HAM10000().raw(root)


def test_no_picture_is_packaged() -> None:
    kinds = {path.suffix for path in HAM10000().folder.rglob("*") if path.is_file()}
    assert kinds <= {".py", ".pyc", ".json", ".csv", ".safetensors"}
