"""Links between pages hold, and no page is lost."""

import pytest

from tests.docs.pages import PAGES, README, ROOT, anchors, links, name


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: there is no such file"
        assert target.is_relative_to(ROOT), f"{link}: leads out of the repository"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


def test_every_page_is_reached_from_the_readme():
    seen, waiting = set(), [README]
    while waiting:
        page = waiting.pop()
        if page not in seen:
            seen.add(page)
            targets = [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if ":" not in link]
            waiting += [t for t in targets if t.suffix == ".md" and t.exists()]
    assert set(PAGES) <= seen, [name(p) for p in set(PAGES) - seen]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_headings_are_distinct(page):
    found = anchors(page)
    assert len(set(found)) == len(found)
