"""Challenging a row: what do other oracles than the task's see in its stored counterfactuals?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cfbench.batch import decided
from cfbench.errors import InvalidParameter
from cfbench.images import dequantise
from cfbench.judges import BATCH, Judges, Member, members_of
from cfbench.metrics.agreement import OracleAgreedFlip, OracleAgreement
from cfbench.paired import mean_of_differences
from cfbench.pieces import pieces_of
from cfbench.provenance import version
from cfbench.record import Record, Score
from cfbench.scoring import batch_of
from cfbench.stats import Floats, wilson
from cfbench.store import RunFolder
from cfbench.task import Task
from cfbench.user_networks import count_classes

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Opinion:
    """What one oracle sees in a run.

    Attributes:
        oracle: its identity. accuracy: on held-out real images, with a 95 % interval and their number.
        agreement: share of the queries whose counterfactual it gives the target class.
        agreed_flip: share of those that the classifier gives it too. values: the latter a query, ``[N]``.
    """

    oracle: str
    accuracy: Score
    agreement: Score
    agreed_flip: Score
    values: Floats


def opinion(member: Member, folder: RunFolder, task: Task) -> Opinion:
    """What ``member`` sees in the counterfactuals of a complete run.

    Raises:
        InvalidParameter: it does not take the task's images, or knows other classes.
    """
    classes = count_classes(member, task.images(slice(0, 2)))
    if classes != task.num_classes:
        raise InvalidParameter(
            f"{member.name} gives {classes} logits; {task.key} has {task.num_classes} classes, in the order "
            f"{', '.join(task.dataset.classes)}: give an oracle of these classes in this order"
        )
    judges = Judges.of(task, [member])
    agreement, agreed_flip = OracleAgreement(judges), OracleAgreedFlip(judges)
    values: list[Tensor] = []
    with torch.inference_mode():
        for piece in pieces_of(folder, task, len(task)):
            batch = batch_of(piece, judges)
            agreement.update(batch)
            values += agreed_flip.update(batch).values()
    return Opinion(
        oracle=member.identity,
        accuracy=_accuracy(member, judges),
        agreement=agreement.compute()["all"],
        agreed_flip=agreed_flip.compute()["all"],
        values=torch.cat(values).numpy(),
    )


@torch.inference_mode()
def _accuracy(member: Member, judges: Judges) -> Score:
    network, real = judges.network(member.name), judges.reference
    seen = torch.cat([decided(network(dequantise(part.to(judges.device)))).cpu() for part in real.images.split(BATCH)])
    hits, n = int((seen == real.labels).sum()), len(real)
    return Score(value=hits / n, ci95=wilson(hits, n), n=n, version=1, network=member.identity)


def challenge(record: Record, folder: RunFolder, task: Task, members: Sequence[Member]) -> dict[str, Any]:
    """The challenge of a row by one or more oracles, ready for JSON.

    ``challengers`` and ``oracles``, the task's own, come each with their accuracy on real images, their agreement and
    their agreed flip; ``record`` is what the record says of these. ``difference`` is the mean agreed flip of the
    challengers less that of the task's oracles on the same queries; its interval holds for new queries.
    """
    own = [member for member in members_of(task.dataset) if member.role == "oracle"]
    challengers = [opinion(member, folder, task) for member in members]
    judges = [opinion(member, folder, task) for member in own]
    means = [np.mean([each.values for each in side], axis=0) for side in (challengers, judges)]
    change = means[0] - means[1]
    return {
        "schema_version": SCHEMA_VERSION,
        "cfbench": version(),
        "key": record.key.model_dump(mode="json"),
        "digest": record.key.digest,
        "images": record.provenance.images,
        "challengers": [_described(each) for each in challengers],
        "oracles": [_described(each) for each in judges],
        "record": {
            name: record.scores[name]["all"].model_dump(mode="json", include={"value", "ci95", "n", "network"})
            for name in ("oracle_agreement", "oracle_agreed_flip")
        },
        "difference": {
            "value": float(change.mean()),
            "ci95": mean_of_differences(change),
            "n": len(change),
        },
    }


def _described(opinion: Opinion) -> dict[str, Any]:
    scores = {name: getattr(opinion, name) for name in ("accuracy", "agreement", "agreed_flip")}
    parts = {name: score.model_dump(mode="json", include={"value", "ci95", "n"}) for name, score in scores.items()}
    return {"oracle": opinion.oracle, **parts}
