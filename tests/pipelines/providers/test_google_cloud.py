"""Google's recogniser over gRPC on loopback; accounts, credentials and connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

from media.audio import MULAW_8K
from pipelines.parts import ProviderError, SpeechAudio, SttStream, Transcript
from pipelines.providers import google_account, google_cloud
from pipelines.providers.google_account import Account
from pipelines.providers.google_cloud import Cloud, SpeechService, VoiceService
from pipelines.providers.google_stt import GoogleSpeechToText
from pipelines.providers.google_tts import GoogleTextToSpeech
from pipelines.providers.registry import Registry
from tests.pipelines.providers.ear import wait_until
from tests.simulators.google_sessions import SECRET, Fault
from tests.simulators.google_speech import GoogleServer, serve_google
from tests.simulators.mulaw_words import heard, speak

QUIET = MULAW_8K.silence(20)


class Ear:
    def __init__(self) -> None:
        self.transcripts: list[Transcript] = []
        self.errors: list[ProviderError] = []
        self.used = 0.0
        self.over = False

    def on_transcript(self, transcript: Transcript) -> None:
        self.transcripts.append(transcript)

    def on_stt_error(self, error: ProviderError) -> None:
        self.errors.append(error)

    def on_stt_over(self) -> None:
        self.over = True

    def on_stt_usage(self, units: Mapping[str, float]) -> None:
        self.used += units["audio_seconds"]

    @property
    def text(self) -> str:
        return self.transcripts[-1].text if self.transcripts else ""


def env_of(server: GoogleServer, **more: str) -> dict[str, str]:
    return {
        "GOOGLE_SPEECH_ENDPOINT": server.endpoint,
        "GOOGLE_TTS_ENDPOINT": server.endpoint,
        "GOOGLE_PROJECT_ID": "my-project",
    } | more


@asynccontextmanager
async def hearing(
    server: GoogleServer, **settings: Any
) -> AsyncGenerator[tuple[GoogleSpeechToText, SpeechService], None]:
    service = SpeechService(Cloud("speech", Account.of("speech", env_of(server)), **settings))
    stt = GoogleSpeechToText(service)
    try:
        yield stt, service
    finally:
        await stt.close()
        await service.close()
    await wait_until(lambda: server.open == 0)


def say(stream: SttStream, text: str) -> None:
    """As fast as it can be taken, with what voice activity says of it."""
    for _ in range(10):
        stream.push(QUIET)
    sound = speak(text)
    for at in range(0, len(sound), 160):
        stream.push(sound[at : at + 160])
        if at == 480:
            stream.speech_started()
    for _ in range(10):
        stream.push(QUIET)
    stream.speech_paused()


# Over the wire


async def test_words_are_heard_over_one_connection() -> None:
    async with serve_google() as server, hearing(server) as (stt, _):
        await stt.prepare()
        ears = [Ear(), Ear(), Ear()]
        streams = [stt.open(ear, language="en-GB") for ear in ears]
        for number, stream in enumerate(streams):
            say(stream, f"this is number {number}")
        await wait_until(lambda: all(ear.text.endswith(str(number)) for number, ear in enumerate(ears)))
        await asyncio.gather(*(stream.close() for stream in streams))
        assert [ear.text for ear in ears] == [f"this is number {number}" for number in range(3)]
        assert [ear.errors for ear in ears] == [[], [], []]
        assert all(ear.used >= 2.0 for ear in ears)
        assert len(set(server.peers)) == 1
        assert server.configs[0].recognizer == "projects/my-project/locations/global/recognizers/_"
        assert server.mistakes == []


async def test_streams_beyond_what_a_connection_takes_have_another() -> None:
    async with serve_google() as server, hearing(server, most_streams=2) as (stt, _):
        streams = [stt.open(Ear(), language="en-GB") for _ in range(5)]
        await wait_until(lambda: server.open == 5)
        assert len(set(server.peers)) == 3
        await asyncio.gather(*(stream.close() for stream in streams))
        await wait_until(lambda: server.open == 0)
        again = stt.open(Ear(), language="en-GB")
        await wait_until(lambda: server.open == 1)
        assert len(set(server.peers)) == 3, "connections are kept"
        await again.close()


async def test_a_service_that_restarts_hears_what_it_missed() -> None:
    async with serve_google() as server, hearing(server) as (stt, _):
        ear = Ear()
        stream = stt.open(ear, language="en-GB")
        await wait_until(lambda: server.open == 1)
        await server.stop()
        say(stream, "nobody is here")
        await wait_until(lambda: ear.errors)
        await server.start()
        await wait_until(lambda: ear.text == "nobody is here")
        assert {error.kind for error in ear.errors} <= {"unavailable", "connect"}
        assert not ear.over


async def test_nobody_there(unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.providers.google_stt.RETRY_SECONDS", 0.01)
    async with hearing(GoogleServer(port=unused_tcp_port)) as (stt, _):
        await stt.prepare()
        ear = Ear()
        stt.open(ear, language="en-GB")
        await wait_until(lambda: ear.over)
        assert [error.kind for error in ear.errors] == ["connect"] * 3


async def test_a_service_that_does_not_answer_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection, and says nothing on it."""
    monkeypatch.setattr(google_cloud, "CONNECT_SECONDS", 0.1)
    monkeypatch.setattr("pipelines.providers.google_stt.RETRY_SECONDS", 0.01)
    connections: list[asyncio.StreamWriter] = []
    mute = await asyncio.start_server(lambda _, writer: connections.append(writer), "127.0.0.1", 0)
    async with hearing(GoogleServer(port=mute.sockets[0].getsockname()[1])) as (stt, _):
        await stt.prepare()
        ear = Ear()
        stt.open(ear, language="en-GB")
        await wait_until(lambda: ear.over)
        assert [error.kind for error in ear.errors] == ["timeout"] * 3
    for writer in connections:
        writer.close()
    mute.close()


