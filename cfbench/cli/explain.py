"""``cfbench explain``: one picture for a practitioner."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfbench.cli.options import (
    DeviceOption,
    MethodOption,
    SetOption,
    TargetRule,
    TargetsOption,
    TaskOption,
    make_method,
    make_task,
    shown,
)
from cfbench.errors import CfbenchError, InvalidParameter, MethodFailed, UnknownName

if TYPE_CHECKING:
    from torch import Tensor

    from cfbench.task import Task


def explain(
    method: MethodOption,
    settings: SetOption = None,
    image: Annotated[Path | None, typer.Option(help="A PNG or JPEG file; scaled to the task's size.")] = None,
    query: Annotated[str | None, typer.Option(help="Instead: a query id of the task, such as test-00007.")] = None,
    target: Annotated[
        str | None, typer.Option(help="Target class, number or name; by default the query's own, or the second class.")
    ] = None,
    task: TaskOption = None,
    targets: TargetsOption = TargetRule.near,
    seed: Annotated[int, typer.Option(help="Seed of the method.")] = 0,
    out: Annotated[Path, typer.Option(help="Where the picture goes.")] = Path("explanation.png"),
    device: DeviceOption = "cpu",
) -> None:
    """Explain one image: query, counterfactual and difference, saved as a PNG."""
    import torch
    from rich.console import Console

    from cfbench.figures import strip
    from cfbench.files import write_atomic
    from cfbench.images import dequantise
    from cfbench.judges import Judges
    from cfbench.seeds import derive_seed
    from cfbench.task import check_targets
    from cfbench.view import MethodView

    instance = make_method(method, settings)
    chosen = make_task(task, targets, "test", device)
    stored, name, given = _query(chosen, image, query)
    judges = Judges.of(chosen)
    with torch.inference_mode():
        ranked = judges.network(judges.classifier)(dequantise(stored)).argsort(1, descending=True)[0]
    source = ranked[:1]
    wanted = ranked[1:2] if given is None else given
    if target is not None:
        wanted = torch.tensor([_class(chosen, target)], device=chosen.device)
    check_targets(source, wanted, classes=chosen.num_classes)

    instance.setup(MethodView(chosen, instance.needs))
    try:
        outcome = instance(dequantise(stored), wanted, seeds=[derive_seed(seed, chosen.key, name)])
    except CfbenchError:
        raise
    except Exception as error:
        raise MethodFailed(f"method {instance.name} failed: {type(error).__name__}: {error}") from error
    if outcome.errors[0]:
        raise MethodFailed(f"method {instance.name} found no counterfactual: {outcome.errors[0]}")

    classes = chosen.dataset.classes
    with torch.inference_mode():
        made = dequantise(outcome.images)
        confidence = judges.network(judges.classifier)(made).softmax(1)[0]
        votes = {oracle: int(judges.network(oracle)(made).argmax(1)) for oracle in judges.oracles}
    now = int(confidence.argmax())
    agreeing = sum(vote == int(wanted) for vote in votes.values())
    titles = (f"query: {classes[int(source)]}", f"{instance.name}: {classes[now]} ({confidence[now]:.0%})")
    figure = strip(stored[0], outcome.images[0], titles=titles)
    write_atomic(out, partial(figure.savefig, dpi=150, format="png"))

    console = Console()
    verdict = "flipped" if now == int(wanted) else "not flipped"
    console.print(
        f"[bold]{verdict}[/bold]: {classes[int(source)]} -> {classes[now]} (asked for {classes[int(wanted)]}, "
        f"confidence {confidence[int(wanted)]:.3f}); {agreeing} of {len(votes)} oracles see {classes[int(wanted)]}"
    )
    console.print(f"picture: {shown(out)}", soft_wrap=True)
    console.print(f"next: cfbench evaluate --method {method} --limit 100")


def _query(task: Task, image: Path | None, query: str | None) -> tuple[Tensor, str, Tensor | None]:
    """The 8-bit query ``[1, C, H, W]``, the name its seed derives from, and its frozen target ``[1]`` if it has one."""
    from cfbench.images import read_image

    if (image is None) == (query is None):
        first = task.queries["query_id"][0]
        raise InvalidParameter(f"give either --image FILE or --query ID (such as {first})")
    if image is not None:
        return read_image(image, shape=task.dataset.image_shape)[None].to(task.device), image.name, None
    rows = task.queries.index[task.queries["query_id"] == query]
    if len(rows) == 0:
        ids = task.queries["query_id"]
        raise UnknownName(f"unknown query {query!r} of {task.key}; ids go from {ids.iloc[0]} to {ids.iloc[-1]}")
    row = int(rows[0])
    return task.stored[row][None], str(query), task.targets[row][None]


def _class(task: Task, text: str) -> int:
    classes = task.dataset.classes
    if text in classes:
        return classes.index(text)
    if text.lstrip("-").isdigit():
        return int(text)
    raise InvalidParameter(
        f"target {text!r} is not a class; expected 0 to {len(classes) - 1} or one of {', '.join(classes)}"
    )
