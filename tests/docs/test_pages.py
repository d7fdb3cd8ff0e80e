"""Every code block of the pages runs: Python, files, console sessions with their output."""

import contextlib
import json
import re
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

from blocks import APPEND, CONTINUES, NEW_PROJECT, PROJECT, SERVER_OUTPUT, Block, blocks_of  # noqa: E402
from project import Project  # noqa: E402
from servers import PageError  # noqa: E402

PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
MAX_NOT_RUN = 12
"""Blocks of all pages that no test runs, each with a reason."""
SITE_ONLY = ("{eval-rst}", "{toctree}")
"""Blocks that only sphinx reads. tests/docs/test_site.py builds them."""


_WITH_BLOCKS = [page for page in PAGES if "```" in page.read_text()]


def _name(page):
    return str(page.relative_to(ROOT))


def not_run(block: Block) -> bool:
    return (
        block.how.startswith("not run: ") or block.language in SITE_ONLY or (block.language == "text" and not block.how)
    )


def write_files(project: Project, page: Path) -> None:
    """Write the files of a page, and of those that it continues."""
    for block in blocks_of(page.read_text()):
        if block.how.startswith(CONTINUES):
            write_files(project, page.with_name(block.how.removeprefix(CONTINUES)))
        elif block.file:
            project.write(block.file, block.text, append=block.how == APPEND)


def run(project: Project, page: Path, block: Block) -> None:
    """Run a block as its language and its comment say."""
    if block.how.startswith(CONTINUES):
        write_files(project, page.with_name(block.how.removeprefix(CONTINUES)))
    elif block.file:
        project.write(block.file, block.text, append=block.how == APPEND)
    elif block.how == SERVER_OUTPUT:
        project.expect(block.text)
    elif block.language == "python":
        project.python(page.name, block.line, block.text)
    elif block.language == "json":
        for line in block.text.splitlines():
            json.loads(line)
    elif block.language == "yaml":
        pytest.importorskip("yaml").safe_load(block.text)
    elif block.language == "console":
        project.console(block.text)
    else:
        raise PageError(f"nothing says how to run {block.language or 'this block'}: see tests/docs/blocks.py")


@pytest.mark.parametrize("page", _WITH_BLOCKS, ids=_name)
@pytest.mark.timeout(300)
@pytest.mark.early
def test_the_blocks_of_a_page_run(page):
    """In their order, in a directory and a Python session of the page."""
    with contextlib.ExitStack() as projects:
        project = projects.enter_context(contextlib.closing(Project()))
        for block in [*blocks_of(page.read_text()), Block(0, "", "", how=NEW_PROJECT)]:
            error = ""
            try:
                if block.how.startswith((NEW_PROJECT, PROJECT)):
                    project.finish()
                    project = projects.enter_context(contextlib.closing(Project()))
                    project.copy(block.how.removeprefix(PROJECT))
                elif not not_run(block):
                    run(project, page, block)
            except PageError as failed:
                error = str(failed)
            if error:
                pytest.fail(f"{_name(page)}:{block.line}\n{error}", pytrace=False)


def test_few_blocks_are_not_run():
    """A comment says why: <!-- not run: REASON -->."""
    reasons = [
        f"{_name(page)}:{block.line}: {block.how}"
        for page in PAGES
        for block in blocks_of(page.read_text())
        if block.how.startswith("not run: ")
    ]
    assert len(reasons) <= MAX_NOT_RUN, "\n".join(reasons)


def test_the_blocks_of_all_pages_are_found():
    """As many as there are fences."""
    for page in PAGES:
        text = page.read_text()
        visible = [block for block in blocks_of(text) if not block.how.startswith((NEW_PROJECT, PROJECT, CONTINUES))]
        fences = len(re.findall(r"^ *```[\w{}-]+$", text, re.MULTILINE))
        assert len(visible) - text.count("<!-- run: ") == fences, _name(page)
