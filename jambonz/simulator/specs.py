"""Which arrays of verbs a feature server accepts: as strict as its validator, which refuses whole applications for one
unknown property.

Three things are looser here: the vendors' own options of a recogniser, ``lex``, ``rasa`` and ``dialogflow`` are not
known, and the texts of some refusals differ.
"""

from __future__ import annotations

from typing import Any

# name[!]:type, where ! means required and a type is
#   string, number, boolean, object, array, several with |, hook (object|string),
#   (a,b) one of these strings, #x an object described by x, [#x] a list of such objects
_TABLE: dict[str, str] = {
    # Verbs
    "alert": "message!:string",
    "answer": "",
    "conference": "name!:string beep:boolean memberTag:string speakOnlyTo:string startConferenceOnEnter:boolean"
    " endConferenceOnExit:boolean endConferenceDuration:number maxParticipants:number joinMuted:boolean"
    " actionHook:hook waitHook:hook statusEvents:array statusHook:hook enterHook:hook record:#record listen:#listen"
    " distributeDtmf:boolean",
    "config": "synthesizer:#synthesizer recognizer:#recognizer bargeIn:#bargeIn ttsStream:#ttsStream"
    " record:#recordOptions listen:#listenOptions stream:#listenOptions transcribe:#transcribeOptions amd:#amd"
    " fillerNoise:#fillerNoise notifyEvents:boolean notifySttLatency:boolean reset:string|array onHoldMusic:string"
    " actionHookDelayAction:#actionHookDelayAction sipRequestWithinDialogHook:hook boostAudioSignal:number|string"
    " vad:#vad referHook:hook earlyMedia:boolean autoStreamTts:boolean disableTtsCache:boolean"
    " trackTtsPlayout:boolean noiseIsolation:#noiseIsolation turnTaking:#turnTaking",
    "dequeue": "name!:string actionHook:hook timeout:number beep:boolean callSid:string",
    "dial": "target!:[#target] actionHook:hook onHoldHook:hook answerOnBridge:boolean callerId:string callerName:string"
    " confirmHook:hook referHook:hook dialMusic:string dtmfCapture:object dtmfHook:hook headers:object"
    " anchorMedia:boolean exitMediaPath:boolean boostAudioSignal:number|string listen:#listen stream:#listen"
    " timeLimit:number timeout:number proxy:string transcribe:#transcribe amd:#amd dub:[#dub] tag:object"
    " forwardPAI:boolean srtpEncryption:(sdes,dtls)",
    "dtmf": "dtmf!:string duration:number",
    "dub": "action!:(addTrack,removeTrack,silenceTrack,playOnTrack,sayOnTrack) track!:string play:string"
    " say:string|object loop:boolean gain:number|string",
    "enqueue": "name!:string actionHook:hook waitHook:hook priority:number",
    "gather": "actionHook:hook finishOnKey:string input:array numDigits:number minDigits:number maxDigits:number"
    " interDigitTimeout:number partialResultHook:hook speechTimeout:number listenDuringPrompt:boolean"
    " dtmfBargein:boolean bargein:boolean minBargeinWordCount:number timeout:number recognizer:#recognizer play:#play"
    " say:#say fillerNoise:#fillerNoise actionHookDelayAction:#actionHookDelayAction",
    "hangup": "headers:object",
    "leave": "",
    "listen": "url!:string actionHook:hook auth:#auth finishOnKey:string maxLength:number metadata:object"
    " mixType:(mono,stereo,mixed) passDtmf:boolean playBeep:boolean disableBidirectionalAudio:boolean"
    " bidirectionalAudio:#bidirectionalAudio sampleRate:number timeout:number transcribe:#transcribe wsAuth:#auth"
    " earlyMedia:boolean channel:number",
    "llm": "vendor!:string llmOptions!:object model:string auth:object connectOptions:object mcpServers:[#mcpServer]"
    " actionHook:hook eventHook:hook toolHook:hook events:array",
    "message": "to!:string from!:string carrier:string account_sid:string message_sid:string text:string"
    " media:string|array actionHook:hook",
    "pause": "length!:number",
    "play": "url!:string|array loop:number|string earlyMedia:boolean seekOffset:number|string timeoutSecs:number|string"
    " actionHook:hook",
    "redirect": "actionHook!:hook statusHook:hook",
    "say": "text:string|array instructions:string stream:boolean loop:number|string synthesizer:#synthesizer"
    " earlyMedia:boolean disableTtsCache:boolean closeStreamOnEmpty:boolean",
    "sip:decline": "status!:number reason:string headers:object",
    "sip:refer": "referTo!:string referredBy:string referredByDisplayName:string headers:object actionHook:hook"
    " eventHook:hook",
    "sip:request": "method!:string body:string headers:object actionHook:hook",
    "tag": "data!:object",
    "transcribe": "transcriptionHook:string translationHook:string recognizer:#recognizer earlyMedia:boolean"
    " channel:number",
    # Parts of verbs
    "actionHookDelayAction": "enabled:boolean noResponseTimeout:number noResponseGiveUpTimeout:number retries:number"
    " actions:array giveUpActions:array",
    "amd": "actionHook!:hook thresholdWordCount:number digitCount:number timers:#amdTimers recognizer:#recognizer",
    "amdTimers": "noSpeechTimeoutMs:number decisionTimeoutMs:number toneTimeoutMs:number"
    " greetingCompletionTimeoutMs:number",
    "auth": "username!:string password!:string",
    "bargeIn": "enable!:boolean sticky:boolean actionHook:hook partialResultHook:hook input:array finishOnKey:string"
    " numDigits:number minDigits:number maxDigits:number interDigitTimeout:number dtmfBargein:boolean"
    " minBargeinWordCount:number",
    "bidirectionalAudio": "enabled:boolean streaming:boolean sampleRate:number",
    "dialFrom": "user:string host:string",
    "fillerNoise": "enable!:boolean url:string startDelaySecs:number",
    "listenOptions": "enable!:boolean url:string sampleRate:number wsAuth:#auth mixType:(mono,stereo,mixed)"
    " metadata:object maxLength:number passDtmf:boolean playBeep:boolean disableBidirectionalAudio:boolean"
    " bidirectionalAudio:#bidirectionalAudio timeout:number",
    "mcpServer": "url!:string auth:object roots:array",
    "noiseIsolation": "enable:boolean vendor:string level:number model:string",
    "recognizer": "vendor!:string label:string language:string fallbackVendor:string fallbackLabel:string"
    " fallbackLanguage:string vad:#vad autogeneratePrompt:boolean hints:array hintsBoost:number altLanguages:array"
    " profanityFilter:boolean interim:boolean singleUtterance:boolean dualChannel:boolean"
    " separateRecognitionPerChannel:boolean punctuation:boolean enhancedModel:boolean words:boolean"
    " diarization:boolean diarizationMinSpeakers:number diarizationMaxSpeakers:number"
    " interactionType:(unspecified,discussion,presentation,phone_call,voicemail,voice_search,voice_command,dictation)"
    " naicsCode:number identifyChannels:boolean vocabularyName:string vocabularyFilterName:string"
    " filterMethod:(remove,mask,tag) model:string outputFormat:(simple,detailed) profanityOption:(masked,removed,raw)"
    " requestSnr:boolean initialSpeechTimeoutMs:number azureServiceEndpoint:string azureSttEndpointId:string"
    " asrDtmfTerminationDigit:string asrTimeout:number fastRecognitionTimeout:number minConfidence:number"
    " nuanceOptions:object deepgramOptions:object ibmOptions:object nvidiaOptions:object sonioxOptions:object"
    " cobaltOptions:object awsOptions:object azureOptions:object assemblyAiOptions:object googleOptions:object"
    " customOptions:object verbioOptions:object speechmaticsOptions:object openaiOptions:object houndifyOptions:object"
    " gladiaOptions:object elevenlabsOptions:object",
    "record": "path!:string",
    "recordOptions": "action!:(startCallRecording,stopCallRecording,pauseCallRecording,resumeCallRecording)"
    " type:(cloud,siprec) recordingID:string siprecServerURL:string|array headers:object",
    "synthesizer": "vendor!:string label:string language:string voice:string|object fallbackVendor:string"
    " fallbackLabel:string fallbackLanguage:string fallbackVoice:string|object"
    " engine:(standard,neural,generative,long-form) gender:(MALE,FEMALE,NEUTRAL) options:object",
    "target": "type!:(phone,sip,user,teams) confirmHook:hook method:(GET,POST) headers:object from:#dialFrom"
    " name:string number:string sipUri:string auth:#auth vmail:boolean tenant:string trunk:string overrideTo:string"
    " proxy:string",
    "transcribeOptions": "enable!:boolean transcriptionHook:string recognizer:#recognizer",
    "ttsStream": "enable!:boolean synthesizer:#synthesizer",
    "turnTaking": "enable:boolean vendor:string threshold:number model:string",
    "vad": "enable:boolean voiceMs:number silenceMs:number strategy:string mode:number vendor:(webrtc,silero)"
    " threshold:number speechPadMs:number",
}

