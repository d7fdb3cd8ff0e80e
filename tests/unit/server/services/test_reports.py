"""Reports of processes: each goes to the handler of its kind, whatever the others contain."""

import os

import pytest

from heliograph.server.services.reports import Reports


@pytest.fixture
def handled():
    return []


@pytest.fixture
def reports(loop, handled):
    service = Reports(loop.selector)
    for key in ("period", "trigger", "up"):
        service.on(key, lambda report, now, key=key: handled.append((key, report, now)))
    loop.listeners.append(service)
    return service


def test_a_report_goes_to_its_handler(loop, reports, handled):
    """To the first one that was registered for a key of the report, in the order in which the reports were written."""
    os.write(reports.write_fd, b'{"up": ["mule", 1]}\n{"trigger": "a"}\n{"trigger": "a", "period": 2}\n')
    loop.run_ready(reports)
    assert handled == [
        ("up", {"up": ["mule", 1]}, loop.now),
        ("trigger", {"trigger": "a"}, loop.now),
        ("period", {"trigger": "a", "period": 2}, loop.now),
    ]


def test_a_report_that_arrives_in_pieces(loop, reports, handled):
    """It is handled when it is complete."""
    os.write(reports.write_fd, b'{"up": ["mu')
    loop.run_ready(reports)
    assert handled == []
    os.write(reports.write_fd, b'le", 1]}\n')
    loop.run_ready(reports)
    assert len(handled) == 1


@pytest.mark.parametrize("line", [b"not JSON", b"17", b'{"unknown": 1}', b"\xff\xfe", b""])
def test_a_report_that_cannot_be_understood_is_logged(loop, reports, handled, line, caplog):
    """An application may write to the descriptor. The next report is handled."""
    os.write(reports.write_fd, line + b'\n{"up": ["mule", 1]}\n')
    loop.run_ready(reports)
    assert "Ignoring a report that cannot be handled" in caplog.text
    assert len(handled) == 1


def test_a_handler_that_fails_is_logged(loop, reports, handled, caplog):
    """The other reports are handled."""
    reports.on("broken", lambda _report, _now: 1 / 0)
    os.write(reports.write_fd, b'{"broken": 1}\n{"up": ["mule", 1]}\n')
    loop.run_ready(reports)
    assert "ZeroDivisionError" in caplog.text
    assert len(handled) == 1


def test_reports_that_are_read_while_one_is_handled(loop, reports, handled):
    """A handler may ask for those that have come. The order stays."""
    reports.on("nested", lambda _report, now: reports.read(now))
    os.write(reports.write_fd, b'{"nested": 1}\n{"trigger": "a"}\n{"up": ["mule", 1]}\n')
    loop.run_ready(reports)
    assert [key for key, _, _ in handled] == ["trigger", "up"]
