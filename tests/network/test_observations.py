"""Observations as networks get them."""

import math

import numpy as np
import pytest
import torch

from dqn_cli.network.observations import features, prepare

NUMPY = [(np.zeros(0), np.zeros(0))]  # the weights of a network that computes in NumPy


def test_bytes_are_scaled_to_one_and_floats_are_left(space) -> None:
    obs = torch.tensor([[[0, 51, 255]]], dtype=torch.uint8)
    rows = prepare(obs, space(3, dtype=np.uint8), NUMPY)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, [[[0.0, 0.2, 1.0]]], rtol=1e-6)
    floats = torch.tensor([[[0.0, 51.0, 255.0]]])
    assert prepare(floats, space(3), NUMPY).tolist() == floats.tolist()


@pytest.mark.parametrize("shape", [(), (3,), (16,), (2, 3, 4)])
def test_observations_become_rows(space, shape: tuple[int, ...]) -> None:
    obs = torch.randn(2, 5, *shape)
    rows = prepare(obs, space(shape), NUMPY)
    width = features(space(shape))
    assert width == math.prod(shape)
    assert np.array_equal(rows, obs.reshape(2, 5, width))
