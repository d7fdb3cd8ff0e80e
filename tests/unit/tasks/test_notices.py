"""Log lines about tasks that a limit, a rate or `expires` keeps from running."""

import logging

import pytest

from heliograph import task
from heliograph._core.tasks.values import Batch
from heliograph.tasks.notices import INTERVAL, Notices


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "heliograph.tasks")
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture
def limited(engine):
    task(name="shop:alone", limit=2)(lambda: None)
    task(name="shop:rated", rate="5/m")(lambda: None)


def test_a_function_has_one_line_a_minute(limited, lines):
    now = [1000.0]
    notices = Notices(lambda: now[0])
    held = Batch(held={"shop:alone": "limit", "shop:rated": "rate"})
    for _ in range(3):
        notices.note(held)
        now[0] += INTERVAL / 4
    first = [
        "Holding back tasks of shop:alone: as many run as its limit allows (2)",
        "Holding back tasks of shop:rated: as many have begun as its rate allows (5 in 60 s)",
    ]
    assert lines() == first
    now[0] += INTERVAL / 4
    notices.note(held)
    assert lines() == first * 2


def test_expired_tasks_are_counted_until_the_next_line(lines):
    now = [1000.0]
    notices = Notices(lambda: now[0])
    for count in (1, 2, 3):
        notices.note(Batch(expired={"shop:late": count}))
    now[0] += INTERVAL
    notices.note(Batch(expired={"shop:late": 4}))
    text = "Tasks of shop:late expired before they could begin"
    assert lines() == [f"{text} (number: 1)", f"{text} (number: 9)"]


def test_a_rate_says_so_when_it_acts(engine, lines):
    rated = task(name="shop:rated", rate="1/m")(lambda: None)
    rated.enqueue_many([()] * 2)
    assert [line for line in lines() if "Holding back" in line] == [
        "Holding back tasks of shop:rated: as many have begun as its rate allows (1 in 60 s)"
    ]


def test_a_task_that_expires_says_so(engine, lines):
    with engine.paused():
        task(name="shop:late", expires=5)(lambda: None).enqueue()
        engine.clock.sleep(6)
    assert "Tasks of shop:late expired before they could begin (number: 1)" in lines()
