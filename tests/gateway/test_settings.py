from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.settings import PROVIDERS, Settings, SettingsError, load, variables


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper() in variables() or name.upper().startswith("TRUNKLINE_"):
            monkeypatch.delenv(name)


def loaded(**variables: str) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        return load(env_file=None)


def refused(**variables: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(**variables)
    return caught.value.problems


def test_defaults() -> None:
    settings = loaded()
    assert (settings.host, settings.port, settings.workers, settings.drain_seconds) == ("127.0.0.1", 8080, 1, 600)
    assert settings.authenticate_users
    assert settings.database == "sqlite:///var/trunkline.sqlite3"
    assert (settings.loglevel, settings.logformat) == ("info", "auto")
    assert settings.jambonz_server is None
    assert settings.public_url is None


def test_the_store_is_in_the_data_directory_unless_told_otherwise() -> None:
    assert loaded(TRUNKLINE_DATA_DIR="/data").database == "sqlite:////data/trunkline.sqlite3"
    assert loaded(DATABASE_URL="postgresql://u:p@h/d").database == "postgresql://u:p@h/d"


def test_flags_win_over_the_environment_and_the_environment_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("TRUNKLINE_PORT=1\nTRUNKLINE_HOST=localhost\nTRUNKLINE_WORKERS=1\nSOMETHING_ELSE=x\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUNKLINE_PORT", "2")
        patch.setenv("TRUNKLINE_MAX_CALLS", "5")
        settings = load(file, {"max_calls": 7, "host": None})
    assert (settings.port, settings.host, settings.max_calls) == (2, "localhost", 7)


def test_every_variable_of_a_full_file_is_taken(tmp_path: Path) -> None:
    texts = {
        "TRUNKLINE_DATA_DIR": "d",
        "TRUNKLINE_HOST": "127.0.0.1",
        "TRUNKLINE_ADMIN_KEY": "k" * 16,
        "JAMBONZ_APPLICATION_PASSWORD": "p" * 16,
        "DATABASE_URL": "sqlite:///x",
        "TRUNKLINE_OIDC_ISSUERS": "https://example.com",
        "TRUNKLINE_TOOL_NETWORKS": "10.0.0.0/8",
        "TRUNKLINE_TOOL_HOSTS": "*=*",
        "TRUNKLINE_TOOL_ORIGINS": "*=http://example.com",
        "LOGLEVEL": "Info",
        "LOGFORMAT": "json",
    }
    lines = []
    for name in variables():
        kind = "https://example.com" if name.endswith(("_URL", "_SERVER", "_ENDPOINT")) else "1"
        lines.append(f"{name}={texts.get(name, kind)}")
    file = tmp_path / ".env"
    file.write_text("\n".join(lines))
    settings = load(file)
    assert settings.port == 1
    assert settings.provider("kokoro").ws_base_url == "wss://example.com"
    assert len(lines) > 45


def test_an_empty_variable_is_one_not_given() -> None:
    settings = loaded(
        OPENAI_API_KEY="", DATABASE_URL="", TRUNKLINE_MAX_CALLS=" ", JAMBONZ_SERVER="", OLLAMA_BASE_URL=""
    )
    assert settings.openai_api_key is None
    assert settings.database.startswith("sqlite")
    assert settings.max_calls is None


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("jambonz.example.com", "https://jambonz.example.com"),
        ("10.0.0.1:3000", "https://10.0.0.1:3000"),
        ("http://127.0.0.1:3000/", "http://127.0.0.1:3000"),
        ("https://jambonz.example.com/api/", "https://jambonz.example.com/api"),
    ],
)
def test_jambonz_is_a_host_or_a_url(given: str, meant: str) -> None:
    assert loaded(JAMBONZ_SERVER=given).jambonz_server == meant


def test_where_a_provider_is() -> None:
    provider = loaded(DEEPGRAM_API_KEY="k", DEEPGRAM_BASE_URL="http://127.0.0.1:9/").provider("deepgram")
    assert provider.api_key is not None
    assert provider.api_key.get_secret_value() == "k"
    assert (provider.base_url, provider.ws_base_url) == ("http://127.0.0.1:9", "ws://127.0.0.1:9")
    assert loaded().provider("deepgram").ws_base_url is None
    for name in PROVIDERS:
        assert loaded().provider(name).api_key is None
    with pytest.raises(KeyError):
        loaded().provider("google")


def test_calls_at_once_follow_the_cores_a_process_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(4)))
    assert loaded().calls_at_once == 200
    postgres = "postgresql://h/d"
    assert loaded(TRUNKLINE_WORKERS="4", DATABASE_URL=postgres).calls_at_once == 100
    assert loaded(TRUNKLINE_WORKERS="8", DATABASE_URL=postgres).calls_at_once == 50
    assert loaded(TRUNKLINE_MAX_CALLS="3").calls_at_once == 3


