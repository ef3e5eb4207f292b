"""Running code of another environment: a script that explains images in a Python of its own."""

from __future__ import annotations

import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cfbench.errors import InvalidParameter, MethodFailed, MissingResource

SERVER = Path(__file__).with_name("external_server.py")
"""What the other Python runs; it needs NumPy and nothing of cfbench."""

PAUSE = 0.005
"""Seconds between two looks for an answer."""

SHOWN = 5
"""Last lines of a worker's messages that an error repeats."""

Argument = str | float | Path | torch.jit.ScriptModule
"""What a script may be given at its start; a TorchScript network as a file, which ``torch.jit.load`` reads."""


class Worker:
    """A script that explains images in another Python, where packages are that cannot be installed beside cfbench.

    The script defines ``explain(images, targets)``, of NumPy arrays ``[B, C, H, W]``, float32 in [0, 1], and ``[B]``,
    int64, and returns an array of the first's form. It is started once and lives as long as this object. Arrays cross
    as npz files in a temporary folder, never as pickles. What a classifier is asked over there is not counted.

    Args:
        python: the other interpreter, such as ``peer/bin/python``. script: path of the script.
        arguments: what the script finds as text in ``sys.argv[1:]``; of a network, such as the classifier as
            ``torch.jit.trace`` gives it, the path of its file.
        limit: seconds that an answer may take, the first with the start.
        advice: how to get the other interpreter, for the message where it is missing.

    Raises:
        MissingResource: there is no such interpreter or script.
    """

    def __init__(
        self,
        python: str | Path,
        script: str | Path,
        arguments: Sequence[Argument] = (),
        *,
        limit: float = 600.0,
        advice: str = "give the path of a Python interpreter",
    ) -> None:
        if limit <= 0:
            raise InvalidParameter(f"limit is {limit}; expected seconds above 0")
        if not Path(script).is_file():
            raise MissingResource(f"{script} is missing; give the path of a script that defines explain")
        self.limit = limit
        self._script = Path(script).resolve()
        self._folder = tempfile.TemporaryDirectory(prefix="cfbench-")
        self._messages = Path(self._folder.name, "messages.txt")
        self._asked = 0
        given = [self._text(argument, place) for place, argument in enumerate(arguments)]
        command = [str(python), "-E", str(SERVER), str(self._script), self._folder.name, *given]
        try:
            with self._messages.open("wb") as messages:
                self._process = subprocess.Popen(
                    command, bufsize=0, stdin=subprocess.PIPE, stdout=messages, stderr=subprocess.STDOUT
                )
        except OSError as error:
            raise MissingResource(f"{python} does not run ({error.strerror}); {advice}") from error
        self._stop = weakref.finalize(self, _stop, self._process, self._folder)

    def explain(self, images: Tensor, targets: Tensor, **arrays: Tensor) -> Tensor:
        """What the script's ``explain`` returns for a batch, on the device of ``images``.

        Args:
            images, targets: the batch. arrays: further arguments of ``explain`` by name, such as random numbers.

        Raises:
            RuntimeError: ``explain`` raised; the batch alone is lost.
            MethodFailed: the worker ended, or took longer than its limit.
        """
        question, answer = (Path(self._folder.name, f"{self._asked}-{end}.npz") for end in ("asked", "answered"))
        self._asked += 1
        given: dict[str, Any] = {"images": images, "targets": targets, **arrays}
        np.savez(question, **{name: values.detach().cpu().numpy() for name, values in given.items()})
        self._tell(f"{question.name}\t{answer.name}\n")
        self._wait(answer)
        with np.load(answer) as arrived:
            made = dict(arrived)
        for file in (question, answer):
            file.unlink()
        if "error" in made:
            raise RuntimeError(f"{self._script.name}: {made['error']}")
        return torch.from_numpy(made["images"]).to(images.device)

    def close(self) -> None:
        """End the worker and remove its folder; also done when this object is no longer used."""
        self._stop()

    def _text(self, argument: Argument, place: int) -> str:
        if not isinstance(argument, torch.jit.ScriptModule):
            return str(argument)
        path = Path(self._folder.name, f"network-{place}.pt")
        argument.save(path)
        return str(path)

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode())
        except BrokenPipeError:
            raise self._ended() from None

    def _wait(self, answer: Path) -> None:
        started = time.monotonic()
        while not answer.exists():
            if self._process.poll() is not None:
                raise self._ended()
            if time.monotonic() - started > self.limit:
                self._process.kill()
                raise MethodFailed(
                    f"{self._script.name} took longer than {self.limit:g} s and was ended; raise the limit or ask for "
                    f"fewer queries a call. It last said: {self._last_lines()}"
                )
            time.sleep(PAUSE)

    def _ended(self) -> MethodFailed:
        code = self._process.wait()
        return MethodFailed(f"{self._script.name} ended with code {code}. It last said: {self._last_lines()}")

    def _last_lines(self) -> str:
        lines = self._messages.read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-SHOWN:]) or "nothing"


def _stop(process: subprocess.Popen[bytes], folder: tempfile.TemporaryDirectory[str]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
    folder.cleanup()
