"""A contact sheet of every board: the same fixed queries, and what each published row made of them.

    python reports/sheets/draw.py

Writes ``reports/sheets/<board>.png``, drawn as ``cfbench report`` draws them, and the page of all of them,
``reports/sheets/README.md``. Boards of data sets whose pictures may not be published are named there, and not drawn.
"""

from __future__ import annotations

from pathlib import Path

from cfbench.board.boards import boards_of
from cfbench.board.gallery import dataset_of
from cfbench.report.build import plain
from cfbench.report.records import read_all, rules_of
from cfbench.report.scene import Plate, palette_of, scene_of
from cfbench.report.sheets import sheet
from cfbench.report.style import DPI, settle, theme

FOLDER = Path(__file__).parent
RECORDS = FOLDER.parents[1] / "leaderboard" / "records"
HEAD = """# Contact sheets

What every published row made of the same fixed queries, board by board: one row a method, the best rank first. Made by
`python reports/sheets/draw.py` from [leaderboard/records](../../leaderboard/records).
"""


def main() -> None:
    rules = rules_of([RECORDS], RECORDS)
    boards = boards_of(read_all([RECORDS]), rules)
    palette = palette_of(boards, rules)
    page = [HEAD]
    for board in sorted(boards, key=lambda each: each.name):
        page.append(f"## {board.name}\n")
        with theme():
            plate = sheet(scene_of(board, rules, palette, dataset_of(board)))
        if not isinstance(plate, Plate):
            page.append(f"Not drawn: {plate.reason}.\n")
            continue
        settle(plate.figure)
        file = FOLDER / f"{plain(board.name)}.png"
        plate.figure.savefig(file, dpi=DPI)
        page.append(f"![Contact sheet of {board.name}]({file.name})\n\n{plate.caption}\n")
        print(file)
    (FOLDER / "README.md").write_text("\n".join(page))


if __name__ == "__main__":
    main()
