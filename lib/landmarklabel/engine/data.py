"""Images and points at training size: decoded once, kept in memory, the same preprocessing as for a prediction."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from ..errors import DataError
from ..interaction.shape_prior import FEWEST_LABELS, ShapePrior
from ..io.dataset import Case, LandmarkDataset
from ..io.headers import read_geometry
from ..io.splits import hold_out
from ..landmarks import Points
from ..protocol import Protocol
from ..transforms import Placement
from ..transforms.augmentation import UNKNOWN
from ..transforms.intensity import place_radiograph
from ..uvmaps import Regions
from .config import ExperimentConfig, InputConfig

Item = dict[str, torch.Tensor]


class MaskReader:
    """Reads label images as a network's maps have them.

    Args:
        protocol: of the label images.
        regions: of the network.
        stride: of its maps.
    """

    def __init__(self, protocol: Protocol, regions: Regions, stride: int) -> None:
        self.protocol, self.regions, self._stride = protocol, regions, stride

    def __call__(self, case: Case, placement: Placement) -> torch.Tensor:
        """Masks (R, H / s, W / s) of a case, as :class:`TrainingImages` has them.

        A structure of which a label image has no pixel is unknown: it may be that nobody has drawn it yet.
        """
        width, height = (side // self._stride for side in placement.target)
        masks = np.full((len(self.regions), height, width), UNKNOWN, dtype=np.uint8)
        drawn = case.structures(self.protocol)
        if drawn is None:
            return torch.from_numpy(masks)
        (x, inside_x), (y, inside_y) = (self._nearest(placement, axis, masks.shape) for axis in (0, 1))
        for mask, name, hull in zip(masks, self.regions.names, self.regions.hull, strict=True):
            if not hull and name in drawn.names and drawn[name].any():
                mask[:] = drawn[name][np.ix_(y, x)] & inside_y[:, None] & inside_x
        return torch.from_numpy(masks)

    def _nearest(
        self, placement: Placement, axis: int, shape: tuple[int, ...]
    ) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Column (axis 0) or row of the image that is nearest to each of a map, and whether it lies on the image."""
        centres = np.arange(shape[-1 - axis]) * self._stride + (self._stride - 1) / 2
        at = np.rint(placement.points_back(np.stack([centres, centres], axis=1))[:, axis]).astype(np.intp)
        length = placement.source[axis]
        return at.clip(0, length - 1), (at >= 0) & (at < length)


class TrainingImages(Dataset[Item]):
    """Labelled images in a network's input.

    An item holds ``image`` (H, W) in [0, 1] as 16-bit floats, ``points`` (K, 2) in input pixels (NaN absent) and
    ``unit`` (2,), by which a distance in input pixels becomes one in mm (in pixels of the original image where the
    spacing is unknown).

    Where masks are wanted, ``masks`` (R, H / s, W / s) are bytes: 1 inside a region, 0 outside, 255 throughout a region
    of which no label image says what is inside.

    Args:
        cases: labelled.
        config: of the input.
        progress: called after each image.
        masks: reads the masks; None for none.

    Raises:
        ImageError: an image can't be read; names it.
        LabelError: a label image does not fit any more.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        config: InputConfig,
        progress: Callable[[], object] | None = None,
        masks: MaskReader | None = None,
    ) -> None:
        self.cases = tuple(cases)
        self._config, self._masks = config, masks
        self._items: list[Item] = []
        self._known: list[bool] = []
        with ThreadPoolExecutor(max_workers=torch.get_num_threads()) as pool:
            for item in pool.map(self._read, self.cases):
                self._items.append(item)
                if progress:
                    progress()

    def _read(self, case: Case) -> Item:
        radiograph = case.radiograph()
        self._known.append(radiograph.spacing_known)
        placement = Placement(radiograph.size, self._config.size, self._config.fit)
        points = self._points(case)
        masks = {} if self._masks is None else {"masks": self._masks(case, placement)}
        return {
            "image": place_radiograph(radiograph, placement).half(),
            "points": torch.from_numpy(placement.points(points)).float(),
            "unit": torch.tensor(radiograph.spacing, dtype=torch.float32) / torch.from_numpy(placement.scale).float(),
            **masks,
        }

    def _points(self, case: Case) -> Points:
        if case.points is not None:
            return case.points
        assert self._masks is not None, "a case without landmarks has a label image"
        return np.full((len(self._masks.protocol), 2), np.nan)

    @property
    def unit_name(self) -> str:
        """The unit of errors: mm if the spacing of every image is known, pixels if that of none is."""
        return "mm" if all(self._known) else "px" if not any(self._known) else "mm or px"

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Item:
        return self._items[index]


def training_and_validation(
    dataset: LandmarkDataset, config: ExperimentConfig
) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Cases to train on and to choose the best epoch by; no patient in both.

    Those to train a network that segments on may have a label image and no landmarks; all others have landmarks.

    Raises:
        DataError: there are too few labelled images, or no such split.
    """
    usable = dataset.labelled() if config.include_suspicious else dataset.trustworthy()
    training = of_split(usable, config.train_on, dataset)
    if config.validate_on is not None:
        validation = of_split(usable, config.validate_on, dataset)
        patients = {case.patient for case in validation}
        training = tuple(case for case in training if case.patient not in patients)
    else:
        training, validation = hold_out(training, config.validation.fraction, config.seed)
    if not training or not validation:
        raise DataError(
            f"{dataset.name}: {len(usable)} usable labelled images are too few to train on; at least 2, of different "
            "patients, are needed"
        )
    training += _only_drawn(dataset, config, {case.patient for case in validation})
    for cases, purpose in ((training, "train on"), (validation, "choose the best epoch by")):
        if not any(case.has_landmarks for case in cases):
            raise DataError(
                f"{dataset.name}: none of the {len(cases)} images to {purpose} has a landmark that is placed"
            )
    return training, validation


