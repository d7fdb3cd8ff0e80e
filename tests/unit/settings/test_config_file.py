"""The configuration file: where it is found, its keys and the types of its values."""

from pathlib import Path

import pytest

from heliograph.exceptions import ConfigError
from heliograph.models import FarmSpec
from heliograph.settings.addresses import Address
from heliograph.settings.arguments import ARGUMENTS, CONFIG
from heliograph.settings.config_file import ConfigFile, read_config_file
from heliograph.settings.option_types import WorkerRange
from heliograph.settings.options import OPTIONS
from heliograph.settings.origins import Origin, Places, without_listening

ROWS = {row.name: row for row in (*ARGUMENTS, *OPTIONS)}


def hold(name, toml, directory, monkeypatch):
    """The value of an option in a file with this content."""
    monkeypatch.chdir(directory)
    (directory / "heliograph.toml").write_text(toml)
    return Places({}, {}, read_config_file(None, directory)).hold(ROWS[name])


def test_without_a_file_there_is_none(tmp_path):
    """A `pyproject.toml` that configures other tools only is no configuration, even if it is not valid TOML."""
    assert read_config_file(None, tmp_path) is None
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nx = 1\n= 3")
    assert read_config_file(None, tmp_path) is None
    (tmp_path / "pyproject.toml").write_text("[project]\ndependencies = ['heliograph']\n")
    assert read_config_file(None, tmp_path) is None


def test_the_first_file_that_exists_counts(tmp_path):
    """The one that is named, then heliograph.toml, then pyproject.toml."""
    (tmp_path / "pyproject.toml").write_text("[tool.heliograph]\nmules = 3\n")
    assert read_config_file(None, tmp_path) == ConfigFile("pyproject.toml [tool.heliograph]", {"mules": 3})
    (tmp_path / "heliograph.toml").write_text("mules = 2\n")
    assert read_config_file(None, tmp_path) == ConfigFile("heliograph.toml", {"mules": 2})
    (tmp_path / "other.toml").write_text("mules = 1\n")
    assert read_config_file("other.toml", tmp_path) == ConfigFile("other.toml", {"mules": 1})
    assert read_config_file("pyproject.toml", tmp_path) == ConfigFile("pyproject.toml [tool.heliograph]", {"mules": 3})


@pytest.mark.parametrize(
    ("file", "content", "path", "says"),
    [
        (None, "", "no.toml", r"cannot read the configuration file: no.toml \(No such file or directory\)\. Use an"),
        ("heliograph.toml", "mules = ", None, r"heliograph.toml is not TOML: Invalid value \(at .*\)\. Correct it"),
        ("heliograph.toml", "\xff", None, r"cannot read the configuration file: heliograph.toml \(.*can't decode"),
        (
            "pyproject.toml",
            "[tool]\nheliograph = 1",
            None,
            r"pyproject.toml: heliograph = 1: it is not a table\. Use \[",
        ),
        ("pyproject.toml", "[tool]", "pyproject.toml", r"pyproject.toml has no table \[tool.heliograph\]\. Add it"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error(tmp_path, file, content, path, says):
    """It names the file and the way out."""
    if file:
        (tmp_path / file).write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match=says):
        read_config_file(path, tmp_path)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("wrokers = 2", "f: unknown key: wrokers = 2. Did you mean workers?"),
        ("Graceful_Timeout_ = 'x'", 'f: unknown key: Graceful_Timeout_ = "x". Did you mean graceful-timeout?'),
        ("comand = ['a', 'b']", 'f: unknown key: comand = ["a", "b"]. Did you mean command?'),
        ("farms = {a = [1]}", 'f: unknown key: farms = {"a": [1]}. Did you mean farm?'),
        ("zzz = true", "f: unknown key: zzz = true. Use the name of an option: app, command, engine, "),
        ("day = 2026-11-27", 'f: unknown key: day = "2026-11-27". '),
    ],
)
def test_an_unknown_key_is_an_error_with_the_nearest_name(toml, says):
    """And with the file and the value."""
    import tomllib

    with pytest.raises(ConfigError) as caught:
        ConfigFile("f", tomllib.loads(toml)).check_keys(ROWS.values())
    assert str(caught.value).startswith(says)


