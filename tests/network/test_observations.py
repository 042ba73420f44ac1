"""Observations as networks get them."""

import math

import numpy as np
import pytest

from dqn_cli.kernels.kernels import Kernels
from dqn_cli.network.observations import features, rows
from dqn_cli.types import Space


def test_bytes_are_scaled_to_one_and_floats_are_left(kernels: Kernels, space) -> None:
    obs = kernels.place(np.array([[[0, 51, 255]]], np.uint8))
    found = kernels.numpy(rows(obs, space(3, dtype=np.uint8), kernels))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[[0.0, 0.2, 1.0]]], rtol=1e-6)
    floats = kernels.place(np.array([[[0.0, 51.0, 255.0]]], np.float32))
    assert rows(floats, space(3), kernels).tolist() == floats.tolist()


def test_each_number_may_have_a_largest_of_its_own(kernels: Kernels) -> None:
    high = np.array([[5.0, 10.0], [255.0, 1.0]], np.float32)
    obs = kernels.place(np.array([[[[1, 1], [51, 1]], [[5, 10], [255, 0]]]], np.uint8))
    found = rows(obs, Space((2, 2), np.dtype(np.uint8), 3, high), kernels)
    expected = [[[0.2, 0.1, 0.2, 1.0], [1.0, 1.0, 1.0, 0.0]]]
    assert kernels.numpy(found).dtype == np.float32
    np.testing.assert_allclose(kernels.numpy(found), expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(), (3,), (16,), (2, 3, 4)])
def test_observations_become_rows(kernels: Kernels, space, shape: tuple[int, ...]) -> None:
    obs = np.random.default_rng(0).random((2, 5, *shape), np.float32)
    found = rows(kernels.place(obs), space(shape), kernels)
    width = features(space(shape))
    assert width == math.prod(shape)
    assert np.array_equal(found, obs.reshape(2, 5, width))


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((210, 160, 3), "take network=cnn, or make it smaller, as by env.wrappers=[{_target_: gym"),
        ((4, 84, 84), "take network=cnn"),
        ((300, 300), "take network=cnn"),
        ((3, 84, 84, 3), "make it smaller with a wrapper (env.wrappers)"),
    ],
)
def test_what_is_too_large_is_refused_with_what_would_take_it(space, shape, advice: str) -> None:
    """A wrapper that makes grey out of colours refuses what is grey, and network=cnn a film."""
    with pytest.raises(ValueError, match="too many for fully connected layers") as refused:
        features(space(shape))
    found = str(refused.value).partition("; ")[2]
    assert found.startswith(advice) and ("env.wrappers=" in found) == ("env.wrappers=" in advice)
    assert features(space((20_000,))) == 20_000  # no picture: only a long vector
