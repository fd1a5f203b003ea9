"""Google's names of languages and of the voices that speak them: data."""

from __future__ import annotations

STAR = "Achernar"
"""The voice that every language has and that speaks where an agent names none."""

# Source: https://docs.cloud.google.com/text-to-speech/docs/chirp3-hd, the languages of Chirp 3: HD. The first of a
# language is the one that is meant by its name alone.
VOICE_LOCALES = (
    "ar-XA", "bg-BG", "bn-IN", "cmn-CN", "cs-CZ", "da-DK", "de-DE", "el-GR", "en-US", "en-AU", "en-GB", "en-IN",
    "es-ES", "es-US", "et-EE", "fi-FI", "fr-FR", "fr-CA", "gu-IN", "he-IL", "hi-IN", "hr-HR", "hu-HU", "id-ID",
    "it-IT", "ja-JP", "kn-IN", "ko-KR", "lt-LT", "lv-LV", "ml-IN", "mr-IN", "nb-NO", "nl-NL", "nl-BE", "pl-PL",
    "pt-BR", "ro-RO", "ru-RU", "sk-SK", "sl-SI", "sr-RS", "sv-SE", "sw-KE", "ta-IN", "te-IN", "th-TH", "tr-TR",
    "uk-UA", "ur-IN", "vi-VN",
)  # fmt: skip

_NAMED = {"zh": "cmn", "zh-cn": "cmn-CN", "no": "nb", "no-no": "nb-NO", "iw": "he", "es-mx": "es-US", "es-419": "es-US"}
"""What others call what Google has under another name."""

_HEARD = {"ar-XA": "ar-EG", "cmn-CN": "cmn-Hans-CN"}
"""Locales of voices that recognisers have under another name."""

_CHIRP = "-Chirp3-HD-"


def tag(language: str) -> str:
    """A language tag as Google writes it: ``en-gb`` is ``en-GB``, ``CMN-hans-cn`` is ``cmn-Hans-CN``."""
    first, *rest = language.replace("_", "-").split("-")
    return "-".join([first.lower(), *(part.title() if len(part) == 4 else part.upper() for part in rest)])


def voice_locale(language: str) -> str | None:
    """The locale of the voices that speak ``language``; None if there are none that are known here."""
    lower = tag(language).lower()
    wanted = tag(_NAMED.get(lower, lower))
    if wanted in VOICE_LOCALES:
        return wanted
    return next((locale for locale in VOICE_LOCALES if locale.split("-")[0] == wanted), None)


def heard_locale(language: str) -> str:
    """The language of a recogniser: one that is named without a region gets its usual one."""
    locale = None if "-" in tag(language) and tag(language).lower() not in _NAMED else voice_locale(language)
    return tag(language) if locale is None else _HEARD.get(locale, locale)


def voice_for(language: str) -> str | None:
    """The voice that speaks ``language`` where an agent names none."""
    locale = voice_locale(language)
    return None if locale is None else locale + _CHIRP + STAR


def voice_name(voice: str, locale: str, model: str | None) -> str:
    """The name of a voice in full: ``Kore`` is ``en-US-Chirp3-HD-Kore``. Models that speak any language, which agents
    have to name, know it as ``Kore``."""
    if model is not None:
        return voice.rpartition(_CHIRP)[2]
    return voice if "-" in voice else locale + _CHIRP + voice


def locale_of_voice(name: str) -> str | None:
    """The locale with which the full name of a voice begins."""
    parts = name.split("-")
    return "-".join(parts[:2]) if len(parts) > 2 and len(parts[0]) in (2, 3) else None