def test_keys_have_dashes_or_underscores():
    """An alias of an option is a key as well. Two keys for one option are an error."""
    ConfigFile("f", {"task_sync": "disk", "graceful-timeout": 3, "listen": "x"}).check_keys(ROWS.values())
    for key in ("graceful_timeout", "graceful-timeout", "mercy"):
        assert ConfigFile("f", {key: 3}).find(ROWS["graceful_timeout"]) == (key, 3)
    with pytest.raises(ConfigError, match=r"f: two keys for one option: socket and listen\. Remove one of them"):
        ConfigFile("f", {"socket": "x", "listen": "x"}).find(ROWS["listen"])


@pytest.mark.parametrize(
    ("name", "toml", "value"),
    [
        ("app", "app = 'shop.tasks'", "shop.tasks"),
        ("command", "command = ['gunicorn', '-b', '[::]:80']", ("gunicorn", "-b", "[::]:80")),
        ("command", """command = 'gunicorn -c "a b.py" shop:app'""", ("gunicorn", "-c", "a b.py", "shop:app")),
        ("engine", "engine = 'uwsgi'", "uwsgi"),
        ("workers", "workers = 4", 4),
        ("workers", "workers = '2..4'", WorkerRange(2, 4)),
        ("workers", "workers = [2, 4]", WorkerRange(2, 4)),
        ("mules", "mules = 0", 0),
        ("farms", "farm = ['a=1,2', 'b=3']", (FarmSpec("a", (1, 2)), FarmSpec("b", (3,)))),
        ("farms", "farm = {a = [1, 2], b = [3]}", (FarmSpec("a", (1, 2)), FarmSpec("b", (3,)))),
        ("farms", "farm = []", ()),
        ("spooler", "spooler = 'spool'", Path("spool")),
        ("any_filesystem", "any-fs = true", True),
        ("no_web_check", "no-web-check = true", True),
        ("task_sync", "task_sync = 'process'", "process"),
        ("task_bytes", "task-bytes = 2_000", 2000),
        ("listen", "socket = 'x.sock'", Address(path="x.sock")),
        ("lazy_apps", "lazy_apps = false", False),
        ("allow_remote", "allow-remote = [17, 18]", frozenset({17, 18})),
        ("name", "name = 'shop'", "shop"),
        ("graceful_timeout", "graceful-timeout = 5", 5.0),
        ("max_signals", "max-signals = 9", 9),
        ("max_rss", "max-rss = '200M'", 200 << 20),
        ("max_rss", "max-rss = 2_000_000", 2_000_000),
        ("max_age", "max_age = '12h'", 43200.0),
        ("max_age", "max-age = 90", 90.0),
        ("time_limit", "time-limit = 0.5", 0.5),
        ("overdue", "overdue = 60", 60.0),
        ("log_level", "log-level = 'debug'", "debug"),
        ("reload", "reload = true", True),
        ("reload_dirs", "reload-dir = ['/']", (Path("/"),)),
        ("reload_include", "reload-include = ['*.html', '*.po']", ("*.html", "*.po")),
        ("log_config", "log-config = '/dev/null'", Path("/dev/null")),
        ("http", "http = '127.0.0.1:0'", Address("127.0.0.1", 0)),
        ("threads", "threads = 4", 4),
        ("http_status", "http-status = 'page.sock'", Address(path="page.sock")),
        ("http_host", "http-host = ['a.example.org', 'b']", ("a.example.org", "b")),
        ("http_host", "http-host = 'a.example.org,b'", ("a.example.org", "b")),
    ],
)
def test_values_have_the_natural_type_of_toml(name, toml, value, tmp_path, monkeypatch):
    """Each becomes the value that the flag would give."""
    held = hold(name, toml, tmp_path, monkeypatch)
    assert (held.value, type(held.value), held.origin) == (value, type(value), Origin.FILE)


def test_every_option_has_a_value_in_the_test_above():
    """A new type of option needs a row in `file_values`."""
    (mark,) = test_values_have_the_natural_type_of_toml.pytestmark
    assert {name for name, *_ in mark.args[1]} | {"control", "http_token_file"} == set(ROWS)


