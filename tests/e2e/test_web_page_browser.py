"""The status page in Chromium: what a person finds, and how."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket

import pytest

from heliograph.testing.harness.harness import eventually

sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium"),
    pytest.mark.xdist_group("chromium"),
]

TIMEOUT = 30_000
"""Milliseconds that the browser waits for something."""
TOKEN = "0123456789abcdef"
EVIL = "<script>hacked=1</script><img src=x onerror=hacked=2>"
APP = f"""
from heliograph import register_timer, task

@Signal(name="hang").register_handler("mule1")
def hang():
    record("hanging")
    block_on("released")

@Signal(name="{EVIL}").register_handler("mule2")
def evil():
    record("evil")

@task(target="mule2")
def mail(to: str) -> str:
    if not Path("mended").exists():
        raise RuntimeError(f"no route to {{to}}")
    return to
"""


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window."""
    sync_api.expect.set_options(timeout=TIMEOUT)
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, timeout=4 * TIMEOUT)
        yield found
        found.close()


@pytest.fixture
def open_page(browser):
    """Open the status page in a window of its own. The test fails if the page has an error."""
    errors = []
    with contextlib.ExitStack() as stack:

        def make(address, *, size=(1280, 900), **options):
            context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
            stack.callback(context.close)
            context.set_default_timeout(TIMEOUT)
            page = context.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda line: errors.append(line.text) if "Content Security" in line.text else None)
            page.on("dialog", lambda dialog: errors.append(dialog.message))
            page.goto(address)
            return page

        yield make
    assert errors == []


@pytest.fixture
def address(server):
    """The address of the page of a running server."""
    token = server.directory / "token"
    token.touch(mode=0o600)
    token.write_text(TOKEN)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = (
        "--mules",
        "2",
        "--overdue",
        "1",
        "--http-status",
        f"127.0.0.1:{port}",
        "--http-token-file",
        str(token),
    )
    server.start(APP, *arguments)
    server.await_log("Serving the status page")
    return f"http://127.0.0.1:{port}/"


def is_live(page):
    sync_api.expect(page.locator("#live")).to_have_text("Live")


def has(locator, text):
    sync_api.expect(locator).to_contain_text(text)


def test_a_person_finds_the_line_where_a_handler_hangs(server, address, open_page):
    """It stands at the top, with the stack of its process."""
    server.command("send", "hang")
    server.expect(1, "hanging")
    page = open_page(address)
    is_live(page)
    has(page.locator("#health"), "mule1 has run the handler tasks.hang")
    has(page.locator("#processes").get_by_role("row").filter(has_text="mule1"), "overdue")
    page.locator("#health").get_by_role("link", name="Stack of mule1").click()
    dialog = page.get_by_role("dialog")
    has(dialog, "in hang")
    has(dialog, "tasks.py")
    server.release("released")
    eventually("the end of the handler", lambda: _reads_again(page, dialog))
    page.keyboard.press("Escape")
    sync_api.expect(dialog).to_be_hidden()
    has(page.locator("#health"), "All is well")


def _reads_again(page, dialog):
    page.get_by_role("button", name="Read again").click()
    page.wait_for_timeout(300)
    text = dialog.inner_text()
    return "mule1 (pid" in text and "in hang" not in text


def test_a_failed_task_is_retried_with_the_token(server, address, open_page):
    """The page asks for the token, says that a wrong one is wrong, and shows the result."""
    assert server.command("enqueue", "tasks:mail", '["you"]').returncode == 0
    page = open_page(address)
    is_live(page)
    failed = page.locator("#tasks-failed")
    has(failed, "RuntimeError: no route to you")
    failed.get_by_text("RuntimeError: no route to you").first.click()
    has(failed.locator("pre"), "Traceback (most recent call last)")
    server.release("mended")
    page.get_by_role("button", name="Retry task").click()
    field = page.get_by_label("The text in the file of --http-token-file")
    field.fill("wrong-token-0123")
    page.get_by_role("button", name="Use the token").click()
    has(page.locator("#message"), "the token is wrong")
    field.fill(TOKEN)
    page.get_by_role("button", name="Use the token").click()
    has(page.locator("#message"), "will run again")
    sync_api.expect(failed).to_have_count(0)
    assert page.context.cookies() == []
    assert page.evaluate("localStorage.length") == 0


