"""The table of options: one row is enough to add an option, and every part of it fits the rest."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

import pytest
from click.testing import CliRunner

import heliograph
from heliograph.application import AppSpec
from heliograph.cli.options import help_line
from heliograph.cli.reference import options_table, variables_table
from heliograph.cli.run import START, make_run_command
from heliograph.exceptions import ConfigError
from heliograph.models import FarmSpec, Topology
from heliograph.settings import make
from heliograph.settings.make import completed, create_spooler_directory, from_keywords
from heliograph.settings.option_row import ENGINES, LOCAL, RESERVED_VARIABLES, UWSGI, option, options_of
from heliograph.settings.option_types import Integer, WorkerRange
from heliograph.settings.options import OPTIONS, ServerSettings

rows = pytest.mark.parametrize("row", OPTIONS, ids=lambda row: row.name)
APP = AppSpec("tasks")


@dataclass(frozen=True, slots=True)
class Extended(ServerSettings):
    """A copy of the table with one more row."""

    spare_workers: int = option(
        Integer(minimum=1), 2, "Workers to keep ready", "N", engines=(LOCAL,), instead="Use -- --cheaper N"
    )


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Run the extended command with these arguments and variables, and return its result and the settings."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks.py").touch()

    def run(*arguments, **variables):
        started = []
        for engine in ENGINES:
            monkeypatch.setitem(START, engine, started.append)
        return CliRunner().invoke(make_run_command(Extended), ["tasks", *arguments], env=variables), started

    return run


def test_one_row_adds_an_option_to_the_command(start):
    """The flag, its value in the settings, its help with unit and default, and its checks."""
    assert start("--spare-workers", "5")[1] == [Extended(APP, workers=1, spare_workers=5)]
    assert start()[1] == [Extended(APP, workers=1, spare_workers=2)]
    assert re.search(r"--spare-workers N +Workers to keep ready \[default: 2\]", start("--help")[0].output)
    result, started = start("--spare-workers", "0")
    assert (result.exit_code, started) == (2, [])
    assert result.output == "Error: --spare-workers 0: it is too small. Use 1 or more\n"


def test_one_row_adds_an_environment_variable(start):
    """A flag wins over the variable, which wins over the default. An error names the variable."""
    assert start(HELIOGRAPH_SPARE_WORKERS="5")[1] == [Extended(APP, workers=1, spare_workers=5)]
    assert start("--spare-workers", "6", HELIOGRAPH_SPARE_WORKERS="5")[1][0].spare_workers == 6
    assert start(HELIOGRAPH_SPARE_WORKERS="")[1][0].spare_workers == 2
    result, started = start(HELIOGRAPH_SPARE_WORKERS="many")
    assert (result.exit_code, started) == (2, [])
    assert result.output == "Error: HELIOGRAPH_SPARE_WORKERS=many: it is not a number. Use 1 or more\n"


def test_one_row_says_which_engine_has_the_option(start):
    """With the other engine it is an error that names what the user gave."""
    result, _ = start("--spare-workers", "3", "--engine", "uwsgi")
    assert "Error: --spare-workers does not work with --engine uwsgi. Use -- --cheaper N" in result.output
    result, _ = start(HELIOGRAPH_SPARE_WORKERS="3", HELIOGRAPH_RUN_ENGINE="uwsgi")
    assert "Error: HELIOGRAPH_SPARE_WORKERS does not work with --engine uwsgi." in result.output


def test_one_row_adds_an_option_to_the_reference():
    """To both pages."""
    assert "| `--spare-workers N` | local | 2 | Workers to keep ready. |" in options_table(options_of(Extended))
    assert "| `HELIOGRAPH_SPARE_WORKERS` | `--spare-workers` | N |" in variables_table(options_of(Extended))


def test_serve_has_the_keywords_and_defaults_of_the_table():
    """Its signature is written out for type checkers, so it is the second place for a keyword."""
    parameters = dict(inspect.signature(heliograph.serve).parameters)
    assert parameters.pop("app").kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert parameters.pop("command").default == ()
    assert parameters.pop("commands").default is None
    rows_of_serve = {row.name: row for row in OPTIONS if row.keyword}
    assert set(parameters) == set(rows_of_serve)
    for name, parameter in parameters.items():
        row, default = rows_of_serve[name], parameter.default
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert (row.default if default is None else row.type.from_value(default)) == row.default


def test_flags_variables_and_keywords_are_unique():
    """And no variable has another meaning already."""
    flags = [flag for row in OPTIONS for flag in (row.flag, *row.aliases)]
    variables = [row.variable for row in OPTIONS]
    assert len(set(flags)) == len(flags)
    assert len(set(variables)) == len(variables)
    assert not set(variables) & set(RESERVED_VARIABLES)


@rows
def test_a_row_is_complete(row):
    """Variables start with HELIOGRAPH_. An option of one engine says what to do with the other."""
    assert row.variable.startswith("HELIOGRAPH_")
    assert row.flag.startswith("--")
    assert row.help[0].isupper()
    assert not row.help.endswith(".")
    assert bool(row.instead) == (row.engines != ENGINES)
    assert set(row.engines) <= set(ENGINES)


@rows
def test_help_fits_one_line(row):
    """In a terminal of 80 columns, next to the longest flag of its group."""
    group = [other for other in OPTIONS if other.engines == row.engines]
    widest = max(len(f"{other.flag} {other.metavar}") for other in group)
    assert 2 + widest + 2 + len(help_line(row)) <= 78


@pytest.mark.parametrize(
    ("keywords", "says"),
    [
        ({"workers": -1}, "workers=-1: it is too small. Use 0 or more"),
        ({"workers": "2"}, "workers='2': it is not an int"),
        ({"workers": 0}, "at least one process"),
        ({"mules": -1}, "mules=-1"),
        ({"graceful_timeout": -1}, "graceful_timeout=-1: it is not a time. Use seconds, 0 or more"),
        ({"time_limit": float("nan")}, "time_limit=nan"),
        ({"farms": {"a": [1]}}, "farm 'a': there is no mule 1"),
        ({"farms": [1]}, "farms="),
        ({"allow_remote": [256]}, "allow_remote="),
        ({"allow_remote": ["17"]}, "allow_remote="),
        ({"listen": "127.0.0.1:http"}, "listen='127.0.0.1:http': 'http' is not a port"),
        ({"spooler": "no/such/spool"}, "spooler='no/such/spool': there is no directory"),
        ({"log_level": "loud"}, "log_level='loud': it is not one of the choices"),
    ],
)
def test_a_program_gets_a_config_error_with_the_keyword_and_the_value(keywords, says):
    """For everything that a server cannot have."""
    with pytest.raises(ConfigError, match=says):
        from_keywords("tasks", (), keywords)


@pytest.mark.parametrize(
    ("command", "expected"),
    [((), None), (("gunicorn", "-w", "3"), 3), (("gunicorn",), 2), (("gunicorn", "-w", "9"), 4)],
)
def test_a_range_of_workers_makes_space_for_the_most(command, expected):
    """At first the server expects the number in the command, within the range."""
    settings = from_keywords("tasks", command, {"workers": "2..4"})
    assert settings.topology == Topology(4, min_workers=2)
    assert settings.topology.is_elastic
    assert settings.expected_workers == expected


def test_a_range_of_workers_is_not_for_uwsgi():
    """uWSGI has an option of its own."""
    settings = ServerSettings(APP, workers=WorkerRange(2, 4), engine=UWSGI)
    with pytest.raises(ConfigError, match=r"--workers does not take 2\.\.4 .* --cheaper 2"):
        completed(settings, lambda row: row.flag)


def test_keywords_become_settings(tmp_path):
    """Each as the type of its row says. None is the default."""
    settings = from_keywords(
        "tasks", (), {"mules": 2, "farms": {"a": [1, 2]}, "spooler": str(tmp_path), "workers": None, "name": None}
    )
    assert settings == ServerSettings(APP, workers=1, mules=2, farms=(FarmSpec("a", (1, 2)),), spooler=tmp_path)
    assert settings.topology == Topology(1, 2, (FarmSpec("a", (1, 2)),), spoolers=1)


@pytest.mark.parametrize(
    ("settings", "workers"),
    [
        (ServerSettings(APP), 1),
        (ServerSettings(APP, command=("gunicorn", "-w", "3")), 3),
        (ServerSettings(APP, command=("gunicorn", "-w", "3"), workers=2), 2),
        (ServerSettings(APP, command=("-w", "3"), engine=UWSGI), 1),
        (ServerSettings(APP, workers=0, mules=1), 0),
    ],
)
def test_the_number_of_workers_is_given_or_read_from_the_command(settings, workers):
    """It is 1 otherwise. Without a web server a heliograph server needs no worker."""
    assert completed(settings, lambda row: row.name).topology.workers == workers


@pytest.mark.parametrize("settings", [{"command": ("gunicorn",)}, {"engine": UWSGI}])
def test_a_web_server_and_uwsgi_have_a_worker(settings):
    """0 workers are refused, also with a mule."""
    with pytest.raises(ConfigError, match="workers is too small: 0"):
        completed(ServerSettings(APP, workers=0, mules=1, **settings), lambda row: row.name)


def test_the_spooler_directory_is_created_for_its_owner(tmp_path):
    """With mode 0700. A directory that exists stays as it is."""
    settings = ServerSettings(APP, spooler=tmp_path / "spool")
    create_spooler_directory(settings)
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    (tmp_path / "spool").chmod(0o750)
    create_spooler_directory(settings)
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o750
    assert create_spooler_directory(ServerSettings(APP)) is None


def test_a_spooler_directory_that_cannot_be_created_is_a_config_error(tmp_path):
    """With the path and the system's reason."""
    with pytest.raises(ConfigError, match="cannot create the spooler directory: ") as caught:
        create_spooler_directory(ServerSettings(APP, spooler=tmp_path / "no" / "spool"))
    assert f"{tmp_path}/no/spool (No such file or directory). Use another one" in str(caught.value)


def test_a_reload_by_itself_needs_watchfiles(start, monkeypatch):
    """The error says how to get it."""
    monkeypatch.setattr(make, "find_spec", lambda name: None if name == "watchfiles" else name)
    result, started = start("--reload")
    assert (result.exit_code, started) == (2, [])
    assert result.output == "Error: --reload needs watchfiles: pip install 'heliograph[reload]'.\n"


@pytest.mark.parametrize("flag", ["--reload-dir", "--reload-include"])
def test_what_is_watched_needs_a_reload(start, flag):
    """Alone it would have no effect."""
    result, _ = start(flag, ".")
    assert result.output == f"Error: {flag} has no effect without --reload. Add it\n"


def test_directories_to_watch_exist_and_patterns_have_no_slash(start):
    """Both errors name the way out."""
    result, _ = start("--reload", "--reload-dir", "no")
    assert result.output == "Error: --reload-dir no: it is not a directory. Use another path\n"
    result, _ = start("--reload", "--reload-include", "templates/*.html")
    assert "it is not a pattern of names. Use one such as *.html" in result.output
