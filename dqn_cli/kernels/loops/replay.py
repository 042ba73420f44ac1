"""Transitions put into memory, and drawn ones taken out of it as returns over n steps."""

from __future__ import annotations

import numpy as np

from dqn_cli.kernels.loops.cached import Array, Number, jit


@jit
def store(
    pairs: Array,
    numbers: Array,
    ends: Array,
    slots: Array,
    position: int,
    gamma: float,
    obs: Array,
    action: Array,
    reward: Array,
    next_obs: Array,
    terminated: Array,
    truncated: Array,
) -> None:
    for lane in range(len(slots)):
        slot = slots[lane]
        pairs[slot, position, 0] = obs[lane]
        pairs[slot, position, 1] = next_obs[lane]
        numbers[slot, position, 0] = action[lane]
        numbers[slot, position, 1] = reward[lane]
        numbers[slot, position, 2] = 0.0 if terminated[lane] else gamma
        ends[slot, position] = terminated[lane] or truncated[lane]


@jit
def window(
    numbers: Array, ends: Array, slot: int, first: int, newest: int, n_step: int
) -> tuple[Number, Number, int]:
    """The reward and discount of a transition over up to n_step rows, and the last of them."""
    total, factor, last = numbers[slot, first, 1], numbers[slot, first, 2], first
    for _ in range(1, n_step):
        if ends[slot, last] or last == newest:
            break
        last = last + 1 if last + 1 < numbers.shape[1] else 0
        total += factor * numbers[slot, last, 1]
        factor *= numbers[slot, last, 2]
    return total, factor, last


@jit
def gather(
    pairs: Array,
    numbers: Array,
    ends: Array,
    slots: Array,
    index: Array,
    newest: int,
    n_step: int,
) -> tuple[Array, Array, Array, Array, Array]:
    lanes, rows = index.shape
    size = pairs.shape[3]
    obs = np.empty((lanes, rows, size), pairs.dtype)
    next_obs = np.empty((lanes, rows, size), pairs.dtype)
    action = np.empty((lanes, rows), np.int64)
    reward = np.empty((lanes, rows), np.float32)
    discount = np.empty((lanes, rows), np.float32)
    for lane in range(lanes):
        slot = slots[lane]
        for row in range(rows):
            first = index[lane, row]
            total, factor, last = window(numbers, ends, slot, first, newest, n_step)
            for i in range(size):
                obs[lane, row, i] = pairs[slot, first, 0, i]
                next_obs[lane, row, i] = pairs[slot, last, 1, i]
            action[lane, row] = np.int64(numbers[slot, first, 0])
            reward[lane, row] = total
            discount[lane, row] = factor
    return obs, action, reward, next_obs, discount


@jit
def gather_stacks(
    frames: Array,
    lasts: Array,
    blank: Array,
    episode: Array,
    back: Array,
    numbers: Array,
    ends: Array,
    slots: Array,
    index: Array,
    stored: int,
    stack: int,
    n_step: int,
) -> tuple[Array, Array, Array, Array, Array]:
    lanes, rows = index.shape
    capacity, size = numbers.shape[1], frames.shape[2]
    newest = (stored - 1) % capacity
    obs = np.empty((lanes, rows, stack, size), frames.dtype)
    next_obs = np.empty((lanes, rows, stack, size), frames.dtype)
    action = np.empty((lanes, rows), np.int64)
    reward = np.empty((lanes, rows), np.float32)
    discount = np.empty((lanes, rows), np.float32)
    for lane in range(lanes):
        slot = slots[lane]
        for row in range(rows):
            first = index[lane, row]
            total, factor, last = window(numbers, ends, slot, first, newest, n_step)
            action[lane, row] = np.int64(numbers[slot, first, 0])
            reward[lane, row] = total
            discount[lane, row] = factor
            for place, taken, out in ((first, stack, obs), (last, stack - 1, next_obs)):
                number = stored - 1 - (newest - place) % capacity
                began = blank[slot, episode[slot, place] % blank.shape[1]]
                for k in range(taken):  # k frames before the newest
                    frame = frames[slot, (number - min(k, back[slot, place])) % frames.shape[1]]
                    seen = out[lane, row, taken - 1 - k]
                    for i in range(size):
                        seen[i] = frame[i]
                    if k > back[slot, place] and began:
                        seen[:] = 0
            number = stored - 1 - (newest - last) % capacity
            following = last + 1 if last + 1 < capacity else 0
            frame = frames[slot, (number + 1) % frames.shape[1]]
            if last != newest and episode[slot, following] != episode[slot, last]:
                frame = lasts[slot, episode[slot, last] % lasts.shape[1]]
            for i in range(size):
                next_obs[lane, row, stack - 1, i] = frame[i]
    return obs, action, reward, next_obs, discount