ANYWHERE = "0.0.0.0"  # noqa: S104  (what is refused here)
BAD = [
    ({"TRUNKLINE_PROT": "1"}, "TRUNKLINE_PROT is no setting; did you mean TRUNKLINE_PORT?"),
    ({"TRUNKLINE_X": "1"}, "TRUNKLINE_X is no setting; known are TRUNKLINE_HOST, TRUNKLINE_PORT, "),
    ({"TRUNKLINE_PORT": "http"}, "TRUNKLINE_PORT has a value that cannot be used; write a whole number."),
    ({"TRUNKLINE_PORT": "65536"}, "TRUNKLINE_PORT has a value that cannot be used; write a value less than "),
    ({"TRUNKLINE_HOST": ""}, "TRUNKLINE_HOST has a value that cannot be used; write something, or leave it out."),
    ({"TRUNKLINE_DRAIN_SECONDS": "long"}, "TRUNKLINE_DRAIN_SECONDS has a value that cannot be used; write a number."),
    ({"TRUNKLINE_MAX_CALLS": "0"}, "TRUNKLINE_MAX_CALLS has a value that cannot be used; write a value greater than "),
    ({"TRUNKLINE_PUBLIC_URL": "example.com"}, "TRUNKLINE_PUBLIC_URL has a value that cannot be used; write a URL "),
    ({"AUTHENTICATE_USERS": "maybe"}, "AUTHENTICATE_USERS has a value that cannot be used; write YES or NO."),
    ({"LOGLEVEL": "chatty"}, "LOGLEVEL has a value that cannot be used; write a value 'debug', 'info', 'warning' or "),
    ({"OPENAI_BASE_URL": "wss://x"}, "OPENAI_BASE_URL has a value that cannot be used; write a URL that starts with "
     "http:// or https:// (ws:// follows from it)."),
    ({"OLLAMA_BASE_URL": "https://u:hidden@h"}, "OLLAMA_BASE_URL has a value that cannot be used; write it without a "),
    ({"JAMBONZ_SERVER": "u:hidden@h"}, "JAMBONZ_SERVER has a value that cannot be used; write it without a user and "),
    ({"DATABASE_URL": "postgresql://u:a@b:hidden@h/d"}, "DATABASE_URL has a value that cannot be used; write postgre"),
    ({"GOOGLE_TTS_ENDPOINT": "ftp://x"}, "GOOGLE_TTS_ENDPOINT has a value that cannot be used; write a host, such as "),
    ({"DATABASE_URL": "mysql://u:hidden@h/d"}, "DATABASE_URL has a value that cannot be used; write postgresql://"),
    ({"JAMBONZ_SERVER": "ftp://x"}, "JAMBONZ_SERVER has a value that cannot be used; write a host, such as "),
    ({"TRUNKLINE_WORKERS": "2"}, "TRUNKLINE_WORKERS=2 needs PostgreSQL; write DATABASE_URL=postgresql://…, or "
     "TRUNKLINE_WORKERS=1."),
    ({"TRUNKLINE_OIDC_ISSUERS": "https://a.example.com"}, "TRUNKLINE_OIDC_ISSUERS needs TRUNKLINE_OIDC_AUDIENCE; "),
    ({"TRUNKLINE_OIDC_ISSUERS": "http://a.example.com"}, "TRUNKLINE_OIDC_ISSUERS has a value that cannot be used; "
     "write https://; tokens of an issuer "),
    ({"TRUNKLINE_TOOL_NETWORKS": "10.1.0.1/16"}, "TRUNKLINE_TOOL_NETWORKS has a value that cannot be used; write netw"),
    ({"TRUNKLINE_TOOL_HOSTS": "api.example.com"}, "TRUNKLINE_TOOL_HOSTS has a value that cannot be used; write hosts "),
    ({"TRUNKLINE_OIDC_ISSUERS": "a"}, "TRUNKLINE_OIDC_ISSUERS has a value that cannot be used; write the "),
    ({"TRUNKLINE_ADMIN_KEY": "hidden"}, "TRUNKLINE_ADMIN_KEY is too short to be a key; write 16 random characters or "),
    ({"AUTHENTICATE_USERS": "NO", "TRUNKLINE_HOST": ANYWHERE}, "AUTHENTICATE_USERS=NO lets anybody who reaches "
     f"{ANYWHERE} in; write TRUNKLINE_HOST=127.0.0.1, or AUTHENTICATE_USERS=YES, or, if you mean it, "
     "TRUNKLINE_INSECURE=YES."),
]  # fmt: skip


@pytest.mark.parametrize(("variables", "said"), BAD, ids=[said[:50] for _, said in BAD])
def test_what_cannot_be_used_is_named_with_what_to_write_instead(variables: dict[str, str], said: str) -> None:
    problems = refused(**variables)
    assert len(problems) == 1
    assert problems[0].startswith(said)
    assert "hidden" not in problems[0]


def test_all_problems_are_told_at_once() -> None:
    assert len(refused(TRUNKLINE_HSOT="x", TRUNKLINE_PORT="x", LOGLEVEL="x")) == 3


def test_a_misspelt_name_in_the_file_is_found_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TRUNKLINE_WORKER=2\n")
    with pytest.raises(SettingsError, match="did you mean TRUNKLINE_WORKERS"):
        load(tmp_path / ".env")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"])
def test_without_users_on_loopback(host: str) -> None:
    assert not loaded(AUTHENTICATE_USERS="NO", TRUNKLINE_HOST=host).authenticate_users


def test_without_users_anywhere_if_it_is_meant() -> None:
    assert loaded(AUTHENTICATE_USERS="NO", TRUNKLINE_HOST=ANYWHERE, TRUNKLINE_INSECURE="YES").insecure


def test_secrets_are_in_no_text_of_the_settings() -> None:
    secrets = {name: f"secret-of-{name}" for name in variables() if name.endswith(("_KEY", "_SECRET", "_TOKEN"))}
    settings = loaded(**secrets)
    assert len(secrets) > 14
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "secret-of" not in text
