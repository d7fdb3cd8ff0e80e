"""Django's own tests of task backends run with heliograph's backend, on each version of Django that has tasks.

They are in the sdist of Django, and need Python 3.12 or later, so this makes an environment with such a Python. The
classes in `suite/backend_tests.py` replace Django's backends and name each test that they exclude.
"""

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.django_suite, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

PYTHONS = ("3.15", "3.14", "3.13", "3.12")
EXCLUDED = 7
"""Number of tests of Django that are excluded by name."""

PASSED = {"6.0": 64, "6.1": 69}
"""Version of Django -> number of its tests that pass."""


def find_python() -> Path | None:
    """Return the newest Python that Django 6 supports: from PATH, pyenv or uv."""
    homes = [Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"]
    homes.append(Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or Path.home() / ".local/share/uv/python"))
    for version in PYTHONS:
        found = [shutil.which(f"python{version}")]
        for home in homes:
            found += sorted(map(str, home.glob(f"*{version}[.-]*/bin/python{version}")))
        for candidate in filter(None, found):
            if subprocess.run([candidate, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0:
                return Path(candidate)
    return None


def run(*command: object, **options) -> str:
    """Run a command and return its output."""
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """An environment with heliograph and what Django needs, but without Django."""
    python = find_python()
    if python is None:
        pytest.skip("Django 6 needs Python 3.12 or later, and there is none in PATH, pyenv or uv")
    place = tmp_path_factory.mktemp("environment")
    run(python, "-m", "venv", place)
    pip(place, "install", "--editable", ROOT, "asgiref>=3.9.1", "sqlparse>=0.5", "setuptools>=77")
    return place


def pip(place: Path, command: str, *arguments: object) -> None:
    run(place / "bin/python", "-m", "pip", command, "--quiet", "--disable-pip-version-check", *arguments)


@pytest.mark.parametrize("version", PASSED)
def test_tests_of_django_pass(environment, version, tmp_path, capsys):
    """All but those that demand a class of Django, or a backend that can do less."""
    options = ("--no-deps", "--no-build-isolation", "--no-binary", "django", "--dest", tmp_path)
    pip(environment, "download", *options, f"django=={version}.*")
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    django = tmp_path / archive.name.removesuffix(".tar.gz")
    (stores := tmp_path / "stores").mkdir()
    output = run(
        environment / "bin/python", "-W", "error::ResourceWarning", "-m", "django", "test", "backend_tests",
        cwd=HERE / "suite",
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (HERE / "suite", django, django / "tests"))),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DJANGO_SETTINGS_MODULE": "suite_settings",
            "SUITE_DIRECTORY": str(stores),
        },
    )  # fmt: skip
    ran, excluded = re.search(r"Ran (\d+) tests", output), re.search(r"excluded: (\d+)", output)
    assert ran, output
    assert excluded, output
    with capsys.disabled():
        print(f"\nDjango {django.name.removeprefix('django-')}: {ran[1]} passed, {excluded[1]} excluded")
    assert (int(ran[1]), int(excluded[1])) == (PASSED[version], EXCLUDED), output
