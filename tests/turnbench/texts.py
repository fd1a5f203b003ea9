"""What callers say: sentences, short answers, telephone numbers.

``|`` marks where a speaker may pause for breath, between two phrases. Pauses in search of a word fall anywhere. There
are no commas, at which synthesisers pause as they please.
"""

from __future__ import annotations

from random import Random

SENTENCES = (
    "I would like | to make an appointment | for next week.",
    "I'm calling | because my washing machine | has stopped working.",
    "Could you tell me | when you are open | on Saturday?",
    "I need to change my booking | from Tuesday | to Thursday.",
    "I bought a ticket | for the wrong day | by mistake.",
    "Do you have a table | for four people | this evening?",
    "I ordered a blue lamp | two weeks ago | and it never arrived.",
    "Can I speak to somebody | in the sales department?",
    "The line was cut off | when I spoke to your colleague | this morning.",
    "I think there is a mistake | on my last invoice.",
    "We would like to stay | for three nights | with breakfast.",
    "Is there any parking | near the clinic?",
    "Please send the letter | to my new address.",
    "I have a pain in my knee | and it is getting worse.",
    "My daughter has a fever | since last night.",
    "I want to cancel my contract | at the end of the month.",
    "How much does it cost | to send a parcel | to Norway?",
    "The heating does not work | and it is very cold | in the flat.",
    "I forgot my password | and the website | does not let me in.",
    "Let me look at my calendar | for a moment.",
    "Actually I would rather come | in the afternoon | if that is possible.",
    "You said that the technician | would be here | by noon.",
    "I lost my card | somewhere in the city | yesterday.",
    "Are there still tickets | for the concert | on Friday?",
    "The doctor told me | to call again | after the test.",
    "That would be fine | as long as it is | before six.",
    "I'm not sure | whether I paid for that | already.",
    "What time | does the last train leave?",
    "My order number | is on the email | that you sent me.",
    "I would like to know | how long the repair | will take.",
    "Can you call me back | on my mobile | in an hour?",
    "There is water | coming through the ceiling | of the kitchen.",
    "I'd prefer the smaller room | with a view of the garden.",
    "We are moving house | so I need | a new connection.",
    "It says here | that my account | has been closed.",
    "Put me through | to the manager | please.",
    "The package was open | and one of the glasses | was broken.",
    "I would take the red one | if you have it | in large.",
    "Could you spell that | for me | please?",
    "My son is six years old | and he needs | a check up.",
    "I already spoke to someone | about this | last Monday.",
    "Is it possible | to pay by card | when I pick it up?",
    "Well I was hoping | that you could do it | a little cheaper.",
    "No I meant the second of May | not the second of June.",
    "The car makes a strange noise | when I turn left.",
    "Thank you very much | for your help | and goodbye.",
)

ANSWERS = (
    *("Yes.", "No.", "Sure.", "Okay.", "Please.", "Hello?", "Four.", "Right.", "Stop.", "Thanks."),
    *(
        "Exactly.",
        "Nothing.",
        "Tuesday.",
        "Maybe.",
        "Tomorrow.",
        "Goodbye.",
        "Speaking.",
        "Correct.",
        "Never.",
        "Wait.",
    ),
)
"""One word."""

BACKCHANNELS = ("Mhm.", "Yeah.", "Okay.", "Right.", "Uh-huh.", "I see.")

INTERRUPTIONS = (
    *("Stop.", "No wait.", "Hold on a second.", "That is not what I asked.", "Sorry, can I say something?"),
    *("Wait a moment please.", "No, not on Tuesday.", "Excuse me, I have a question.", "Yes yes, I know that."),
    *("Can you repeat that?", "What did you say?", "I would rather talk to a person."),
)

AGENT = (
    "Thank you for calling the surgery. I can help you with appointments, prescriptions and test results. "
    "Our opening hours are eight in the morning to six in the evening, from Monday to Friday. "
    "If you would like to book an appointment, please tell me which day would suit you best.",
    "I have found your booking. It is for two adults and one child, from the third to the sixth of August, "
    "in a double room with a view of the sea. Breakfast is included, and you can check in from two o'clock. "
    "Would you like me to send you the confirmation again?",
    "Let me explain how this works. First we send you a small box by post. You put the old device into the box, "
    "close it with the tape, and hand it in at any post office. Then, within three working days, "
    "we will send you the new one, and it will not cost you anything.",
)

DIGITS = {
    "zero": "0",
    "oh": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
}

_BEGINNINGS = ("", "", "It's", "My number is", "You can reach me on", "That would be")
_GROUPS = ((3, 3, 4), (3, 4, 4), (5, 3, 3), (4, 3, 4))
_NAMES = {digit: name for name, digit in DIGITS.items() if name != "zero"}


def telephone_number(random: Random) -> str:
    """Digit by digit in three groups, with the pauses between them marked, often after a few words."""
    groups = [" ".join(_NAMES[str(random.randrange(10))] for _ in range(size)) for size in random.choice(_GROUPS)]
    return f"{random.choice(_BEGINNINGS)} {' | '.join(groups)}.".strip().capitalize()
