"""The package, as installed from a wheel, holds all that it needs, and runs from anywhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from landmarklabel.cli import main
from landmarklabel.resources import resource
from landmarklabel.serving import server_command

ROOT = resource("sample_data").parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package from a wheel that was built now."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    kept = shutil.ignore_patterns(".*", "sample_data", "build", "*.egg-info", "__pycache__", "model", "logs", "bin")
    shutil.copytree(ROOT, source, ignore=kept)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(folder / "site"), str(source)], check=True, capture_output=True)
    return folder / "site"


def run(installed: Path, code: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.slow
def test_protocols_experiments_and_the_app_come_along(installed: Path, tmp_path: Path) -> None:
    code = (
        "import landmarklabel; from landmarklabel.protocol import *; from landmarklabel.engine.config import *;"
        "from landmarklabel.resources import resource;"
        "print(landmarklabel.__file__); print(*[len(load_protocol(name)) for name in shipped_protocols()]);"
        "print(*[load_experiment(name).epochs for name in available_experiments()]);"
        "print(resource('MonaiLabelApp'))"
    )
    module, landmarks, epochs, app = run(installed, code, tmp_path).splitlines()
    assert Path(module).is_relative_to(installed)
    assert landmarks.split() == ["19", "13", "166", "37", "68", "720"]
    assert len(epochs.split()) >= 6
    assert Path(app).is_relative_to(installed)
    shipped = {path.relative_to(app) for path in Path(app).rglob("*.py")}
    made = {"model", "logs", "bin", "lib"}
    own = {p.relative_to(ROOT / "MonaiLabelApp") for p in (ROOT / "MonaiLabelApp").rglob("*.py")}
    assert shipped == {path for path in own if not made & set(path.parts)}


def test_the_server_is_told_what_its_train_tasks_run(
    tmp_path: Path, triangle_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The options of ``serve`` reach the app as its settings."""
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execve", lambda path, command, environment: started.append(command))
    options = ["--experiment", "a.yaml", "--interactive-experiment", "b.yaml", "--segmentation-experiment", "c.yaml"]
    with pytest.raises(SystemExit) as ended:
        main(["serve", str(tmp_path), "--protocol", str(triangle_file), *options])
    assert not ended.value.code
    (command,) = started
    settings = {command[at + 1]: command[at + 2] for at, part in enumerate(command) if part == "--conf"}
    assert [settings[f"{kind}experiment"] for kind in ("", "interactive_", "segmentation_")] == [
        "a.yaml", "b.yaml", "c.yaml",
    ]  # fmt: skip


@pytest.mark.slow
def test_an_app_that_can_not_be_written_is_copied(tmp_path: Path, triangle_file: Path) -> None:
    """Installed for all users, MONAI Label could not keep its log in it."""
    locked = tmp_path / "locked"
    shutil.copytree(ROOT / "MonaiLabelApp", locked / "MonaiLabelApp")
    (tmp_path / "studies").mkdir()
    bound = tmp_path / "bound"
    bound.mkdir()
    mounted = subprocess.run(["mount", "--bind", str(locked), str(bound)], capture_output=True).returncode == 0
    if not mounted:
        pytest.skip("mounting needs root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(bound)], check=True)
        experiments = {"segmentation_experiment": "denseseg_light"}
        arguments = (tmp_path / "studies", str(triangle_file), tmp_path / "models", "127.0.0.1", 8000, experiments)
        command, _ = server_command(*arguments, bound / "MonaiLabelApp")
        app = Path(command[command.index("--app") + 1])
        assert app == tmp_path / "models" / ".app"
        assert (app / "main.py").read_bytes() == (locked / "MonaiLabelApp" / "main.py").read_bytes()
        command, environment = server_command(*arguments, locked / "MonaiLabelApp")
        assert command[command.index("--app") + 1] == str(locked / "MonaiLabelApp")
        assert command[command.index("--host") + 1] == "127.0.0.1"
        assert command[command.index("segmentation_experiment") - 1 :][:3:2] == ["--conf", "denseseg_light"]
        assert environment["MONAI_LABEL_TRACKING_ENABLED"] == "false"
    finally:
        subprocess.run(["umount", str(bound)], check=True)
