"""What the caller's words so far say about whether the turn is over.

The parts, in the order in which a text meets them: ``tokens`` (its words), ``dictation`` (numbers and names that are
read out), ``judge`` (fillers and courtesies), and for English ``clause`` (what the words ask for, with ``english`` for
their classes) and ``endings`` (whether they could be all). ``languages`` has the tables; ``questions`` tells what the
agent's own words ask for. All of it is pure, and takes microseconds.
"""

from pipelines.completeness.judge import judge
from pipelines.completeness.judgement import Expects, Judgement, Kind, Reason
from pipelines.completeness.questions import asks, digits_asked

__all__ = ["Expects", "Judgement", "Kind", "Reason", "asks", "digits_asked", "judge"]
