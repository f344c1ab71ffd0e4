"""registry-api §5 and §6: compatibility levels, modes, import."""

from __future__ import annotations

from typing import Any

import pytest

from tests.registry.calls import Calls, f, rec, text

ONE, TWO, BREAKS = rec(f("id", "string")), rec(f("id", "string"), f("n", "int", default=0)), rec(f("pupils"))
LEVELS = ["NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"]


def test_section_5_the_global_level(api: Calls) -> None:
    assert api.get("/config") == (200, {"compatibilityLevel": "BACKWARD"})
    assert api.put("/config", {"compatibility": "FULL"}) == (200, {"compatibility": "FULL"})
    assert api.get("/config") == (200, {"compatibilityLevel": "FULL"})
    assert api.delete("/config") == (200, {"compatibilityLevel": "FULL"})
    assert api.get("/config") == (200, {"compatibilityLevel": "BACKWARD"})
    assert api.delete("/config") == (200, {"compatibilityLevel": "BACKWARD"})


@pytest.mark.parametrize("level", LEVELS)
def test_section_5_levels_in_any_case_are_stored_in_capitals(api: Calls, level: str) -> None:
    for path in ("/config", "/config/s"):
        assert api.put(path, {"compatibility": level.lower()}) == (200, {"compatibility": level})
        assert api.get(path) == (200, {"compatibilityLevel": level})


@pytest.mark.parametrize("level", ["", "SIDEWAYS", None, 5, "BACKWARD "])
def test_section_5_another_level_is_42203(api: Calls, level: Any) -> None:
    for path in ("/config", "/config/s"):
        api.refused(
            api.put(path, {"compatibility": level}),
            42203,
            "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, "
            "forward_transitive, and full_transitive",
        )
        api.refused(api.put(path, {}), 42203)


def test_section_5_a_subjects_own_level(api: Calls) -> None:
    api.refused(api.get("/config/s"), 40408, "Subject 's' does not have subject-level compatibility configured")
    assert api.get("/config/s", defaultToGlobal=True) == (200, {"compatibilityLevel": "BACKWARD"})
    api.put("/config", {"compatibility": "FORWARD"})
    assert api.get("/config/s", defaultToGlobal=True) == (200, {"compatibilityLevel": "FORWARD"})
    api.refused(api.delete("/config/s"), 40401)
    api.put("/config/s", {"compatibility": "NONE"})
    assert api.get("/config/s") == (200, {"compatibilityLevel": "NONE"})
    api.refused(api.get("/subjects/s/versions"), 40401)  # it does not exist by that
    assert api.get("/subjects") == (200, [])
    assert api.delete("/config/s") == (200, {"compatibilityLevel": "NONE"})
    assert api.get("/config/s", defaultToGlobal=True) == (200, {"compatibilityLevel": "FORWARD"})


def test_section_5_changes_apply_to_the_next_request(api: Calls) -> None:
    api.registered("s", ONE)
    assert api.register("s", BREAKS)[0] == 409
    api.put("/config/s", {"compatibility": "NONE"})
    assert api.register("s", BREAKS)[0] == 200
    api.delete("/config/s")
    assert api.register("s", ONE)[0] == 200  # the same as version 1
    assert api.register("s", rec(f("other")))[0] == 409


def test_section_5_normalize_by_default(api: Calls) -> None:
    one, two = rec(x=1, y=2), rec(y=2, x=1)
    assert api.put("/config/s", {"normalize": True}) == (200, {"normalize": True})
    assert api.get("/config/s") == (200, {"compatibilityLevel": "BACKWARD", "normalize": True})
    assert api.registered("s", one) == api.registered("s", two)
    assert api.post("/subjects/s", {"schema": text(two)})[1]["version"] == 1
    api.put("/config", {"compatibility": "NONE", "normalize": True})
    assert api.get("/config") == (200, {"compatibilityLevel": "NONE", "normalize": True})
    assert api.put("/config/t", {"normalize": False}) == (200, {"normalize": False})
    assert api.registered("t", one) != api.registered("t", two)
    api.refused(api.put("/config", {"normalize": "true"}), 400)
    api.delete("/config")
    assert api.get("/config") == (200, {"compatibilityLevel": "BACKWARD"})


