from __future__ import annotations

import pytest

from pipelines.providers.google_locales import (
    VOICE_LOCALES,
    heard_locale,
    locale_of_voice,
    tag,
    voice_for,
    voice_locale,
    voice_name,
)
from pipelines.providers.google_wire import (
    Answer,
    Result,
    StreamEnded,
    answer,
    kind_of,
    recognition,
    synthesis,
    tells_early,
)
from tests.simulators.google_sessions import RecognizeResponse


@pytest.mark.parametrize(
    ("language", "heard", "spoken"),
    [
        ("en", "en-US", "en-US"),
        ("en-gb", "en-GB", "en-GB"),
        ("EN_AU", "en-AU", "en-AU"),
        ("en-ZA", "en-ZA", None),
        ("de", "de-DE", "de-DE"),
        ("pt", "pt-BR", "pt-BR"),
        ("zh", "cmn-Hans-CN", "cmn-CN"),
        ("zh-CN", "cmn-Hans-CN", "cmn-CN"),
        ("cmn-hans-cn", "cmn-Hans-CN", None),
        ("ar", "ar-EG", "ar-XA"),
        ("no", "nb-NO", "nb-NO"),
        ("xh", "xh", None),
        ("xh-za", "xh-ZA", None),
        ("es-419", "es-US", "es-US"),
    ],
)
def test_languages_as_google_names_them(language: str, heard: str, spoken: str | None) -> None:
    assert heard_locale(language) == heard
    assert voice_locale(language) == spoken


def test_voices_as_google_names_them() -> None:
    assert voice_for("de-AT") is None
    for locale in VOICE_LOCALES:
        assert tag(locale.lower()) == locale
        assert voice_for(locale.lower()) == f"{locale}-Chirp3-HD-Achernar"
        assert locale_of_voice(f"{locale}-Chirp3-HD-Kore") == locale
        assert voice_for(locale.split("-")[0]) is not None
    assert len(set(VOICE_LOCALES)) == len(VOICE_LOCALES)
    assert voice_name("Kore", "en-GB", None) == "en-GB-Chirp3-HD-Kore"
    assert voice_name("en-US-Chirp3-HD-Kore", "en-GB", None) == "en-US-Chirp3-HD-Kore"
    assert voice_name("en-US-Chirp3-HD-Kore", "en-GB", "gemini-tts") == "Kore"
    assert locale_of_voice("Kore") is None


def test_what_a_stream_is_asked_for() -> None:
    config = recognition("telephony", "en-GB", ["x"] * 300)
    assert "adaptation" not in config["config"]
    assert config["streaming_features"] == {"interim_results": True}
    assert "adaptation" not in recognition("telephony_short", "en-GB", ["x"])["config"]
    adapted = recognition("chirp_3", "en-GB", ["x"] * 300)
    assert len(adapted["config"]["adaptation"]["phrase_sets"][0]["inline_phrase_set"]["phrases"]) == 200
    assert "enable_word_time_offsets" not in adapted["config"]["features"]
    assert adapted["streaming_features"]["endpointing_sensitivity"] == "ENDPOINTING_SENSITIVITY_SHORT"
    assert [tells_early(model) for model in ("telephony", "long", "chirp_2", "chirp_3")] == [True, True, False, False]
    assert "model_name" not in synthesis("v", "en-US", None)["voice"]


def test_answers_are_read_as_far_as_they_go() -> None:
    empty = RecognizeResponse()
    assert answer(empty) == Answer()
    full = RecognizeResponse(
        results=[
            {
                "alternatives": [
                    {
                        "transcript": " one two",
                        "words": [{"word": "one", "end_offset": {"nanos": 500_000_000}}, {"word": "two"}],
                    },
                    {"transcript": "won too"},
                ],
                "is_final": True,
                "result_end_offset": {"seconds": 1, "nanos": 250_000_000},
            },
            {"alternatives": [{"transcript": "three", "words": [{"word": "three"}]}], "stability": 0.5},
            {"result_end_offset": {"seconds": -3}},
        ],
        metadata={"total_billed_duration": {"seconds": 7}},
    )
    assert answer(full) == Answer(
        (
            Result("one two", True, 1.25, 0.0, (("one", 0.0, 0.5), ("two", 0.0, 0.0))),
            Result("three", False, 0.0, 0.5),
            Result("", False),
        ),
        7.0,
    )


@pytest.mark.parametrize(
    ("status", "details", "kind"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses; last error: …", "connect"),
        ("UNAVAILABLE", "DNS resolution failed for nowhere.example.com", "connect"),
        ("UNAVAILABLE", "Socket closed", "unavailable"),
        ("UNAVAILABLE", "Getting metadata from plugin failed with error: invalid_grant", "auth"),
        ("INTERNAL", "", "server"),
        ("DATA_LOSS", "", "server"),
        ("CANCELLED", "", "unavailable"),
        ("NOT_FOUND", "", "bad_request"),
        ("A_NEW_ONE", "", "server"),
    ],
)
def test_kinds_of_ends(status: str, details: str, kind: str) -> None:
    assert kind_of(status, details) == kind
    assert StreamEnded("google", status, details).kind == kind


def test_streams_that_lasted_too_long_are_worn_out() -> None:
    ends = {status: StreamEnded("google", status, "").worn_out for status in ("ABORTED", "OUT_OF_RANGE", "INTERNAL")}
    assert ends == {"ABORTED": True, "OUT_OF_RANGE": True, "INTERNAL": False}
    assert str(StreamEnded("google", "ABORTED", " two\n lines ")) == "google: ABORTED: two lines"
