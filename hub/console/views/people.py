"""Who may log in, for administrators."""

from __future__ import annotations

from hub.console.pages import Action, Asked, Done, Page, Shown, Values, trouble
from hub.errors import ConfigurationInvalid, Conflict
from hub.people import RANKS

HERE = "/console/people"


def people(asked: Asked) -> Values:
    """Everybody, and the roles there are."""
    return {
        "people": asked.hub.people.listed(),
        "roles": list(RANKS),
        "wrong": None,
        "given": {"name": "", "role": "viewer"},
    }


def add(asked: Asked) -> Done | Shown:
    """A new person; what was typed stays when it is wrong, but the password."""
    name, role = asked.form.get("name", ""), asked.form.get("role", "")
    try:
        asked.hub.people.add(name, role, asked.form.get("password", ""))
    except (ConfigurationInvalid, Conflict) as error:
        wrong = trouble(error)
        values = people(asked) | {"wrong": wrong, "given": {"name": name, "role": role}}
        return Shown(page=PAGE, values=values, status=422)
    return Done(to=HERE, said="people_added", about={"name": name})


def change_role(asked: Asked) -> Done:
    """Another role; the person is logged out. Nobody changes the role they act in: there would be nobody to mend it."""
    if asked.path["name"] == asked.person.name:
        raise Conflict("nobody can change their own role", remedy="let another administrator do it")
    asked.hub.people.change(asked.path["name"], role=asked.form.get("role", ""))
    return Done(to=HERE, said="people_changed", about={"name": asked.path["name"]})


def unlock(asked: Asked) -> Done:
    """Forget wrong passwords."""
    asked.hub.people.change(asked.path["name"])
    return Done(to=HERE, said="people_unlocked", about={"name": asked.path["name"]})


def remove(asked: Asked) -> Done:
    """End a person's access. Nobody removes the person they are: there would be nobody to mend it."""
    if asked.path["name"] == asked.person.name:
        raise Conflict("nobody can remove the person they are logged in as", remedy="let another administrator do it")
    asked.hub.people.remove(asked.path["name"])
    return Done(to=HERE, said="people_removed", about={"name": asked.path["name"]})


PAGE = Page(path="/people", template="people.html", show=people, area="people", role="administrator")
PAGES = (PAGE,)
ACTIONS = (
    Action(path="/people/add", act=add, role="administrator"),
    Action(path="/people/{name}/role", act=change_role, role="administrator"),
    Action(path="/people/{name}/unlock", act=unlock, role="administrator"),
    Action(path="/people/{name}/remove", act=remove, role="administrator"),
)