def test_section_5_read_only_keeps_its_level(api: Calls) -> None:
    api.put("/config/s", {"compatibility": "NONE"})
    api.put("/mode/s", {"mode": "READONLY"})
    api.refused(api.put("/config/s", {"compatibility": "FULL"}), 42205)
    api.refused(api.delete("/config/s"), 42205)
    assert api.put("/config", {"compatibility": "FULL"})[0] == 200
    api.put("/mode", {"mode": "READONLY"})
    api.refused(api.put("/config", {"compatibility": "NONE"}), 42205)
    api.refused(api.delete("/config"), 42205)
    assert api.get("/config/s") == (200, {"compatibilityLevel": "NONE"})


@pytest.mark.parametrize("mode", ["READWRITE", "READONLY", "READONLY_OVERRIDE", "IMPORT"])
def test_section_6_modes(api: Calls, mode: str) -> None:
    assert api.get("/mode") == (200, {"mode": "READWRITE"})
    api.refused(api.get("/mode/s"), 40409, "Subject 's' does not have subject-level mode configured")
    assert api.get("/mode/s", defaultToGlobal=True) == (200, {"mode": "READWRITE"})
    assert api.put("/mode", {"mode": mode}) == (200, {"mode": mode})
    assert api.get("/mode") == api.get("/mode/s", defaultToGlobal=True) == (200, {"mode": mode})
    assert api.put("/mode/s", {"mode": mode.lower()}) == (200, {"mode": mode})
    assert api.get("/mode/s") == (200, {"mode": mode})
    assert api.delete("/mode/s") == (200, {"mode": mode})
    api.refused(api.delete("/mode/s"), 40401)
    assert api.delete("/mode") == (200, {"mode": mode})
    assert api.get("/mode") == (200, {"mode": "READWRITE"})


@pytest.mark.parametrize("mode", ["", "SIDEWAYS", None, 5])
def test_section_6_another_mode_is_42204(api: Calls, mode: Any) -> None:
    for path in ("/mode", "/mode/s"):
        api.refused(api.put(path, {"mode": mode}), 42204, "Invalid mode. ")
        api.refused(api.put(path, {}), 42204)


@pytest.mark.parametrize("where", ["/mode", "/mode/s"])
def test_section_6_read_only(api: Calls, where: str) -> None:
    api.registered("s", ONE)
    api.registered("s", TWO)
    api.delete("/subjects/s/versions/1")
    api.put(where, {"mode": "READONLY"})
    words = "Subject s in context . is in read-only mode"
    api.refused(api.register("s", BREAKS), 42205, words)
    api.refused(api.register("s", ONE), 42205)  # softly deleted: new again
    api.refused(api.delete("/subjects/s"), 42205, words)
    api.refused(api.delete("/subjects/s/versions/2"), 42205, words)
    api.refused(api.delete("/subjects/s/versions/1", permanent=True), 42205, words)
    assert api.register("s", TWO) == (200, {"id": 2})  # the same is no change
    assert api.get("/subjects/s/versions") == (200, [2])
    assert api.post("/subjects/s", {"schema": text(TWO)})[0] == 200
    assert api.post("/compatibility/subjects/s/versions/latest", {"schema": text(ONE)})[0] == 200
    assert api.put(where, {"mode": "READWRITE"})[0] == 200
    assert api.delete("/subjects/s")[0] == 200


def test_section_6_a_subjects_own_mode_wins_except_over_the_override(api: Calls) -> None:
    api.put("/mode", {"mode": "READONLY"})
    api.put("/mode/s", {"mode": "READWRITE"})
    assert api.register("s", ONE)[0] == 200
    api.refused(api.register("t", ONE), 42205)
    api.put("/mode", {"mode": "READONLY_OVERRIDE"})
    api.refused(api.register("s", TWO), 42205)


def test_section_6_import_needs_an_id_and_keeps_it(api: Calls) -> None:
    api.put("/mode/s", {"mode": "IMPORT"})
    api.refused(api.register("s", ONE), 42205)
    assert api.register("s", ONE, id=40, version=3) == (200, {"id": 40})
    assert api.register("s", BREAKS, id=50, version=7) == (200, {"id": 50})  # nothing is compared, gaps are allowed
    assert api.get("/subjects/s/versions") == (200, [3, 7])
    assert api.register("s", TWO, id=45) == (200, {"id": 45})
    assert api.get("/subjects/s/versions") == (200, [3, 7, 8])
    assert api.register("s", ONE) == (200, {"id": 40})  # it is in the subject already
    assert api.get("/schemas/ids/40")[0] == 200
    api.put("/mode/s", {"mode": "READWRITE"})
    assert api.register("t", rec(name="Automatic")) == (200, {"id": 51})


