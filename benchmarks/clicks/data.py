"""The two data sets, each as a part to train on and a part to test on; no patient, nor picture, in both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from landmarklabel.errors import ConfigError, listed
from landmarklabel.io.cases import Case, LandmarkDataset
from landmarklabel.io.dataset import read_dataset
from landmarklabel.io.splits import hold_out

#: Of AASCE's test patients.
TEST_PART, SPLIT_SEED = 0.25, 1


@dataclass(frozen=True)
class Figures:
    """What is asked of a data set.

    Attributes:
        unit: of errors.
        targets: of NoC and FR, in that unit.
        noise: deviation of a reader's clicks, in that unit.
        most_target: of the curves of NoC and FR by target.
    """

    unit: str
    targets: tuple[float, ...]
    noise: float
    most_target: float


#: In pixels of the original images, as the literature reports spines; in mm for cephalograms.
FIGURES: Mapping[str, Figures] = MappingProxyType(
    {
        "aasce": Figures("px", (20.0, 30.0, 40.0, 50.0), 5.0, 60.0),
        "isbi2015": Figures("mm", (1.5, 2.0, 2.5, 3.0), 1.0, 6.0),
    }
)


@dataclass(frozen=True)
class Parts:
    """A data set divided.

    Attributes:
        layout: ``aasce`` or ``isbi2015``.
        training: to train on; the validation images are held out of it by the training engine.
        test: never trained on.
        leaked: ids of test images that show the same picture as a training image.
    """

    layout: str
    training: LandmarkDataset
    test: tuple[Case, ...]
    leaked: frozenset[str]

    @property
    def figures(self) -> Figures:
        return FIGURES[self.layout]


def read_parts(source: str) -> Parts:
    """AASCE by patient, a quarter for testing; ISBI 2015 by its own splits ``train`` and ``test1``.

    Args:
        source: ``aasce:DIR`` or ``isbi2015:DIR``.

    Raises:
        ConfigError: another layout.
    """
    layout = source.partition(":")[0]
    if layout not in FIGURES:
        raise ConfigError(f"--data {source}: expected LAYOUT:DIR with a layout of {listed(FIGURES)}")
    dataset = read_dataset(source)
    usable = dataset.trustworthy()
    if layout == "aasce":
        training, test = hold_out(usable, TEST_PART, SPLIT_SEED)
    else:
        training, test = (tuple(c for c in usable if c.split == split) for split in ("train", "test1"))
    seen = {case.patient for case in training}  # ISBI's reader gives both of a repeated picture the same patient
    leaked = frozenset(case.id for case in test if case.patient in seen)
    return Parts(layout, LandmarkDataset(dataset.name, dataset.protocol, training), test, leaked)
