"""What a registry of revision 0002 held is there after the migration, under the same ids (G10, G20)."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from hub.registry import Reference, Registered, Registry
from hub.registry.identity import fingerprint
from hub.store import Store
from hub.store.engine import open_engine, writing
from hub.store.migrate import upgrade

ADDRESS = '{"type":"record","name":"Address","namespace":"edu","fields":[]}'
PERSON = '{"type":"record","name":"Person","fields":[{"name":"home","type":"edu.Address"}]}'
REFS = '[["edu.Address","a",1]]'


@pytest.fixture
def old(empty_url: str) -> str:
    """A store as the second revision left it: ids 1, 2 and 4, of which 3 was used and is gone."""
    url = empty_url
    engine = open_engine(url)
    with writing(engine) as connection:
        upgrade(connection, "0002")
        for text, refs in ((ADDRESS, "[]"), (PERSON, REFS), ('"gone"', "[]"), ('"int"', "[]")):
            values = {"mark": fingerprint(text, refs), "text": text, "refs": refs}
            connection.execute(
                sa.text("INSERT INTO schemas (fingerprint, text, refs) VALUES (:mark, :text, :refs)"), values
            )
        connection.execute(sa.text("DELETE FROM schemas WHERE id = 3"))
        connection.execute(sa.text("INSERT INTO subjects VALUES ('', 'FULL'), ('a', NULL), ('p', 'NONE')"))
        connection.execute(
            sa.text("INSERT INTO subject_versions VALUES ('a', 1, 1, false), ('p', 1, 4, true), ('p', 2, 2, false)")
        )
    engine.dispose()
    return url


def test_G20_ids_versions_levels_and_references_survive(old: str) -> None:
    with Store.open(old) as store:
        registry = Registry(store)
        assert registry.by_id(1) == ADDRESS
        assert registry.schema(2).references == (Reference(name="edu.Address", subject="a", version=1),)
        assert (registry.level(), registry.level("p"), registry.level("a")) == ("FULL", "NONE", "FULL")
        assert (registry.versions("a"), registry.versions("p")) == ([1], [2])
        assert registry.browse.version("p", 1, deleted=True).schema.id == 4
        assert registry.browse.referring("a", 1) == [2]
        assert registry.register("a", ADDRESS) == Registered(1, 1)
        assert registry.register("q", '"string"') == Registered(5, 1)
