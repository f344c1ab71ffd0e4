"""Who may read what: grants, and the one pure function that decides. Deny by default (G11)."""

from hub.access.decide import Refusal, Request, decide
from hub.access.grants import Grant
from hub.access.plan import Contract, Plan

__all__ = ["Contract", "Grant", "Plan", "Refusal", "Request", "decide"]
