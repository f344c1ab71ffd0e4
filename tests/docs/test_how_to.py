"""What the how-to pages say to write is valid, and what they quote is what the hub says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hub.adapters import open_log
from hub.errors import ConfigurationInvalid
from hub.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/how-to/kafka.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_configuration_is_valid(block: str, tmp_path: Path) -> None:
    (tmp_path / "datong.yaml").write_text(block)
    assert load_settings(tmp_path, env={}).origins


def test_more_copies_in_sync_than_there_are_is_refused(tmp_path: Path) -> None:
    (tmp_path / "datong.yaml").write_text(BLOCKS[0].replace("replication: 3", "replication: 1"))
    with pytest.raises(ConfigurationInvalid, match="no append could succeed"):
        open_log(load_settings(tmp_path, env={}).settings, tmp_path, lambda: 0)


def test_what_a_person_sees_is_what_the_hub_says() -> None:
    """Left column of the table: each quoted text stands in the code, up to its `…`."""
    source = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "hub").rglob("*.py"))
    rows = PAGE.split("## When something is wrong")[1].split("\n\n")[1].splitlines()[2:]
    assert len(rows) >= 10
    for row in rows:
        for quoted in re.findall(r"`([^`]+)`", row.split("|")[1]):
            for part in quoted.split("…"):
                text = part.strip().removesuffix("kafka://").removeprefix("datong ").strip()
                assert text in source, quoted
