"""Errors that cfbench raises on purpose: one line that says what was wrong, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class CfbenchError(Exception):
    """Base of every error that a user can act on; the command line prints it as one line."""


class UnknownName(CfbenchError):
    """No method, data set, task or metric of this name is registered."""


class InvalidParameter(CfbenchError):
    """A parameter, option or target is of the wrong type or outside its range."""


class ContractViolation(CfbenchError):
    """An adapter broke the adapter contract (shape, device, mutation, global random state)."""


class AccessDenied(ContractViolation):
    """An adapter asked for something that its declared ``needs`` do not cover."""


class MethodFailed(CfbenchError):
    """A method raised where it may not, or gave no counterfactual from the start."""


class CorruptFile(CfbenchError):
    """A file does not have the bytes, hash or format it should have."""


class MissingResource(CfbenchError):
    """A file, network or package is absent; the message says how to get it."""


class StorageError(CfbenchError):
    """A file could not be written (disk full, read-only folder, ...)."""


class RunMismatch(CfbenchError):
    """A run folder holds a run of other parameters than the one asked for."""


class RunInUse(CfbenchError):
    """Another process writes the run folder that was asked for."""


class ExecutorLost(CfbenchError):
    """What carries out the work of a grid cannot be reached, or is gone."""


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Have the errors raised in here say where they are: in which file, under which key."""
    try:
        yield
    except CfbenchError as error:
        raise type(error)(f"{place}: {error}") from error
