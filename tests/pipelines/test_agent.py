from __future__ import annotations

import contextlib
import copy
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from pipelines.agent import AgentDefinition, ModelName, Strict, nearest, number_pool, problems, sentence
from pipelines.agent.secrets import OF_OPTIONS, take_out

MINIMAL: dict[str, Any] = {"modelName": "openai/gpt-4o", "prompt": "Be kind."}

FULL: dict[str, Any] = {
    "name": "Reception",
    "description": "Takes calls",
    "modelName": "jambonz:openai/gpt-4o",
    "prompt": "You answer for a dentist.",
    "options": {
        "temperature": 0.2,
        "maxDuration": "305s",
        "timeExceededMessage": "We have to stop here.",
        "tts": {"vendor": "elevenlabs", "language": "en-GB", "voice": "Rachel"},
        "stt": {"vendor": "deepgram", "language": "en-GB", "hints": ["crown", "filling"]},
        "recording": {"enabled": True, "key": "secret"},
        "fallback": {
            "agent": "a",
            "model": ["groq/llama3", "openai/gpt-4o-mini"],
            "stt": {"vendor": "moonshine", "language": "en"},
            "tts": [{"vendor": "pico"}, {"vendor": "espeak", "voice": "en-gb"}],
            "number": "+44 (20) 8099-6945",
        },
        "callbackUrl": "https://example.com/hook",
        "callHook": {"url": "https://example.com/h", "hashKey": "k", "includeTranscript": True, "events": ["end"]},
        "outboundCallFilter": "^44",
        "transferPrompt": "${parentTranscript}",
        "vendorSpecific": {"ultravox": {"experimentalSettings": {"anyThing": [1, 2]}}},
        "greeting": {"text": "Hello!", "interruptible": False},
        "turns": {
            "detection": "vad",
            "endpointing": {"minDelay": 0.4, "maxDelay": 2.0},
            "interruption": {"mode": "vad", "minDuration": 0.3, "minWords": 2, "resume": False},
        },
        "preResponse": {"delay": 1.0, "phrases": ["One moment."]},
        "idle": {"timeout": None},
        "ending": {"farewell": "Goodbye.", "maxWait": 5.0},
        "dtmf": {"timeout": 2.0, "terminator": None, "mask": True},
        "background": {"sound": "office", "volume": 0.2},
        "script": {"rules": [{"said": ["*"], "say": "Hm."}]},
    },
    "functions": [
        {
            "name": "book",
            "description": "Book it",
            "implementation": "rest",
            "url": "https://example.com/{day}",
            "method": "post",
            "key": "crm",
            "redact": True,
            "input_schema": {
                "properties": {
                    "day": {"type": "string", "in": "path", "required": True, "enum": ["mon", "tue"]},
                    "who": {"in": "body", "source": "metadata", "from": "aplisay.callerId"},
                    "shop": {"in": "query", "source": "static", "from": "7"},
                }
            },
        },
        {"name": "weather", "implementation": "stub", "result": "Rain in {town}"},
        {"name": "show", "implementation": "client"},
        {"name": "end", "implementation": "builtin", "platform": "hangup"},
        {
            "name": "to_desk",
            "implementation": "builtin",
            "platform": "transfer",
            "input_schema": {"properties": {"number": {"source": "static", "from": "+441234567890"}}},
        },
        {
            "name": "facts",
            "implementation": "builtin",
            "platform": "metadata",
            "input_schema": {"properties": {"keys": {"source": "static", "from": "a.b"}}},
        },
    ],
    "keys": [
        {"name": "crm", "in": "bearer", "value": "token-1"},
        {"name": "old", "in": "basic", "username": "u", "password": "p-1"},
        {"name": "odd", "in": "header", "header": "X-Key", "value": "token-2"},
    ],
}
READABLE: dict[str, Any] = {
    **{name: value for name, value in FULL.items() if name != "keys"},
    "options": take_out(FULL["options"], OF_OPTIONS)[0],
}
"""What of it may be read."""


