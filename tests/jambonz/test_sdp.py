from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jambonz.hooks import CallHook
from jambonz.sdp import offers_wideband
from jambonz.simulator.call_info import CallInfo, snake_case_keys

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"


def offer(payloads: str, *attributes: str) -> str:
    lines = [f"m=audio 4000 RTP/AVP {payloads}", *(f"a={attribute}" for attribute in attributes), "a=ptime:20"]
    return HEAD + "\r\n".join(lines) + "\r\n"


EVENTS = "rtpmap:101 telephone-event/8000"


@pytest.mark.parametrize(
    "sdp",
    [
        offer("9 0 8 101", EVENTS),
        offer("0 9"),
        offer("9 0", "rtpmap:9 G722/8000"),
        offer("96 0", "rtpmap:96 opus/48000/2", "fmtp:96 useinbandfec=1"),
        offer("97 0 98", "rtpmap:98 telephone-event/16000", "rtpmap:97 AMR-WB/16000"),
        offer("107 0", "rtpmap:107  g722/8000"),
        offer("118 0", "rtpmap:118 L16/16000").replace("\r\n", "\n"),
    ],
)
def test_wideband_offers(sdp: str) -> None:
    assert offers_wideband(sdp) is True


@pytest.mark.parametrize(
    "sdp",
    [
        offer("0 8 101", EVENTS),
        offer("18 3 0"),
        offer("0 102 101", "rtpmap:102 telephone-event/48000", "rtpmap:101 CN/16000"),
        offer("0", "rtpmap:96 opus/48000/2"),  # described, and not offered
        offer("97 0", "rtpmap:97 AMR/8000"),
        offer("0 8") + "m=video 4002 RTP/AVP 99 9\r\na=rtpmap:99 VP8/90000\r\n",
        offer(""),
    ],
)
def test_offers_of_the_telephones_band(sdp: str) -> None:
    assert offers_wideband(sdp) is False


@pytest.mark.parametrize(
    "sdp", ["", HEAD, "m=\r\n", "m", HEAD + "m=video 4002 RTP/AVP 99\r\na=rtpmap:99 VP8/90000\r\n"]
)
def test_without_audio_nothing_is_known(sdp: str) -> None:
    assert offers_wideband(sdp) is None


@given(st.text(alphabet="am=:rtp 0123456789G722/\r\naudio"))
def test_whatever_comes_is_answered(sdp: str) -> None:
    assert offers_wideband(sdp) in (True, False, None)


@pytest.mark.parametrize("wideband", [False, True])
def test_a_call_hook_tells(wideband: bool) -> None:
    info = CallInfo("+447700900123", "+442079460000", wideband=wideband)
    assert CallHook.model_validate(snake_case_keys(info.session_payload({}))).offers_wideband is wideband


@pytest.mark.parametrize("sip", [{}, {"body": None}, {"body": 5}, {"body": "hello"}])
def test_a_hook_without_an_offer_tells_nothing(sip: dict[str, object]) -> None:
    assert CallHook.model_validate({"call_sid": "c", "sip": sip}).offers_wideband is None
