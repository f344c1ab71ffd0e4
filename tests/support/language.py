"""Words of the other language on a page, by the rule that CONTRIBUTING.md gives to those who write pages."""

from __future__ import annotations

# Looked at: text nodes that are shown, and what is read out or shown on hovering. Passed over: code, pre, samp, kbd, script,
# style, textarea; whatever is in an element with translate="no"; and what is in an element of another `lang`.
# On an English page any Chinese character is foreign. On a Chinese page a Latin word of three letters or more, with a small
# one among them, is foreign where no Chinese character stands beside it in the same text; a token with one of . _ / : @ - or
# a digit in it is a name and no word.
FOREIGN_WORDS = r"""() => {
  const chinese = document.documentElement.lang.startsWith("zh");
  const SKIP = "code, pre, samp, kbd, script, style, textarea, [translate=no]";
  const HAN = /[\u3400-\u9fff]/, NAME = /\S*([A-Za-z0-9][._\/:@-][A-Za-z0-9]|\d[A-Za-z]|[A-Za-z]\d)\S*/g;
  const foreign = (text) => chinese
    ? !HAN.test(text) && (text.replace(NAME, " ").match(/[A-Za-z]{3,}/g) || []).some((word) => /[a-z]/.test(word))
    : HAN.test(text);
  const passed = (element) => element.closest(SKIP)
    || element.closest("[lang]").lang !== document.documentElement.lang;
  const found = [];
  const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const text = node.data.trim();
    if (text && !passed(node.parentElement) && foreign(text)) found.push(text);
  }
  for (const element of document.querySelectorAll("[title], [aria-label], [alt], [placeholder]"))
    for (const name of ["title", "aria-label", "alt", "placeholder"]) {
      const text = (element.getAttribute(name) || "").trim();
      if (text && !passed(element) && foreign(text)) found.push(`${name}: ${text}`);
    }
  return found;
}"""
