"""README, docs and CONTRIBUTING: length, sentences, links, glossary and the first example."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
GLOSSARY = ROOT / "docs/glossary.md"
GENERATED = ROOT / "docs/guarantees.md"
PAGES = sorted({README, *map(ROOT.joinpath, ["CONTRIBUTING.md", "CHANGELOG.md"]), *ROOT.glob("docs/**/*.md")})
"""All pages for users and contributors."""

MAX_README_WORDS = 900
"""As `wc -w` counts."""

_FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_OPENING = re.compile(r"(?:Who|Whoever|Whose|What|Whatever|Which|Whichever|Where|Wherever)\b[^?]*$", re.IGNORECASE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def _name(page):
    return str(page.relative_to(ROOT))


pages = pytest.mark.parametrize("page", PAGES, ids=_name)


def sentences(text):
    """The sentences, headings, list items and table cells of a page, without its code."""
    prose = _FENCE.sub("", text)
    blocks = re.split(r"\n\s*\n|\n(?=\s*(?:[*-]|\d+\.|#+|\|) ?)", prose)
    for block in blocks:
        one_line = " ".join(block.split())
        for cell in one_line.split("|"):
            start = re.sub(r"^(?:[*-]|\d+\.|#+)\s+", "", cell.strip()).replace("**", "")
            yield from re.split(r"(?<=[.!?])\s+(?=[A-Z`\"])", start)


def anchors(text):
    """The anchors that a reader's program makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def glossary_terms():
    return re.findall(r"^### (.+)$", GLOSSARY.read_text(), re.MULTILINE)


def example(start=r"`shop\.py`:"):
    """The code after a line: that of the first example, or that of another section."""
    found = re.search(rf"^{start}\n\n```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_readme_has_at_most_900_words():
    """A reader should be able to read it in one go."""
    assert len(README.read_text().split()) <= MAX_README_WORDS


@pages
def test_no_sentence_opens_with_a_relative_clause(page):
    """Name the thing instead. Questions are allowed."""
    assert [sentence for sentence in sentences(page.read_text()) if _OPENING.match(sentence)] == []


def test_a_relative_clause_is_found_in_text_lists_tables_and_headings():
    text = "Good.\nWhat is left\nis lost. Is it?\n\n* who asks waits\n\n| a | which one |\n\n"
    text += "## Where it is\n\n## What is it?\n"
    found = [sentence for sentence in sentences(text) if _OPENING.match(sentence)]
    assert found == ["What is left is lost.", "who asks waits", "which one", "Where it is"]


@pytest.mark.parametrize("page", [*PAGES, *ROOT.glob("examples/*/*.md")], ids=_name)
def test_relative_links_lead_to_a_file_and_a_heading(page):
    """Within the repository."""
    for link in _LINK.findall(_FENCE.sub("", page.read_text())):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if target == GENERATED and not target.exists():
            continue  # until the generated table has its new name
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


def test_every_page_of_the_documentation_is_listed_in_its_index():
    """In docs/README.md, or in the index of the Python names."""
    indexes = [ROOT / "docs/README.md", ROOT / "docs/reference/python/names.md"]
    links = [(index.parent, link) for index in indexes for link in _LINK.findall(index.read_text())]
    listed = {(directory / link.partition("#")[0]).resolve() for directory, link in links}
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - {indexes[0]} <= listed


def test_every_glossary_term_is_used():
    """In another page or in the package."""
    texts = [page.read_text() for page in PAGES if page != GLOSSARY]
    texts += [module.read_text() for module in (ROOT / "src").rglob("*.py")]
    text = re.sub(r"[\s_-]+", " ", "\n".join(texts).lower())
    terms = glossary_terms()
    assert len(terms) > 40
    forms = {term: re.escape(term.lower().replace("-", " ")) + "(?:e?s)?" for term in terms}
    assert [term for term, form in forms.items() if not re.search(rf"\b{form}\b", text)] == []


def test_glossary_terms_are_defined_once():
    terms = glossary_terms()
    assert len(set(terms)) == len(terms)


def test_the_first_example_runs(heliograph_engine, capsys):
    """A request sends two signals: one handler runs in every worker, the other in the mule. The timer fires too."""
    pytest.importorskip("flask")
    module = {"__name__": "shop"}
    exec(compile(example(), "shop.py", "exec"), module)
    with heliograph_engine.as_process("worker2"):
        assert module["app"].test_client().post("/prices").status_code == 202
    heliograph_engine.clock.sleep(60)
    assert [str(run.by) for run in heliograph_engine.handled] == ["worker1", "worker2", "mule1", "mule1"]
    assert capsys.readouterr().out.splitlines() == [
        "worker 1: prices read",
        "worker 2: prices read",
        "mule 1: report written",
        "mule 1: cleaned up",
    ]


def test_the_example_of_a_task_runs(heliograph_engine):
    module = {"__name__": "shop"}
    exec(compile(example("## Tasks"), "shop.py", "exec"), module)
    assert [row.name for row in heliograph_engine.enqueued] == ["shop:send_mail"]
    assert module["result"].wait(timeout=5).return_value == "Hello to a@example.org"


def test_the_first_example_is_short():
    """About 20 lines of code."""
    assert len([line for line in example().splitlines() if line.strip()]) <= 22
