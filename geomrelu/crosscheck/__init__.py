"""The exact path against the sampled path: the only package that sees both."""

from geomrelu.crosscheck.compare import crosscheck, refinement
from geomrelu.crosscheck.report import CrossCheck, Failure, Refinement, RefinementRow

__all__ = ["CrossCheck", "Failure", "Refinement", "RefinementRow", "crosscheck", "refinement"]
