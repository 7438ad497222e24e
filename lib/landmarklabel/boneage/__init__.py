"""Bone age from the landmarks of bones (DenseSeg's downstream task: Keuth et al., section 3.2)."""

from .bones import Bones, BoneShapes
from .config import BoneAgeConfig
from .data import AgedData, AgedImage, join, read_ages
from .ensemble import AgeClasses, AgeEstimates, BoneAgeEnsemble
from .metrics import mean_absolute_error, r_squared
from .modelfile import BoneAgeHeader, BoneAgeModel, load_bone_age, save_bone_age
from .network import BoneAgeNetwork
from .prediction import BoneAge, predict_labels
from .training import Trained, train_bone_age

__all__ = [
    "AgeClasses",
    "AgeEstimates",
    "AgedData",
    "AgedImage",
    "BoneAge",
    "BoneAgeConfig",
    "BoneAgeEnsemble",
    "BoneAgeHeader",
    "BoneAgeModel",
    "BoneAgeNetwork",
    "BoneShapes",
    "Bones",
    "Trained",
    "join",
    "load_bone_age",
    "mean_absolute_error",
    "predict_labels",
    "r_squared",
    "read_ages",
    "save_bone_age",
    "train_bone_age",
]
