"""Is the hub well, who runs what, who is told of alerts, and which settings hold."""

from __future__ import annotations

import shutil
from dataclasses import asdict

from hub import __version__
from hub.console.pages import Action, Asked, Done, Page, Shown, Values

HERE = "/console/health"


def health(asked: Asked) -> Values:
    """Checks, notices, mistakes of the configuration, processes, disk, and every setting with its origin; secrets are
    redacted."""
    hub = asked.hub
    disk = shutil.disk_usage(hub.settings.data_path)
    return {
        "version": __version__,
        "checks": hub.checks(),
        "disk": {"free": disk.free, "total": disk.total},
        "notices": [asdict(notice) for notice in hub.log.notices()],
        "mistakes": [str(mistake) for mistake in hub.catalogue.mistakes],
        "nodes": hub.views.nodes(),
        "told": [
            {"name": name, "kind": spec.channel.kind, "severities": list(spec.severities)}
            for name, spec in sorted(hub.catalogue.notify.items())
        ],
        "settings": hub.views.settings(),
        "wrong": None,
    }


def test_notice(asked: Asked) -> Done | Shown:
    """Send a notice that says it is a test."""
    name = asked.form.get("notify", "")
    (sent,) = asked.hub.notifier.test(name)
    if sent["error"]:
        wrong = {"code": "NoticeFailed", "statement": f"{name}: {sent['error']}", "remedy": ""}
        return Shown(page=PAGE, values=health(asked) | {"wrong": wrong}, status=502)
    return Done(to=HERE, said="health_notice_sent", about={"name": name})


def read_again(asked: Asked) -> Done:
    """Connectors, topics, grants, subscriptions, maps and alerts as their files are now."""
    return Done(to=HERE, said="health_read_again", about={"n": len(asked.hub.reload())})


PAGE = Page(path="/health", template="health.html", show=health, area="health")
PAGES = (PAGE,)
ACTIONS = (
    Action(path="/health/test-notice", act=test_notice),
    Action(path="/health/read-again", act=read_again),
)
