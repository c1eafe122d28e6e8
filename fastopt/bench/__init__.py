"""Benchmarks against NumPy, peers and the machine's limit: `fastopt bench`, and `pytest bench` in a clone.

problems -> peers -> cases -> suite (a record) -> tables, page
timing, roofline                                 how it is measured, and against what
"""

GROUPS = ("rules", "gradient", "epoch", "numeric", "first call", "scaling")  # of what is measured