@pytest.mark.parametrize(
    ("name", "toml", "says"),
    [
        ("workers", 'workers = "4"', 'workers = "4": it is not an int. Use 0 or more'),
        ("max_rss", "max-rss = 1.5", "max-rss = 1.5: it is a number. Use a number of bytes, or a text such as"),
        (
            "max_rss",
            "max-rss = 'much'",
            'max-rss = "much": it is not a size. Use a number of bytes, or K, M or G as in 200M',
        ),
        (
            "max_age",
            "max-age = true",
            'max-age = true: it is true or false. Use a number of seconds, or a text such as "12h"',
        ),
        ("workers", "workers = true", "workers = true: it is true or false. Use a whole number"),
        ("workers", "workers = '4..2'", 'workers = "4..2": MIN is greater than MAX'),
        ("workers", "workers = [1, 2, 3]", "workers = [1, 2, 3]: it is not an int"),
        ("mules", 'mules = "2"', 'mules = "2": it is a text. Use a whole number'),
        ("mules", "mules = 2.0", "mules = 2.0: it is a number. Use a whole number"),
        ("mules", "mules = -1", "mules = -1: it is too small. Use 0 or more"),
        ("lazy_apps", "lazy-apps = 1", "lazy-apps = 1: it is a number. Use true or false"),
        ("lazy_apps", "lazy_apps = 'no'", 'lazy_apps = "no": it is a text. Use true or false'),
        ("time_limit", "time-limit = nan", "time-limit = NaN: it is not a time. Use seconds"),
        ("time_limit", "time-limit = '5s'", 'time-limit = "5s": it is a text. Use a number of seconds'),
        ("name", "name = 5", "name = 5: it is a number. Use a text in quotes"),
        ("name", "name = ''", 'name = "": it is empty. Leave the key out'),
        ("spooler", "spooler = ['a']", 'spooler = ["a"]: it is a list. Use a text in quotes'),
        ("spooler", "spooler = 'no/such'", 'spooler = "no/such": there is no directory'),
        ("name", "name = {a = 1}", 'name = {"a": 1}: it is a table. Use a text in quotes'),
        ("name", "name = 2026-11-27", 'name = "2026-11-27": it is a date. Use a text in quotes'),
        ("log_level", "log-level = 'loud'", 'log-level = "loud": it is not one of the choices'),
        ("listen", "socket = 3031", "socket = 3031: it is a number. Use a text in quotes"),
        ("listen", "socket = '3031'", 'socket = "3031": it is not an address'),
        ("allow_remote", "allow-remote = '17'", 'allow-remote = "17": it is a text. Use a list of numbers'),
        ("allow_remote", "allow-remote = [300]", "allow-remote = [300]: signal number out of range: 300"),
        ("allow_remote", "allow-remote = ['17']", 'allow-remote = ["17"]: '),
        ("farms", "farm = 'a=1'", 'farm = "a=1": it is a text. Use a list such as'),
        ("farms", "farm = [1]", "farm = [1]: not all of its items are texts. Use a list such as"),
        ("farms", "farm = ['a']", 'farm = ["a"]: it is not a farm. Use NAME=1,2'),
        ("farms", "farm = {a = 1}", 'farm = {"a": 1}: not all of its values are lists of numbers. Use a list'),
        ("farms", "farm = {a = ['1']}", 'farm = {"a": ["1"]}: not all of its values are lists of numbers'),
        ("command", "command = ['gunicorn', 4]", 'command = ["gunicorn", 4]: not all of its words are texts. Use'),
        ("command", "command = 'a \"b'", 'command = "a \\"b": it cannot be split into words'),
        ("command", "command = 4", "command = 4: it is a number. Use a list of words such as"),
    ],
)
def test_a_wrong_value_is_an_error_with_file_key_and_value(name, toml, says, tmp_path, monkeypatch):
    """And with the way out."""
    with pytest.raises(ConfigError) as caught:
        hold(name, toml, tmp_path, monkeypatch)
    assert str(caught.value).startswith(f"heliograph.toml: {says}")


def test_an_address_in_use_is_no_error_for_a_command_that_starts_nothing(tmp_path, monkeypatch):
    """It still has to be an address."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").touch()
    for name, key in (("listen", "socket"), ("control", "control")):
        places = Places({}, {}, ConfigFile("f", {key: "./taken"}))
        with pytest.raises(ConfigError, match="there is a file that is not a socket"):
            places.hold(ROWS[name])
        assert str(places.hold(without_listening(ROWS[name])).value).endswith("/taken")
    assert without_listening(CONFIG) is CONFIG
    with pytest.raises(ConfigError, match="it is not an address"):
        Places({}, {}, ConfigFile("f", {"socket": "3031"})).hold(without_listening(ROWS["listen"]))
