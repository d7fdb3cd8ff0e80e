"""The addresses of the page: answers, headers, and who may change something."""

import json
import re
from html.parser import HTMLParser

import httpx
import pytest

from heliograph.exceptions import ConfigError
from heliograph.settings.token_file import TokenFile
from heliograph.web.application import Page
from heliograph.web.events import MAX_STREAMS
from heliograph.web.readings import Readings
from heliograph.web.task_lists import ListedTask, TaskLists
from heliograph.web.view import View

pytestmark = pytest.mark.asyncio

TOKEN = "0123456789abcdef"
BEARER = {"authorization": f"Bearer {TOKEN}"}
TASK = "1f-09ab5c3d7e21f604"


class Tags(HTMLParser):
    """Collects the tags of a document, and complains about ends that do not match."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.ids, self.texts = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in {"meta", "link", "input", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def token_file(tmp_path):
    found = tmp_path / "token"
    found.touch(mode=0o600)
    found.write_text(TOKEN)
    return found


class Client(httpx.AsyncClient):
    """A client of the application. `page` and `view` are what answers it."""

    page: Page


@pytest.fixture
def make_client(reader):
    """Make a client of a page."""

    def make(token_file=None, hosts=(), base_url="http://127.0.0.1:9100"):
        view = View(can_change=token_file is not None)
        readings = Readings(reader, view.update)
        page = Page(readings, view, read_stack, None if token_file is None else TokenFile(token_file))
        client = Client(transport=httpx.ASGITransport(page.app(tuple(hosts))), base_url=base_url)
        client.page = page
        return client

    async def read_stack(process):
        if process == "mule1":
            return "File <string>, line 3 in work"
        raise LookupError(f"Not available: no such process: {process!r}.")

    return make


@pytest.fixture
def client(make_client):
    return make_client()


def evil_task(states):
    name = states.EVIL
    return ListedTask(TASK, name, name, "FAILED", states.NOW, 1, 0, name, name, f"Traceback\n{name}")


async def test_the_page_shows_what_is_unwell(reader, client, states):
    """Without the script: the worst first, with advice, and links to the rows."""
    reader.answer = states.unwell()
    answer = await client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "3 things need attention" in answer.text
    assert answer.text.index("hung_handler") < answer.text.index("tasks_dead") < answer.text.index("rule_missed")
    assert "Run heliograph stack mule1." in answer.text
    tags = Tags(answer.text)
    assert len(tags.ids) == len(set(tags.ids))
    for tag, attributes in tags.tags:
        if tag == "a" and attributes["href"].startswith("#"):
            assert attributes["href"][1:] in tags.ids


async def test_a_healthy_server_is_well(client):
    """In words, not by colour alone."""
    text = (await client.get("/")).text
    assert "All is well" in text
    assert "<title>shop: well</title>" in text


async def test_names_of_users_are_no_markup(reader, make_client, token_file, states):
    """Names, errors and tracebacks may have any text. That holds for the stream as well."""
    reader.answer = states.unwell(states.EVIL)
    reader.lists = TaskLists((evil_task(states),), (evil_task(states),), (evil_task(states),))
    client = make_client(token_file)
    text = (await client.get("/")).text
    event = json.loads(client.page.events._view.event(0))
    fragments = [*event["parts"].values(), *event["rows"].values()]
    for html in (text, *fragments):
        found = Tags(html)
        names = {tag for tag, _ in found.tags}
        assert not names & {"img", "iframe", "object"}
        assert [attributes for tag, attributes in found.tags if tag == "script"] == (
            [{"src": "static/page.js", "defer": None}] if html is text else []
        )
        assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    assert states.EVIL in "".join(Tags(text).texts)
    stack = await client.get("/stack/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert "<script" not in stack.text


async def test_the_page_needs_nothing_from_outside(make_client, token_file):
    """The policy forbids everything else: inline scripts and styles, other sites, frames and forms."""
    client = make_client(token_file)
    answer = await client.get("/")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy.pop("default-src") == "'none'"
    assert set(policy.values()) == {"'self'", "'none'"}
    tags = Tags(answer.text).tags
    paths = {attributes[name] for _, attributes in tags for name in ("src", "href") if name in attributes}
    assert not [path for path in paths if ":" in path.partition("#")[0] or path.startswith("/")]
    assert not [attributes for _, attributes in tags if "style" in attributes]
    for path in ("static/page.js", "static/page.css", "static/icon.svg"):
        assert path in paths
        found = await client.get(f"/{path}")
        assert found.status_code == 200
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|eval\(", found.text)


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz", "/api/state", "/events", "/stack/mule1"])
async def test_each_answer_has_the_security_headers(client, path):
    """HEAD has no body. No header names the software."""
    answer = await client.head(path)
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert "date" in answer.headers
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/static/../application.py", 404),
        ("GET", "/static/%2e%2e/application.py", 404),
        ("POST", "/", 405),
        ("DELETE", "/metrics", 405),
        ("GET", f"/api/tasks/{TASK}/retry", 405),
        ("POST", "/events", 405),
    ],
)
async def test_an_address_or_method_that_does_not_exist_is_an_error(client, method, path, status):
    """With the security headers, too."""
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert "content-security-policy" in answer.headers


async def test_probes_of_a_server_that_is_well(client):
    """They have the facts that a person asks for first."""
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()["status"], answer.json()["problems"]) == (200, "ok", [])
    assert (await client.get("/readyz")).status_code == 200


async def test_a_server_with_problems_stays_ready(reader, client, states):
    """Otherwise a dead task would take it out of the load balancer."""
    reader.answer = states.unwell()
    assert (await client.get("/readyz")).status_code == 200
    assert "hung_handler" in (await client.get("/healthz")).json()["problems"]


@pytest.mark.parametrize("changes", [{"is_ready": False}, {"is_stopping": True}])
async def test_a_server_that_starts_or_stops_is_not_ready(reader, client, states, changes):
    """It is alive all the same."""
    reader.answer = states.server(**changes)
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/healthz")).status_code == 200


async def test_a_server_that_does_not_answer_is_told_everywhere(reader, client):
    """The metrics are an answer, so that Prometheus sees `heliograph_up 0`."""
    reader.answer = ConfigError("no server answers at /x.")
    for path in ("/", "/healthz", "/readyz", "/api/state"):
        answer = await client.get(path)
        assert answer.status_code == 503
        assert "no server answers at /x." in answer.text
    answer = await client.get("/metrics")
    assert (answer.status_code, answer.text.splitlines()[-1]) == (200, "heliograph_up 0.0")


async def test_the_metrics_come_in_the_format_that_is_accepted(client):
    """Prometheus asks for OpenMetrics, a person gets plain text."""
    plain = await client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = await client.get("/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1"})
    assert found.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert found.text.endswith("# EOF\n")


async def test_the_state_is_the_read_model(reader, client, states):
    """Field by field."""
    reader.answer = states.unwell()
    found = (await client.get("/api/state")).json()
    assert found["problems"][0]["code"] == "hung_handler"
    assert found["store"]["tasks"][0]["counts"] == {"READY": 3, "FAILED": 2, "DEAD": 2}


async def test_the_stack_of_a_process_is_a_page_and_a_text(client):
    """Or the reason for which there is none."""
    assert "line 3 in work" in (await client.get("/stack/mule1")).text
    text = await client.get("/api/stack/mule1")
    assert (text.text, text.headers["content-type"]) == ("File <string>, line 3 in work", "text/plain; charset=utf-8")
    missing = await client.get("/api/stack/mule9")
    assert (missing.status_code, missing.text) == (404, "Not available: no such process: 'mule9'.")
    assert (await client.get("/stack/mule9")).status_code == 404


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9100", "localhost", "localhost:9100", "[::1]:9100", "10.1.2.3", "shop.localhost", "LOCALHOST."]
)
async def test_this_host_is_known_by_its_names(client, host):
    """And by every address, which a page of another site cannot use."""
    assert (await client.get("/healthz", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example.org", "evil.example.org:9100", "localhost.evil.org", "", "127.0.0.1.evil.org", "x:y"]
)
async def test_other_names_of_this_host_are_refused(client, host):
    """DNS rebinding: a name of another site that leads here."""
    answer = await client.get("/", headers={"host": host})
    assert answer.status_code == 421
    assert "--http-host" in answer.text
    assert "content-security-policy" in answer.headers


async def test_the_name_of_a_proxy_can_be_allowed(make_client):
    """By --http-host."""
    client = make_client(hosts=["Ops.example.org"])
    assert (await client.get("/", headers={"host": "ops.example.org:443"})).status_code == 200
    assert (await client.get("/", headers={"host": "example.org"})).status_code == 421


async def test_without_a_token_file_nothing_can_be_changed(client, states, reader):
    """The page has no buttons, and a request gets the reason."""
    reader.lists = TaskLists((evil_task(states),))
    text = (await client.get("/")).text
    assert "data-action" not in text
    assert "--http-token-file" in text
    answer = await client.post(f"/api/tasks/{TASK}/retry", headers=BEARER)
    assert answer.status_code == 403
    assert "--http-token-file" in answer.json()["error"]


@pytest.fixture
def changed(monkeypatch):
    """The changes that reached the store."""
    done = []
    for name in ("retry", "cancel"):
        monkeypatch.setattr(
            f"heliograph.web.task_lists.TaskListReader.{name}",
            lambda _, directory, task_id, name=name: done.append((name, directory, task_id)) or "",
        )
    return done


@pytest.mark.parametrize("action", ["retry", "cancel"])
async def test_the_token_allows_a_change(make_client, token_file, changed, reader, states, action):
    """With the token, the page has buttons."""
    client = make_client(token_file)
    reader.lists = TaskLists((evil_task(states),))
    assert "data-action" in (await client.get("/")).text
    answer = await client.post(f"/api/tasks/{TASK}/{action}", headers=BEARER)
    assert answer.status_code == 200
    assert TASK in answer.json()["result"]
    assert changed == [(action, "/var/lib/shop/tasks", TASK)]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer 0123456789abcdeX"}, 401),
        ({"authorization": f"Basic {TOKEN}"}, 401),
        ({"cookie": f"token={TOKEN}"}, 401),
        ({**BEARER, "origin": "https://evil.example.org"}, 403),
        ({**BEARER, "origin": "null"}, 403),
        ({**BEARER, "origin": "http://127.0.0.1:9101"}, 403),
        ({**BEARER, "origin": "http://["}, 403),
        ({**BEARER, "sec-fetch-site": "cross-site"}, 403),
        ({**BEARER, "sec-fetch-site": "same-site"}, 403),
        ({**BEARER, "host": "evil.example.org"}, 421),
        ({**BEARER, "origin": "http://127.0.0.1:9100", "sec-fetch-site": "same-origin"}, 200),
        ({**BEARER, "sec-fetch-site": "none"}, 200),
    ],
)
async def test_a_change_needs_the_token_and_this_page(make_client, token_file, changed, headers, status):
    """Or a program, which sends neither header."""
    answer = await make_client(token_file).post(f"/api/tasks/{TASK}/retry", headers=headers)
    assert answer.status_code == status
    assert bool(changed) == (status == 200)
    assert "set-cookie" not in answer.headers


async def test_a_token_in_the_address_does_not_count(make_client, token_file, changed):
    """Addresses get into logs."""
    answer = await make_client(token_file).post(f"/api/tasks/{TASK}/retry?token={TOKEN}")
    assert (answer.status_code, changed) == (401, [])


async def test_a_token_file_that_became_bad_allows_nothing(make_client, token_file, changed):
    """The answer has the reason."""
    client = make_client(token_file)
    token_file.chmod(0o644)
    answer = await client.post(f"/api/tasks/{TASK}/retry", headers=BEARER)
    assert (answer.status_code, changed) == (403, [])
    assert "chmod 600" in answer.json()["error"]


async def test_a_change_that_is_not_possible_has_a_reason(make_client, token_file, monkeypatch):
    """The task may have begun in the meantime."""
    monkeypatch.setattr("heliograph.web.task_lists.TaskListReader.cancel", lambda *_: "it has begun")
    answer = await make_client(token_file).post(f"/api/tasks/{TASK}/cancel", headers=BEARER)
    assert (answer.status_code, answer.json()) == (409, {"error": f"{TASK}: it has begun."})


async def test_a_server_without_tasks_has_nothing_to_change(make_client, token_file, reader, states, changed):
    """503, since it may have tasks later."""
    reader.answer = states.server(store=None)
    answer = await make_client(token_file).post(f"/api/tasks/{TASK}/retry", headers=BEARER)
    assert (answer.status_code, changed) == (503, [])


async def test_one_stream_too_many_is_refused(client):
    """With the time after which to try again."""
    client.page.events.streams = MAX_STREAMS
    answer = await client.get("/events")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")


async def test_an_event_has_what_changed_since_the_last_one(reader, make_client, states, monkeypatch):
    """A client that has seen everything gets the changed rows, and the order of a table if that changed."""
    monkeypatch.setattr("heliograph.web.readings.INTERVAL", 0.0)
    client = make_client()
    view = client.page.events._view
    await client.get("/")
    first = json.loads(view.event(0))
    assert set(first["orders"]) == {"processes", "signals", "tasks", "triggers"}
    assert set(first["rows"]) == {row for rows in first["orders"].values() for row in rows}
    reader.answer = states.server(
        processes=(states.process("master"), states.process("worker1"), states.process("mule1", queued=9))
    )
    await client.get("/")
    second = json.loads(view.event(first["version"]))
    assert list(second["rows"]) == ["processes-mule1"]
    assert second["orders"] == {}
    assert "health" not in second["parts"]
    reader.answer = states.server(processes=(states.process("mule1"), states.process("master")))
    await client.get("/")
    assert json.loads(view.event(second["version"]))["orders"] == {"processes": ["processes-mule1", "processes-master"]}
    reader.answer = ConfigError("gone")
    await client.get("/")
    assert "gone" in json.loads(view.event(0))["parts"]["health"]


async def test_a_long_table_says_what_it_leaves_out(reader, client, states):
    """The page stays small on a large server."""
    reader.answer = states.large()
    text = (await client.get("/")).text
    assert "800 more: heliograph tasks --summary lists all." in text
    assert len(text) < 600_000


async def test_all_failed_tasks_of_a_function_can_be_retried(make_client, token_file, reader, states, monkeypatch):
    """The name comes from the page, and may have any character."""
    asked = []
    monkeypatch.setattr(
        "heliograph.web.task_lists.TaskListReader.retry_failed",
        lambda *arguments: asked.append(arguments[-1]) or len(arguments[-1]) - 1,
    )
    reader.answer = states.unwell("a:&?/b")
    client = make_client(token_file)
    assert "Retry all 2 failed tasks of a:&amp;?/b" in (await client.get("/")).text
    path = "/api/tasks/retry-failed"
    assert (await client.post(path, params={"task": "a:&?/b"})).status_code == 401
    assert asked == []
    answer = await client.post(path, params={"task": "a:&?/b"}, headers=BEARER)
    assert (answer.status_code, answer.json()) == (200, {"result": "5 tasks of a:&?/b will run again."})
    assert asked == ["a:&?/b"]
    assert (await client.post(path, params={"task": "a"}, headers=BEARER)).status_code == 409
    assert (await client.post(path, headers=BEARER)).status_code == 400
