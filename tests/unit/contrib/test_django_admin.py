"""The pages in Django's admin: they list, retry and cancel tasks, and check permissions."""

from datetime import UTC, datetime

import pytest

pytest.importorskip("django")

from heliograph import get_result, task

pytestmark = pytest.mark.usefixtures("django_project")

LIST = "/admin/heliograph/task/"
RUNS = []


def send(to):
    RUNS.append(to)
    if to == "nobody":
        raise LookupError("<b>no such address</b>")
    return {"sent": to}


@pytest.fixture(scope="module")
def users(django_project):
    """The tables of Django, and one user for each set of permissions."""
    from django.contrib.auth.models import Permission, User
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    made = {"admin": User.objects.create_superuser("admin")}
    for name, codenames in ("viewer", ["view_task"]), ("changer", ["view_task", "change_task"]), ("other", []):
        made[name] = User.objects.create_user(name, is_staff=True)
        made[name].user_permissions.set(Permission.objects.filter(codename__in=codenames))
    made["customer"] = User.objects.create_user("customer")
    yield made
    from django.db import connection

    connection.close()


@pytest.fixture
def client(users, heliograph_engine):
    """Return a function that makes a client of a user."""
    from django.test import Client

    RUNS.clear()

    def client(name="admin", **options):
        made = Client(**options)
        made.force_login(users[name])
        return made

    return client


@pytest.fixture
def send_mail(heliograph_engine):
    """A task."""
    return task(name="shop.tasks:send_mail")(send)


def later(declared):
    return declared.using(run_after=datetime(2100, 1, 1, tzinfo=UTC))


def test_index_of_the_admin_has_the_page(client):
    page = client().get("/admin/").content.decode()
    assert f'href="{LIST}"' in page
    assert f'href="{LIST}add/"' not in page


def test_list_shows_tasks_newest_first(client, send_mail):
    """With their number by status."""
    first = send_mail.enqueue("ann")
    second = later(send_mail).enqueue("bob")
    page = client().get(LIST).content.decode()
    assert page.index(second.id) < page.index(first.id)
    assert "shop.tasks:send_mail" in page
    assert "READY: 1" in page
    assert "SUCCESSFUL: 1" in page


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("status=READY", {"ready"}),
        ("status=SUCCESSFUL", {"done"}),
        ("name=shop.tasks:send_mail", {"ready", "done"}),
        ("name=shop.tasks:other", set()),
        ("target=default", {"ready", "done"}),
        ("target=mule1", set()),
        ("status=nonsense", {"ready", "done"}),
    ],
)
def test_list_can_be_filtered(client, send_mail, query, shown):
    tasks = {"done": send_mail.enqueue("ann"), "ready": later(send_mail).enqueue("bob")}
    page = client().get(f"{LIST}?{query}").content.decode()
    assert {name for name, result in tasks.items() if result.id in page} == shown
    assert ("No tasks." in page) == (not shown)


def test_list_has_pages(client, send_mail):
    results = later(send_mail).enqueue_many([(str(number),) for number in range(60)])
    first = client().get(f"{LIST}?status=READY").content.decode()
    link = first.split('class="paginator"><a href="')[1].split('"')[0].replace("&amp;", "&")
    assert "status=READY" in link
    second = client().get(LIST + link).content.decode()
    assert sum(result.id in first for result in results) == 50
    assert sum(result.id in second for result in results) == 10
    assert "paginator" not in second


def test_page_of_a_task(client, send_mail):
    """Arguments, attempts, and errors with their traceback, escaped."""
    result = send_mail.enqueue("nobody")
    page = client().get(f"{LIST}{result.id}/change/").content.decode()
    for text in ("FAILED", "&quot;nobody&quot;", "spooler1", "builtins.LookupError", "&lt;b&gt;no such address"):
        assert text in page
    assert 'value="retry"' in page
    assert 'value="cancel"' not in page


def test_page_of_a_successful_task(client, send_mail):
    page = client().get(f"{LIST}{send_mail.enqueue('ann').id}/change/").content.decode()
    assert "&quot;sent&quot;: &quot;ann&quot;" in page


@pytest.mark.parametrize("task_id", ["1-0", "nonsense", "a/b", "%ED%A0%80"])
def test_page_of_an_unknown_task(client, send_mail, task_id):
    send_mail.enqueue("ann")
    assert client().get(f"{LIST}{task_id}/change/").status_code == 404


