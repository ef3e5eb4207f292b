"""Studies: what a file may say, that its runs are made once, and that tables say what the records say."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from commands import exit_code
from PIL import Image

from cfbench.comparison import Group, Run, compare, pooled
from cfbench.errors import CfbenchError, InvalidParameter
from cfbench.figures import change_sheet
from cfbench.record import Record
from cfbench.registry import load_dataset
from cfbench.stats import mean_interval
from cfbench.study import Study, complete, finished, folder_of

METRICS = ("flip_rate", "l1", "oracle_agreement_min", "split_fd", "backwards")


@pytest.fixture(scope="module")
def key(toy_folder: Path) -> str:
    """The toy task in a file of its own, so that its class is imported once."""
    return f"{toy_folder / 'toy_task.py'}:Toy"


def text_of(key: str, rows: str = "", **changed: str) -> str:
    """A study of noise and two attacks on the toy task."""
    values = {"title": '"Toys"', "metrics": json.dumps(METRICS), "name": '"attacks"', "tasks": f'["{key}"]'}
    values |= {"limit": "30", "seeds": "3"} | changed
    top = "".join(f"{name} = {values.pop(name)}\n" for name in ("title", "metrics"))
    part = "".join(f"{name} = {value}\n" for name, value in values.items())
    rows = rows or (
        '[[part.row]]\nmethod = "noise"\nset = { epsilon = 0.2 }\n'
        '[[part.row]]\nmethod = "pgd"\nset = { steps = 3 }\ngrid = { epsilon = [0.1, 0.3] }\n'
    )
    return f"{top}[[part]]\n{part}{rows}"


@pytest.fixture(scope="module")
def made(key: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which such a study was made."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "toys.toml").write_text(text_of(key))
    assert exit_code("study", folder / "toys.toml", "--out", folder / "runs") == 0
    return folder


def runs_of(folder: Path) -> dict[str, list[Run]]:
    study = Study.read(folder / "toys.toml")
    return {
        cell.label: [Run.read(folder_of(cell, seed, folder / "runs")) for seed in range(cell.part.seeds)]
        for cell in study.cells
    }


def table_of(text: str, heading: str) -> dict[str, dict[str, str]]:
    """The first Markdown table after a heading: cells by row label and column head."""
    lines = text[text.index(heading) :].splitlines()
    heads, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    rows = [row for row in rows if len(row) == len(heads)]
    return {row[0].strip("`"): dict(zip(heads, row, strict=True)) for row in rows}


def test_rows_are_every_combination(tmp_path: Path, key: str) -> None:
    rows = '[[part.row]]\nmethod = "pgd"\ngrid = { epsilon = [0.1, 0.2], steps = [1, 2] }\n'
    (tmp_path / "toys.toml").write_text(text_of(key, rows))
    cells = Study.read(tmp_path / "toys.toml").cells
    expected = [{"epsilon": e, "steps": s} for e in (0.1, 0.2) for s in (1, 2)]
    assert [cell.parameters for cell in cells] == expected
    assert [cell.label for cell in cells] == [f"pgd epsilon={row['epsilon']} steps={row['steps']}" for row in expected]
    assert cells[0].file == "pgd-epsilon=0.1-steps=1"


def test_the_table_and_the_csv_say_what_the_records_say(made: Path) -> None:
    runs = runs_of(made)
    table = table_of((made / "toys" / "attacks-toy.md").read_text(), "## ")
    csv = pd.read_csv(made / "toys" / "attacks.csv").set_index(["row", "seed", "metric"])
    assert list(table) == list(runs)
    for label, of_row in runs.items():
        assert (table[label]["seeds"], table[label]["n"]) == ("3", "30")
        for metric in METRICS:
            scores = [run.record.scores[metric]["all"] for run in of_row]
            for seed, score in enumerate(scores):
                line = csv.loc[(label, seed, metric)]
                assert (line["part"], line["task"]) == ("attacks", "toy")
                numbers = [None if pd.isna(value) else value for value in line[["value", "low", "high"]]]
                assert (*numbers, line["n"]) == (score.value, *(score.ci95 or (None, None)), score.n)
            shown = next(text for head, text in table[label].items() if head.split()[0] == metric)
            if scores[0].value is None:
                assert shown == ""
                continue
            mean = sum(score.value or 0.0 for score in scores) / 3
            assert float(shown.split()[0]) == pytest.approx(mean, rel=5e-3)


def test_what_is_blank_in_every_row_is_said_once(made: Path) -> None:
    blank = {run.record.scores["split_fd"]["all"].reason for runs in runs_of(made).values() for run in runs}
    [reason] = blank
    assert f"- blank, {reason}: split_fd\n" in (made / "toys" / "attacks-toy.md").read_text()


def test_a_part_may_have_metrics_of_its_own(key: str, tmp_path: Path) -> None:
    rows = '[[part.row]]\nmethod = "identity"\n[[part.row]]\nmethod = "noise"\n'
    own = text_of(key, rows, seeds="1").replace("[[part]]\n", '[[part]]\nmetrics = ["l2"]\n')
    (tmp_path / "toys.toml").write_text(own)
    assert exit_code("study", tmp_path / "toys.toml", "--out", tmp_path / "runs") == 0
    assert list(table_of((tmp_path / "toys" / "attacks-toy.md").read_text(), "## ")["noise"]) == [
        "row",
        "seeds",
        "n",
        "l2 ↓",
    ]
    assert set(pd.read_csv(tmp_path / "toys" / "attacks.csv")["metric"]) == {"l2"}
    (tmp_path / "toys.toml").write_text(own.replace("l2", "l3"))
    with pytest.raises(CfbenchError, match=r"part\[0\].metrics: .*l3"):
        Study.read(tmp_path / "toys.toml")


def test_seeds_are_pooled_as_in_a_comparison(made: Path) -> None:
    runs = runs_of(made)
    noise, small = (Group(label, tuple(runs[label])) for label in ("noise", "pgd epsilon=0.1"))
    score = pooled(noise, "l1")
    assert score is not None
    assert score.value == pytest.approx(compare([noise, small], metrics=["l1"])["mean_a"][0])
    values = torch.tensor([run.table["l1"].to_list() for run in noise.runs], dtype=torch.float64).numpy()
    assert score.ci95 == pytest.approx(mean_interval(values))
    one = Group("noise", noise.runs[:1])
    assert pooled(one, "l1") == noise.runs[0].record.scores["l1"]["all"]
    assert pooled(noise, "no-such-metric") is None
    assert pooled(Group("two", noise.runs[:2]), "l1").ci95 is None  # type: ignore[union-attr]
    blank = pooled(noise, "boundary_gain")
    assert blank is not None
    assert blank.value is None
    assert "--protocol boundary" in (blank.reason or "")


def test_differences_are_those_to_the_first_row(made: Path) -> None:
    groups = [Group(label, tuple(runs)) for label, runs in runs_of(made).items()]
    expected = compare(groups, metrics=[*METRICS[:4]], against_first=True)
    assert set(expected["b"]) == {groups[0].label}
    text = (made / "toys" / "attacks-toy.md").read_text()
    shown = table_of(text, "### Against `noise`")
    assert f"the {expected['p_holm'].notna().sum()} comparisons" in text
    for row in expected.to_dict("records"):
        cell = next(text for head, text in shown[row["a"]].items() if head.split()[0] == row["metric"])
        if row["p_holm"] != row["p_holm"]:
            assert cell == "-"
            assert f"- {row['verdict']}: " in text
            continue
        assert cell.startswith(f"{row['difference']:.3g} ")
        assert cell.endswith({"A better": "**better**", "B better": "**worse**"}.get(row["verdict"], row["verdict"]))


def test_records_say_the_same_and_sheets_are_pictures(made: Path) -> None:
    for label, runs in runs_of(made).items():
        name = label.replace(" ", "-")
        for seed, run in enumerate(runs):
            copy = made / "toys" / "records" / "attacks" / "toy" / f"{name}-seed{seed}.json"
            read, reasons = (
                Record.model_validate_json(copy.read_bytes()),
                {"scores": {"__all__": {"__all__": {"reason"}}}},
            )
            assert read.model_dump(exclude=reasons) == run.record.model_dump(exclude=reasons)
            assert str(made) not in copy.read_text()
        with Image.open(made / "toys" / "sheets" / f"attacks-toy-{name}.png") as picture:
            assert picture.width > 2 * picture.height


def test_again_makes_nothing_and_more_queries_go_on(key: str, tmp_path: Path, made: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.rglob("runs/**/*") if path.is_file()}
    assert exit_code("study", made / "toys.toml", "--out", made / "runs") == 0
    assert before == {path: path.stat().st_mtime_ns for path in made.rglob("runs/**/*") if path.is_file()}

    def cell(**changed: str) -> tuple[Study, Path]:
        (tmp_path / "toys.toml").write_text(text_of(key, seeds="1", **changed))
        study = Study.read(tmp_path / "toys.toml")
        return study, folder_of(study.cells[0], 0, tmp_path / "runs")

    def make(study: Study) -> bool:
        return complete(study.cells[0], 0, root=tmp_path / "runs", on_advance=lambda advance: None)

    few, folder = cell(limit="5", protocols='["seeds"]')
    assert make(few)
    more, same = cell(limit="8")
    assert same == folder
    assert finished(more.cells[0], folder) is None
    assert make(more)
    record = finished(more.cells[0], folder)
    assert record is not None
    assert (record.queries.requested, record.protocols) == (8, ["seeds"])
    assert not make(few)
    record.model_copy(update={"scores": {}}).write(folder)
    assert make(few), "a record without the scores of a registered metric is scored again"


def test_only_some_and_a_run_that_cannot_be_made(key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = Path(__file__).parent / "adapters" / "bad.py"
    rows = f'[[part.row]]\nmethod = "{bad}:WrongShape"\nlabel = "broken"\n[[part.row]]\nmethod = "identity"\n'
    file = tmp_path / "toys.toml"
    file.write_text(text_of(key, rows, seeds="1", limit="6"))
    common = ("study", file, "--out", tmp_path / "runs", "--collect", tmp_path / "tables")
    assert exit_code(*common) == 3
    errors = capsys.readouterr().err
    assert "1 could not be made" in errors
    assert "attacks/toy/broken seed 0: method " in errors
    table = (tmp_path / "tables" / "attacks-toy.md").read_text()
    assert "not run: `broken` (1 of 1 seeds)" in table
    assert "### Against" not in table
    assert exit_code(*common, "--only", "ident*") == 0
    assert exit_code(*common, "--only", "nothing") == 2
    assert "'nothing'" in capsys.readouterr().err


def test_a_damaged_run_is_reported_and_the_other_tables_are_written(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "toys.toml"
    rows = '[[part.row]]\nmethod = "identity"\n'
    other = text_of(key, rows, seeds="1", limit="4", targets='"any"', name='"others"')
    file.write_text(text_of(key, rows, seeds="1", limit="4") + other[other.index("[[part]]") :])
    assert exit_code("study", file, "--out", tmp_path / "runs") == 0
    (tmp_path / "toys" / "others-toy.md").unlink()
    study = Study.read(file)
    (folder_of(study.cells[0], 0, tmp_path / "runs") / "queries.parquet").write_bytes(b"not a table")
    assert exit_code("study", file, "--out", tmp_path / "runs") == 3
    errors = capsys.readouterr().err
    assert "attacks/toy, its table: " in errors
    assert "is damaged" in errors
    assert (tmp_path / "toys" / "others-toy.md").is_file()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"limit": "0"}, ["part[0].limit", "greater than or equal to 1"]),
        ({"sedes": "3"}, ["part[0].sedes is unknown", "seeds"]),
        ({"targets": '"far"'}, ["part[0].targets", "'near' or 'any'"]),
        ({"name": '"a/b"'}, ["part[0].name"]),
        ({"tasks": '["toi"]'}, ["part[0].tasks", "unknown task 'toi'"]),
        ({"tasks": "[]"}, ["part[0].tasks"]),
        ({"classifier": '"oracle-9"'}, ["part[0].classifier", "no network 'oracle-9'"]),
        ({"protocols": '["luck"]'}, ["part[0].protocols", "unknown protocol 'luck'"]),
        ({"metrics": '["fliprate"]'}, ["metrics", "unknown metric 'fliprate'", "flip_rate"]),
        ({"rows": '[[part.row]]\nmethod = "watcher"'}, ["part[0].row[0]", "did you mean 'wachter'"]),
        ({"rows": '[[part.row]]\nmethod = "pgd"\nset = { stepz = 3 }'}, ["part[0].row[0]", "parameter stepz"]),
        ({"rows": '[[part.row]]\nmethod = "pgd"\ngrid = { steps = [1, "x"] }'}, ["part[0].row[0]", "parameter steps"]),
        ({"rows": '[[part.row]]\nmethod = "pgd"\ngrid = { steps = [] }'}, ["part[0].row[0].grid.steps"]),
        (
            {"rows": '[[part.row]]\nmethod = "pgd"\nset = { steps = 1 }\ngrid = { steps = [1] }'},
            ["parameter steps is in set and in grid"],
        ),
        ({"rows": '[[part.row]]\nmethod = "pgd"\n' * 2}, ["part[0].row: 2 rows are called 'pgd'"]),
        ({"title": '"Toys'}, ["is not a TOML file"]),
    ],
)
def test_a_file_that_is_wrong_is_refused_before_anything_is_run(
    changed: dict[str, str], words: list[str], key: str, tmp_path: Path
) -> None:
    file = tmp_path / "toys.toml"
    file.write_text(text_of(key, **changed))
    with pytest.raises(CfbenchError) as caught:
        Study.read(file)
    for word in ("toys.toml", *words):
        assert word in str(caught.value)
    assert exit_code("study", file, "--out", tmp_path / "runs") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["toys.toml"]


def test_a_missing_file_and_two_parts_of_one_name(key: str, tmp_path: Path) -> None:
    with pytest.raises(CfbenchError, match=r"none\.toml is missing"):
        Study.read(tmp_path / "none.toml")
    text = text_of(key)
    (tmp_path / "twice.toml").write_text(text + text[text.index("[[part]]") :])
    with pytest.raises(InvalidParameter, match="2 parts are called 'attacks'"):
        Study.read(tmp_path / "twice.toml")


def test_sheets_only_of_pictures_that_may_be_published(
    key: str, tmp_path: Path, toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "private.py"
    private.write_text(
        "from pathlib import Path\nfrom cfbench.testing.toy import Toy as Base\n\n\nclass Toy(Base):\n"
        "    name = 'toy'\n    shareable = False\n\n"
        f"    def __init__(self):\n        super().__init__(Path('{toy_folder}'))\n"
    )
    file = tmp_path / "toys.toml"
    file.write_text(text_of(f"{private}:Toy", '[[part.row]]\nmethod = "identity"\n', seeds="1", limit="3"))
    assert exit_code("study", file, "--out", tmp_path / "runs") == 0
    assert not list(tmp_path.rglob("*.png"))
    assert exit_code("study", file, "--out", tmp_path / "runs", "--all-sheets") == 0
    assert [path.name for path in tmp_path.rglob("*.png")] == ["attacks-toy-identity.png"]
    shareable = {name: load_dataset(name).shareable for name in ("fashion-mnist", "isic", "ham10000", "celeba-young")}
    assert shareable == {"fashion-mnist": True, "isic": True, "ham10000": False, "celeba-young": False}


def test_a_sheet_shows_signed_differences_on_the_given_scale() -> None:
    queries = torch.full((2, 1, 4, 4), 100, dtype=torch.uint8)
    made = queries.clone()
    made[0, 0, 0, 0], made[0, 0, 3, 3] = 151, 49
    figure = change_sheet(queries, made, captions=["a", "b"], title="t", bound=0.2)
    sheet = figure.axes[0].images[0].get_array()
    difference = sheet[10:14, 0:4]
    assert difference[0, 0, 0] > difference[0, 0, 2]
    assert difference[3, 3, 2] > difference[3, 3, 0]
    assert (abs(difference[1, 1].astype(int) - 247) < 3).all()
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["a", "b"]
