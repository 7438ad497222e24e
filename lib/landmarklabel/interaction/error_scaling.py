"""What validation images say of stated errors, beyond those of each landmark by itself."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

#: By what the inner 68 % and the outer 95 % of errors are multiplied.
Factors = tuple[float, float]


class ErrorScaling(BaseModel):
    """How the errors that a posterior states become those of measurements.

    A posterior may state of each landmark by itself how it errs, and still have wrong which landmarks err together; a
    measurement is a difference of landmarks, and hangs on that. Both are measured on validation images after a
    training, and written into the model's file.

    Attributes:
        dependence: which part of what is stated to err together does so; the rest is each landmark's own.
        common: by what errors of measurements are multiplied after 0, 1, 2, ... clicks, the last for more.
        measurements: the same for single definitions of the protocol, by their names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    dependence: float = Field(1.0, ge=0, le=1)
    common: tuple[Factors, ...] = Field(((1.0, 1.0),), min_length=1)
    measurements: Mapping[str, tuple[Factors, ...]] = Field(default_factory=dict)

    def of(self, name: str, clicks: int) -> Factors:
        """By what errors of a definition are multiplied after so many clicks."""
        factors = self.measurements.get(name) or self.common
        return factors[min(clicks, len(factors) - 1)]
