"""What machines say. People say none of it when they answer a telephone.

The phrases of all languages are looked for, whatever the agent's is: abroad the network speaks the country's.
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["screening", "hold", "voicemail", "unavailable"]

_NOT_WORDS = re.compile(r"[^\w'&]+")


def _any(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(rf"\b(?:{phrase})\b" for phrase in phrases))


_NO_LINE = _any(
    r"(?:mail ?|male )?box (?:is|has been) full",
    r"(?:can ?not|can't|unable to|not able to) accept (?:any |new |more )*(?:messages|calls)",
    r"(?:has|have) not been set up",
    r"not accepting (?:any )?(?:new )?(?:calls|messages)",
    r"(?:not|no longer) in service",
    r"(?:has been|is) disconnected",
    r"cannot be completed",
    r"check the number",
    r"kein anschluss",
    r"mailbox (?:ist )?voll",
    r"(?:n'est pas|plus) (?:attribué|en service)",
    r"messagerie (?:est )?pleine",
    r"no (?:existe|está en servicio)",
    r"buzón (?:de voz )?(?:está )?lleno",
)
_SCREENING = _any(
    r"(?:say|state|record|give|tell me|leave) your (?:full )?name and (?:the |your )?(?:reason|purpose|why)",
    r"(?:say|state|record|give|tell me) your (?:full )?name and",
    r"(?:say|state|record) your name",
    r"who(?: is|'s) (?:calling|this calling)",
    r"(?:reason|purpose) (?:for|of) (?:your |the )?call(?:ing)?",
    r"why you(?: are|'re) calling",
    r"screening service",
    r"(?:ihren|deinen) namen (?:sagen|nennen)",
    r"(?:nennen|sagen) sie (?:bitte )?ihren namen",
    r"(?:grund|anlass) (?:ihres|des) anrufs",
    r"wer ruft (?:denn )?an",
    r"(?:dites|indiquez|donnez) votre nom",
    r"(?:raison|motif) de votre appel",
    r"qui est à l'appareil",
    r"(?:diga|indique) su nombre",
    r"motivo de su llamada",
    r"quién llama",
)
_HOLD = _any(
    r"(?:stay|remain) on the line",
    r"(?:please )?hold(?: on| the line)?",
    r"(?:one|just a) (?:moment|second|minute)",
    r"please wait",
    r"(?:connect|connecting|put|putting) you(?: through)?",
    r"trying to (?:reach|connect)",
    r"bleiben sie (?:bitte )?(?:dran|am apparat)",
    r"(?:einen )?(?:moment|augenblick)(?: bitte)?",
    r"bitte warten",
    r"ne quittez pas",
    r"(?:veuillez )?patienter",
    r"un (?:instant|moment|momento)",
    r"no cuelgue",
    r"espere",
)
_VOICEMAIL = _any(
    r"leave (?:me |us |him |her |them )?(?:a|your|the)(?: \w+){0,5} (?:message|number)",
    r"record (?:a|your) message",
    r"(?:after|at) the (?:tone|beep|signal)",
    r"voice ?mail",
    r"answering machine",
    r"(?:can't|cannot|unable to|not able to|can not) (?:come to|get to|take|answer) (?:the|your|my) (?:phone|call)",
    r"(?:not|isn't|aren't) available to (?:take|answer) your call",
    r"you(?:'ve| have) reached the (?:voice|mail)",
    r"nachricht (?:nach|hinterlassen)",
    r"(?:eine )?nachricht hinterlass\w+",
    r"hinterlass\w* (?:\w+ )?(?:bitte )?(?:eine |ihre )?nachricht",
    r"nach dem (?:signal|ton|piep|signalton|piepton)",
    r"anrufbeantworter",
    r"laisse[zr]?(?:[ -]\w+)? (?:un |votre )?message",
    r"après le (?:bip|signal|bip sonore)",
    r"répondeur",
    r"messagerie",
    r"deje (?:\w+ )?(?:un |su )?mensaje",
    r"después (?:de la señal|del tono)",
    r"buzón de voz",
)
_NOT_THERE = _any(
    r"(?:is|are) (?:currently |temporarily )?(?:unavailable|not available|switched off|unreachable)",
    r"(?:cannot|can't) be reached",
    r"try (?:your call |again |calling )+later",
    r"nicht (?:erreichbar|zu erreichen)",
    r"(?:n'est pas|pas) (?:joignable|disponible)",
    r"no (?:está|se encuentra) disponible",
)
_TONE = _any(r"tone|beep|signal(?:ton)?|piep(?:ton)?|ton|bip|señal|tono")


def plain(text: str) -> str:
    return _NOT_WORDS.sub(" ", text.lower().replace("\u2019", "'")).strip()


def kind_of(text: str) -> Kind | None:
    """What gives a machine, or a screener, away; None where nothing does. ``text`` is of one stretch of speech."""
    words = plain(text)
    if _NO_LINE.search(words):
        return "unavailable"
    if _SCREENING.search(words):
        return "screening"
    if _VOICEMAIL.search(words):
        return "voicemail"
    if _NOT_THERE.search(words):
        return "unavailable"
    return "hold" if _HOLD.search(words) else None


def promises_tone(text: str) -> bool:
    """Whether a beep is to follow."""
    words = plain(text)
    return bool(_TONE.search(words)) and kind_of(text) == "voicemail"


def count(text: str) -> int:
    return len(plain(text).split())
