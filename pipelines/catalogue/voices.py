"""The voices that are known without asking anybody: where a vendor cannot be asked, or lists none.

Sources: the vendors' SDKs (deepgram 7.17, openai 3.52), their lists of voices for people, and the installed offline
voices, November 2026. Genders are how the vendors describe voices, or how they sound where the vendor does not say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipelines.catalogue.entries import ANY_LANGUAGE, Gender, Voice, tag
from pipelines.catalogue.espeak import LANGUAGES as OF_ESPEAK
from pipelines.providers.google_locales import VOICE_LOCALES
from pipelines.providers.pico import VOICES as OF_PICO

# fmt: off
_AURA: Mapping[str, tuple[str, str]] = {  # by language: the feminine ones, and the masculine ones
    "en": ("amalthea andromeda asteria athena aurora callista cora cordelia delia electra harmonia helena hera iris "
           "janus juno luna minerva ophelia pandora phoebe selene thalia theia vesta",
           "apollo arcas aries atlas draco hermes hyperion jupiter mars neptune odysseus orion orpheus pluto saturn "
           "zeus"),
    "es": ("agustina antonia carina celeste diana estrella gloria olivia selena silvia",
           "alvaro aquila javier luciano nestor sirio valerio"),
    "de": ("aurelia elara kara lara viktoria", "fabian julius"),
    "nl": ("beatrix cornelia daphne hestia leda rhea", "lars roman sander"),
    "fr": ("agathe", "hector"),
    "it": ("cinzia demetra livia maia melia", "cesare dionisio elio flavio"),
    "ja": ("ama izanami uzume", "ebisu fujin"),
}

_FLUX: Mapping[Gender, str] = {
    "female": "alexis bree brittany brooke elise gemma haley hannah heather kelsey maeve meena priya sienna",
    "male": "bruce cliff cole colin jack miles rufus sean",
}
_GEMINI: Mapping[Gender, str] = {  # Chirp 3 HD and Gemini Live have the same names
    "female": "Achernar Aoede Autonoe Callirrhoe Despina Erinome Gacrux Kore Laomedeia Leda Pulcherrima Sulafat "
              "Vindemiatrix Zephyr",
    "male": "Achird Algenib Algieba Alnilam Charon Enceladus Fenrir Iapetus Orus Puck Rasalgethi Sadachbia Sadaltager "
            "Schedar Umbriel Zubenelgenubi",
}
_OPENAI: Mapping[Gender, str] = {
    "female": "coral marin nova sage shimmer", "male": "ash ballad cedar echo onyx verse", "neutral": "alloy fable",
}
_GPT_LIVE = "beacon bossa cinder delta gleam meridian quartz ripple shida stone tempo vesper willow"

_KOKORO = (
    "af_alloy af_aoede af_bella af_heart af_jessica af_kore af_nicole af_nova af_river af_sarah af_sky am_adam am_echo "
    "am_eric am_fenrir am_liam am_michael am_onyx am_puck am_santa bf_alice bf_emma bf_isabella bf_lily bm_daniel "
    "bm_fable bm_george bm_lewis ef_dora em_alex em_santa ff_siwis hf_alpha hf_beta hm_omega hm_psi if_sara im_nicola "
    "jf_alpha jf_gongitsune jf_nezumi jf_tebukuro jm_kumo pf_dora pm_alex pm_santa zf_xiaobei zf_xiaoni zf_xiaoxiao "
    "zf_xiaoyi zm_yunjian zm_yunxi zm_yunxia zm_yunyang"
)
_KOKORO_LANGUAGES = {"a": "en-US", "b": "en-GB", "e": "es", "f": "fr-FR", "h": "hi", "i": "it", "j": "ja",
                     "p": "pt-BR", "z": "zh"}
_KOKORO_GENDERS: Mapping[str, Gender] = {"f": "female", "m": "male"}

_ELEVENLABS: Mapping[Gender, Mapping[str, str]] = {  # the voices that every account has
    "female": {
        "EXAVITQu4vr4xnSDxMaL": "Sarah, American", "FGY2WhTYpPnrIDTdsKH5": "Laura, American",
        "XrExE9yKIg1WjnnlVkGX": "Matilda, American", "cgSgspJ2msm6clMCkdW9": "Jessica, American",
        "Xb7hH8MSUJpSbSDYk0k2": "Alice, British", "pFZP5JQG7iQjIQuC4Bku": "Lily, British",
    },
    "male": {
        "CwhRBWXzGAHq8TQ4Fs17": "Roger, American", "TX3LPaxmHKxFdv7VOQHJ": "Liam, American",
        "bIHbv24MWmeRgasZH58o": "Will, American", "cjVigY5qzO86Huf0OWal": "Eric, American",
        "iP95p4xoKVk53GoZ742B": "Chris, American", "nPczCjzI2devNBz1zQrb": "Brian, American",
        "pqHfZKP75CvOlQylNhV4": "Bill, American", "JBFqnCBsd6RMkjVDRZzb": "George, British",
        "onwK4e9ZLuTAKqWW03F9": "Daniel, British", "IKne3meq5aSn9XLyUdCD": "Charlie, Australian",
    },
    "neutral": {"SAz9YHcvj6GT2YYXdXww": "River, American"},
}
# fmt: on


def _aura() -> Iterator[Voice]:
    for language, (feminine, masculine) in _AURA.items():
        groups: tuple[tuple[Gender, str], ...] = (("female", feminine), ("male", masculine))
        for gender, names in groups:
            for name in names.split():
                yield Voice("deepgram", f"aura-2-{name}-{language}", f"{name.title()}, of Aura 2", gender, (language,))


def _google() -> Iterator[Voice]:
    for locale in VOICE_LOCALES:
        for gender, names in _GEMINI.items():
            for name in names.split():
                yield Voice("google", f"{locale}-Chirp3-HD-{name}", f"{name}, of Chirp 3 HD", gender, (locale,))


def _openai() -> Iterator[Voice]:
    for gender, names in _OPENAI.items():
        for name in names.split():
            yield Voice("openai", name, name.title(), gender, (ANY_LANGUAGE,))
    for name in _GPT_LIVE.split():
        yield Voice("openai", name, f"{name.title()}, with GPT-Live only", "unknown", (ANY_LANGUAGE,))


def kokoro_voice(vendor: str, name: str) -> Voice:
    """Kokoro's names begin with a letter for the language and one for the gender: ``bf_emma``."""
    language = _KOKORO_LANGUAGES.get(name[:1]) if name[2:3] == "_" else None
    gender = _KOKORO_GENDERS.get(name[1:2], "unknown") if language else "unknown"
    plain = name.partition("_")[2] if language else name
    return Voice(vendor, name, plain.title(), gender, (language or ANY_LANGUAGE,))


