"""The source of a submitted adapter, read and never run: what it declares, what it reaches for, how it is shown.

Python cannot keep a module from the files of the machine it runs on, and a submitter runs the harness himself: what is
found here are the plain cases, for the eyes of a reviewer. Nothing that is found proves that an adapter is honest.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cfbench.board.archive import Refused
from cfbench.needs import Needs

MEMBER = "adapter.py"

STATED = ("family", "citation", "version")
"""Facts of an adapter that its source and its record both state."""

JUDGING = (
    "cfbench.Dataset",
    "cfbench.Task",
    "cfbench.datasets",
    "cfbench.evaluate",
    "cfbench.harness",
    "cfbench.judges",
    "cfbench.load_dataset",
    "cfbench.pieces",
    "cfbench.production",
    "cfbench.registry",
    "cfbench.scoring",
    "cfbench.store",
    "cfbench.task",
    "cfbench.testing",
    "cfbench.user_tasks",
)
"""What leads to test labels, held-out images, oracles and extractors; no adapter has a use for it."""

PRIVATE = ("_needs", "_task")
"""Attributes of the view of a task that hold what is kept from a method."""

OUTSIDE = (
    *("builtins", "ctypes", "fileinput", "ftplib", "gc", "glob", "http", "importlib", "inspect", "io", "marshal"),
    *("mmap", "multiprocessing", "os", "pathlib", "pickle", "pkgutil", "requests", "runpy", "shelve", "shutil"),
    *("socket", "sqlite3", "subprocess", "sys", "tempfile", "urllib", "zipfile", "safetensors", "PIL", "pandas"),
    *("numpy.load", "numpy.fromfile", "numpy.memmap", "torch.load", "torch.from_file", "torch.hub", "torch.jit.load"),
    *("torch.serialization", "torch.utils.cpp_extension", "torchvision.io", "torchvision.datasets", "cfbench.files"),
    *("cfbench.download", "cfbench.external"),
)
"""What reads files, the network or the interpreter itself."""

OUTSIDE_CALLS = ("compile", "delattr", "eval", "exec", "getattr", "globals", "open", "setattr", "vars")

PLAIN = ("__call__", "__init__", "__name__", "__future__.annotations")
"""Names with double underscores that lead nowhere else."""


@dataclass(frozen=True)
class Finding:
    """A line of the source and what it reaches for."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


@dataclass(frozen=True)
class Source:
    """What the source of an adapter says.

    Attributes:
        text: the source. needs: what its class declares. stated: its literal facts by name.
        forbidden: reaches for what is kept from every method. outside: reads files, the network or the interpreter.
    """

    text: str
    needs: Needs
    stated: dict[str, str]
    forbidden: tuple[Finding, ...]
    outside: tuple[Finding, ...]


def read_source(data: bytes, method: str) -> Source:
    """Read the source of the adapter that is registered as ``method``.

    Raises:
        Refused: it is not Python in UTF-8, has no such class or several, or does not state its needs literally.
    """
    try:
        text = data.decode()
        return _read(text, ast.parse(text, filename=MEMBER), method)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise Refused(f"{MEMBER} is not plain Python source in UTF-8: {error}") from error


def _read(text: str, tree: ast.Module, method: str) -> Source:
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and _literals(node).get("name") == method]
    if len(classes) != 1:
        raise Refused(f"{MEMBER} has {len(classes)} classes with name = {method!r}; expected one")
    stated = {name: value for name, value in _literals(classes[0]).items() if name in STATED and isinstance(value, str)}
    used = sorted(set(_used(tree)))
    return Source(
        text=text,
        needs=_needs(classes[0], tree),
        stated=stated,
        forbidden=tuple(Finding(line, what) for line, what in used if _within(what, JUDGING) or what in PRIVATE),
        outside=tuple(Finding(line, what) for line, what in used if _leads_outside(what)),
    )


def shown(text: str) -> str:
    """Source for a terminal: codes that would steer it, or turn the direction of the text, are written out."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else "    " if letter == "\t" else ascii(letter)[1:-1]
        for letter in text
    )


def _literals(node: ast.ClassDef) -> dict[str, Any]:
    """Literal values of the assignments in the body of a class, by name."""
    found: dict[str, Any] = {}
    for statement in node.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                try:
                    found[name] = ast.literal_eval(value)
                except ValueError:
                    continue
    return found


def _needs(node: ast.ClassDef, tree: ast.Module) -> Needs:
    """What a class declares by ``needs = Needs(...)``, or the default where it says nothing and extends ``Method``."""
    stores = [part for part in ast.walk(tree) if isinstance(getattr(part, "ctx", None), ast.Store)]
    assigned = [part for part in stores if "needs" in (getattr(part, "id", ""), getattr(part, "attr", ""))]
    if not assigned and [_dotted(base) for base in node.bases] in (["Method"], ["cfbench.Method"]):
        return Needs()
    for statement in node.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="needs")], value=ast.Call(func=func, args=[], keywords=keywords)):
                if len(assigned) == 1 and _dotted(func) in ("Needs", "cfbench.Needs"):
                    try:
                        return Needs(**{str(keyword.arg): ast.literal_eval(keyword.value) for keyword in keywords})
                    except (ValueError, TypeError):
                        break
    raise Refused(
        f"{MEMBER} does not say plainly what it needs; expected one needs = Needs(...) with literal values, in the "
        f"body of class {node.name}"
    )


def _used(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that is imported, read from a module, or called by a plain name."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=imported):
                for alias in imported:
                    names[alias.asname or alias.name.partition(".")[0]] = (
                        alias.name if alias.asname else alias.name.partition(".")[0]
                    )
                    yield node.lineno, alias.name
            case ast.ImportFrom(module=module, names=imported):
                for alias in imported:
                    names[alias.asname or alias.name] = f"{module}.{alias.name}"
                    yield node.lineno, f"{module}.{alias.name}"
    plain = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and _names_its_attribute(node)}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=attribute):
                first, _, rest = _dotted(node).partition(".")
                alone = attribute in PRIVATE or attribute.startswith("__")
                yield node.lineno, attribute if alone else f"{names.get(first, '')}.{rest}"
            case ast.Constant(value=str(text)) if text in PRIVATE:
                yield node.lineno, text
            case ast.Name(id=name) if id(node) not in plain and (name in OUTSIDE_CALLS or name.startswith("__")):
                yield node.lineno, name


def _names_its_attribute(call: ast.Call) -> bool:
    """Whether it is ``getattr(x, "name")``, which is ``x.name``."""
    match call:
        case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str()), *_]):
            return True
    return False


def _dotted(node: ast.expr) -> str:
    """``a.b.c`` of an attribute of an attribute of a name, or nothing."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute) if _dotted(value):
            return f"{_dotted(value)}.{attribute}"
    return ""


def _leads_outside(what: str) -> bool:
    special = what.startswith("__") and what not in PLAIN
    return special or what.endswith(".*") or what in OUTSIDE_CALLS or _within(what, OUTSIDE)


def _within(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)