def snake(value: Any, *, inside: str = "") -> Any:
    """Every field name in snake_case; the names under a free mapping stay."""
    if isinstance(value, list):
        return [snake(item, inside=inside) for item in value]
    if not isinstance(value, dict) or inside in ("vendorSpecific", "script", "properties"):
        return {k: snake(v) for k, v in value.items()} if inside == "properties" else value
    return {re.sub(r"(?<!^)([A-Z])", r"_\1", k).lower(): snake(v, inside=k) for k, v in value.items()}


def wrong(**changes: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        AgentDefinition.model_validate({**MINIMAL, **changes})
    return [str(problem) for problem in problems(caught.value)]


def test_everything_at_once_comes_back_as_it_was_sent_without_its_keys() -> None:
    agent = AgentDefinition.model_validate(copy.deepcopy(FULL))
    assert agent.as_stored() == READABLE
    assert agent.secrets() == FULL["keys"]
    assert agent.option_secrets() == {"recording.key": "secret", "callHook.hashKey": "k"}


@pytest.mark.parametrize(
    ("model", "tts"),
    [
        ("openai/gpt-6-astra", {"vendor": "pico", "voice": "de-DE"}),
        ("openai/gpt-6-astra", {"vendor": "espeak", "voice": "en-us+f3"}),
        ("openai/gpt-6-astra", {"vendor": "espeak", "voice": "pt-BR"}),
        ("openai/gpt-6-astra", {"vendor": "elevenlabs", "voice": "made this morning"}),
        ("openai/gpt-6-astra", {"voice": "whoever speaks it"}),
        ("openai/gpt-realtime-2.1", {"vendor": "pico", "voice": "marin"}),  # the model's; Pico is the service's
    ],
)
def test_voices_are_taken_where_not_all_are_known(model: str, tts: dict[str, str]) -> None:
    AgentDefinition.model_validate({"modelName": model, "prompt": "", "options": {"tts": tts}})


def test_snake_case_is_taken_too_and_comes_back_in_camel_case() -> None:
    agent = AgentDefinition.model_validate(snake(FULL))
    assert agent.as_stored() == READABLE


def test_what_is_left_out_has_defaults_for_the_call_and_is_not_made_up_for_the_reader() -> None:
    agent = AgentDefinition.model_validate(MINIMAL)
    assert agent.as_stored() == MINIMAL
    assert agent.options.turns.endpointing.min_delay == 0.3
    assert agent.options.turns.endpointing.max_delay == 1.5
    assert agent.options.turns.interruption.false_interruption_timeout == 0.55
    assert agent.options.idle.timeout == 15
    assert agent.options.ending.max_wait == 10
    assert agent.options.opening is None


def test_secrets_are_in_no_text_of_a_definition() -> None:
    agent = AgentDefinition.model_validate(FULL)
    for secret in ("token-1", "token-2", "p-1"):
        assert secret not in repr(agent)
        assert secret not in str(agent)


def test_secrets_are_in_no_error() -> None:
    keys = [{"name": "crm", "in": "bearr", "value": "token-1"}]
    with pytest.raises(ValidationError) as caught:
        AgentDefinition.model_validate({**MINIMAL, "keys": keys})
    assert "token-1" not in str(caught.value)
    assert "token-1" not in str([str(problem) for problem in problems(caught.value)])


def test_a_greeting_is_text_or_an_object() -> None:
    plain = AgentDefinition.model_validate({**MINIMAL, "options": {"greeting": "Hi."}}).options
    assert plain.opening is not None
    assert (plain.greeting, plain.opening.text, plain.opening.interruptible) == ("Hi.", "Hi.", True)


def test_fallbacks_are_one_or_some_of_a_kind() -> None:
    some = AgentDefinition.model_validate(FULL).options.fallback
    assert some is not None
    assert some.models == ("groq/llama3", "openai/gpt-4o-mini")
    assert [stt.vendor for stt in some.recognisers] == ["moonshine"]
    assert [tts.vendor for tts in some.voices] == ["pico", "espeak"]
    one = AgentDefinition.model_validate({**MINIMAL, "options": {"fallback": {"model": "openai/x"}}}).options.fallback
    assert one is not None
    assert (one.models, one.recognisers, one.voices) == (("openai/x",), (), ())


def test_the_same_agent_with_other_models() -> None:
    agent = AgentDefinition.model_validate(FULL)
    assert agent.model.provider == "openai"
    other = agent.with_models(("groq/llama3", "ollama/x"))
    assert str(other.model) == "jambonz:groq/llama3"
    assert other.options.fallback is not None
    assert other.options.fallback.models == ("ollama/x",)
    assert other.options.fallback.number == "+44 (20) 8099-6945"
    assert (other.prompt, other.secrets(), other.options.tts) == (agent.prompt, agent.secrets(), agent.options.tts)
    assert agent.model_name == FULL["modelName"]


def test_a_cascade_in_place_of_a_realtime_model_has_no_voice_of_that_models() -> None:
    tts = {"voice": "marin", "language": "en-GB"}
    agent = AgentDefinition.model_validate({**MINIMAL, "modelName": "openai/gpt-realtime", "options": {"tts": tts}})
    assert agent.with_models(["openai/gpt-4o"]).options.tts.voice is None
    assert agent.with_models(["openai/gpt-4o"]).options.tts.language == "en-GB"


@pytest.mark.parametrize(("sent", "seconds"), [("305s", 305), ("2.5", 2.5), (60, 60), (0.5, 0.5), (None, None)])
def test_max_duration_in_all_its_forms(sent: Any, seconds: float | None) -> None:
    assert AgentDefinition.model_validate({**MINIMAL, "options": {"maxDuration": sent}}).options.max_seconds == seconds


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("openai/gpt-4o", ModelName("jambonz", "openai", "gpt-4o")),
        ("jambonz:scripted/echo", ModelName("jambonz", "scripted", "echo")),
        ("ultravox:fixie-ai/ultravox-70B", ModelName("ultravox", "fixie-ai", "ultravox-70B")),
        ("livekit:openai/gpt-realtime", ModelName("livekit", "openai", "gpt-realtime")),
        ("ollama/hf.co/org/model:Q4", ModelName("jambonz", "ollama", "hf.co/org/model:Q4")),
    ],
)
def test_model_names(name: str, parsed: ModelName) -> None:
    agent = AgentDefinition.model_validate({**MINIMAL, "modelName": name})
    assert agent.model == parsed
    assert agent.as_stored()["modelName"] == name


