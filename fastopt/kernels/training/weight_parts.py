"""W and its gradient in the parts whose sums are taken one by one: the two halves of pair.py, else the whole."""

from fastopt.kernels.gradient import linear
from fastopt.kernels.gradient.groups import sum_of_squares
from fastopt.kernels.language.compile import kernel
from fastopt.kernels.language.lanes import squared_lanes
from fastopt.kernels.language.memory import element_size, lane_count


@kernel
def parts(problem):
    """How many there are."""
    return 2 if problem.half else 1


@kernel
def part_of(problem, part):
    """Its features: (first, last)."""
    half, features = problem.half, problem.features
    return (half if part else 0), (half if half and not part else features)


@kernel
def stretches(h, problem, first, last):
    """Where a part lies in memory: (stretches, bytes to the first, from one to the next, numbers in each)."""
    if not problem.half:
        return 1, 0, 0, linear.elements_of(problem)
    begin = first * element_size(h) + (problem.jump if first else 0)
    classes, apart = problem.classes, problem.w_stride
    return classes, begin, apart, last - first


@kernel
def part_squares(h, problem, first, last):
    """Sum of squares of W over a part."""
    w = problem.W
    count, begin, apart, numbers = stretches(h, problem, first, last)
    total = 0.0
    for i in range(count):
        total += sum_of_squares(h, w + begin + i * apart, numbers)
    return total


@kernel
def part_norm(h, problem, w, dw, first, last, scale, penalty):
    """Squared norm of scale*dW + penalty*w over a part."""
    count, begin, apart, numbers = stretches(h, problem, first, last)
    total = 0.0
    for i in range(count):
        at = begin + i * apart
        total += squared_norm(h, w + at, dw + at, numbers, scale, penalty)
    return total


@kernel
def squared_norm(h, w, dw, numbers, scale, penalty):
    total = 0.0
    for i in range(0, numbers, lane_count(h)):
        total += squared_lanes(h, w, dw, i, numbers, scale, penalty)
    return total
