"""The reference page of the function table."""

from __future__ import annotations

from hub.mapping.functions import TABLE, Fails


def function_reference() -> str:
    """Markdown, one section a function, from the table alone."""
    lines = []
    for function in sorted(TABLE.values(), key=lambda f: f.name):
        lines += [f"### `{function.signature}`", "", function.doc, ""]
        if function.reasons:
            lines += ["Fails with " + ", ".join(f"`{r}`" for r in function.reasons) + ".", ""]
        if function.warnings:
            lines += ["Warns with " + ", ".join(f"`{w}`" for w in function.warnings) + ".", ""]
        for expression, expected in function.examples:
            result = f"fails: {expected.reason}" if isinstance(expected, Fails) else repr(expected)
            lines.append(f"- `{expression}` → `{result}`")
        lines.append("")
    return "\n".join(lines)
