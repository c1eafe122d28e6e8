"""Solvers as plain functions of numbers and arrays: they run as they are, and Numba compiles them."""