VERBS = frozenset(list(_TABLE)[: list(_TABLE).index("actionHookDelayAction")])

_SYNONYMS: dict[str, tuple[str, dict[str, str]]] = {"stream": ("listen", {}), "s2s": ("llm", {})} | {
    f"{vendor}_s2s": ("llm", {"vendor": vendor})
    for vendor in ("openai", "microsoft", "google", "elevenlabs", "deepgram", "voiceagent", "ultravox")
}


class Refused(Exception):
    """An application that a feature server does not run; the message is the reason that it gives."""


Properties = dict[str, Any]
Verb = tuple[str, Properties]
"""A verb's name and its properties."""


def parse_verbs(payload: Any) -> list[Verb]:
    """The verbs of an application, synonyms resolved; :class:`Refused` if there is anything wrong with one of them."""
    if not isinstance(payload, list):
        raise Refused("malformed jambonz payload: must be array")
    verbs = [_normalised(item) for item in payload]
    for name, data in verbs:
        if name not in VERBS:
            raise Refused(f"invalid instruction: {name}")
        _validate(name, data)
    return [(name, data if isinstance(data, dict) else {}) for name, data in verbs]


def _normalised(item: Any) -> tuple[str, Any]:
    """Either ``{"verb": "say", ...}`` or ``{"say": {...}}``."""
    if not isinstance(item, dict):
        raise Refused("malformed jambonz payload: must be array of objects")
    name: str
    data: Any
    if "verb" in item:
        name, data = str(item["verb"]), {key: value for key, value in item.items() if key != "verb"}
    elif len(item) == 1:
        name, data = next(iter(item.items()))
    else:
        raise Refused("malformed jambonz payload: missing verb property")
    if name in _SYNONYMS:
        name, defaults = _SYNONYMS[name]
        data = {**defaults, **data} if isinstance(data, dict) else data
    return name, data