def test_ultravox_takes_calls_on_the_numbers_of_jambonz() -> None:
    assert ModelName.parse("ultravox:ultravox/v0.7").number_pool == "jambonz"
    assert number_pool("livekit") == "livekit"


REST = {"name": "f", "implementation": "rest"}
ITEMS = {f"p{i}": {"items": {"type": "string"}} for i in range(20_000)}
LONG: list[tuple[dict[str, Any], str, int]] = [
    ({f"promt{i}": 1 for i in range(50_000)}, "promt0 is not known; did you mean prompt?", 50),
    ({"options": {"x" * 1_000_000: 1}}, "is not known; known here: temperature, ", 1),
    (
        {"options": {"vendorSpecific": {f"opena{i}": {} for i in range(50_000)}}},
        "names no vendor; did you mean open",
        50,
    ),
    ({"options": {"callHook": {"url": "http://x", "events": ["strat"] * 50_000}}}, "has to have at most 10 items", 1),
    ({"options": {"script": {"rules": [{}] * 250_000}}}, "there are more than 1000 rules", 1),
    ({"options": {"script": {"rules": [{"say": "a", "after": [{}] * 250_000}]}}}, "a rule needs at least one of", 2),
    ({"functions": [{**REST, "url": "http://x", "input_schema": {"properties": ITEMS}}]}, "at most 100 parameters", 1),
]


@pytest.mark.parametrize(("body", "said", "most"), LONG, ids=range(len(LONG)))
def test_what_is_wrong_in_a_long_body_is_found_at_once(body: dict[str, Any], said: str, most: int) -> None:
    """Others' calls wait for it: each of these took seconds."""
    began = time.process_time()
    found = wrong(**body)
    assert time.process_time() - began < 0.5
    assert said in found[0]
    assert len(found) <= most


