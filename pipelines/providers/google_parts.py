"""Google's recogniser and voices for the registry: one service each, whose connections all agents share."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.providers.google_account import Account
from pipelines.providers.google_cloud import Cloud, SpeechService, VoiceService
from pipelines.providers.google_locales import locale_of_voice, voice_locale, voice_name
from pipelines.providers.google_stt import GoogleSpeechToText
from pipelines.providers.google_tts import GoogleTextToSpeech


class GoogleParts:
    """``env`` holds the settings ``GOOGLE_…``. Its methods raise ``ValueError``, as the registry's do."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._speech: SpeechService | None = None
        self._voice: VoiceService | None = None

    def recogniser(self, model: str | None) -> GoogleSpeechToText:
        return GoogleSpeechToText(self.speech_service(), model)

    def voice(self, voice: str, language: str, model: str | None) -> GoogleTextToSpeech:
        """``voice`` in full (``en-GB-Chirp3-HD-Kore``), or its last part alone, in the locale of ``language``."""
        locale = locale_of_voice(voice) or voice_locale(language)
        if locale is None:
            raise ValueError(f"google has no voice {voice!r} for {language!r} here; name one in full in tts.voice")
        return GoogleTextToSpeech(self.voice_service(), voice_name(voice, locale, model), locale, model)

    def speech_service(self) -> SpeechService:
        if self._speech is None:
            self._speech = SpeechService(Cloud("speech", Account.of("speech", self._env)))
        return self._speech

    def voice_service(self) -> VoiceService:
        if self._voice is None:
            self._voice = VoiceService(Cloud("tts", Account.of("tts", self._env)))
        return self._voice

    async def close(self) -> None:
        """Close what was opened; it can be used again afterwards."""
        services, self._speech, self._voice = (self._speech, self._voice), None, None
        for service in services:
            if service is not None:
                await service.close()
