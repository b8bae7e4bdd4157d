"""The doctor: the chain from the files to a message that arrives, each link checked, with evidence and a remedy."""

from aerobot.doctor.chain import CHECKS, GROUPS, Check, Examination, chosen, lines
from aerobot.doctor.context import Context
from aerobot.doctor.remotes import Patience, Skip, Wish
from aerobot.doctor.repair import Repair, repairs
from aerobot.doctor.whose import bare, place

__all__ = [
    "CHECKS",
    "GROUPS",
    "Check",
    "Context",
    "Examination",
    "Patience",
    "Repair",
    "Skip",
    "Wish",
    "bare",
    "chosen",
    "lines",
    "place",
    "repairs",
]
