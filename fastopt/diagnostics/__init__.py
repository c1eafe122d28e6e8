"""What is wrong with a run, and what to do: detectors with a rule each; rates and batch sizes, measured."""

from fastopt.diagnostics.batches import batch_size_study
from fastopt.diagnostics.diagnosing import diagnose
from fastopt.diagnostics.finding import DETECTORS, Detector, Diagnosis, Finding
from fastopt.diagnostics.lanczos import lanczos
from fastopt.diagnostics.rates import lr_range_test
from fastopt.diagnostics.watching import Watch

__all__ = [
    "DETECTORS", "Detector", "Diagnosis", "Finding", "Watch", "batch_size_study", "diagnose", "lanczos", "lr_range_test",
]  # fmt: skip