def test_section_6_an_id_of_another_schema_is_refused(api: Calls) -> None:
    api.registered("other", ONE)
    api.put("/mode/s", {"mode": "IMPORT"})
    api.refused(api.register("s", TWO, id=1), 42205)
    assert api.register("s", ONE, id=1) == (200, {"id": 1})
    assert api.register("s", TWO, id=9, version=4) == (200, {"id": 9})
    api.refused(api.register("s", BREAKS, id=10, version=4), 42205)
    api.refused(api.get("/schemas/ids/10"), 40403)  # what was refused left nothing
    api.delete("/subjects/s")
    api.delete("/subjects/s", permanent=True)
    api.put("/mode/s", {"mode": "IMPORT"})
    api.refused(api.register("s", BREAKS, id=9), 42205)  # G10: also when nothing has it any more


def test_section_6_an_id_outside_import_is_refused(api: Calls) -> None:
    api.refused(api.register("s", ONE, id=5), 42205)
    assert api.get("/subjects") == (200, [])
    api.registered("s", ONE)
    assert api.register("s", ONE, id=5) == (200, {"id": 1})


def test_section_6_a_schema_may_come_with_a_second_id(api: Calls) -> None:
    """Registries that tell schemas apart by other rules have one schema under two ids; both go on meaning it."""
    api.registered("a", ONE)
    api.put("/mode/b", {"mode": "IMPORT"})
    assert api.register("b", ONE, id=77) == (200, {"id": 77})
    assert api.get("/schemas/ids/77") == api.get("/schemas/ids/1")
    assert api.get("/schemas/ids/77/subjects") == (200, ["b"])
    assert api.post("/subjects/b", {"schema": text(ONE)})[1]["id"] == 77
    api.delete("/mode/b")
    assert api.register("b", ONE) == (200, {"id": 77})
    assert api.register("c", ONE) == (200, {"id": 1})
    assert api.register("c", TWO) == (200, {"id": 78})


def test_section_6_absurd_ids_and_versions_leave_room(api: Calls) -> None:
    last = 2**31 - 1
    api.put("/mode", {"mode": "IMPORT"})
    assert api.register("s", ONE, id=last, version=last) == (200, {"id": last})
    assert api.register("t", TWO, id=1) == (200, {"id": 1})
    assert api.register("t", rec(name="Three"), id=3) == (200, {"id": 3})
    api.refused(api.register("s", TWO, id=4), 42205)  # no version is left there
    api.put("/mode", {"mode": "READWRITE"})
    assert api.register("u", rec(name="Four")) == (200, {"id": 4})
    api.put("/config", {"compatibility": "NONE"})
    api.refused(api.register("s", TWO), 42205, "no version number left")
    assert api.get(f"/schemas/ids/{last}")[0] == 200


def test_section_6_automatic_ids_step_over_imported_ones(api: Calls) -> None:
    api.registered("a", ONE)
    api.put("/mode/s", {"mode": "IMPORT"})
    for n, number in enumerate((2**31 - 2, 2**31 - 3)):
        api.registered("s", rec(name=f"Far{n}"), id=number)
    assert api.registered("a", TWO) == 2


def test_section_6_switching_to_import_with_live_versions_needs_force(api: Calls) -> None:
    api.registered("s", ONE)
    for path in ("/mode", "/mode/s"):
        api.refused(api.put(path, {"mode": "IMPORT"}), 42205)
    assert api.put("/mode/t", {"mode": "IMPORT"}) == (200, {"mode": "IMPORT"})
    for path in ("/mode", "/mode/s"):
        assert api.put(path, {"mode": "IMPORT"}, force=True) == (200, {"mode": "IMPORT"})
        assert api.put(path, {"mode": "IMPORT"}) == (200, {"mode": "IMPORT"})  # no switch
    api.put("/mode", {"mode": "READWRITE"})
    api.delete("/subjects/s")
    assert api.put("/mode", {"mode": "IMPORT"})[0] == 200  # none is live


def test_section_6_an_import_brings_a_softly_deleted_version_back(api: Calls) -> None:
    api.put("/mode/s", {"mode": "IMPORT"})
    api.registered("s", ONE, id=5, version=2)
    api.delete("/subjects/s/versions/2")
    assert api.register("s", ONE, id=5, version=2) == (200, {"id": 5})
    assert api.get("/subjects/s/versions") == (200, [2])
