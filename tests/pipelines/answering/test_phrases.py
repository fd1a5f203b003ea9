"""What machines say, as recognisers write it."""

from __future__ import annotations

import pytest

from pipelines.answering.phrases import Kind, kind_of, promises_tone

SAID: list[tuple[str, Kind | None]] = [
    ("Hello?", None),
    ("Hello, this is Ann speaking.", None),
    ("Good morning, Acme Dental, how can I help you?", None),
    ("Yes.", None),
    ("Ja, Müller?", None),
    ("Allô oui?", None),
    ("¿Diga?", None),
    ("Hi, you've reached Ann. Please leave a message after the tone.", "voicemail"),
    ("I can't come to the phone right now", "voicemail"),
    (
        "Your call has been forwarded to an automated voice messaging system. At the tone, please record your message.",
        "voicemail",
    ),
    ("I'm sorry, I can\u2019t get to the phone", "voicemail"),
    ("leave your name and number and i'll call you back", "voicemail"),
    ("Bitte hinterlassen Sie eine Nachricht nach dem Signalton.", "voicemail"),
    ("Der Teilnehmer ist nicht erreichbar. Sie können nach dem Ton eine Nachricht hinterlassen", "voicemail"),
    ("Vous êtes bien sur le répondeur de Marie, laissez-moi un message", "voicemail"),
    ("Deje su mensaje después del tono", "voicemail"),
    ("Hi, if you record your name and reason for calling, I'll see if this person is available.", "screening"),
    ("The person you're calling is using a screening service and will get a copy of this conversation.", "screening"),
    ("Go ahead and say your name and why you're calling.", "screening"),
    ("May I ask who's calling?", "screening"),
    ("Nennen Sie bitte Ihren Namen und den Grund Ihres Anrufs", "screening"),
    ("Dites votre nom après le bip", "screening"),
    ("Thanks, please stay on the line.", "hold"),
    ("One moment, please.", "hold"),
    ("Einen Moment bitte, ich verbinde.", "hold"),
    ("Ne quittez pas.", "hold"),
    ("The mailbox is full and cannot accept any messages at this time. Goodbye.", "unavailable"),
    ("The person you have called has a voicemail box that has not been set up yet", "unavailable"),
    ("The number you have dialed is not in service. Please check the number and dial again.", "unavailable"),
    ("the male box is full and cannot accept any messages at this time", "unavailable"),
    ("Kein Anschluss unter dieser Nummer", "unavailable"),
    ("The customer you are calling is currently unavailable, please try again later.", "unavailable"),
    ("Der gewünschte Gesprächspartner ist zurzeit nicht erreichbar.", "unavailable"),
]


@pytest.mark.parametrize(("text", "kind"), SAID)
def test_what_gives_a_machine_away(text: str, kind: Kind | None) -> None:
    assert kind_of(text) == kind
    assert kind_of(text.upper()) == kind


@pytest.mark.parametrize(
    "text", ["Leave your name and number after the beep.", "please leave your name and a short message"]
)
def test_who_wants_a_name_and_a_number_wants_a_message(text: str) -> None:
    assert kind_of(text) == "voicemail"


def test_whether_a_beep_is_to_follow() -> None:
    assert promises_tone("Please leave a message after the tone.")
    assert promises_tone("Bitte sprechen Sie nach dem Signalton eine Nachricht, Anrufbeantworter")
    assert not promises_tone("Please leave a message.")
    assert not promises_tone("Listen to that tone!")