def test_a_schema_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A definition is read for each call, and what JSON Schema says of a schema takes longer than all the rest."""
    schema = {"properties": {"p": {"items": {"type": "string", "description": "Of this test alone."}}}}
    body = {**MINIMAL, "functions": [{**REST, "url": "http://x", "input_schema": schema}]}
    AgentDefinition.model_validate(body)
    monkeypatch.delattr(Draft202012Validator, "check_schema")
    assert AgentDefinition.model_validate(body).functions[0].parameters["p"].items == schema["properties"]["p"]["items"]


BUILTIN = {"name": "f", "implementation": "builtin"}
BAD: list[tuple[dict[str, Any], str]] = [
    ({"modelName": "gpt-4o"}, "modelName is 'gpt-4o'; write [handler:]provider/model, for example openai/gpt-4o"),
    ({"modelName": "opnai/x"}, "modelName names an unknown provider 'opnai'; did you mean openai?"),
    ({"modelName": "jambons:openai/x"}, "modelName names an unknown handler 'jambons'; did you mean jambonz?"),
    ({"modelName": "zzzz/x"}, "modelName names an unknown provider 'zzzz'; known are openai, anthropic, google, groq, "
     "ollama, ultravox, fixie-ai, scripted."),
    ({"prompt": 7}, "prompt has to be a string"),
    ({"promt": "x"}, "promt is not known; did you mean prompt?"),
    ({"model_name": "openai/x"}, "model_name is given twice, in two spellings"),
    ({"options": []}, "options has to be an object"),
    ({"options": {"temprature": 1}}, "options.temprature is not known; did you mean temperature?"),
    ({"options": {"temperature": True}}, "options.temperature has to be a number"),
    ({"options": {"turns": {"interruption": {"minWords": False}}}}, "options.turns.interruption.minWords has to be a "),
    ({"options": {"temperature": 1.1}}, "options.temperature has to be less than or equal to 1"),
    ({"options": {"maxDuration": "soon"}}, "options.maxDuration has to be seconds, at most a day of them: a number "
     'such as 305, or text such as "305s"'),
    ({"options": {"maxDuration": 0}}, "options.maxDuration has to be seconds, at most a day of them: a number such as "
     '305, or text such as "305s"'),
    ({"options": {"turns": {"endpoiting": {}}}}, "options.turns.endpoiting is not known; did you mean endpointing?"),
    ({"options": {"turns": {"interruption": {"min_word": 1}}}}, "options.turns.interruption.min_word is not known; "
     "did you mean minWords?"),
    ({"options": {"turns": {"endpointing": {"minDelay": 4}}}}, "options.turns.endpointing has a minDelay of 4 over its "
     "maxDelay of 1.5"),
    ({"options": {"greeting": {"text": "Hi", "txt": "Hi"}}}, "options.greeting.txt is not known; did you mean text?"),
    ({"options": {"greeting": 4}}, "options.greeting has to be an object"),
    ({"options": {"qqqqq": 1}}, "options.qqqqq is not known; known here: temperature, maxDuration, "),
    ({"options": {"callbackUrl": "ftp://x"}}, "options.callbackUrl has to be a URL that starts with http:// or https://"),
    ({"options": {"outboundCallFilter": "("}}, "options.outboundCallFilter is no regular expression: "),
    ({"options": {"outboundCallFilter": "(" * 5000}}, "options.outboundCallFilter is no regular expression: "),
    ({"options": {"outboundCallFilter": f"1{{{10**20}}}"}}, "options.outboundCallFilter is no regular expression: "),
    ({"options": {"outboundCallFilter": r"^(\w+)+$"}}, "options.outboundCallFilter repeats a repetition, "),
    ({"options": {"outboundCallFilter": r"(\d?){9}(\d?){9}x"}}, "options.outboundCallFilter has more than 10 "),
    ({"options": {"greeting": ""}}, "options.greeting has to have at least 1 character"),
    ({"options": {"callbackUrl": "http://x:99999"}}, "options.callbackUrl has to be a URL that starts with http:// "),
    ({"options": {"callbackUrl": "http://x\n"}}, "options.callbackUrl has to be a URL that starts with http:// "),
    ({"functions": [{**REST, "url": "https://[::1/"}]}, "functions[0] has a url with a host, or a port, that "),
    ({"functions": [{**REST, "url": "https://a:b/"}]}, "functions[0] has a url with a host, or a port, that "),
    ({"options": {"callHook": {}}}, "options.callHook.url is missing"),
    ({"options": {"callHook": {"url": "http://x", "events": ["middle"]}}}, "options.callHook.events[0] has to be "
     "'start' or 'end'"),
    ({"options": {"stt": {"vendor": "deepgramm"}}}, "options.stt.vendor is 'deepgramm', and there is no such vendor; "
     "did you mean deepgram?"),
    ({"options": {"tts": {"vendor": "zzzz"}}}, "options.tts.vendor is 'zzzz', and there is no such vendor; there are "
     "pico, espeak, "),
    ({"options": {"tts": {"vendor": "moonshine"}}}, "options.tts.vendor is 'moonshine', and there is no such vendor; "),
    ({"options": {"fallback": {"stt": {"vendor": "pico"}}}}, "options.fallback.stt.vendor is 'pico', and there is no "),
    ({"options": {"tts": {"vendor": "pico", "voice": "en-UK"}}}, "options.tts.voice is 'en-UK', which pico does not "
     "have; did you mean en-US?"),
    ({"options": {"fallback": {"tts": {"vendor": "espeak", "voice": "marin"}}}}, "options.fallback.tts.voice is "
     "'marin', which espeak does not have; "),
    ({"options": {"fallback": {"model": "gpt-4o"}}}, "options.fallback.model is 'gpt-4o'; write [handler:]provider/"),
    ({"options": {"fallback": {"model": ["openai/a", "opnai/b"]}}}, "options.fallback.model[1] names an unknown "
     "provider 'opnai'; did you mean openai?"),
    ({"options": {"fallback": {"model": ["openai/a"] * 6}}}, "options.fallback.model has to have at most 5 items"),
    ({"options": {"fallback": {"model": 1}}}, "options.fallback.model has to be a string"),
    ({"options": {"fallback": {"stt": "deepgram"}}}, "options.fallback.stt has to be an object"),
    ({"options": {"fallback": {"tts": [{}, {"voise": "x"}]}}}, "options.fallback.tts[1].voise is not known; did you "
     "mean voice?"),
    ({"options": {"fallback": {"number": "sip:me@here"}}}, "options.fallback.number has to be a number in E.164, for "
     "example +442080996945"),
    ({"options": {"fallback": {"agent": "the other one"}}}, "options.fallback.agent has to be the id of an agent: "),
    ({"options": {"dtmf": {"terminator": "##"}}}, "options.dtmf.terminator has to match pattern"),
    ({"functions": [{"name": "a b", "implementation": "client"}]}, "functions[0].name has to match pattern"),
    ({"functions": [{"name": "a"}]}, "functions[0].implementation is missing"),
    ({"functions": [{"name": "a", "implementation": "rest"}]}, "functions[0] is of implementation rest; write its url"),
    ({"functions": [{"name": "a", "implementation": "rest", "url": "file:///etc"}]}, "functions[0] has a url that does "
     "not start with http:// or https://"),
    ({"functions": [{"name": "a", "implementation": "rest", "url": "http://x/{id}"}]}, "functions[0] has {id} in its "
     "url, but no parameter of that name in input_schema.properties"),
    ({"functions": [{"name": "a", "implementation": "stub", "platform": "hangup"}]}, "functions[0] has a platform, "
     "which only a builtin has; its implementation is stub"),
    ({"functions": [BUILTIN]}, "functions[0] is a builtin; write its platform: "),
    ({"functions": [{**BUILTIN, "platform": "hangup", "input_schema": {"properties": {"why": {}}}}]}, "functions[0] "
     "takes no parameters, for hangup has none; take out why"),
    ({"functions": [{**BUILTIN, "platform": "metadata", "input_schema": {"properties": {"key": {}}}}]}, "functions[0] "
     "has to have exactly one parameter, keys, for its platform is metadata"),
    ({"functions": [{**BUILTIN, "platform": "transfer"}]}, "functions[0] is a transfer; give it a parameter number"),
    ({"functions": [{**BUILTIN, "platform": "transfer", "input_schema": {"properties": {"number": {}}}}]},
     "functions[0] lets the model make up the number to transfer to; its source has to be static or metadata"),
    ({"functions": [{**BUILTIN, "platform": "transfer", "input_schema": {"properties": {
        "number": {"source": "static", "from": "1"}, "operatio": {}}}}]},
     "functions[0] is a transfer, which has no parameter 'operatio'; did you mean operation?"),
    ({"functions": [{**BUILTIN, "platform": "transfer", "input_schema": {"properties": {
        "number": {"source": "static", "from": "the desk"}}}}]},
     "functions[0] transfers to something that is no number; "),
    ({"functions": [{**BUILTIN, "platform": "transfer", "input_schema": {"properties": {
        "number": {"source": "static", "from": "+442079460999"},
        "operation": {"source": "static", "from": "warm"}}}}]},
     "functions[0] has an operation that is neither blind nor consultative"),
    ({"options": {"transfer": {"ringSeconds": 300}}}, "options.transfer.ringSeconds"),
    ({"options": {"transfer": {"music": "hold.mp3"}}}, "options.transfer.music"),
    ({"functions": [{"name": "a", "implementation": "stub",
                     "input_schema": {"properties": {"x": {"source": "static"}}}}]},
     "functions[0].input_schema.properties.x is static; write its value as from"),
    ({"functions": [{"name": "a", "implementation": "stub", "input_schema": {"required": ["x"]}}]},
     "functions[0].input_schema requires 'x', which is none of its properties"),
    ({"functions": [{"name": "a", "implementation": "stub", "key": "crn"}],
      "keys": [{"name": "crm", "in": "bearer", "value": "v"}]},
     "functions[0].key names 'crn', which is not among keys; did you mean crm?"),
    ({"functions": [{"name": "a", "implementation": "client"}] * 2}, "functions[1].name 'a' is there twice"),
    ({"keys": [{"name": "k", "in": "basic", "username": "u"}]}, "keys[0] is for basic, and needs password"),
    ({"keys": [{"name": "k", "in": "header", "value": "v"}]}, "keys[0] is for header, and needs header"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), BAD, ids=[said[:60] for _, said in BAD])
def test_what_is_wrong_is_named(changes: dict[str, Any], said: str) -> None:
    found = wrong(**changes)
    assert len(found) == 1
    assert found[0].startswith(said)


def test_a_script_is_checked_where_it_is_written() -> None:
    found = wrong(options={"script": {"rules": [{"said": ["hi"]}, {"say": "a", "sya": 1}]}})
    assert found[0].startswith("options.script.rules[0] is wrong: a rule needs ")
    assert found[1] == "options.script.rules[1].sya is not known"


def test_all_problems_are_told_at_once() -> None:
    found = wrong(promt="x", options={"temperature": 3, "idel": {}, "dtmf": {"mask": "perhaps"}})
    assert len(found) == 4


def test_many_problems_in_one_sentence() -> None:
    with pytest.raises(ValidationError) as caught:
        AgentDefinition.model_validate({"modelName": "openai/x", "prompt": "", "a1": 1, "tmp": 2, "a3": 3})
    assert sentence(problems(caught.value)) == f"{problems(caught.value)[0]} (and 2 more problems)"


def all_models(model: type[Strict]) -> set[type[Strict]]:
    found: set[type[Strict]] = set()
    todo: list[Any] = [model]
    while todo:
        part = todo.pop()
        if isinstance(part, type) and issubclass(part, Strict):
            if part not in found:
                found.add(part)
                todo += [field.annotation for field in part.model_fields.values()]
        else:
            todo += getattr(part, "__args__", ())
    return found


def test_every_level_refuses_an_unknown_name() -> None:
    models = all_models(AgentDefinition)
    assert len(models) > 18
    for model in models:
        with pytest.raises(ValidationError) as caught:
            model.model_validate({"nobodyKnowsThis": 1})
        assert any("nobodyKnowsThis is not known" in str(problem) for problem in problems(caught.value)), model


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@settings(deadline=None)
@given(JSON)
def test_nothing_that_json_can_say_is_more_than_an_error(value: Any) -> None:
    for name in ("options", "functions", "keys", "prompt", "modelName"):
        with contextlib.suppress(ValidationError):
            AgentDefinition.model_validate({**MINIMAL, name: value})


def test_nearest_is_none_for_what_is_far_off() -> None:
    assert nearest("colour", ["temperature", "tts"]) is None
    assert nearest("TEMPERATUR", ["temperature", "tts"]) == "temperature"
