"""registry-api §7: references and normalisation."""

from __future__ import annotations

from typing import Any

import pytest

from tests.registry.calls import Answer, Calls, f, rec, text

STREET, PUPILS = f("street", "string"), f("pupils", "int")
ADDRESS = rec(STREET, name="Address", namespace="edu")
PERSON = rec(f("home", "edu.Address"), name="Person")


def ref(subject: str, version: int = 1, name: str = "edu.Address") -> dict[str, Any]:
    return {"name": name, "subject": subject, "version": version}


@pytest.fixture
def person(api: Calls) -> Calls:
    """Id 1: the address; id 2: a person who refers to it."""
    api.registered("address", ADDRESS)
    assert api.registered("person", PERSON, references=[ref("address")]) == 2
    return api


def test_section_7_references_make_types_known_and_are_returned_as_sent(person: Calls) -> None:
    for path in ("/schemas/ids/2", "/subjects/person/versions/1"):
        assert person.get(path)[1]["references"] == [ref("address")]
    assert "references" not in person.get("/schemas/ids/1")[1]
    person.refused(person.register("p", PERSON), 42201, "edu.Address")
    assert person.registered("person", PERSON, references=[ref("address")]) == 2
    assert person.post("/subjects/person", {"schema": text(PERSON), "references": [ref("address")]})[1]["id"] == 2
    person.refused(person.post("/subjects/person", {"schema": text(PERSON)}), 42201)


@pytest.mark.parametrize("reference", [ref("none"), ref("address", 2), ref("", 1)])
def test_section_7_a_missing_target_is_42201(person: Calls, reference: dict[str, Any]) -> None:
    person.refused(person.register("p", PERSON, references=[reference]), 42201, "does not exist")
    person.refused(
        person.post("/compatibility/subjects/p/versions", {"schema": text(PERSON), "references": [reference]}), 42201
    )


def test_section_7_simple_names_resolve_where_they_are_used(person: Calls) -> None:
    inside = rec(f("home", "Address"), name="School", namespace="edu")
    assert person.register("school", inside, references=[ref("address")])[0] == 200
    outside = rec(f("home", "Address"), name="School", namespace="other")
    person.refused(person.register("other", outside, references=[ref("address")]), 42201)


def test_section_7_a_type_is_known_by_the_references_name_too(person: Calls) -> None:
    short = rec(f("home", "Home"), name="Short")
    assert person.register("short", short, references=[ref("address", name="Home")])[0] == 200


def test_section_7_references_reach_on(person: Calls) -> None:
    family = rec(f("members", {"type": "array", "items": "Person"}), f("home", "edu.Address"), name="Family")
    assert person.register("family", family, references=[ref("person", name="Person")])[0] == 200
    diamond = [ref("person", name="Person"), ref("address")]
    assert person.register("both", family, references=diamond)[0] == 200
    assert person.get("/subjects/both/versions/1")[1]["references"] == diamond


def test_section_7_one_name_must_not_mean_two_things(person: Calls) -> None:
    person.registered("address", rec(STREET, f("zip", "string", default=""), name="Address", namespace="edu"))
    family = rec(f("members", "Person"), f("home", "edu.Address"), name="Family")
    both = [ref("person", name="Person"), ref("address", 2)]
    person.refused(person.register("family", family, references=both), 42201, "edu.Address is defined twice")
    person.refused(person.register("x", ADDRESS, references=[ref("address")]), 42201, "defined twice")


def test_section_7_a_softly_deleted_target_still_counts(person: Calls) -> None:
    person.delete("/subjects/person")
    person.delete("/subjects/address")
    assert person.register("late", PERSON, references=[ref("address")]) == (200, {"id": 2})


def test_section_7_the_same_text_with_other_references_is_another_schema(person: Calls) -> None:
    person.registered("again", ADDRESS)
    assert person.registered("person", PERSON, references=[ref("again")]) == 3
    assert person.registered("person", PERSON, references=[ref("address")]) == 2
    twice = [ref("address"), ref("address", name="other")]
    assert person.registered("person", PERSON, references=twice) == 4
    assert person.registered("person", PERSON, references=twice[::-1]) == 5


def test_section_7_compatibility_looks_into_them(person: Calls) -> None:
    person.put("/config/address", {"compatibility": "NONE"})
    person.registered("address", rec(STREET, PUPILS, name="Address", namespace="edu"))
    newer = {"schema": text(PERSON), "references": [ref("address", 2)]}
    found = person.post("/compatibility/subjects/person/versions/1", newer, verbose=True)[1]
    assert not found["is_compatible"]
    assert "home.pupils" in found["messages"][0]
    person.refused(person.post("/subjects/person/versions", newer), 409, "home.pupils")


def test_section_7_the_latest_version_is_meant_at_registration(person: Calls) -> None:
    """Version -1 becomes the number that was the latest then: a schema never changes by itself."""
    one = person.registered("late", PERSON, references=[ref("address", -1)])
    assert one == 2
    person.registered("address", rec(STREET, f("zip", "string", default=""), name="Address", namespace="edu"))
    person.registered("late", PERSON, references=[ref("address", -1)])
    assert person.get("/subjects/late/versions/latest")[1]["references"] == [ref("address", 2)]
    assert person.get("/subjects/late/versions/1")[1]["references"] == [ref("address", 1)]


