"""A reload with a web application that does not load."""

import re

from tests.e2e.web.conftest import WEB

from heliograph.testing.harness.harness import eventually


def test_a_web_server_that_does_not_start_is_reported(make_web_server, tmp_path):
    """By `reload` as soon as it has exited, then by `signals` and `status`, until a reload with correct code."""
    web_server = make_web_server("gunicorn-sync").start("--no-web-check")
    server = web_server.server
    (tmp_path / "web.py").write_text("def wsgi(:\n")
    done = server.command("reload")
    assert done.returncode == 1, (done.stderr, server.log)
    assert re.search("the web server does not start with the new code: exit code [13], once. .* the log", done.stderr)
    assert "SyntaxError" in server.log
    broken = r"web server restarting \(exit code \d+, (once|\d+ times)\), workers 0 of 2\n"
    assert eventually("a note", lambda: re.search(broken, server.command("signals").stdout))
    status = server.command("status")
    assert (status.returncode, "critical: the web server does not start: exit code" in status.stdout) == (1, True)
    (tmp_path / "web.py").write_text(WEB)
    assert server.command("reload").returncode == 0, server.log
    assert web_server.answers()
    status = server.command("status")
    assert status.returncode == 0, status.stdout


def test_a_reload_checks_the_web_application_first(web_server, tmp_path):
    """The web server keeps the old code, which goes on serving, and gets no SIGHUP."""
    web_server.start()
    server, before = web_server.server, web_server.await_workers(bool)
    (tmp_path / "views.py").write_text("import nothing_with_this_name\n")
    (tmp_path / "web.py").write_text(f"import views\n{WEB}")
    done = server.command("reload")
    assert done.returncode == 1, (done.stderr, server.log)
    expected = "reload failed, keeping the old code: ModuleNotFoundError: No module named 'nothing_with_this_name'"
    assert expected in done.stderr
    assert "views.py, line 1" in done.stderr
    assert "cannot import the web application web:" in server.log
    assert web_server.answers()
    assert web_server.workers() == before
    status = server.command("status")
    assert (status.returncode, "[reload_failed]" in status.stdout) == (1, True)
    (tmp_path / "views.py").write_text("")
    assert server.command("reload").returncode == 0, server.log


DJANGO = """
import tasks
from django.conf import settings
from django.core.wsgi import get_wsgi_application

settings.configure(ROOT_URLCONF="urls", ALLOWED_HOSTS=["*"], SECRET_KEY="secret")
wsgi = get_wsgi_application()
"""
URLS = """
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse("it works"))]
"""


def test_a_reload_checks_the_views_of_django(make_web_server, tmp_path, require):
    """Django imports them at the first request, so each request would fail with the new code."""
    require("django")
    web_server = make_web_server("gunicorn-sync")
    (tmp_path / "web.py").write_text(DJANGO)
    (tmp_path / "urls.py").write_text(URLS)
    before = web_server.start().await_workers(bool)
    (tmp_path / "urls.py").write_text(f"{URLS}\nthis is no code\n")
    done = web_server.server.command("reload")
    assert (done.returncode, "SyntaxError" in done.stderr) == (1, True), (done.stderr, web_server.server.log)
    # A process that has had no request would import the broken file now, so no request is sent.
    assert web_server.workers() == before
