"""What callbacks are told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Weights:
    """Weights were read from the file, which happens when they are first needed.

    Text encoder, diffusion model and autoencoder are read one after the other.
    """

    done: int
    """Tensors that were read."""
    total: int
    """Tensors to be read for this part of the model."""


@dataclass(frozen=True)
class Step:
    """A step of the sampler was done."""

    picture: int
    """The picture of the batch, from 1."""
    pictures: int
    """The pictures in the batch."""
    step: int
    """The step, from 1."""
    steps: int
    """The steps of each picture. With an initial picture they are fewer than asked for."""
    seconds: float
    """How long the step took."""

    @property
    def fraction(self) -> float:
        """How much of all steps of all pictures is done, 0.0 to 1.0."""
        return ((self.picture - 1) * self.steps + self.step) / (self.pictures * self.steps)