@pytest.mark.parametrize(
    ("status", "kind"),
    [("UNAUTHENTICATED", "auth"), ("INVALID_ARGUMENT", "bad_request"), ("PERMISSION_DENIED", "auth")],
)
async def test_a_refusal_is_told_as_such_however_much_is_being_sent(status: str, kind: str) -> None:
    """gRPC's own write makes an internal error of it, if the end comes while it writes."""
    faults = [Fault("status", status, after=0.0 if number % 2 else 0.05) for number in range(30)]
    async with serve_google(speech_faults=list(faults)) as server, hearing(server) as (stt, _):
        for _ in faults:
            ear = Ear()
            stream = stt.open(ear, language="en-GB")
            for _ in range(250):
                stream.push(QUIET)
            await wait_until(lambda ear=ear: ear.over)  # type: ignore[misc]
            assert [error.kind for error in ear.errors] == [kind]


@pytest.mark.parametrize("what", ["silence", "blackhole"])
async def test_a_stream_that_is_mute_is_replaced(what: str) -> None:
    async with serve_google(speech_faults=[Fault(what)]) as server, hearing(server) as (stt, _):  # type: ignore[arg-type]
        ear = Ear()
        stream = stt.open(ear, language="en-GB")
        say(stream, "is there anybody")
        await wait_until(lambda: ear.text == "is there anybody")
        assert [error.kind for error in ear.errors] == ["timeout"]


async def test_what_a_stream_leaves_behind_is_nothing() -> None:
    async with serve_google() as server, hearing(server) as (stt, _):
        for _ in range(5):
            before = len(asyncio.all_tasks())
            stream = stt.open(Ear(), language="en-GB")
            await wait_until(lambda: server.open == 1)
            say(stream, "one two")
            await stream.close()
            await wait_until(lambda: server.open == 0)
            await wait_until(lambda before=before: len(asyncio.all_tasks()) <= before)  # type: ignore[misc]


