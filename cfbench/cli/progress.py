"""Progress of evaluations: those at work with their flip rate, and all of them with the time to go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import TaskID

    from cfbench.evaluation import Evaluation


class EvaluationProgress:
    """A bar a run that is at work, and one over all queries if there are several runs.

    Args:
        evaluations: all that are to be carried out.
    """

    def __init__(self, evaluations: list[Evaluation]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(
            *columns, console=Console(stderr=True), transient=True, speed_estimate_period=24 * 3600
        )
        self._done = dict.fromkeys(evaluations, 0)
        self._rows: dict[Evaluation, TaskID] = {}
        total = sum(each.advance.requested for each in evaluations)
        several = len(evaluations) > 1
        self._all = self._progress.add_task(f"all {len(evaluations)} runs", total=total, note="", visible=several)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def on_change(self, evaluation: Evaluation) -> None:
        """Show how far a run is; one that is over is taken away, and said to be made or not."""
        from rich.markup import escape

        advance, key = evaluation.advance, evaluation.live.key
        title = f"{key.method} {key.task} seed {key.seed}"
        if evaluation.over:
            if (row := self._rows.pop(evaluation, None)) is not None:
                self._progress.remove_task(row)
            self._done[evaluation] = advance.requested
            if evaluation.error is not None and len(self._done) > 1:
                said = f"[red]not made[/red] {escape(f'{title}: {evaluation.error}')}"
                self._progress.console.print(said, soft_wrap=True, highlight=False)
        else:
            row = self._rows.setdefault(evaluation, self._progress.add_task(title, total=None, note=""))
            note = f"flip rate {advance.flipped / advance.done:.3f}" if advance.done else "flip rate -"
            described = f"{title} {advance.variant}".strip()
            self._progress.update(
                row, description=described, completed=advance.done, total=advance.requested, note=note
            )
            if not advance.variant:
                self._done[evaluation] = advance.done
        over = sum(each.over for each in self._done)
        self._progress.update(self._all, completed=sum(self._done.values()), note=f"{over} of {len(self._done)} made")
