"""`heliograph top` with made-up servers: what it shows, and its keys."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytestmark = pytest.mark.asyncio

SIZES = [(80, 24), (120, 40), (220, 60)]


def column(page, title, line):
    """Return the text of a line below a title."""
    lines = page.text.splitlines()
    head = next(text for text in lines if title in text)
    end = head.index(title) + len(title)
    return lines[line][: end + 1].split()[-1]


@pytest.mark.parametrize("size", SIZES)
async def test_the_header_tells_who_is_well_since_when(top, size):
    async with top(size) as page:
        first = page.text.splitlines()[0]
        assert first.startswith("shop  well")
        assert "up 3h12m  generation 2  pid 1200" in first
        assert len(first) == size[0]
        assert "shop.tasks, heliograph 0.9.0, Python 3.14.0" in page.text


@pytest.mark.parametrize("size", SIZES)
async def test_the_worst_problem_stands_above_every_view(top, fake, states, size):
    fake.state = states.unwell()
    async with top(size) as page:
        for key in "12345":
            await page.press(key)
            await page.until("UNWELL (2 problems)")
            assert "!! mule1 has run shop.signals:handle_7 for 12m34s." in page.text.splitlines()[1]


@pytest.mark.parametrize("size", SIZES)
async def test_each_view_shows_its_rows_and_nothing_essential_is_cut(top, fake, states, size):
    """At 80 columns too: the name, the state and the figures that decide."""
    fake.state = states.unwell()
    async with top(size) as page:
        wanted = {
            "1": ["NAME", "STATUS", "QUEUED", "RUNS NOW", "spooler1", "12m OVERDUE handle_7", "412"],
            "2": ["SIGNAL", "HANDLER", "DONE/S", "FAILED", "WAIT95", "RUN95", "refresh-prices", "3.9ms"],
            "3": ["TASK", "READY", "FAILED", "DEAD", "shop.mail:send_mail", "monthly_report"],
            "4": ["NAME", "RULE", "NEXT", "MISSED", "heartbeat", "every 5 s", "in 11h"],
            "5": ["SEVERITY", "PROBLEM", "critical", "warning", "mule1 has run", "Signal 7 has 412"],
        }
        for key, texts in wanted.items():
            await page.press(key)
            for text in texts:
                await page.until(text)


async def test_a_wide_terminal_has_more_columns(top, fake, states):
    fake.state = states.unwell()
    async with top((220, 60)) as page:
        await page.until("LAST EXIT")
        assert "signal 9 (SIGKILL)" in page.text
        await page.press("5")
        await page.until("See where it stands: heliograph stack mule1.")


async def test_rates_come_from_two_looks(top, fake):
    async with top() as page:
        await page.press("2")
        await page.until(lambda: fake.looks > 2)
        await page.until(lambda: column(page, "DONE/S", 5) == "0")
        looks = fake.looks
        signals = fake.state.signals
        seven = signals[1]

        def grown():
            more = replace(seven, done=160 + 40 * (fake.looks - looks))
            fake.state = replace(fake.state, signals=tuple(more if one.num == 7 else one for one in signals))
            return column(page, "DONE/S", 5) not in "0-"

        await page.until(grown)


async def test_enter_opens_a_process_with_its_stack(top, fake, states):
    fake.state = states.unwell()
    async with top() as page:
        await page.press("down", "down", "down", "enter")
        await page.until("Thread 0x01 of mule1:")
        await page.until("shop.signals:handle_7 (signal 7) for 12m, OVERDUE")
        await page.press("s")
        await page.until(lambda: fake.done.count("stack mule1") == 2)
        await page.press("escape")
        await page.until("RUNS NOW")


async def test_enter_opens_a_signal_with_histograms(top):
    async with top() as page:
        await page.press("2", "enter")
        await page.until("Time from send() to the start of the handler: p50 1.8ms, p95 3.9ms")
        bars = [line for line in page.text.splitlines() if "<=" in line]
        assert bars[1].count("█") > bars[0].count("█") > bars[3].count("█")
        assert "90" in bars[1]


@pytest.mark.parametrize(("key", "text"), [("4", "every 5 s"), ("5", "See where it stands: heliograph stack mule1.")])
async def test_enter_opens_triggers_and_problems(top, fake, states, key, text):
    fake.state = states.unwell()
    async with top() as page:
        await page.press(key, "enter")
        await page.until("esc Back")
        await page.until(text)


async def test_keys_in_quick_succession_open_the_row_on_which_enter_was_pressed(top):
    """Another view may be shown before the message of the table arrives."""
    async with top() as page:
        await page.press("2")
        page.app.screen.table.action_open()
        page.app.screen.action_show_view(0)
        await page.until("Signal refresh-prices")


async def test_details_of_something_that_is_gone_say_so(top, fake):
    async with top() as page:
        await page.press("5", "4", "enter")
        await page.until("Trigger heartbeat")
        fake.state = replace(fake.state, triggers=())
        await page.until("It is not there any more.")
        assert "every 5 s" in page.text


async def test_s_sorts_by_the_next_column_and_capital_s_reverses(top, fake, states):
    fake.state = states.unwell()
    async with top() as page:
        table = page.app.screen.table
        titles = [one.title for one, _ in table._shown]
        await page.press(*["s"] * (1 + titles.index("QUEUED")))
        assert table.rows[0].key == "mule1"
        assert "QUEUE▼" in page.text
        await page.press("S")
        assert table.rows[-1].key == "mule1"
        await page.press(*["s"] * (len(titles) - titles.index("QUEUED")))
        assert table.rows[0].key == "master"


async def test_a_click_on_a_title_sorts(top, fake, states):
    fake.state = states.unwell()
    async with top() as page:
        table = page.app.screen.table
        x = page.text.splitlines()[3].index("QUEUED")
        await page.pilot.click(table, offset=(x, 0))
        await page.until(lambda: table.rows[0].key == "mule1")
        await page.pilot.click(table, offset=(x, 0))
        await page.until(lambda: table.rows[-1].key == "mule1")


async def test_a_click_selects_a_row_and_a_second_one_opens_it(top):
    async with top() as page:
        table = page.app.screen.table
        await page.pilot.click(table, offset=(5, 3))
        await page.until(lambda: table.selected.key == "worker2")
        await page.pilot.click(table, offset=(5, 3), times=2)
        await page.until("Process worker2")


async def test_a_click_on_a_name_shows_that_view(top):
    async with top() as page:
        x = page.text.splitlines()[2].index("4 Triggers")
        await page.pilot.click(offset=(x, 2))
        await page.until("heartbeat")


async def test_the_selected_row_stays_selected_when_rows_move(top, fake):
    async with top() as page:
        table = page.app.screen.table
        await page.press("down", "down", "down")
        assert table.selected.key == "mule1"
        fake.state = replace(fake.state, processes=fake.state.processes[2:])
        await page.until(lambda: len(table.rows) == 4)
        assert table.selected.key == "mule1"


async def test_many_rows_scroll_and_the_title_stays(top, fake, states):
    fake.state = replace(fake.state, signals=tuple(states.signal(num) for num in range(256)))
    async with top() as page:
        await page.press("2", "end")
        await page.until("handle_255")
        assert "SIGNAL" in page.text.splitlines()[3]
        await page.press("pageup", "home")
        await page.until("handle_0 ")


async def test_the_filter_shows_only_rows_with_the_text(top):
    async with top() as page:
        table = page.app.screen.table
        await page.press("slash", *"MULE")
        await page.until(lambda: [row.key for row in table.rows] == ["mule1", "mule2"])
        await page.press("enter", "down")
        assert table.selected.key == "mule2"
        assert "filter: MULE" in page.text
        await page.press("escape")
        await page.until(lambda: len(table.rows) == 6)


async def test_a_filter_without_a_match_says_so(top):
    async with top() as page:
        await page.press("slash", *"nix")
        await page.until("No row has the text 'nix'.")


async def test_keys_typed_into_the_filter_do_nothing_else(top, fake):
    async with top() as page:
        await page.press("slash", *"qr15?")
        assert page.app.screen.query_one("Input").value == "qr15?"
        assert page.app.is_running
        assert fake.done == []


async def test_reload_is_asked_first(top, fake):
    async with top() as page:
        await page.press("r")
        await page.until("Reload shop?")
        assert "replaces its 6 processes" in page.text
        await page.press("enter")
        await page.until(lambda: "Reload shop?" not in page.text)
        assert fake.done == []
        await page.press("r", "y")
        await page.until("Reload complete (generation 3)")
        assert fake.done == ["reload"]


async def test_a_key_of_a_question_does_nothing_on_the_screen_below(top):
    async with top() as page:
        await page.press("3", "p")
        await page.until("Pause the task (1)")
        await page.press("4", "5")
        assert "Pause the task (1)" in page.text
        await page.press("1")
        await page.until(lambda: "Pause the task (1)" not in page.text)
        assert page.app.screen.number == 2


async def test_a_failed_action_shows_its_error(top, fake, monkeypatch):
    def fail():
        raise OSError("the disk is full")

    monkeypatch.setattr(fake, "reload", fail)
    async with top() as page:
        await page.press("r", "y")
        await page.until("the disk is full")


async def test_help_shows_the_keys_and_any_key_for_leaving_closes_it(top):
    async with top() as page:
        await page.press("question_mark")
        await page.until("pause or resume a task or target")
        await page.press("q")
        await page.until(lambda: "pause or resume" not in page.text)
        assert page.app.is_running


async def test_keys_for_tasks_are_shown_where_tasks_are(top):
    async with top() as page:
        assert "t Retry" not in page.text
        await page.press("t", "x", "p")
        assert not page.toasts()
        await page.press("3")
        await page.until("p Pause  t Retry  x Cancel")


async def test_q_quits(top):
    async with top() as page:
        await page.press("q")
        await page.until(lambda: not page.app.is_running)


async def test_a_server_that_goes_away_is_told_and_awaited(top, fake):
    async with top() as page:
        fake.fault = "no server answers at /run/x: timed out."
        await page.until("not connected")
        await page.until("Trying again: no server answers at /run/x: timed out.")
        assert "worker2" in page.text
        fake.fault = None
        await page.until("well")
        await page.until("Connected again")
        assert fake.connections > 1


async def test_a_restarted_server_is_told(top, fake):
    async with top() as page:
        fake.state = replace(fake.state, pid=99, started_at=fake.state.started_at + 100)
        await page.until("The server was restarted (master 99)")
        await page.until(lambda: page.app.look.rates)


async def test_a_reloaded_server_is_told(top, fake):
    async with top() as page:
        fake.state = replace(fake.state, generation=3)
        await page.until("The server was reloaded (generation 3)")
        fake.state = replace(fake.state, is_loading=True)
        await page.until("The server is loading new code")
        fake.state = replace(fake.state, is_loading=False, is_stopping=True)
        await page.until("The server is stopping")


async def test_without_a_server_it_says_so_and_waits(top, fake):
    fake.fault = "no heliograph server is running for this directory."
    async with top() as page:
        await page.until("Not connected, trying again: no heliograph server is running")
        fake.fault = None
        await page.until("mule1")


async def test_a_hung_server_does_not_freeze_the_keys(top, fake, monkeypatch):
    """The look waits in its thread. The screen goes on."""
    import threading

    release = threading.Event()
    look = fake.look

    def wait():
        release.wait(30)
        return look()

    async with top() as page:
        monkeypatch.setattr(fake, "look", wait)
        await page.press("2")
        await page.until("HANDLER")
        await page.press("q")
        await page.until(lambda: not page.app.is_running)
        release.set()


@pytest.mark.parametrize("size", [(40, 10), (20, 5)])
async def test_a_small_terminal_does_not_end_it(top, size):
    async with top((80, 24)) as page:
        await page.pilot.resize_terminal(*size)
        for key in ["2", "enter", "escape", "3", "p", "escape", "question_mark", "escape"]:
            await page.press(key)
        assert page.app.is_running


async def test_without_colours_nothing_is_coloured(top, fake, states):
    """NO_COLOR: bold, underlined and reversed text is left, and words tell what is critical."""
    fake.state = states.unwell()

    async with top() as page:
        coloured = colours(page.app)
    async with top(no_color="1") as page:
        assert colours(page.app) == set()
        await page.press("5")
        await page.until("critical")
        assert colours(page.app) == set()
    assert coloured


def colours(app):
    found = set()
    for strip in app.screen._compositor.render_strips():
        for segment in strip:
            style = segment.style
            for colour in (style.color, style.bgcolor) if style is not None else ():
                if colour is not None and not colour.is_default:
                    found.add(colour.name)
    return found