# Accounts


@pytest.mark.parametrize(
    ("endpoint", "target", "plain", "location"),
    [
        (None, "speech.googleapis.com:443", False, "global"),
        ("eu-speech.googleapis.com", "eu-speech.googleapis.com:443", False, "eu"),
        ("https://us-central1-speech.googleapis.com/", "us-central1-speech.googleapis.com:443", False, "us-central1"),
        ("proxy.example.com:8443", "proxy.example.com:8443", False, "global"),
        ("http://127.0.0.1:9090", "127.0.0.1:9090", True, "global"),
        ("http://simulated", "simulated:80", True, "global"),
        ("http://[::1]:9090", "[::1]:9090", True, "global"),
    ],
)
def test_endpoints(endpoint: str | None, target: str, plain: bool, location: str) -> None:
    account = Account("file.json", None, endpoint, "GOOGLE_SPEECH_ENDPOINT")
    assert (account.target, account.plain, account.location) == (target, plain, location)


@pytest.mark.parametrize("endpoint", ["ftp://host", "http://", "host/path", "host:port", "https://host:99999"])
def test_endpoints_that_are_none(endpoint: str) -> None:
    with pytest.raises(ValueError, match=r"GOOGLE_TTS_ENDPOINT is no place; write a host"):
        Account("file.json", None, endpoint, "GOOGLE_TTS_ENDPOINT")


def test_an_account_is_needed_unless_the_endpoint_is_plain() -> None:
    for env in ({}, {"GOOGLE_SPEECH_ENDPOINT": "eu-speech.googleapis.com"}):
        with pytest.raises(ValueError, match="needs GOOGLE_APPLICATION_CREDENTIALS in the environment, or"):
            Account.of("speech", env)
    assert Account.of("speech", {"GOOGLE_SPEECH_ENDPOINT": "http://h:1"}).credentials is None


async def test_without_the_packages_a_sentence_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(google_account, "import_module", missing)
    cloud = Cloud("speech", Account.of("speech", {"GOOGLE_SPEECH_ENDPOINT": "http://h:1"}))
    with pytest.raises(ProviderError, match=r"pip install trunkline\[google\]") as caught:
        await cloud.prepare()
    assert caught.value.kind == "bad_request"
    ear = Ear()
    stt = GoogleSpeechToText(SpeechService(cloud))
    stt.open(ear, language="en-GB")
    await wait_until(lambda: ear.over)
    assert len(ear.errors) == 1
    await stt.close()


async def test_a_project_is_needed() -> None:
    async with serve_google() as server:
        env = {"GOOGLE_SPEECH_ENDPOINT": server.endpoint}
        service = SpeechService(Cloud("speech", Account.of("speech", env)))
        with pytest.raises(ProviderError, match="needs GOOGLE_PROJECT_ID") as caught:
            await service.recognize({})
        assert caught.value.kind == "bad_request"
        await service.close()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        ("no json", "it is damaged"),
        ("[1]", "it is none of service_account"),
        (json.dumps({"type": "impersonated", "private_key": SECRET}), "it is none of service_account"),
        (json.dumps({"type": "service_account", "private_key": SECRET}), "missing fields"),
        (json.dumps({"type": "service_account", "private_key": SECRET, "client_email": "a@b", "token_uri": "u"}), ""),
        (json.dumps({"type": "authorized_user", "client_secret": SECRET}), "it is damaged"),
        (json.dumps({"type": "external_account", "audience": SECRET}), ""),
    ],
)
async def test_credentials_that_are_none(tmp_path: Path, content: str | None, why: str) -> None:
    path = tmp_path / "credentials.json"
    if content is not None:
        await asyncio.to_thread(path.write_text, content)
    cloud = Cloud("speech", Account.of("speech", {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}))
    with pytest.raises(ProviderError, match=f"names a file that cannot be used.*{why}") as caught:
        await cloud.prepare()
    assert caught.value.kind == "auth"
    assert SECRET not in str(caught.value)