def _validate(name: str, data: Any) -> None:
    properties, required = _SPECS[name]
    missing = list(required)
    for key, value in _entries(data):
        if key == "_" or (key == "id" and name in VERBS and isinstance(value, str)):
            continue
        if key not in properties and key != "id":
            raise Refused(f"{name}: unknown property {key}")
        _validate_value(name, key, value, properties.get(key, "string"))
        if key in missing:
            missing.remove(key)
    if missing:
        raise Refused(f"{name}: missing value for {','.join(missing)}")


def _entries(data: Any) -> list[tuple[str, Any]]:
    """What JavaScript's ``for in`` finds: a string or an array has its indices for keys, other scalars have none."""
    if isinstance(data, dict):
        return list(data.items())
    return [(str(index), item) for index, item in enumerate(data)] if isinstance(data, str | list) else []


def _validate_value(name: str, key: str, value: Any, spec: str) -> None:
    match spec[0]:
        case "#":
            _validate(spec[1:], value)
        case "[":
            if not isinstance(value, list | str):
                raise Refused("dVal is not iterable")
            for item in value:
                _validate(spec[2:-1], item)
        case "(":
            if value not in (choices := spec[1:-1].split(",")):
                raise Refused(f"invalid value {value} must be one of {','.join(choices)}")
        case _:
            types = spec.split("|")
            if not ("array" in types and isinstance(value, list)) and _typeof(value) not in types:
                among = f", must be one of {','.join(types)}" if len(types) > 1 else ""
                raise Refused(
                    f"{name}: property {key} is not an array"
                    if spec == "array"
                    else f"{name}: property {key} has invalid data type{among}"
                )


def _typeof(value: Any) -> str:
    """JavaScript's ``typeof`` of a JSON value; null and arrays are objects there."""
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case _:
            return "object"


def _read(text: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """A line of the table: the properties with their types, and the names of the required ones."""
    properties: dict[str, str] = {}
    required: list[str] = []
    for entry in text.split():
        name, _, spec = entry.partition(":")
        if name.endswith("!"):
            name = name[:-1]
            required.append(name)
        properties[name] = "object|string" if spec == "hook" else spec
    return properties, tuple(required)


_SPECS = {name: _read(text) for name, text in _TABLE.items()}