VOICES: tuple[Voice, ...] = (
    *(Voice("pico", name, f"Pico, {name}", "female", (name,)) for name in OF_PICO),
    *(Voice("espeak", name, language, "male", (tag(name),)) for name, language in OF_ESPEAK.items()),
    *_aura(),
    *(
        Voice("deepgram", f"flux-{name}-en", f"{name.title()}, of Flux", gender, ("en",))
        for gender, names in _FLUX.items()
        for name in names.split()
    ),
    *(
        Voice("elevenlabs", name, description, gender, (ANY_LANGUAGE,))
        for gender, voices in _ELEVENLABS.items()
        for name, description in voices.items()
    ),
    *_google(),
    *(Voice("cartesia", "f786b574-daa5-4673-aa0c-cbe3e8534c02", "Katie", "female", ("en",)),),
    *_openai(),
    *(kokoro_voice(vendor, name) for vendor in ("kokoro", "speaches") for name in _KOKORO.split()),
    *(
        Voice("gemini", name, f"{name}, with Gemini Live only", gender, (ANY_LANGUAGE,))
        for gender, names in _GEMINI.items()
        for name in names.split()
    ),
    Voice("ultravox", "Mark", "Mark", "male", ("en",)),
    Voice("ultravox", "Jessica", "Jessica", "female", ("en",)),
)
