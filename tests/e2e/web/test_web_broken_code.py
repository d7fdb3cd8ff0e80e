"""A reload with a web application that does not load."""

import re

from tests.e2e.web.conftest import WEB

from heliograph.testing.harness.harness import eventually


def test_a_web_server_that_does_not_start_is_reported(make_web_server, tmp_path):
    """By `reload` as soon as it has exited, then by `signals` and `status`, until a reload with correct code."""
    web_server = make_web_server("gunicorn-sync").start()
    server = web_server.server
    (tmp_path / "web.py").write_text("def wsgi(:\n")
    done = server.command("reload")
    assert done.returncode == 1, (done.stderr, server.log)
    assert re.search("the web server does not start with the new code: exit code [13], once. .* the log", done.stderr)
    assert "SyntaxError" in server.log
    broken = r"web server restarting \(exit code \d+, (once|\d+ times)\), workers 0 of 2\n"
    assert eventually("a note", lambda: re.search(broken, server.command("signals").stdout))
    status = server.command("status")
    assert (status.returncode, bool(re.search("web server restarting", status.stdout))) == (1, True)
    assert "the web server does not start: exit code" in status.stderr
    (tmp_path / "web.py").write_text(WEB)
    assert server.command("reload").returncode == 0, server.log
    assert web_server.answers()
    assert server.command("status").returncode == 0
