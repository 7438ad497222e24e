"""Packaging. Every upper bound has its reason beside it; constraints.txt holds the set that was tested."""

from pathlib import Path

from setuptools import find_packages, setup

# What the data model needs: reading images, protocols, markups. No PyTorch.
CORE = [
    "numpy>=1.26",
    "scipy>=1.11",
    "scikit-image>=0.22",
    "SimpleITK>=2.3",
    "pydicom>=2.4",
    "Pillow>=10.1",
    "pydantic>=2.7",
    "PyYAML>=6.0.1",
    "typer>=0.12",
    "rich>=13.7",
    "tqdm>=4.66",
]

LEARNING = [
    "torch>=2.4",
    "monai>=1.4",
    "pytorch-ignite>=0.5",
    "timm>=1.0.9",
    "safetensors>=0.4.3",
    "tensorboard>=2.16",
    "matplotlib>=3.8",
    "filelock>=3.13",
    "psutil>=6",
    "SQLAlchemy>=2.0.30,<2.1",  # the index of the label store; 2.1 is not tried yet
]

SERVER = [
    "monailabel>=0.8.5,<0.9",  # the app replaces parts of 0.8.5 (datastore, error answers) from inside
    "numpy<2",  # pydicom-seg, which MONAI Label imports, was built for numpy 1
    "pydicom<3",  # pydicom-seg 0.4.1 imports a module that pydicom 3 has dropped
    "pynetdicom<3",  # needs pydicom 3
    "dicomweb-client<0.60",  # needs pydicom 3
    "highdicom>=0.22,<0.23",  # SR and SEG; the next one needs pydicom 3
    "prometheus_client>=0.20",  # /metrics
    "setuptools<82",  # MONAI Label imports distutils, which only setuptools has from Python 3.12 on
]

SEARCH = [
    "optuna>=4,<5",  # a search that goes on must choose the weights that it would have chosen
]

POSTGRES = [
    "psycopg[binary]>=3.2",  # several servers on one PostgreSQL
]

FAST = [
    "onnx>=1.16",  # PyTorch's exporter needs it
    "onnxruntime>=1.18",
    "openvino>=2025.0",  # earlier ones don't compute in fp16 on a processor's matrix units
]

DEV = [
    *SEARCH,
    *POSTGRES,
    *FAST,
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "hypothesis>=6.100",
    "ruff>=0.14",
    "mypy>=1.15",
    "types-PyYAML",
    "types-requests",
    "types-psutil",
    "types-tqdm",
    "requests>=2.31",
    "schemathesis>=4.10,<5",  # hostile requests by the OpenAPI; its settings change with its major versions
    "build>=1.2",
]


def below(folder: str, package: str) -> dict[str, str]:
    """Each folder under ``folder`` that holds files to ship, as a package below ``package``."""
    found = {}
    for path in sorted({file.parent for file in Path(folder).rglob("*") if file.is_file() and wanted(file)}):
        found[".".join([package, *path.relative_to(Path(folder)).parts])] = path.as_posix()
    return found


def wanted(file: Path) -> bool:
    """Files of the app and of configs, without what a running server leaves in the app's folder."""
    made = {"__pycache__", "model", "logs", "bin"}
    return file.suffix in (".py", ".yaml") and not made & set(file.parts)


RESOURCES = {
    **below("configs", "landmarklabel.resources_.configs"),
    **below("MonaiLabelApp", "landmarklabel.resources_.MonaiLabelApp"),
}

setup(
    name="landmarklabel",
    version="0.1.0",
    description="Anatomical landmarks on radiographs: MONAI Label server, library and command line",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",  # MONAI Label imports cgi, which Python 3.13 has dropped
    package_dir={"": "lib", **RESOURCES},
    packages=[*find_packages("lib"), *RESOURCES],
    package_data={name: ["*.yaml", "*.py"] for name in RESOURCES},
    install_requires=CORE + LEARNING,
    extras_require={"server": SERVER, "search": SEARCH, "postgres": POSTGRES, "fast": FAST, "dev": DEV},
    entry_points={"console_scripts": ["landmarklabel=landmarklabel.cli:main"]},
    classifiers=[
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Intended Audience :: Science/Research",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
    ],
)
