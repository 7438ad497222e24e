"""Experiments: the shipped ones are valid; a wrong one is refused with its key and the fix."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmarklabel.cli_options import change
from landmarklabel.engine.config import InputConfig, available_experiments, load_experiment
from landmarklabel.errors import ConfigError
from landmarklabel.networks import UNetConfig


@pytest.mark.parametrize("name", available_experiments())
def test_every_shipped_experiment_is_valid(name: str) -> None:
    assert load_experiment(name).epochs >= 1


def test_the_papers_setting() -> None:
    config = load_experiment("farnet_isbi2015")
    assert (config.input.height, config.input.width, config.epochs, config.batch_size) == (800, 640, 300, 1)
    assert (config.loss.name, config.loss.alpha, config.loss.sigma) == ("ewc", 40, 10)
    assert config.network.name == "farnet"
    assert config.network.backbone == "densenet121"
    paper = load_experiment("farnet_isbi2015_paper")
    assert (paper.optimizer.name, paper.optimizer.learning_rate) == ("Adadelta", 1e-4)
    assert paper.decoder.method == "maximum"
    assert paper.augmentation.rotation == 0


def test_an_experiment_changes_only_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("base: farnet\nloss: {sigma: 5}\nepochs: 7\n")
    config = load_experiment(tmp_path / "mine.yaml")
    assert (config.loss.sigma, config.loss.alpha, config.epochs, config.input.height) == (5, 40, 7, 800)


def test_another_network_replaces_the_whole_of_it(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("base: farnet\nnetwork: {name: unet}\n")
    assert load_experiment(tmp_path / "mine.yaml").network.name == "unet"


def test_a_base_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("base: farnet\nepochs: 5\n")
    (tmp_path / "b.yaml").write_text("base: a.yaml\nbatch_size: 2\n")
    config = load_experiment(tmp_path / "b.yaml")
    assert (config.epochs, config.batch_size) == (5, 2)


def test_changes_on_the_way() -> None:
    config = load_experiment("farnet_light", {"epochs": 3, "optimizer.learning_rate": 0.5, "network.width": 32})
    assert (config.epochs, config.optimizer.learning_rate, config.network.width) == (3, 0.5, 32)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("base: farnet\nepoch: 3\n", "mine.yaml, epoch: unknown key 'epoch'; did you mean 'epochs'?"),
        ("base: farnet\nepochs: 0\n", "mine.yaml, epochs: got 0; input should be greater than or equal to 1"),
        (
            "base: farnet\nloss: {sigma: 1}\n",
            "mine.yaml, loss.sigma: got 1; input should be greater than or equal to 1.5",
        ),
        ("base: farnet\nnetwork: {name: resnet}\n", "mine.yaml, network: got .*'unet', 'fpn'"),
        ("base: farnet\ninput: {height: 100, width: 64}\n", "farnet needs height and width in multiples of 32"),
        ("base: farnet\ninput: {pixels: 5000}\n", "mine.yaml, input: give height and width, or pixels"),
        ("base: nothing\n", "mine.yaml, base: there is no 'nothing'; choose one of denseseg, "),
        ("base: mine.yaml\n", "mine.yaml is based on itself"),
        ("- a\n", "expected 'key: value' lines, got list"),
        ("epochs: 3\n", "mine.yaml, network: 'network' is missing; add it"),
    ],
)
def test_a_wrong_experiment_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_experiment(tmp_path / "mine.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"network.widht": 32}, "network.farnet.widht: unknown key 'widht'; did you mean 'width'"),
        ({"network.fast": 1}, "unknown key 'fast'; known here: name, backbone"),
        ({"loss.sigma": float("inf")}, "loss.sigma: got inf; input should be a finite number"),
    ],
)
def test_a_wrong_change_is_answered_with_what_is_known(changes: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_experiment("farnet_light", changes)


@pytest.mark.parametrize(
    "value", ["2024-13-45", "0x_", "!!int x", "!!bool x", "!!timestamp x", "[", pytest.param("[" * 3000, id="too deep")]
)
def test_a_change_that_is_no_yaml_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="^--set seed=.*: the value is not a number, a word or a list as YAML has"):
        change(f"seed={value}")


def test_a_change_to_another_network() -> None:
    assert load_experiment("farnet_light", {"network.name": "unet"}).network == UNetConfig()


def test_an_unknown_name_is_answered_with_the_known() -> None:
    with pytest.raises(ConfigError, match="there is no experiment 'best'; choose one of denseseg_jsrt, "):
        load_experiment("best")


@given(st.floats(0.2, 5), st.integers(20_000, 1_000_000))
def test_an_input_of_so_many_pixels_follows_the_images(aspect: float, pixels: int) -> None:
    fitted = InputConfig(pixels=pixels).fitted(aspect, 32)
    assert fitted.pixels is None
    width, height = fitted.size
    assert width % 32 == height % 32 == 0
    assert abs(width - (pixels * aspect) ** 0.5) <= 16 or width == 32
    assert abs(height - (pixels / aspect) ** 0.5) <= 16 or height == 32
