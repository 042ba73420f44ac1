"""The kernels compiled by numba, for a CPU: plain loops over lanes, on NumPy arrays.

One serial piece of code computes a lane, in any company, so its bits depend on nothing else. The
machine code is kept on the disk next to this file, or in the user's cache where that is read-only:
a machine compiles it once.

What each function does is said in kernels.py. Small loops are functions of their own, since
only then does the compiler make vector instructions of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dqn_cli.kernels.kernels import BLOCK, NO_ACTIVATION

Array = NDArray[Any]
Number = Any  # NumPy's, of the type of the arrays
F = TypeVar("F", bound=Callable[..., Any])


def jit(function: F) -> F:
    compiled: Any = numba.njit(cache=True, error_model="numpy", nogil=True)(function)
    return cast(F, compiled)


ZERO, HALF, ONE, TWO = (np.float32(x) for x in (0, 0.5, 1, 2))
TINY = np.float32(1e-30)  # see `adam`
LARGEST = 1e30  # |TD error| that counts, so that sums stay finite; nan, of a diverged lane, is that
BELOW_ONE = 1 - 2.0**-52  # a number times this is less than the number

name = "compiled"
device = torch.device("cpu")


def array(x: Tensor) -> Array:
    if torch._C._get_tracing_state() is not None or torch.compiler.is_compiling():
        raise RuntimeError("compiled kernels cannot be traced; dqn_cli.load(RUN).module() can")
    return x.numpy()


def tensor(x: Array) -> Tensor:
    return torch.from_numpy(x)


def place(x: Array) -> Array:
    return x


def numpy(x: Array) -> Array:
    return x


def floats(x: Array) -> Array:
    return x.astype(np.float32, order="C", copy=False)


# Observations


def scaled(x: Array, high: float | Array) -> Array:
    if not isinstance(high, float):
        return floats(x) / high
    out = np.empty(x.shape, np.float32)
    divide(np.ascontiguousarray(x).reshape(-1), np.float32(high), out.reshape(-1))
    return out


@jit
def divide(x: Array, divisor: Number, y: Array) -> None:
    for i in range(len(x)):
        y[i] = np.float32(x[i]) / divisor


def channels_last(x: Array) -> Array:
    lanes, count, channels, height, width = x.shape
    out = np.empty((lanes, count, height, width, channels), np.float32)
    planes = np.ascontiguousarray(x).reshape(lanes * count, channels, height * width)
    interleave(planes, out.reshape(lanes * count, height * width, channels))
    return out


@jit
def interleave(planes: Array, pixels: Array) -> None:
    for i in range(len(planes)):
        for channel in range(planes.shape[1]):
            put_channel(planes[i, channel], pixels[i], channel)


@jit
def put_channel(plane: Array, pixels: Array, channel: int) -> None:
    for i in range(len(plane)):
        pixels[i, channel] = plane[i]


# Layers

# Weights of a layer from which on its products are NumPy's, in plain Python: for a batch of 32,
# NumPy's OpenBLAS (0.3.31) is a third faster than SciPy's (0.3.30), which numba's products are.
LARGE = 2**17


def by_numpy(params: Array, widths: Array, x: Array) -> bool:
    if params.shape[1] < LARGE or x.shape[1] == 1:
        return False
    return bool((widths[:-1] * widths[1:]).max() >= LARGE)


def forward(
    params: Array, first: int, widths: Array, activated: int, activation: int, x: Array
) -> tuple[Array, Array]:
    run = forward_lanes if by_numpy(params, widths, x) else compiled_forward
    return run(params, first, widths, activated, activation, x)


def forward_lanes(
    params: Array, first: int, widths: Array, activated: int, activation: int, x: Array
) -> tuple[Array, Array]:
    lanes, rows = x.shape[0], x.shape[1]
    layers = len(widths) - 1
    hidden = np.empty((lanes, rows * widths[1:layers].sum()), np.float32)
    out = np.empty((lanes, rows, widths[layers]), np.float32)
    for lane in range(lanes):
        before, at, filled = x[lane], first, 0
        for i in range(layers):
            inputs, outputs = widths[i], widths[i + 1]
            split = at + inputs * outputs
            after = out[lane]
            if i < layers - 1:
                after = hidden[lane, filled : filled + rows * outputs].reshape(rows, outputs)
                filled += rows * outputs
            np.dot(before, params[lane, at:split].reshape(inputs, outputs), after)
            bias = params[lane, split : split + outputs]
            if i >= activated:
                add(after, bias)
            elif activation == 0:
                add_relu(after, bias)
            else:
                add_tanh(after, bias)
            before, at = after, split + outputs
    return hidden, out


def backward(
    params: Array,
    first: int,
    widths: Array,
    activated: int,
    activation: int,
    x: Array,
    hidden: Array,
    out: Array,
    d_out: Array,
    grad: Array,
    through: bool,
) -> Array:
    run = backward_lanes if by_numpy(params, widths, x) else compiled_backward
    return run(params, first, widths, activated, activation, x, hidden, out, d_out, grad, through)


def backward_lanes(
    params: Array,
    first: int,
    widths: Array,
    activated: int,
    activation: int,
    x: Array,
    hidden: Array,
    out: Array,
    d_out: Array,
    grad: Array,
    through: bool,
) -> Array:
    lanes, rows = x.shape[0], x.shape[1]
    layers = len(widths) - 1
    size = ((widths[:-1] + 1) * widths[1:]).sum()
    most = rows * widths[1:].max()
    one, other = np.empty(most, np.float32), np.empty(most, np.float32)
    d_x = np.empty((lanes, rows if through else 0, widths[0]), np.float32)
    for lane in range(lanes):
        at, filled = first + size, hidden.shape[1]
        d_after, after = d_out[lane], out[lane]
        for i in range(layers - 1, -1, -1):
            inputs, outputs = widths[i], widths[i + 1]
            before = x[lane]
            if i:
                filled -= rows * inputs
                before = hidden[lane, filled : filled + rows * inputs].reshape(rows, inputs)
            split = at - outputs
            at = split - inputs * outputs
            d_sum = d_after
            if i < activated:
                d_sum = one[: rows * outputs].reshape(rows, outputs)
                if activation == 0:
                    d_relu(d_after, after, d_sum)
                else:
                    d_tanh(d_after, after, d_sum)
            np.dot(before.T, d_sum, grad[lane, at:split].reshape(inputs, outputs))
            sum_rows(d_sum, grad[lane, split : split + outputs])
            weight = params[lane, at:split].reshape(inputs, outputs)
            if i:
                d_after = other[: rows * inputs].reshape(rows, inputs)
                np.dot(d_sum, weight.T, d_after)
                after = before
            elif through:
                np.dot(d_sum, weight.T, d_x[lane])
    return d_x


compiled_forward, compiled_backward = jit(forward_lanes), jit(backward_lanes)


@jit
def add(y: Array, bias: Array) -> None:
    for row in range(y.shape[0]):
        for unit in range(y.shape[1]):
            y[row, unit] += bias[unit]


@jit
def add_relu(y: Array, bias: Array) -> None:
    for row in range(y.shape[0]):
        for unit in range(y.shape[1]):
            value = y[row, unit] + bias[unit]
            y[row, unit] = ZERO if value <= ZERO else value  # nan stays nan


@jit
def add_tanh(y: Array, bias: Array) -> None:
    for row in range(y.shape[0]):
        for unit in range(y.shape[1]):
            y[row, unit] = math.tanh(y[row, unit] + bias[unit])


@jit
def d_relu(dy: Array, y: Array, dx: Array) -> None:
    for row in range(y.shape[0]):
        for unit in range(y.shape[1]):
            dx[row, unit] = ZERO if y[row, unit] <= ZERO else dy[row, unit]


@jit
def d_tanh(dy: Array, y: Array, dx: Array) -> None:
    for row in range(y.shape[0]):
        for unit in range(y.shape[1]):
            dx[row, unit] = dy[row, unit] * (ONE - y[row, unit] * y[row, unit])


@jit
def sum_rows(x: Array, total: Array) -> None:
    total[:] = ZERO
    for row in range(x.shape[0]):
        for unit in range(x.shape[1]):
            total[unit] += x[row, unit]


# Convolutions: every window of a picture is unrolled into a row, and the weights are applied to all
# rows by one product. A block of pictures at a time, so that the rows stay in the cache.


@jit
def convolve(
    params: Array,
    first: int,
    outputs: int,
    kernel: int,
    stride: int,
    padding: int,
    activation: int,
    x: Array,
) -> Array:
    lanes, count, height, width, channels = x.shape
    high, wide = (
        (height + 2 * padding - kernel) // stride + 1,
        (width + 2 * padding - kernel) // stride + 1,
    )
    area, inputs, block = high * wide, kernel * kernel * channels, pictures(high * wide, x, kernel)
    split = first + inputs * outputs
    windows = np.empty((block * area, inputs), np.float32)
    frame = np.zeros((height + 2 * padding, (width + 2 * padding) * channels), np.float32)
    out = np.empty((lanes, count, high, wide, outputs), np.float32)
    for lane in range(lanes):
        images = x[lane].reshape(count, height, width * channels)
        after = out[lane].reshape(count * area, outputs)
        weight = params[lane, first:split].reshape(inputs, outputs)
        for start in range(0, count, block):
            stop = min(start + block, count)
            rows = windows[: (stop - start) * area]
            for i in range(start, stop):
                image = framed(images[i], frame, padding, channels)
                unroll(image, wide, channels, kernel, stride, rows[(i - start) * area :])
            np.dot(rows, weight, after[start * area : stop * area])
        bias = params[lane, split : split + outputs]
        if activation == 0:
            add_relu(after, bias)
        elif activation == 1:
            add_tanh(after, bias)
        else:
            add(after, bias)
    return out


@jit
def d_convolve(
    params: Array,
    first: int,
    kernel: int,
    stride: int,
    padding: int,
    activation: int,
    x: Array,
    out: Array,
    d_out: Array,
    grad: Array,
    through: bool,
) -> Array:
    lanes, count, height, width, channels = x.shape
    wide, outputs = out.shape[3], out.shape[4]
    area, inputs = out.shape[2] * wide, kernel * kernel * channels
    block, split = pictures(area, x, kernel), first + inputs * outputs
    windows = np.empty((block * area, inputs), np.float32)
    frame = np.zeros((height + 2 * padding, (width + 2 * padding) * channels), np.float32)
    d_frame = np.zeros_like(frame)
    d_after = np.empty((count * area, outputs), np.float32)
    part = np.empty((inputs, outputs), np.float32)
    d_x = np.zeros((lanes, count if through else 0, height, width, channels), np.float32)
    for lane in range(lanes):
        after = out[lane].reshape(count * area, outputs)
        d_sum = d_out[lane].reshape(count * area, outputs)
        if activation == 0:
            d_relu(d_sum, after, d_after)
            d_sum = d_after
        elif activation == 1:
            d_tanh(d_sum, after, d_after)
            d_sum = d_after
        sum_rows(d_sum, grad[lane, split : split + outputs])
        images = x[lane].reshape(count, height, width * channels)
        d_images = d_x[lane].reshape(len(d_x[lane]), height, width * channels)
        weight = params[lane, first:split].reshape(inputs, outputs)
        d_weight = grad[lane, first:split].reshape(inputs, outputs)
        d_weight[:] = ZERO
        for start in range(0, count, block):
            stop = min(start + block, count)
            rows, d_rows = windows[: (stop - start) * area], d_sum[start * area : stop * area]
            for i in range(start, stop):
                image = framed(images[i], frame, padding, channels)
                unroll(image, wide, channels, kernel, stride, rows[(i - start) * area :])
            np.dot(rows.T, d_rows, part)
            add_to(d_weight.reshape(-1), part.reshape(-1))
            if through:
                np.dot(d_rows, weight.T, rows)
                for i in range(start, stop):
                    part_of = rows[(i - start) * area :]
                    if not padding:
                        scatter(d_images[i], wide, channels, kernel, stride, part_of)
                    else:
                        d_frame[:] = ZERO
                        scatter(d_frame, wide, channels, kernel, stride, part_of)
                        left = padding * channels
                        for y in range(height):
                            line = d_frame[y + padding, left : left + width * channels]
                            copy(d_images[i, y], line)
    return d_x


@jit
def framed(image: Array, frame: Array, padding: int, channels: int) -> Array:
    """The image [H, W * C] in a frame of zeros, which is written to; without padding, itself."""
    if not padding:
        return image
    left = padding * channels
    for y in range(len(image)):
        copy(frame[y + padding, left : left + image.shape[1]], image[y])
    return frame


@jit
def pictures(area: int, x: Array, kernel: int) -> Any:
    """How many are unrolled at once: as many as fit into half a megabyte."""
    return max(1, min(x.shape[1], 2**17 // (area * kernel * kernel * x.shape[4])))


@jit
def unroll(image: Array, wide: int, channels: int, kernel: int, stride: int, rows: Array) -> None:
    """Copy the windows of image [H, W * C] into rows."""
    high, line, length = (len(image) - kernel) // stride + 1, image.shape[1], kernel * channels
    pixels, windows = image.reshape(-1), rows.reshape(-1)
    # An index without a sign is not looked at for whether it counts from the end.
    to, length = numba.uintp(0), numba.uintp(length)
    for y in range(high):
        for x in range(wide):
            for i in range(kernel):
                first = numba.uintp((y * stride + i) * line + x * stride * channels)
                for k in range(length):
                    windows[to + k] = pixels[first + k]
                to += length


@jit
def scatter(image: Array, wide: int, channels: int, kernel: int, stride: int, rows: Array) -> None:
    """The inverse: add rows to the windows of image [H, W * C]."""
    high, length = (len(image) - kernel) // stride + 1, kernel * channels
    for y in range(high):
        for x in range(wide):
            row, left = rows[y * wide + x], x * stride * channels
            for i in range(kernel):
                line = image[y * stride + i, left : left + length]
                add_to(line, row[i * length : (i + 1) * length])


@jit
def pool(x: Array) -> tuple[Array, Array]:
    lanes, count, height, width, channels = x.shape
    high, wide = (height + 1) // 2, (width + 1) // 2
    out = np.empty((lanes, count, high, wide, channels), np.float32)
    place = np.empty(out.shape, np.int64)
    for lane in range(lanes):
        for i in range(count):
            for y in range(high):
                for j in range(wide):
                    largest, found = out[lane, i, y, j], place[lane, i, y, j]
                    largest[:] = -np.inf
                    found[:] = (y == 0) * 3 + (j == 0)  # the first pixel that there is
                    for part in range(9):
                        row, column = 2 * y + part // 3 - 1, 2 * j + part % 3 - 1
                        if 0 <= row < height and 0 <= column < width:
                            take_larger(x[lane, i, row, column], part, largest, found)
    return out, place


@jit
def take_larger(pixel: Array, part: int, largest: Array, found: Array) -> None:
    for c in range(len(pixel)):
        value, most = pixel[c], largest[c]
        more = (value > most) | ((value != value) & (most == most))
        largest[c] = value if more else most
        found[c] = part if more else found[c]


@jit
def d_pool(x: Array, place: Array, d_out: Array) -> Array:
    lanes, count, high, wide, channels = d_out.shape
    d_x = np.zeros(x.shape, np.float32)
    for lane in range(lanes):
        for i in range(count):
            for y in range(high):
                for j in range(wide):
                    for c in range(channels):
                        part = place[lane, i, y, j, c]
                        row, column = 2 * y + part // 3 - 1, 2 * j + part % 3 - 1
                        d_x[lane, i, row, column, c] += d_out[lane, i, y, j, c]
    return d_x


def activate(x: Array, activation: int) -> Array:
    if activation == NO_ACTIVATION:
        return x
    out = np.empty_like(x)
    (relu if activation == 0 else tanh)(x.reshape(-1), out.reshape(-1))
    return out


@jit
def relu(x: Array, y: Array) -> None:
    for i in range(len(x)):
        y[i] = ZERO if x[i] <= ZERO else x[i]  # nan stays nan


@jit
def tanh(x: Array, y: Array) -> None:
    for i in range(len(x)):
        y[i] = math.tanh(x[i])


def d_activate(out: Array, d_out: Array, activation: int) -> Array:
    if activation == NO_ACTIVATION:
        return d_out
    d_x = np.empty_like(out)
    flat = (x.reshape(1, -1) for x in (d_out, out, d_x))
    (d_relu if activation == 0 else d_tanh)(*flat)
    return d_x


@jit
def copy(y: Array, x: Array) -> None:
    for i in range(len(x)):
        y[i] = x[i]


@jit
def add_to(y: Array, x: Array) -> None:
    for i in range(len(x)):
        y[i] += x[i]


@jit
def aggregate(value: Array, advantage: Array, kind: int) -> Array:
    lanes, rows, actions, atoms = advantage.shape
    q = np.empty_like(advantage)
    base = np.zeros(atoms, np.float32)
    for lane in range(lanes):
        for row in range(rows):
            if kind == 0:
                mean_rows(advantage[lane, row], base)
            elif kind == 1:
                for k in range(atoms):
                    base[k] = advantage[lane, row, best(advantage[lane, row, :, k]), k]
            for a in range(actions):
                raised(value[lane, row], advantage[lane, row, a], base, q[lane, row, a])
    return q


@jit
def mean_rows(x: Array, mean: Array) -> None:
    sum_rows(x, mean)
    for k in range(len(mean)):
        mean[k] /= np.float32(len(x))


@jit
def raised(value: Array, advantage: Array, base: Array, q: Array) -> None:
    for k in range(len(q)):
        q[k] = value[k] + (advantage[k] - base[k])


@jit
def d_aggregate(d_q: Array, advantage: Array, kind: int) -> tuple[Array, Array]:
    lanes, rows, actions, atoms = advantage.shape
    d_value = np.empty((lanes, rows, atoms), np.float32)
    d_advantage = d_q.copy()
    for lane in range(lanes):
        for row in range(rows):
            total = d_value[lane, row]
            sum_rows(d_q[lane, row], total)
            if kind == 0:
                for a in range(actions):
                    lower(d_advantage[lane, row, a], total, np.float32(actions))
            elif kind == 1:
                for k in range(atoms):
                    d_advantage[lane, row, best(advantage[lane, row, :, k]), k] -= total[k]
    return d_value, d_advantage


@jit
def lower(x: Array, total: Array, count: Number) -> None:
    for k in range(len(x)):
        x[k] -= total[k] / count


@jit
def best(q: Array) -> int:
    """The first of the largest; the first nan, if there is one."""
    found = 0
    for a in range(1, len(q)):
        if q[a] > q[found] or (q[a] != q[a] and q[found] == q[found]):
            found = a
    return found


def factors(numbers: Array) -> Array:
    found: Array = np.sign(numbers) * np.sqrt(np.abs(numbers))
    return found


@jit
def noisy(params: Array, first: int, noise: Array, widths: Array) -> Array:
    lanes, size = params.shape[0], (params.shape[1] - first) // 2
    weights = np.empty((lanes, first + size), np.float32)
    for lane in range(lanes):
        copy(weights[lane, :first], params[lane, :first])
        at, left = first, 0
        for i in range(len(widths)):
            inputs, outputs = widths[i]
            right = left + inputs
            for unit in range(inputs + 1):  # a row of weights for each, and the bias
                factor = noise[lane, left + unit] if unit < inputs else ONE
                perturb(
                    params[lane, at : at + outputs],
                    params[lane, size + at : size + at + outputs],
                    factor,
                    noise[lane, right : right + outputs],
                    weights[lane, at : at + outputs],
                )
                at += outputs
            left = right + outputs
    return weights


@jit
def perturb(mean: Array, spread: Array, factor: Number, noise: Array, weight: Array) -> None:
    for j in range(len(mean)):
        weight[j] = mean[j] + spread[j] * (factor * noise[j])


@jit
def d_noisy(grad: Array, first: int, noise: Array, widths: Array) -> None:
    lanes, size = grad.shape[0], (grad.shape[1] - first) // 2
    for lane in range(lanes):
        at, left = first, 0
        for i in range(len(widths)):
            inputs, outputs = widths[i]
            right = left + inputs
            for unit in range(inputs + 1):
                factor = noise[lane, left + unit] if unit < inputs else ONE
                d_perturb(
                    grad[lane, at : at + outputs],
                    factor,
                    noise[lane, right : right + outputs],
                    grad[lane, size + at : size + at + outputs],
                )
                at += outputs
            left = right + outputs


@jit
def d_perturb(d_weight: Array, factor: Number, noise: Array, d_spread: Array) -> None:
    for j in range(len(noise)):
        d_spread[j] = d_weight[j] * (factor * noise[j])


# Learning


@jit
def dqn(
    values: Array,
    following: Array,
    chooser: Array,
    action: Array,
    reward: Array,
    discount: Array,
    huber: bool,
) -> tuple[Array, Array, Array, Array]:
    lanes, rows, actions, _ = values.shape
    per_sample = np.empty((lanes, rows), np.float32)
    priority, q = np.empty_like(per_sample), np.empty_like(per_sample)
    d_values = np.zeros((lanes, rows, actions, 1), np.float32)
    for lane in range(lanes):
        for row in range(rows):
            chosen = best(chooser[lane, row, :, 0])
            y = reward[lane, row] + discount[lane, row] * following[lane, row, chosen, 0]
            taken = action[lane, row]
            value = values[lane, row, taken, 0]
            error = value - y
            size = abs(error)
            if not huber:
                loss, slope = error * error, TWO * error
            elif size <= ONE:
                loss, slope = HALF * error * error, error
            else:  # nan, too, and it stays nan
                loss, slope = size - HALF, ONE if error > ONE else -ONE if error < -ONE else error
            per_sample[lane, row], priority[lane, row], q[lane, row] = loss, size, value
            d_values[lane, row, taken, 0] = slope
    return per_sample, d_values, priority, q


@jit
def gather_values(values: Array, action: Array) -> Array:
    lanes, rows, _, atoms = values.shape
    taken = np.empty((lanes, rows, atoms), np.float32)
    for lane in range(lanes):
        for row in range(rows):
            taken[lane, row] = values[lane, row, action[lane, row]]
    return taken


@jit
def scatter_action(value: Array, action: Array, actions: int) -> Array:
    lanes, rows, atoms = value.shape
    values = np.zeros((lanes, rows, actions, atoms), np.float32)
    for lane in range(lanes):
        for row in range(rows):
            values[lane, row, action[lane, row]] = value[lane, row]
    return values


@jit
def project(
    probability: Array, reward: Array, discount: Array, support: Array, low: float, high: float
) -> Array:
    lanes, rows, atoms = probability.shape
    projected = np.zeros((lanes, rows, atoms), np.float32)
    first, last, top = np.float32(low), np.float32(high), np.float32(atoms - 1)
    width = np.float32((high - low) / (atoms - 1))
    below, share = np.empty(atoms, np.int64), np.empty(atoms, np.float32)
    for lane in range(lanes):
        for row in range(rows):
            neighbours(
                reward[lane, row],
                discount[lane, row],
                support,
                first,
                last,
                width,
                top,
                below,
                share,
            )
            mass, new = probability[lane, row], projected[lane, row]
            for k in range(atoms):  # a pass for each neighbour, the order in which they are added
                new[below[k]] += mass[k] * (ONE - share[k])
            for k in range(atoms):
                new[min(below[k] + 1, atoms - 1)] += mass[k] * share[k]
    return projected


@jit
def neighbours(
    reward: Number,
    discount: Number,
    support: Array,
    low: Number,
    high: Number,
    width: Number,
    top: Number,
    below: Array,
    share: Array,
) -> None:
    """Between which atoms of the support each of them is moved to: the left one, and the share of
    the right one."""
    for k in range(len(support)):
        moved = reward + discount * support[k]
        moved = low if moved < low else high if moved > high else moved  # nan stays nan
        place = (moved - low) / width
        place = ZERO if place < ZERO else top if place > top else place
        left = np.floor(place)
        share[k] = place - left
        below[k] = np.int64(left if left == left else ZERO)


@jit
def weigh(
    weight: Array,
    per_sample: Array,
    d_values: Array,
    q: Array,
    divisor: float,
    loss_sum: Array,
    q_sum: Array,
) -> Array:
    lanes, rows, actions, atoms = d_values.shape
    weighted = np.empty((lanes, rows, actions, atoms), np.float32)
    share = np.float32(divisor)
    for lane in range(lanes):
        for row in range(rows):
            w = weight[lane, row]
            loss_sum[lane, row] += w * per_sample[lane, row]
            q_sum[lane, row] += q[lane, row]
            for a in range(actions):
                for k in range(atoms):
                    weighted[lane, row, a, k] = w * d_values[lane, row, a, k] / share
    return weighted


@jit
def clip_value(grad: Array, limit: float) -> None:
    most = np.float32(limit)
    for lane in range(len(grad)):
        for i in range(grad.shape[1]):
            value = grad[lane, i]
            grad[lane, i] = most if value > most else -most if value < -most else value


@jit
def clip_norm(grad: Array, limit: float) -> None:
    for lane in range(len(grad)):
        norm = np.sqrt(np.dot(grad[lane], grad[lane]))
        share = np.float32(limit) / (norm + np.float32(1e-6))
        if not share >= ONE:
            grad[lane] *= share


@jit
def adam(
    params: Array,
    grad: Array,
    mean: Array,
    square: Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    steps: int,
) -> None:
    step = np.float32(lr / (1 - beta1**steps))
    root = np.float32(math.sqrt(1 - beta2**steps))
    old, new1, new2 = np.float32(beta2), np.float32(1 - beta1), np.float32(1 - beta2)
    small = np.float32(eps)
    for lane in range(len(params)):
        adam_lane(
            params[lane], grad[lane], mean[lane], square[lane], step, root, old, new1, new2, small
        )


@jit
def adam_lane(
    params: Array,
    grad: Array,
    mean: Array,
    square: Array,
    step: Number,
    root: Number,
    old: Number,
    new1: Number,
    new2: Number,
    small: Number,
) -> None:
    for i in range(len(params)):
        g = grad[i]
        mean[i] = lerp(mean[i], g, new1)
        square[i] = old * square[i] + new2 * g * g
        # A CPU takes thirty times as long for the root of a denormal number.
        lifted = TINY if square[i] <= TINY else square[i]  # nan stays nan
        params[i] -= step * mean[i] / (np.sqrt(lifted) / root + small)


@jit
def lerp(start: Number, end: Number, share: Number) -> Number:
    """As PyTorch rounds it; a share of 1 is the end, whatever the start."""
    if share == ONE:
        return end
    if share < HALF:
        return start + share * (end - start)
    return end - (ONE - share) * (end - start)


@jit
def rmsprop(
    params: Array,
    grad: Array,
    square: Array,
    mean: Array,
    lr: float,
    alpha: float,
    eps: float,
    in_root: float,
) -> None:
    step, old, new, small, within = (
        np.float32(lr),
        np.float32(alpha),
        np.float32(1 - alpha),
        np.float32(eps),
        np.float32(in_root),
    )
    for lane in range(len(params)):
        if mean.shape[1]:
            rmsprop_centered(
                params[lane], grad[lane], square[lane], mean[lane], step, old, new, small, within
            )
        else:
            rmsprop_lane(params[lane], grad[lane], square[lane], step, old, new, small, within)


@jit
def rmsprop_lane(
    params: Array,
    grad: Array,
    square: Array,
    step: Number,
    old: Number,
    new: Number,
    small: Number,
    within: Number,
) -> None:
    for i in range(len(params)):
        square[i] = old * square[i] + new * grad[i] * grad[i]
        raised = square[i] + within
        lifted = TINY if raised <= TINY else raised  # nan stays nan
        params[i] -= step * grad[i] / (np.sqrt(lifted) + small)


@jit
def rmsprop_centered(
    params: Array,
    grad: Array,
    square: Array,
    mean: Array,
    step: Number,
    old: Number,
    new: Number,
    small: Number,
    within: Number,
) -> None:
    for i in range(len(params)):
        square[i] = old * square[i] + new * grad[i] * grad[i]
        mean[i] = lerp(mean[i], grad[i], new)
        raised = square[i] - mean[i] * mean[i] + within
        lifted = TINY if raised <= TINY else raised
        params[i] -= step * grad[i] / (np.sqrt(lifted) + small)


@jit
def polyak(target: Array, online: Array, tau: float) -> None:
    share = np.float32(tau)
    for lane in range(len(target)):
        for i in range(target.shape[1]):
            target[lane, i] = lerp(target[lane, i], online[lane, i], share)


# Replay


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


@jit
def tree_set(leaves: Array, nodes: Array, index: Array, value: Array, least: bool) -> None:
    width = nodes.shape[1] // 2
    draws = index.shape[1]
    at = np.empty(draws, np.int64)
    for lane in range(len(nodes)):
        count = 0
        for j in range(draws):
            leaves[lane, index[lane, j]] = value[lane, j]
        for j in range(draws):
            place = index[lane, j] // BLOCK
            # Drawn rows are in order, so that neighbours have a block and parents in common.
            if count and at[count - 1] == width + place:
                continue
            family = leaves[lane, place * BLOCK : (place + 1) * BLOCK]
            nodes[lane, width + place] = smallest(family) if least else total(family)
            at[count] = width + place
            count += 1
        level = width
        while level > 1:
            level //= 2
            kept = 0
            for j in range(count):
                parent = at[j] // 2
                if kept and at[kept - 1] == parent:
                    continue
                left, right = nodes[lane, 2 * parent], nodes[lane, 2 * parent + 1]
                nodes[lane, parent] = min(left, right) if least else left + right
                at[kept] = parent
                kept += 1
            count = kept


@jit
def total(family: Array) -> Number:
    a, b, c, d = family[0], family[1], family[2], family[3]
    e, f, g, h = family[4], family[5], family[6], family[7]
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@jit
def smallest(family: Array) -> Number:
    a, b, c, d = family[0], family[1], family[2], family[3]
    e, f, g, h = family[4], family[5], family[6], family[7]
    return min(min(min(a, b), min(c, d)), min(min(e, f), min(g, h)))


@jit
def tree_find(leaves: Array, nodes: Array, mass: Array) -> Array:
    width = nodes.shape[1] // 2
    lanes, draws = mass.shape
    index = np.empty((lanes, draws), np.int64)
    at, rest = np.empty(draws, np.int64), np.empty(draws)
    for lane in range(lanes):
        most = nodes[lane, 1] * BELOW_ONE
        for j in range(draws):
            at[j] = 1
            rest[j] = max(min(mass[lane, j], most), 0.0)
        level = 1
        while level < width:  # all draws together and without branches, which none can foresee
            level *= 2
            for j in range(draws):
                left = 2 * at[j]
                here, value = rest[j], nodes[lane, left]
                # Rounding may carry a mass past the end, but not to where there is nothing.
                right = np.int64(here >= value) & np.int64(nodes[lane, left + 1] > 0.0)
                rest[j] = here - value * right
                at[j] = left + right
        for j in range(draws):
            found, here = (at[j] - width) * BLOCK, rest[j]
            for half in (4, 2, 1):
                value, other = 0.0, 0.0
                for i in range(found, found + half):
                    value += leaves[lane, i]
                    other += leaves[lane, i + half]
                right = np.int64(here >= value) & np.int64(other > 0.0)
                here -= value * right
                found += half * right
            index[lane, j] = found
    return index


@jit
def tree_draw(leaves: Array, nodes: Array, uniform: Array) -> tuple[Array, Array, Array]:
    lanes, draws = uniform.shape
    mass, value, rarest = np.empty((lanes, draws)), np.empty((lanes, draws)), np.empty(lanes)
    for lane in range(lanes):
        share = nodes[lane, 1] / draws
        for j in range(draws):
            mass[lane, j] = (j + uniform[lane, j]) * share
    index = tree_find(leaves, nodes, mass)
    for lane in range(lanes):
        rarest[lane] = np.inf
        for j in range(draws):
            value[lane, j] = leaves[lane, index[lane, j]]
            rarest[lane] = min(rarest[lane], value[lane, j])
    return index, value, rarest


@jit
def importance(value: Array, rarest: Array, beta: float) -> Array:
    weight = np.empty(value.shape, np.float32)
    for lane in range(len(value)):
        for j in range(value.shape[1]):
            weight[lane, j] = (rarest[lane] / value[lane, j]) ** beta
    return weight


@jit
def rank(priority: Array, largest: Array, epsilon: float, alpha: float) -> Array:
    value = np.empty(priority.shape)
    for lane in range(len(priority)):
        for j in range(priority.shape[1]):
            raw = priority[lane, j] + epsilon
            raw = raw if raw < LARGEST else LARGEST
            largest[lane] = max(largest[lane], raw)
            value[lane, j] = raw**alpha
    return value