@pytest.fixture
def service_account(tmp_path: Path) -> tuple[Path, str]:
    """The file of a service account, and its public key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    path = tmp_path / "account.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "of-the-account",
                "private_key_id": "1",
                "private_key": private.decode(),
                "client_email": "caller@of-the-account.example.com",
                "token_uri": "http://127.0.0.1:1/nobody-is-asked-for-a-token",
            }
        )
    )
    return path, public.decode()


@pytest.fixture
def tls(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> grpc.ServerCredentials:
    """gRPC reads whom it trusts once, and then never again: there is one authority for all tests of a process."""
    if not _AUTHORITY:
        _AUTHORITY.append(trustme.CA())
        roots = tmp_path_factory.mktemp("roots") / "roots.pem"
        _AUTHORITY[0].cert_pem.write_to_path(str(roots))
        monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(roots))
    certificate = _AUTHORITY[0].issue_cert("localhost")
    chain = b"".join(pem.bytes() for pem in certificate.cert_chain_pems)
    return grpc.ssl_server_credentials([(certificate.private_key_pem.bytes(), chain)])


_AUTHORITY: list[trustme.CA] = []


async def test_a_service_account_is_believed_and_asks_nobody_for_a_token(
    service_account: tuple[Path, str], tls: grpc.ServerCredentials
) -> None:
    path, public = service_account
    claims: list[Mapping[str, Any]] = []

    def allows(token: str) -> bool:
        claims.append(jwt.decode(token, certs=public, verify=True, audience=None))  # type: ignore[no-untyped-call]
        return True

    async with serve_google(tls, allows=allows) as server:
        endpoint = f"localhost:{server.port}"
        env = {
            "GOOGLE_APPLICATION_CREDENTIALS": str(path),
            "GOOGLE_SPEECH_ENDPOINT": endpoint,
            "GOOGLE_TTS_ENDPOINT": f"https://{endpoint}",
        }
        providers = Registry(env)
        stt, tts = providers.speech_to_text("google"), providers.text_to_speech("google", "en-GB")
        await asyncio.gather(stt.prepare(), tts.prepare())
        ear = Ear()
        say(stt.open(ear, language="en-GB"), "do you know me")
        await wait_until(lambda: ear.text == "do you know me")
        sound = [event.data async for event in tts.synthesize("I do.") if isinstance(event, SpeechAudio)]
        assert heard(b"".join(sound)) == ["i", "do"]
        assert server.configs[0].recognizer == "projects/of-the-account/locations/global/recognizers/_"
        assert {claim["iss"] for claim in claims} == {"caller@of-the-account.example.com"}
        await providers.close_all()

        server.allows = lambda token: False
        providers = Registry(env)
        other = Ear()
        providers.speech_to_text("google").open(other, language="en-GB")
        await wait_until(lambda: other.over)
        assert [error.kind for error in other.errors] == ["auth"]
        with pytest.raises(ProviderError) as caught:
            [event async for event in providers.text_to_speech("google", "en-GB").synthesize("Hello")]
        assert caught.value.kind == "auth"
        await providers.close_all()


# Names


async def test_google_by_name() -> None:
    async with serve_google() as server:
        providers = Registry(env_of(server))
        assert (providers.default_recogniser(), providers.default_voice("de")) == ("google", "google")
        stt, tts = providers.speech_to_text("google"), providers.text_to_speech("google", "en-AU")
        assert isinstance(stt, GoogleSpeechToText)
        assert isinstance(tts, GoogleTextToSpeech)
        assert (stt.name, tts.name, stt.format, tts.format) == ("google", "google", MULAW_8K, MULAW_8K)
        assert (stt.model, tts.voice) == ("telephony", "en-AU-Chirp3-HD-Achernar")
        assert providers.speech_to_text("google") is stt
        assert providers.text_to_speech("google", "en-AU") is tts
        other = providers.speech_to_text("google", model="chirp_3")
        assert other is not stt
        ears = [Ear(), Ear()]
        for ear, part in zip(ears, (stt, other), strict=True):
            say(part.open(ear, language="en-GB", hints=["Trunkline"]), "hello there")
        await wait_until(lambda: all(ear.text == "hello there" for ear in ears))
        assert {request.streaming_config.config.model for request in server.configs} == {"telephony", "chirp_3"}
        assert len(set(server.peers)) == 1, "models share a connection"
        await providers.close_all()
        await wait_until(lambda: server.open == 0)
        # And again, for a registry can be used after that.
        assert providers.speech_to_text("google") is not stt
        sound = [event async for event in providers.text_to_speech("google", "en-AU").synthesize("Hello.")]
        assert sound == [SpeechAudio(speak("hello"))]
        await providers.close_all()
        assert server.mistakes == []


@pytest.mark.parametrize(
    ("language", "voice", "model", "name", "code"),
    [
        (None, None, None, "en-US-Chirp3-HD-Achernar", "en-US"),
        ("de", None, None, "de-DE-Chirp3-HD-Achernar", "de-DE"),
        ("en_gb", "Kore", None, "en-GB-Chirp3-HD-Kore", "en-GB"),
        ("de", "en-GB-Chirp3-HD-Kore", None, "en-GB-Chirp3-HD-Kore", "en-GB"),
        ("fr-FR", "Kore", "gemini-2.5-flash-tts", "Kore", "fr-FR"),
        ("fr", None, "gemini-2.5-flash-tts", "Achernar", "fr-FR"),
    ],
)
async def test_voices_by_name(language: str | None, voice: str | None, model: str | None, name: str, code: str) -> None:
    async with serve_google() as server:
        providers = Registry(env_of(server))
        tts = providers.text_to_speech("google", language, voice, model=model)
        assert [event async for event in tts.synthesize("Yes.")] == [SpeechAudio(speak("yes"))]
        said = server.voices[0].streaming_config.voice
        assert (said.name, said.language_code, said.model_name) == (name, code, model or "")
        assert server.mistakes == []
        await providers.close_all()


def test_google_without_an_account_or_a_voice() -> None:
    for make in (lambda: Registry({}).speech_to_text("google"), lambda: Registry({}).text_to_speech("google")):
        with pytest.raises(ValueError, match="google needs GOOGLE_APPLICATION_CREDENTIALS"):
            make()
    providers = Registry({"GOOGLE_TTS_ENDPOINT": "http://h:1"})
    assert (providers.default_recogniser(), providers.default_voice()) == ("moonshine", "google")
    with pytest.raises(ValueError, match=r"name one in tts\.voice"):
        providers.text_to_speech("google", "xh")
    with pytest.raises(ValueError, match=r"name one in full in tts\.voice"):
        providers.text_to_speech("google", "xh", "Kore")


async def test_whether_the_service_is_there_costs_nothing(unused_tcp_port: int) -> None:
    async with serve_google() as server:
        for make in (
            SpeechService(Cloud("speech", Account.of("speech", env_of(server)))),
            VoiceService(Cloud("tts", Account.of("tts", env_of(server)))),
        ):
            await make.ask()
            await make.close()
        assert (server.listed, server.configs, server.voices) == (
            ["projects/my-project/locations/global", "en-US"],
            [],
            [],
        )
        server.refusal = Fault("status", "PERMISSION_DENIED")
        service = SpeechService(Cloud("speech", Account.of("speech", env_of(server))))
        with pytest.raises(ProviderError, match="PERMISSION_DENIED") as caught:
            await service.ask()
        assert caught.value.kind == "auth"
        await service.close()
    nobody = SpeechService(Cloud("speech", Account.of("speech", env_of(GoogleServer(port=unused_tcp_port)))))
    with pytest.raises(ProviderError) as caught:
        await nobody.ask()
    assert caught.value.kind == "connect"
    await nobody.close()