def _only_drawn(dataset: LandmarkDataset, config: ExperimentConfig, held_out: set[str]) -> tuple[Case, ...]:
    """Cases with a label image and no landmarks, which a network that segments learns from, too."""
    if config.network.name != "denseseg":
        return ()
    return tuple(
        case
        for case in dataset.cases
        if case.points is None
        and case.segmentation is not None
        and case.patient not in held_out
        and (config.include_suspicious or case.id not in dataset.suspicious)
        and config.train_on in (None, case.split)
    )


def learn_shape(cases: Sequence[Case]) -> ShapePrior | None:
    """How the landmarks of some cases lie; None where too few have a label."""
    labelled = [case for case in cases if case.points is not None and case.has_landmarks]
    if len(labelled) < FEWEST_LABELS:
        return None
    points = np.stack([np.asarray(case.points, dtype=np.float64) for case in labelled])
    return ShapePrior.fit(points, np.array([read_geometry(case.image).size for case in labelled]))


def fit_input(config: ExperimentConfig, cases: Sequence[Case]) -> ExperimentConfig:
    """The same run with the height and width of its input, where they follow the images' median aspect."""
    if config.input.pixels is None:
        return config
    aspects = [width / height for width, height in (read_geometry(case.image).size for case in cases)]
    fitted = config.input.fitted(statistics.median(aspects), config.network.multiple)
    return config.model_copy(update={"input": fitted})


def of_split(cases: Sequence[Case], split: str | None, dataset: LandmarkDataset) -> tuple[Case, ...]:
    """Those of a split of the layout; all of them for None.

    Raises:
        DataError: the layout has no labelled images in such a split.
    """
    if split is None:
        return tuple(cases)
    chosen = tuple(case for case in cases if case.split == split)
    if not chosen:
        known = sorted({case.split for case in dataset.cases if case.split})
        raise DataError(
            f"{dataset.name} has no labelled images in a split '{split}'; it has {', '.join(known) or 'no splits'}"
        )
    return chosen


def describe_data(
    dataset: LandmarkDataset,
    training: Sequence[Case],
    validation: Sequence[Case],
    before: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """What a model file says about its training data. Patients are hashed, which hides names, not short numbers.

    Args:
        before: ``seen`` and ``trained`` of the weights that the run started from: what these know, its own know, too.
    """
    learned, chosen = ({patient_hash(case.patient) for case in cases} for cases in (training, validation))
    before = before or {}
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "training_images": len(training),
        "validation_images": len(validation),
        "seen": sorted(learned | chosen | set(before.get("seen", ()))),
        "trained": sorted(learned | set(before.get("trained", ()))),
    }


def learned_from(data: Mapping[str, Any], cases: Sequence[Case]) -> tuple[Case, ...]:
    """Those of some cases whose patients a model's weights were trained on; none if its file does not say.

    Args:
        data: of the header.
    """
    trained = set(data.get("trained", ()))
    return tuple(case for case in cases if patient_hash(case.patient) in trained)


def patient_hash(patient: str) -> str:
    """Stands for a patient where the name itself must not be kept."""
    return hashlib.sha256(patient.encode()).hexdigest()[:12]
