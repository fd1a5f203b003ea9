"""What a voice says of a model's text: the words, without the marks that are for the eye."""

from __future__ import annotations

import re

_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*(?:[-*_=][ \t]*){3,}$", re.MULTILINE)
_LINE_MARK = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]*|[-*+•▪◦‣][ \t]+)+", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_EMPHASIS = re.compile(r"\*+(?=\S)|(?<=\S)\*+|~~+|`+|(?<!\w)_+(?=\S)|(?<=\S)_+(?!\w)")
_TABLE_EDGE = re.compile(r"^[ \t]*\|[ \t|:-]*|[ \t]*\|[ \t]*$", re.MULTILINE)
_TABLE_BAR = re.compile(r"[ \t]*\|[ \t]*")
# Pictographs, dingbats, flags, and what joins or colours them. Signs that are read aloud (°, €, ™) are not among them.
_EMOJI = re.compile(
    "[\u2190-\u21ff\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\u20e3\ufe0e\ufe0f\u200d\U0001f000-\U0001faff\U000e0020-\U000e007f]"
)
_SPACE_BEFORE_MARK = re.compile(r"\s+([,.;:!?])")


def spoken(text: str) -> str:
    """``text`` as it is said aloud: Markdown and emoji taken out, white space made one; empty if nothing is left.

    What is synthesised, what the ledger counts as heard and what the history keeps are all this text.
    """
    text = _FENCE.sub("", text)
    text = _RULE.sub("", text)
    text = _LINE_MARK.sub("", text)
    text = _LINK.sub(r"\1", text)
    text = _EMPHASIS.sub("", text)
    text = _TABLE_BAR.sub(", ", _TABLE_EDGE.sub("", text))
    text = _EMOJI.sub("", text)
    text = _SPACE_BEFORE_MARK.sub(r"\1", " ".join(text.split()))
    return text if any(character.isalnum() for character in text) else ""
