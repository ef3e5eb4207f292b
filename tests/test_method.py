"""Parameters of adapters: read, checked, converted."""

from __future__ import annotations

import pytest

from cfbench.errors import InvalidParameter
from cfbench.registry import METHODS


def test_text_and_json_become_the_declared_types() -> None:
    method = METHODS.load("pgd").create({"epsilon": "0.25", "steps": 3, "norm": "l2"})
    assert method.parameters() == {"norm": "l2", "epsilon": 0.25, "steps": 3}
    assert METHODS.load("dip").create({"widths": [4, 8]}).parameters()["widths"] == (4, 8)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("pgd", {"epsilom": 1}, "parameter epsilom of method pgd: .*parameters and defaults: norm='linf', epsilon="),
        ("pgd", {"epsilon": "much"}, "parameter epsilon of method pgd: .*valid number"),
        ("pgd", {"epsilon": float("nan")}, "parameter epsilon of method pgd: .*finite"),
        ("pgd", {"norm": "l7"}, "parameter norm of method pgd: .*'linf' or 'l2'"),
        ("pgd", {"epsilon": -1}, "epsilon is -1.0 and steps 40; expected epsilon > 0"),
        ("noise", {"epsilon": 2}, "epsilon is 2.0; expected a number above 0 and at most 1"),
        ("wachter", {"confidence": 1}, "confidence is 1.0"),
        ("dip", {"steps": 0}, "steps 0"),
        ("identity", {"x": 1}, "parameter x of method identity: .*defaults: none"),
    ],
)
def test_bad_parameters_are_named_with_what_is_expected(name: str, parameters: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        METHODS.load(name).create(parameters)
