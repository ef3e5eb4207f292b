"""The adapter interface: subclass :class:`Method`, declare what it needs, write ``explain``."""

from __future__ import annotations

import inspect
import time
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, final

import torch
from torch import Tensor

from cfbench.errors import CfbenchError, ContractViolation, InvalidParameter, MethodFailed
from cfbench.guards import Untouched
from cfbench.images import quantise
from cfbench.needs import Needs
from cfbench.seeds import QueryRandom

if TYPE_CHECKING:
    from cfbench.view import MethodView

TOLERANCE = 1e-5
"""How far outside [0, 1] a returned value may lie by rounding; it is clipped."""


@dataclass(frozen=True)
class Outcome:
    """What one call of a method gave, checked and quantised.

    Attributes:
        images: counterfactuals ``[B, C, H, W]``, uint8; the query itself where it failed.
        errors: one message a query, empty where it succeeded.
        seconds: wall time of ``explain`` alone.
        columns: extra per-query figures ``[B]`` that the method logged.
        further: other counterfactuals of each query that the method handed in, ``[B, K, C, H, W]``, uint8, if any.
    """

    images: Tensor
    errors: list[str]
    seconds: float
    columns: dict[str, Tensor] = field(default_factory=dict)
    further: Tensor | None = None


class Method(ABC):
    """A counterfactual method. Subclasses set the class attributes and write ``explain``.

    Parameters are keyword-only arguments of ``__init__``, JSON-able, and stored under their own names. Inside
    ``prepare`` and ``explain``, ``self.task`` is the :class:`MethodView` of the task; inside ``explain``,
    ``self.random`` gives each query its own random numbers (the global random state must stay untouched).

    Attributes:
        name: registered name. family: kind of method. citation: where it is from.
        version: changed when results change. needs: what it may use. batch_size: queries a call.
        reported: figures its paper reports, ``{metric: (value, source)}``.
        quick: parameters that make it fast, for the conformance checks; a few steps, not good results.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    citation: ClassVar[str]
    version: ClassVar[str] = "1"
    needs: ClassVar[Needs] = Needs()
    batch_size: ClassVar[int] = 50
    reported: ClassVar[Mapping[str, tuple[float, str]]] = {}
    quick: ClassVar[Mapping[str, Any]] = {}

    task: MethodView
    random: QueryRandom
    _further: Tensor | None

    def __init__(self) -> None:  # noqa: B027
        pass

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in ("__call__", "setup", "create", "parameters"):
            if name in vars(cls):
                raise ContractViolation(
                    f"{cls.__name__} overrides {name}, which belongs to the base class: write explain"
                )

    def prepare(self, task: MethodView) -> None:  # noqa: B027
        """Load or fit what all queries share; called once before ``explain``, timed apart."""

    @abstractmethod
    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        """Counterfactuals of a batch.

        Args:
            images: queries ``[B, C, H, W]``, float32 in [0, 1]. targets: classes asked for, ``[B]`` int64.

        Returns:
            Images of the same shape, type, device and range; NaN in an image gives up on that query.
        """

    def log(self, **columns: Tensor) -> None:
        """Store a figure ``[B]`` a query under each name, for the query table; call it within ``explain``."""
        self._columns.update({name: values.detach().cpu().double() for name, values in columns.items()})

    def also(self, images: Tensor) -> None:
        """Hand in other counterfactuals of each query beside the one returned; call it within ``explain``.

        They are stored as 8-bit images, and only what says so, such as the metric ``diversity``, reads them. One that
        is not finite or leaves [0, 1] is replaced by the query.

        Args:
            images: ``[B, K, C, H, W]`` of the type and device of the queries.
        """
        self._further = images.detach()

    @final
    def parameters(self) -> dict[str, Any]:
        """Constructor arguments by name, as stored on the instance."""
        return {
            name: getattr(self, name) for name in inspect.signature(type(self).__init__).parameters if name != "self"
        }

    @final
    @classmethod
    def create(cls, parameters: Mapping[str, Any]) -> typing.Self:
        """An instance with checked parameters; text such as ``"0.1"`` is converted to the declared type.

        Raises:
            InvalidParameter: unknown name, wrong type, or refused by the constructor.
        """
        from pydantic import ConfigDict, ValidationError, create_model

        hints = typing.get_type_hints(cls.__init__)
        fields: dict[str, Any] = {
            name: (hints.get(name, Any), ... if parameter.default is parameter.empty else parameter.default)
            for name, parameter in inspect.signature(cls.__init__).parameters.items()
            if name != "self"
        }
        model = create_model(cls.__name__, __config__=ConfigDict(extra="forbid", allow_inf_nan=False), **fields)
        try:
            checked = model(**parameters)
        except ValidationError as error:
            first = error.errors()[0]
            known = ", ".join(f"{name}={default!r}" for name, (_, default) in fields.items()) or "none"
            raise InvalidParameter(
                f"parameter {first['loc'][0]} of method {cls.name}: {first['msg']}; parameters and defaults: {known}"
            ) from error
        return cls(**{name: getattr(checked, name) for name in fields})

    @final
    def setup(self, task: MethodView, *, seed: int = 0) -> None:
        """Bind the view of a task and run ``prepare``, holding it to the contract.

        Args:
            task: what the method may see. seed: seed of the one stream of ``self.random`` inside ``prepare``.

        Raises:
            ContractViolation: ``prepare`` changed what it was lent. MethodFailed: it raised.
        """
        self.task = task
        self.random = QueryRandom([seed], task.device)
        try:
            with Untouched(self.name, classifier=task.guarded):
                self.prepare(task)
        except CfbenchError:
            raise
        except Exception as error:
            raise MethodFailed(f"method {self.name} failed to prepare: {type(error).__name__}: {error}") from error

    @final
    def __call__(self, images: Tensor, targets: Tensor, *, seeds: Sequence[int]) -> Outcome:
        """Explain one batch: checks the result and quantises it to 8 bits.

        Args:
            images: ``[B, C, H, W]`` float32 in [0, 1]. targets: ``[B]`` int64. seeds: one a query.

        Raises:
            ContractViolation: wrong type, shape, dtype or device; input, classifier or random state changed.
        """
        self.random = QueryRandom(seeds, images.device)
        self._columns: dict[str, Tensor] = {}
        self._further = None
        with Untouched(self.name, classifier=self.task.guarded, tensors=(images, targets)):
            started = time.perf_counter()
            result = self.explain(images, targets)
            if images.device.type == "cuda":
                torch.cuda.synchronize()
            seconds = time.perf_counter() - started
        self._check_form(result, images)
        result = result.detach()
        errors = _check_values(result)
        failed = torch.tensor([bool(error) for error in errors], device=images.device)
        kept = torch.where(failed[:, None, None, None], images, result)
        return Outcome(quantise(kept), errors, seconds, self._columns, self._checked_further(images))

    def _checked_further(self, queries: Tensor) -> Tensor | None:
        if self._further is None:
            return None
        images = self._further.flatten(0, 1)
        fine = torch.tensor([not error for error in _check_values(images)], dtype=torch.bool, device=images.device)
        instead = queries.repeat_interleave(self._further.shape[1], dim=0)
        return quantise(torch.where(fine[:, None, None, None], images, instead)).view(self._further.shape)

    def _check_form(self, result: object, images: Tensor) -> None:
        expected = f"expected {images.dtype} {list(images.shape)} on {images.device}"
        if not isinstance(result, Tensor):
            raise ContractViolation(f"method {self.name} returned {type(result).__name__}; {expected}")
        if (result.shape, result.dtype, result.device) != (images.shape, images.dtype, images.device):
            raise ContractViolation(
                f"method {self.name} returned {result.dtype} {list(result.shape)} on {result.device}; {expected}: "
                "return one image a query, of the form of the input"
            )
        for name, values in self._columns.items():
            if values.shape != (len(images),):
                raise ContractViolation(
                    f"method {self.name} logged {name} of shape {list(values.shape)}; expected [{len(images)}]: "
                    "log one figure a query"
                )
        other = self._further
        if other is not None and (
            other.ndim != 5
            or (len(other), other.shape[2:], other.dtype, other.device)
            != (len(images), images.shape[1:], images.dtype, images.device)
        ):
            raise ContractViolation(
                f"method {self.name} also handed in {other.dtype} {list(other.shape)} on {other.device}; expected "
                f"{images.dtype} {[len(images), 'K', *images.shape[1:]]} on {images.device}"
            )


def _check_values(result: Tensor) -> list[str]:
    """One message for each image that is not finite or leaves [0, 1]; empty where it is fine."""
    flat = result.flatten(1)
    finite = flat.isfinite().all(1).tolist()
    low, high = flat.amin(1).tolist(), flat.amax(1).tolist()
    errors = []
    for ok, least, most in zip(finite, low, high, strict=True):
        if not ok:
            errors.append("the result is not finite; expected values in [0, 1]")
        elif least < -TOLERANCE or most > 1 + TOLERANCE:
            errors.append(f"the result spans [{least:.4g}, {most:.4g}]; expected [0, 1]: clamp it")
        else:
            errors.append("")
    return errors