def deletions(api: Calls, **params: Any) -> tuple[Answer, Answer]:
    return api.delete("/subjects/address/versions/1", **params), api.delete("/subjects/address", **params)


def test_section_4_a_schema_with_its_references_written_out_is_found(person: Calls) -> None:
    family = rec(f("members", {"type": "array", "items": "Person"}), f("home", ["null", "edu.Address"]), name="Family")
    person.registered("family", family, references=[ref("person", name="Person")])
    whole = rec(
        f("members", {"type": "array", "items": rec(f("home", ADDRESS), name="Person")}),
        f("home", ["null", "edu.Address"]),
        name="Family",
    )
    status, found = person.post("/subjects/family", {"schema": text(whole)})
    assert (status, found["version"], len(found["references"])) == (200, 1, 1)
    other = rec(f("members", {"type": "array", "items": rec(f("home", ADDRESS), name="Person")}), name="Family")
    person.refused(person.post("/subjects/family", {"schema": text(other)}), 40403)
    person.delete("/subjects/family")
    person.refused(person.post("/subjects/family", {"schema": text(whole)}), 40401)
    assert person.post("/subjects/family", {"schema": text(whole)}, deleted=True)[0] == 200


def test_section_7_what_is_referred_to_stays(person: Calls) -> None:
    words = "One or more references exist to the schema {subject=address,version=1}."
    for found in deletions(person):
        person.refused(found, 42206, words)
    assert person.get("/subjects/address/versions/1/referencedby") == (200, [2])
    person.delete("/subjects/person")
    assert person.get("/subjects/address/versions/1/referencedby") == (200, [])
    assert person.get("/subjects/address/versions/1/referencedby", deleted=True) == (200, [2])
    assert person.delete("/subjects/address/versions/1") == (200, 1)
    for found in deletions(person, permanent=True):
        person.refused(found, 42206, words)
    person.delete("/subjects/person", permanent=True)
    assert person.delete("/subjects/address", permanent=True) == (200, [1])


def test_section_7_a_reference_inside_the_subject_does_not_hold_it(api: Calls) -> None:
    api.put("/config/s", {"compatibility": "NONE"})
    api.registered("s", ADDRESS)
    api.registered("s", PERSON, references=[ref("s")])
    api.refused(api.delete("/subjects/s/versions/1"), 42206)
    assert api.delete("/subjects/s") == (200, [1, 2])
    assert api.delete("/subjects/s", permanent=True) == (200, [1, 2])


def test_section_4_referenced_by_is_sorted_and_pages(person: Calls) -> None:
    for n in range(3):
        person.registered(f"p{n}", rec(f("home", "edu.Address"), name=f"P{n}"), references=[ref("address")])
    person.registered("another", PERSON, references=[ref("address")])
    path = "/subjects/address/versions/1/referencedby"
    assert person.get(path) == (200, [2, 3, 4, 5])
    assert person.get(path, offset=1, limit=2) == (200, [3, 4])
    person.refused(person.get("/subjects/address/versions/2/referencedby"), 40402)
    person.refused(person.get("/subjects/none/versions/1/referencedby"), 40401)


def test_section_7_normalize_folds_the_order_of_properties_and_references(person: Calls) -> None:
    one, two = (
        rec(f("a", "int", p=1, q={"y": 1, "x": 2}), u=1, t=2),
        rec(f("a", "int", q={"x": 2, "y": 1}, p=1), t=2, u=1),
    )
    first = person.post("/subjects/n/versions", {"schema": text(one)}, normalize=True)[1]["id"]
    assert person.post("/subjects/n/versions", {"schema": text(two)}, normalize="True")[1]["id"] == first
    assert person.post("/subjects/n", {"schema": text(two)}, normalize=True)[1]["version"] == 1
    person.refused(person.post("/subjects/n", {"schema": text(one)}), 40403)
    stored = person.get(f"/schemas/ids/{first}")[1]["schema"]
    assert person.registered("n", stored) == first
    asked = {"schema": text(two)}
    assert person.post("/compatibility/subjects/n/versions", asked, normalize=True) == (200, {"is_compatible": True})
    a, b = ref("address", name="b"), ref("address", name="a")
    made = [
        person.post("/subjects/r/versions", {"schema": text(rec(name="Q")), "references": refs}, normalize=True)[1][
            "id"
        ]
        for refs in ([a, b], [b, a], [b, a, b])
    ]
    assert len(set(made)) == 1
    assert person.get(f"/schemas/ids/{made[0]}")[1]["references"] == [b, a]


def test_S23_references_cannot_make_the_work_explode(api: Calls) -> None:
    """Thirty levels, each of which reaches the one below in two ways; and more levels than are followed."""
    api.registered("t0", rec(f("v"), name="T0"))
    for n in range(1, 31):
        below = [ref(f"t{n - 1}", name=f"T{n - 1}"), ref(f"t{n - 1}", name="again")]
        api.registered(f"t{n}", rec(f("a", f"T{n - 1}"), f("b", f"T{n - 1}"), name=f"T{n}"), references=below)
    found = [
        api.register(f"t{n}", rec(f("a", f"T{n - 1}"), name=f"T{n}"), references=[ref(f"t{n - 1}", name=f"T{n - 1}")])
        for n in range(31, 40)
    ]
    assert [status for status, _ in found] == [200, 200, *[422] * 7]