def test_retry(client, send_mail, users, heliograph_engine):
    """A failed task runs again, and the admin logs who wanted that."""
    from django.contrib.admin.models import LogEntry

    result = send_mail.enqueue("nobody")
    page = client("changer").post(LIST, {"action": "retry", "task": [result.id]}, follow=True).content.decode()
    assert "1 task: Retried." in page
    assert RUNS == ["nobody", "nobody"]
    entry = LogEntry.objects.latest("action_time")
    assert (entry.user, entry.object_id) == (users["changer"], result.id)
    assert "Retried." in entry.change_message
    assert len(heliograph_engine.take_failed_tasks()) == 1


def test_cancel(client, send_mail):
    """Only what has not begun. The page names the others."""
    waiting, done = later(send_mail).enqueue("bob"), send_mail.enqueue("ann")
    post = {"action": "cancel", "task": [waiting.id, done.id, "1-0"]}
    page = client("changer").post(LIST, post, follow=True).content.decode()
    assert get_result(waiting.id).status == "CANCELLED"
    assert "1 task: Cancelled." in page
    assert f"{done.id}: not cancelled, since it is SUCCESSFUL" in page
    assert "No task has the id" in page


def test_cancel_on_the_page_of_a_task(client, send_mail):
    waiting = later(send_mail).enqueue("bob")
    done = client("changer").post(f"{LIST}{waiting.id}/change/", {"action": "cancel"})
    assert done.status_code == 302
    assert get_result(waiting.id).status == "CANCELLED"


@pytest.mark.parametrize("post", [{}, {"action": "delete", "task": ["1-0"]}, {"action": "retry"}])
def test_incomplete_action_changes_nothing(client, send_mail, post, heliograph_engine):
    send_mail.enqueue("nobody")
    page = client().post(LIST, post, follow=True).content.decode()
    assert "Nothing was changed" in page
    assert RUNS == ["nobody"]
    assert len(heliograph_engine.take_failed_tasks()) == 1


@pytest.mark.parametrize(
    ("name", "get", "post"), [("admin", 200, 302), ("changer", 200, 302), ("viewer", 200, 403), ("other", 403, 403)]
)
@pytest.mark.parametrize("page", ["list", "task"])
def test_permissions(client, send_mail, page, name, get, post):
    """To view and to change tasks. Users without the second one see no buttons."""
    result = later(send_mail).enqueue("bob")
    url = LIST if page == "list" else f"{LIST}{result.id}/change/"
    answer = client(name).get(url)
    assert answer.status_code == get
    assert (b'value="cancel"' in answer.content) == (post == 302)
    assert client(name).post(url, {"action": "cancel", "task": [result.id]}).status_code == post
    assert get_result(result.id).status == ("CANCELLED" if post == 302 else "READY")


@pytest.mark.parametrize("name", ["customer", None])
def test_others_have_to_log_in(client, send_mail, name):
    from django.test import Client

    answer = (client(name) if name else Client()).get(LIST)
    assert answer.status_code == 302
    assert "/admin/login/" in answer.url


def test_forged_request_is_refused(client, send_mail):
    """Without the token of the page."""
    result = later(send_mail).enqueue("bob")
    answer = client(enforce_csrf_checks=True).post(LIST, {"action": "cancel", "task": [result.id]})
    assert answer.status_code == 403
    assert get_result(result.id).status == "READY"


def test_fault_of_the_store_is_shown(client, heliograph_engine, monkeypatch):
    """Not an error 500."""
    from heliograph.exceptions import StoreError

    def refuse():
        raise StoreError("the disk is full", "/tasks")

    monkeypatch.setattr(heliograph_engine, "task_store", refuse)
    for url in (LIST, f"{LIST}1-0/change/"):
        answer = client().get(url)
        assert answer.status_code == 200
        assert "the disk is full" in answer.content.decode()


def test_commands_do_not_look_for_a_table(users, capsys):
    """The model has none."""
    from django.core.management import call_command

    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
    call_command("dumpdata", "heliograph")
    call_command("dumpdata", "heliograph", use_base_manager=True)
    assert capsys.readouterr().out.replace("\n", "") == "[][]"