def test_names_and_errors_of_users_are_only_text(server, address, open_page):
    """In the page as it is served, and in what comes later."""
    server.command("enqueue", "tasks:mail", f'["{EVIL}"]')
    page = open_page(address)
    is_live(page)
    has(page.locator("#signals"), EVIL)
    has(page.locator("#tasks-failed"), EVIL)
    server.command("send", EVIL)
    server.expect(1, "evil")
    has(page.locator("#signals").get_by_role("row").filter(has_text=EVIL), "1")
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_shows_everything(server, address, open_page, scheme, tmp_path):
    """360 pixels: nothing is cut off, in both themes. Texts have the contrast that WCAG asks for."""
    server.command("enqueue", "tasks:mail", '["you"]')
    server.command("send", "hang")
    page = open_page(address, size=(360, 740), color_scheme=scheme)
    is_live(page)
    has(page.locator("#tasks-failed"), "RuntimeError")
    page.screenshot(path=str(tmp_path / f"{scheme}.png"), full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("#processes").get_by_role("row").count() >= 5
    lightness = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)[0]")
    assert (lightness < 60) == (scheme == "dark")
    assert page.evaluate(CONTRASTS) == []


CONTRASTS = """() => {
    const parse = (text) => text.match(/[0-9.]+/g).map(Number);
    const light = (color) => {
        const part = (v) => v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
        return 0.2126 * part(color[0]) + 0.7152 * part(color[1]) + 0.0722 * part(color[2]);
    };
    const back = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const color = parse(getComputedStyle(at).backgroundColor);
            if (color.length === 3 || color[3] === 1) return color;
        }
        return [255, 255, 255];
    };
    const bad = [];
    for (const element of document.querySelectorAll("body *")) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.nodeValue.trim());
        if (!own || !element.checkVisibility()) continue;
        const [a, b] = [light(parse(getComputedStyle(element).color)), light(back(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) bad.push(`${element.nodeName} ${element.textContent.slice(0, 30)} ${ratio.toFixed(1)}`);
    }
    return bad;
}"""


def test_the_page_follows_the_server(server, address, open_page):
    """Numbers change without a reload of the page, and what the reader has opened stays open."""
    server.command("enqueue", "tasks:mail", '["you"]')
    page = open_page(address)
    is_live(page)
    details = page.locator("#tasks-failed li details").first
    details.locator("summary").click()
    details.locator("summary").focus()
    server.command("send", EVIL)
    row = page.locator("#signals tr").filter(has_text="evil")
    sync_api.expect(row.locator("[data-label=Handled]")).to_have_text("1")
    assert details.get_attribute("open") is not None
    assert page.evaluate("document.activeElement.nodeName") == "SUMMARY"


def test_the_page_connects_again(server, address, open_page):
    """After a restart of the server, whose page has the same address."""
    page = open_page(address)
    is_live(page)
    assert server.end() == 0
    has(page.locator("#live"), "Connection lost")
    server.launch("--mules", "3", "--http-status", address.removeprefix("http://").rstrip("/"))
    is_live(page)
    sync_api.expect(page.locator("#processes tr").filter(has_text="mule3")).to_have_count(1)


def test_the_page_reads_well_without_scripts(server, address, open_page):
    """The first state is in the document, and the stack is a page."""
    page = open_page(address, java_script_enabled=False)
    has(page.locator("#processes"), "mule1")
    sync_api.expect(page.get_by_role("button")).to_have_count(0)
    page.get_by_role("link", name="Stack of mule1").first.click()
    has(page.locator("pre"), "mule1 (pid")
    page.get_by_role("link", name="Back to the status").click()
    has(page.locator("#processes"), "mule1")


def test_the_page_can_be_used_with_the_keyboard_and_read_aloud(server, address, open_page):
    """The first tab skips the navigation. Tables, headings and the verdict have their roles."""
    page = open_page(address)
    is_live(page)
    page.keyboard.press("Tab")
    sync_api.expect(page.get_by_role("link", name="Skip to the state of the server")).to_be_focused()
    for name in ("Processes", "Signals", "Tasks", "Triggers"):
        sync_api.expect(page.get_by_role("heading", name=name, exact=True)).to_have_count(1)
    sync_api.expect(page.get_by_role("table", name="Processes").get_by_role("rowheader").first).to_be_visible()
    has(page.locator(".verdict[role=status]"), "well")
    page.get_by_role("link", name="Stack of mule1").focus()
    page.keyboard.press("Enter")
    sync_api.expect(page.get_by_role("dialog", name="Stack of mule1")).to_be_visible()
