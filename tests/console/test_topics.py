"""Topics on pages: contract, masked records, readers; what is looked for is found, and texts stay texts (G13, S18, S8)."""

from __future__ import annotations

import html

import pytest

from hub.console.views import topics
from hub.model import Topic
from tests.support.library import CANARY, EVIL, GROUP, TOPIC, Library

PAGE = f"/console/topics/{TOPIC}"


def test_the_list_has_every_topic_in_the_pages_language(library: Library) -> None:
    with library.console.as_("vera") as client:
        page = client.get("/console/topics").text
        assert f'<a href="{PAGE}">Library branches</a>' in page
        assert "City library office" in page
        assert f'data-live="topic.{TOPIC}.records">2<' in page
        assert ">图书馆分馆</a>" in client.get("/console/topics?language=zh").text
        twin = client.get("/console/topics.json").json()
        mine = library.console.api("/topics").json()["topics"]
        told = set(mine[0]) - {"age_s", "freshness"}  # what moves on between two requests
        assert [{k: t[k] for k in told} for t in twin["topics"]] == [{k: t[k] for k in told} for t in mine]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"agency": "city-library"}, 1),
        ({"agency": "city-planning"}, 0),
        ({"text": " BRANCHES "}, 1),
        ({"text": "图书馆"}, 1),
        ({"text": "school"}, 0),
        ({"late": "yes"}, 0),
        ({"page": "2"}, 1),
    ],
)
def test_filters_leave_what_fits(library: Library, query: dict[str, str], found: int) -> None:
    with library.console.as_("vera") as client:
        assert client.get("/console/topics.json", params=query).json()["found"] == found
        page = client.get("/console/topics", params=query)
        assert (page.status_code, PAGE in page.text) == (200, found == 1 and "page" not in query)


@pytest.mark.parametrize("page", ["0", "x", "-1", "99999999999999", ""])
def test_a_page_that_cannot_be_is_refused_in_words(library: Library, page: str) -> None:
    with library.console.as_("vera") as client:
        assert client.get("/console/topics", params={"page": page}).status_code == 422


def test_a_long_list_goes_on_on_further_pages(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "A_PAGE", 2)
    for number in range(4):
        library.console.hub.log.ensure(Topic(name=f"city-library.paged.t{number}.v1"))
    with library.console.as_("vera") as client:
        first = client.get("/console/topics", params={"text": "paged"}).text
        assert "Page 1 of 2" in first
        assert "/console/topics?agency=&amp;text=paged&amp;late=&amp;page=2" in first
        second = client.get("/console/topics.json", params={"text": "paged", "page": "2"}).json()
        assert [one["topic"] for one in second["topics"]] == [f"city-library.paged.t{n}.v1" for n in (2, 3)]
        behind = client.get("/console/topics.json", params={"text": "paged", "page": "3"}).json()
        assert (behind["found"], behind["page"], behind["pages"], behind["topics"]) == (4, 3, 2, [])


def test_a_topic_shows_its_contract_fields_places_and_writers(library: Library) -> None:
    with library.console.as_("vera") as client:
        page = client.get(PAGE).text
        for words in ("Every branch with its reading seats.", "branch_id", "the last complete pass", "Code of the branch.",
                      "the newest record of each key, for good", "target 1 d",
                      "city-library-branches", "personal"):  # fmt: skip
            assert words in page, words
        chinese = client.get(PAGE, params={"language": "zh"}).text
        for words in ("各分馆及其阅览座位数。", "分馆编码。", "个人信息", "有条件共享", "最近一次全量读取完成时"):
            assert words in chinese, words
        twin = client.get(f"{PAGE}.json").json()
        assert twin["topic"]["offsets"] == [{"partition": 0, "earliest": 0, "end": 2}]
        assert [one["name"] for one in twin["connectors"]] == ["city-library-branches"]


def test_a_topic_says_who_may_read_and_who_does(library: Library) -> None:
    with library.console.as_("vera") as client:
        page = html.unescape(client.get(PAGE).text)
        for words in (
            "school and library building plan 2027",
            "district = 'North'",
            "2099-12-31",
            "City planning office",
        ):
            assert words in page, words
        assert f'href="/console/subscribers/{GROUP}/{TOPIC}">City planning office · <code>' in page, "whose group it is"
        assert f'data-live="group.{GROUP}.{TOPIC}.lag">0<' in page


def test_G13_what_is_not_public_is_on_no_page_and_in_no_twin(library: Library) -> None:
    assert CANARY in (library.console.project / "data/branches.csv").read_text(encoding="utf-8")
    with library.console.as_("anna") as client:
        for path in (PAGE, f"{PAGE}.json", f"{PAGE}?language=zh", "/console/topics", f"/console/schemas/{TOPIC}-value"):
            answer = client.get(path)
            assert answer.status_code == 200
            assert CANARY not in answer.text, path
        assert "xxxx xx x-9" in client.get(PAGE).text
        assert ">B-1</td>" in client.get(PAGE).text, "what is public is there"
        twin = client.get(f"{PAGE}.json").json()
        public = {field["name"] for field in twin["topic"]["fields"] if field["classification"] == "public"}
        assert twin["masked"] == [name for name in twin["columns"] if name not in public]
        names = "、".join(f"<code>{name}</code>" for name in twin["masked"])
        assert (
            f"以下字段未定级为公开，已脱敏（x 代表一个文字或字母，9 代表一个数字）： {names}。" in client.get(PAGE).text
        )


def test_S18_texts_of_agencies_stay_texts(library: Library) -> None:
    library.served.edit("topics.d/branch.yaml", title={"en": f"T {EVIL}", "zh": EVIL}, keywords=[EVIL])
    library.served.edit("grants.d/planning.yaml", purpose=EVIL)
    library.served.branches({"B-1": 1, "B-2": 2, EVIL: 3})
    with library.console.as_("vera") as client:
        for path in ("/console/topics", PAGE, f"{PAGE}?language=zh", f"/console/topics?text={EVIL}"):
            page = client.get(path).text
            assert EVIL not in page, path
            assert EVIL.upper() not in page, path
            assert html.escape(EVIL) in page, path
        assert html.escape(EVIL.upper()) in client.get(PAGE).text, "a record's own value"


def test_a_topic_that_is_not_there(library: Library) -> None:
    with library.console.as_("vera") as client:
        for name in ("nothing.at.all", "__quarantine", "..%2Fx", "%00"):
            assert client.get(f"/console/topics/{name}").status_code == 404, name
            assert client.get(f"/console/topics/{name}.json").status_code == 404, name
