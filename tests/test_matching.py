"""The mean squared difference of feature maps against PyTorch's, and its gradient against differences."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from cfbench.matching import mean_square

LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_value_and_gradient_are_those_of_mse_loss(layout: torch.memory_format) -> None:
    have, want = (torch.rand(3, 5, 4, 6).to(memory_format=layout) for _ in range(2))
    one, other = have.clone().requires_grad_(), have.clone().requires_grad_()
    weights = torch.tensor([1.0, 0.0, -2.5])
    found = mean_square(one, want)
    expected = F.mse_loss(other, want, reduction="none").flatten(1).mean(1)
    (found @ weights).backward()
    (expected @ weights).backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(one.grad, other.grad)


def test_gradient_of_vectors_is_that_of_differences() -> None:
    have, want = torch.rand(2, 7, dtype=torch.float64, requires_grad=True), torch.rand(2, 7, dtype=torch.float64)
    assert gradcheck(mean_square, (have, want))
