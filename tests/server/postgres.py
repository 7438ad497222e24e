"""A real PostgreSQL of the tests' own, on a socket in a folder: Debian's package ``postgresql`` has it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class Postgres:
    """A server that runs."""

    folder: Path
    programs: Path
    user: str
    databases: int = 0

    def url(self) -> str:
        """Of a new database."""
        self.databases += 1
        name = f"index_{self.databases}"
        self.run("createdb", "-h", str(self.folder), "-U", self.user, name)
        return f"postgresql://{self.user}@/{name}?host={self.folder}"

    def wrong(self) -> str:
        """Of a server that is not there."""
        return f"postgresql://{self.user}:secret@/nowhere?host={self.folder}/no"

    def run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            command = ["runuser", "-u", self.user, "--", *command]
        done = subprocess.run(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL; skips where there is none."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (str(installed[-1]) if installed else None)
    if initdb is None:
        pytest.skip("no PostgreSQL server here (Debian's package postgresql)")
    user = _user()
    with tempfile.TemporaryDirectory() as text:  # a short path: sockets have no room for long ones
        folder, programs = Path(text), Path(os.path.realpath(initdb)).parent
        shutil.chown(folder, user)
        server = Postgres(folder, programs, user)
        server.run("initdb", "-D", f"{folder}/data", "-A", "trust", "--no-sync")
        # Not as careful with its own files as it is by default: what it promises is not tested here.
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        server.run("pg_ctl", "-D", f"{folder}/data", "-o", options, "-l", f"{folder}/log", "-w", "start")
        try:
            yield server
        finally:
            server.run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")


def _user() -> str:
    if os.geteuid():
        return pwd.getpwuid(os.geteuid()).pw_name
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    pytest.skip("neither a user postgres nor nobody here, and PostgreSQL does not run as root")
