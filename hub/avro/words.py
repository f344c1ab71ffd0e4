"""The English words of what `differences` and `compat` find, by code. The console says the same in Chinese."""

from __future__ import annotations

from collections.abc import Mapping

from hub.sentences import OR

TYPES: Mapping[str, str] = {
    OR: " or ",
    "or_null": "{type} or null",
    "nothing": "nothing",
    "list": "list of {items}",
    "map": "map of {values}",
    "enum": "enum {name}",
    "fixed": "fixed {name}",
    "plain": "a plain {type}",
    "decimal": "decimal of {precision} digits, {scale} after the point",
    "union": "a union of {names}",
    "more": "{names} and {more} more",
}
CHANGES: Mapping[str, str] = {
    "ADDED": "is new ({type}) and has no default",
    "ADDED_WITH_DEFAULT": "is new ({type}); records written before have {value} there",
    "REMOVED": "is gone; new records do not have it",
    "REMOVED_WITH_DEFAULT": "is gone; new records do not have it, old readers take {value} instead",
    "RENAMED": "is the new name of {old}",
    "TYPE": "changes from {old} to {new}",
    "MEANING": "means {new} instead of {old}",
    "SIZE": "changes from {old} to {new} bytes",
    "NAME": "the type {old} is now called {new}",
    "DEFAULT": "its default changes from {old} to {new}",
    "SYMBOLS_ADDED": "may be {symbols} as well",
    "SYMBOLS_REMOVED": "is never {symbols} any more",
    "SYMBOLS_DEFAULT": "a symbol that is not known is read as {new}, not as {old}",
    "DOC": "its description changes",
    "PROPERTY": "its property {name} changes from {old} to {new}",
    "no_default": "none",
    "no_property": "nothing",
    "an_error": "an error",
}
REASONS: Mapping[str, str] = {
    "FIELD_MISSING": "{reader} needs this field, {writer} does not write it, and it has no default",
    "BRANCH_MISSING": "{writer} may write {types}, which no branch of {reader}'s union reads",
    "TYPE_UNREADABLE": "{reader} has {type}, which cannot read {writer}'s {other}",
    "NAME_UNREADABLE": "{reader}'s name {name} is not {writer}'s {other}, and no alias says so",
    "SIZE_UNREADABLE": "{reader} expects {size} bytes, {writer} writes {other}",
    "SYMBOLS_MISSING": "{reader}'s enum lacks {symbols}, which {writer} may write, and has no default",
    "reader": "the reader",
    "writer": "the writer",
    "new_schema": "the new schema",
    "old_schema": "the old schema",
    "version": "version {version}",
}
ENGLISH: Mapping[str, str] = {**TYPES, **CHANGES, **REASONS}
