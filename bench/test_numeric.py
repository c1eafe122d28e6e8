"""The gradient by formula against central differences of the loss."""

import pytest

from fastopt.bench import cases

CASE = cases.numeric()


@pytest.mark.parametrize("who", CASE.makers)
def test_numeric_against_analytic(race, who):
    race(CASE, who)
