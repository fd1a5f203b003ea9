from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.completeness import Expects, Kind, Reason, asks, digits_asked, judge
from pipelines.completeness.languages import LANGUAGES
from tests.pipelines.sentences import DICTATED, SPELLED, TOPICS, lines, sentences


def check(table: str, *, language: str = "en", expects: Expects = "free") -> None:
    """Lines of ``text | kind reason``."""
    for line in table.strip().splitlines():
        text, _, wanted = line.partition("|")
        found = judge(text, language=language, expects=expects)
        assert f"{found.kind} {found.reason}" == wanted.strip(), text


# English, rule by rule


def test_words_that_cannot_be_the_last() -> None:
    check("""
        I need the | open trailing_word
        I'm calling about my | open trailing_word
        I live in | open trailing_word
        I want to | open trailing_word
        It was broken and | open trailing_word
        I can't come because | open missing_clause
        It's cheaper than | open trailing_word
        It is very | open trailing_word
        We should | open trailing_word
        I'm not sure if | open missing_clause
        My name is | open trailing_word
        It's on | open trailing_word
        No, I'll | open trailing_word
        It costs two hundred and | open trailing_word
        As soon | open trailing_word
    """)


def test_subjects_without_a_verb() -> None:
    check("""
        The man I | open missing_verb
        I think the driver | open missing_verb
        because my car | open missing_verb
        It's the letter that you | open missing_verb
        I always | open missing_verb
        My car | open missing_verb
        Can you | open missing_verb
        Is it | open missing_verb
        Tell me where my parcel | open missing_verb
    """)


def test_verbs_without_what_they_need() -> None:
    check("""
        I need | open missing_object
        I would like | open missing_object
        Can you tell me | open missing_object
        Could you send | open missing_object
        I'm calling | open missing_object
        Let me | open missing_verb
        I think | open missing_clause
        I was told | open missing_clause
        I live | open missing_object
        I want to know | open missing_object
        I don't know. | complete sentence_end
        What do you need today? | complete sentence_end
        It's about the job you advertised. | complete sentence_end
        Where did you say it was sent? | complete sentence_end
    """)


def test_what_is_said_or_written_is_still_to_come() -> None:
    check("""
        It says here | open missing_clause
        It says here that my account | open missing_verb
        He told me yesterday that my order | open missing_verb
        It says here that my account has been closed. | complete sentence_end
        He said so | complete sentence_end
    """)


def test_adjectives_and_titles_wait_for_their_noun() -> None:
    check("""
        I'd like a new | open missing_noun
        It's a technical | open missing_noun
        I talked to Mrs. | open missing_noun
        at the end | open missing_noun
        It isn't new. | complete sentence_end
        I'll take the red one. | complete sentence_end
    """)


def test_adjectives_without_a_noun() -> None:
    check("""
        It could be a little | open missing_noun
        Could you do it a little cheaper? | complete sentence_end
        I'd take it in large. | complete sentence_end
        I'd take it in a large | open missing_noun
    """)


def test_the_subject_after_and_may_have_an_of_in_it() -> None:
    check("""
        The box was open and one of the glasses | uncertain fragment
        The box was open and one of the glasses was | open trailing_word
        The box was open and one of the glasses was broken. | complete sentence_end
        The heating is off and the website is down. | complete sentence_end
    """)


def test_a_date_is_no_subject_of_what_was_meant() -> None:
    check("""
        I meant the second of | open trailing_word
        I think the second of May is fine. | complete sentence_end
        I think the second of May is | open trailing_word
        I meant the second of May. | complete sentence_end
        No, I meant the second of May, not the second of June. | complete sentence_end
    """)


def test_a_clause_in_front_waits_for_the_main_one() -> None:
    check("""
        If you have time tomorrow | open missing_clause
        When I opened the box | open missing_clause
        The man I talked to last week | open missing_clause
        If you have time tomorrow, could you call me back at home? | complete sentence_end
        When are you open tomorrow? | complete sentence_end
        The man I talked to last week said it was free. | complete sentence_end
        I moved last month. Because the flat was too small. | complete sentence_end
    """)


def test_prepositions_may_be_left_behind_in_questions() -> None:
    check("""
        Who am I speaking to? | complete sentence_end
        What is this charge of twenty pounds for? | complete sentence_end
        Where are you calling from? | complete sentence_end
        Can you tell me where it is? | complete sentence_end
        What do I need to | open trailing_word
        What are the fees associated with | open trailing_word
    """)


def test_short_questions_may_be_whole() -> None:
    check("""
        what time is it | complete sentence_end
        how much is it | complete sentence_end
        can you hear me | complete sentence_end
        could you call me | uncertain may_continue
        Can I speak to somebody | uncertain may_continue
        There is water coming | uncertain may_continue
        It does not let me in. | complete sentence_end
        I paid for that already. | complete sentence_end
        three o'clock in the afternoon | complete short_answer
        in the afternoon | uncertain fragment
    """)


def test_fillers_hold_the_turn() -> None:
    for text in ("um", "It's, uh", "I need, let me see", "So you know", "Hang on.", "no wait", "Tuesday, I mean,"):
        assert judge(text).reason == "filler", text
    assert judge("Hang on, somebody is at the door.").kind == "complete"
    assert judge("It's, uh, it's a green Toyota from Leeds.").kind == "complete"


def test_courtesies_and_short_answers() -> None:
    check("""
        Yes. | complete courtesy
        No, thank you very much. | complete courtesy
        okay bye | complete courtesy
        Good morning | complete courtesy
        Yes, I do. | complete short_answer
        No, I'm not. | complete short_answer
        Yes, but | open trailing_word
        Thank you very much for your help and goodbye. | complete short_answer
        Thank you and goodbye | complete courtesy
        Thank you and | open trailing_word
        Let me look at my calendar for a moment. | complete sentence_end
        A large one, please. | complete short_answer
        Could you please | open missing_verb
        Please | uncertain fragment
        The package | uncertain fragment
        Tuesday at three. | uncertain fragment
    """)
    check("Tuesday at three | complete short_answer\n okay | complete courtesy", expects="yes_no")


def test_a_core_alone_may_go_on() -> None:
    check("""
        I have an appointment. | uncertain may_continue
        Please call me. | uncertain may_continue
        Can I pay | uncertain may_continue
        It's twelve Baker | uncertain may_continue
        I need three | uncertain number
        My name is Sarah | uncertain name
        My name is Sarah Thompson. | complete sentence_end
        I have an appointment with Doctor Patel at three. | complete sentence_end
        The phone doesn't work, | uncertain trailing_mark
        The phone doesn't work. | complete sentence_end
    """)


def test_what_is_said_twice_counts_once() -> None:
    assert judge("Can I, can I get the number of the taxi company?").kind == "complete"
    assert judge("I want to, I want to").kind == "open"


# What is read out


def test_digits_are_pending_until_they_may_be_a_number() -> None:
    check("""
        oh seven seven double oh, nine | open digits_pending
        My number is 07700. | open digits_pending
        four one | open digits_pending
        It's 0 7 7 double | open digits_pending
        my order number is 8 8 4 | open digits_pending
        The card number is 4242 4242 | open digits_pending
        You can reach me on 020 7946 | open digits_pending
        plus four four seven seven | open digits_pending
        It's 555 0142, area code | open digits_pending
        07700 900123 | uncertain digits_plausible
        0 7 7 0 0 9 0 0 1 2 3 | uncertain digits_plausible
        The card number is 4242 4242 4242 4242. | uncertain digits_plausible
        The last four digits are 4 2 4 2. | complete digits_whole
        The last four digits are 4 2 | open digits_pending
        The last ² digits are 4 2 | open digits_pending
    """)


def test_a_group_of_digits_that_nobody_asked_for_may_be_the_first() -> None:
    check("""
        8387 | uncertain digits_plausible
        It's 122. | uncertain digits_plausible
        Yes, that would be 541 | uncertain digits_plausible
        You can call me on 838 | open digits_pending
        I need 122 | uncertain number
    """)
    for text in ("It's 1950", "It's 500", "It costs 122 pounds", "We are 145"):
        assert not judge(text).reason.startswith("digits"), text


def test_digits_are_counted_where_their_number_is_known() -> None:
    for said, kind in (("07700 90012", "open"), ("07700 900123", "complete"), ("four", "open")):
        assert judge(said, expects="digits", digits=11).kind == kind
    assert judge("double four, two one.", expects="digits", digits=4).reason == "digits_whole"
    assert judge("it's", expects="digits", digits=4).reason == "trailing_word"


def test_quantities_hours_and_years_are_no_dictation() -> None:
    for text in ("I was born in 1950", "at three", "We are 45", "two hundred pounds", "bus number 38", "ten fifteen"):
        assert not judge(text).reason.startswith("digits"), text


def test_letters_are_spelling_until_they_are_the_word() -> None:
    check("""
        S M I T | open spelling
        J-O-N-E | open spelling
        B for Bravo | open spelling
        T as in Tango | open spelling
        My e-mail is john dot | open spelling
        john@gmail | open spelling
        SW1A 1 | open spelling
        SW1A 1AA | uncertain digits_plausible
        Kowalski, K O W A L S K I. | complete spelled_word
        It's spelled with a K. | complete sentence_end
    """)


@pytest.mark.parametrize("render", [str, str.lower, lambda text: text.rstrip(".?") + "."])
def test_no_pause_inside_a_dictation_completes_it(render: Callable[[str], str]) -> None:
    for line in lines(DICTATED):
        words = line.split()
        for at in range(1, len(words)):
            assert judge(render(" ".join(words[:at]))).kind != "complete", words[:at]
        assert judge(render(line)).kind != "open", line
    for line in lines(SPELLED):
        words = line.split()
        second = [at for at, word in enumerate(words, 1) if len(word.strip(",")) == 1][1:2] or [2]
        for at in range(second[0], len(words)):
            assert judge(render(" ".join(words[:at]))).kind != "complete", words[:at]


def test_pauses_inside_telephone_numbers_are_open_before_their_last_group() -> None:
    for number in ("0 7 7 0 0 9 0 0 1 2 3", "oh seven nine four six one eight double five three", "07700 900123"):
        words = number.split()
        for at in range(1, len(words) - 1):
            assert judge(" ".join(words[:at]), expects="digits").reason == "digits_pending", words[:at]


# The corpus

Render = Callable[[str], str]


def _bare(text: str) -> str:
    """As a recogniser without marks and capitals writes it."""
    return "".join(character for character in text.lower() if character not in ",.?!")


def _dotted(text: str) -> str:
    """As one writes it that ends whatever it hears with a full stop."""
    return text.rstrip(".?!,") + "."


def figures(corpus: list[str], render: Render) -> tuple[float, float, float]:
    """Shares: ends judged complete; cuts between words judged not complete, and open."""
    ends: Counter[Kind] = Counter()
    cuts: Counter[Kind] = Counter()
    for line in corpus:
        words = line.split()
        ends[judge(render(line)).kind] += 1
        cuts.update(judge(render(" ".join(words[:at]))).kind for at in range(1, len(words)))
    return (
        ends["complete"] / ends.total(),
        1 - cuts["complete"] / cuts.total(),
        cuts["open"] / cuts.total(),
    )


@pytest.mark.parametrize("render", [str, _bare, _dotted])
@pytest.mark.parametrize(("held_out", "floors"), [(False, (0.85, 0.88, 0.65)), (True, (0.74, 0.85, 0.65))])
def test_pauses_in_everyday_sentences(held_out: bool, floors: tuple[float, ...], render: Render) -> None:
    found = figures(sentences(held_out=held_out), render)
    assert all(share >= floor for share, floor in zip(found, floors, strict=True)), found


def test_the_corpus_is_large_enough_to_mean_something() -> None:
    assert len({line for topic in TOPICS.values() for line in lines(topic)}) >= 250


# Other languages


@pytest.mark.parametrize(
    ("language", "table"),
    [
        (
            "de",
            """
            Ich möchte einen Termin für | open trailing_word
            Meine Nummer ist null eins sieben | open digits_pending
            Moment mal | open filler
            Ja, genau. | complete courtesy
            Ich komme morgen um drei Uhr vorbei | uncertain fragment
            Wann haben Sie geöffnet? | complete sentence_end
            M wie Martha | open spelling
            """,
        ),
        (
            "fr",
            """
            Je voudrais réserver une table pour | open trailing_word
            Mon numéro est zéro six douze | open digits_pending
            euh | open filler
            Oui, merci beaucoup. | complete courtesy
            """,
        ),
        (
            "es",
            """
            Quisiera una mesa para | open trailing_word
            Mi teléfono es seis uno dos | open digits_pending
            o sea | open filler
            Sí, claro que sí. | complete courtesy
            """,
        ),
        (
            "it",
            """
            Vorrei prenotare un tavolo per | open trailing_word
            Il mio numero è tre quattro sette | open digits_pending
            un attimo | open filler
            Sì, grazie mille. | complete courtesy
            """,
        ),
        (
            "nl",
            """
            Ik wil graag een afspraak voor | open trailing_word
            Mijn telefoonnummer is nul zes een | open digits_pending
            even kijken | open filler
            Ja, dat klopt. | complete courtesy
            """,
        ),
        (
            "pt",
            """
            Queria marcar uma consulta para | open trailing_word
            O meu telefone é nove um dois | open digits_pending
            um momento | open filler
            Sim, obrigado. | complete courtesy
            """,
        ),
    ],
)
def test_other_languages_know_their_function_words(language: str, table: str) -> None:
    check(table, language=language)
    check(table.lower(), language=f"{language.upper()}-XX")


@pytest.mark.parametrize(
    ("language", "ends", "cuts"),
    [
        (
            "de",
            ["Ich komme nicht, weil ich krank bin", "Wissen Sie, ob das möglich ist?", "Das geht leider nicht mehr"],
            ["Mein Name ist", "Ich habe", "Ich komme nicht, weil", "Ich möchte mit meiner", "Können Sie mir sagen, ob"],
        ),
        (
            "fr",
            ["Ça ne marche plus", "C'est pour nous", "Je ne sais pas où ils sont", "J'habite à Lyon"],
            ["Je suis", "Je voudrais savoir si", "C'est pour mon", "Bonjour, je", "Je ne peux pas parce que"],
        ),
        (
            "es",
            ["¿Cuánto es?", "¿Dónde está?", "Necesito una más", "Vivo en Madrid"],
            ["Mi nombre es", "Quiero cambiar la", "No puedo porque", "Buenos días, quisiera", "Es para el"],
        ),
        (
            "it",
            ["Non funziona più", "Mi dica dove è", "Abito a Roma"],
            ["Il mio nome è", "Vorrei sapere se", "Ho un problema con la", "Buongiorno, vorrei", "Non posso perché"],
        ),
        (
            "nl",
            ["Ik weet niet wanneer jullie open zijn", "Hij doet het niet meer", "Ik woon in Utrecht"],
            ["Mijn naam is", "Ik wil graag", "Ik kan niet omdat", "Het gaat om mijn", "Goedemiddag, ik"],
        ),
        (
            "pt",
            ["Ainda não", "Não preciso de nada mais", "Sabe onde é?", "Moro em Lisboa"],
            ["O meu nome é", "Queria saber se", "Tenho um problema com a", "Bom dia, eu queria", "Não posso porque"],
        ),
    ],
)
def test_other_languages_by_example(language: str, ends: list[str], cuts: list[str]) -> None:
    assert [text for text in ends if judge(text, language=language).kind == "open"] == []
    assert [text for text in cuts if judge(text + ".", language=language).kind == "complete"] == []
    held = [text for text in cuts if judge(text + ".", language=language).kind == "open"]
    assert len(held) >= len(cuts) - 1, set(cuts) - set(held)


def test_of_an_unknown_language_only_digits_are_judged() -> None:
    check("Dzień dobry, chciałbym | uncertain unknown_language\n 0 7 7 | open digits_pending", language="pl")
    assert judge("a b c", language="pl").kind == "uncertain"


# What holds for every text

_ANY_LANGUAGE = st.sampled_from([*LANGUAGES, "pl", "", "en-GB", "zh_TW"])
_VOCABULARY = sorted({word for topic in TOPICS.values() for word in topic.split()} | set(DICTATED.split()))
_TEXTS = st.one_of(
    st.lists(st.sampled_from(_VOCABULARY), max_size=12).map(" ".join),
    st.sampled_from([line for topic in TOPICS.values() for line in lines(topic)]).flatmap(
        lambda line: st.integers(1, len(line.split())).map(lambda at: " ".join(line.split()[:at]))
    ),
)


@given(st.text(), _ANY_LANGUAGE, st.sampled_from(["free", "digits", "yes_no"]), st.none() | st.integers(0, 30))
def test_any_text_is_judged(text: str, language: str, expects: Expects, digits: int | None) -> None:
    first = judge(text, expects=expects, language=language, digits=digits)
    assert judge(text, expects=expects, language=language, digits=digits) == first
    asks(text, language)
    digits_asked(text, language)


@given(_TEXTS, st.sampled_from(sorted(LANGUAGES)), st.sampled_from([".", "?", "!", " .", ",", "...", "…", ""]))
def test_marks_capitals_and_white_space_do_not_complete_an_open_text(text: str, language: str, mark: str) -> None:
    if judge(text, language=language).kind == "open":
        for changed in (text.upper(), text.title(), text.lower(), f"  {'  '.join(text.split())}\n", text):
            assert judge(changed + mark, language=language).kind != "complete", changed


def test_nothing_is_said_of_nothing() -> None:
    reasons: set[Reason] = {judge(text).reason for text in ("", "  ", "...", "?")}
    assert reasons == {"nothing"}


# What the agent asks for


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is your phone number?", "digits"),
        ("Could I take your number, please?", "digits"),
        ("Thanks. And what are the last four digits of your card?", "digits"),
        ("Please tell me your account number.", "digits"),
        ("Shall I book it for you?", "yes_no"),
        ("I have Tuesday at three. Does that work for you?", "yes_no"),
        ("So that is Tuesday at three, right?", "yes_no"),
        ("Is your phone number still 07700 900123?", "yes_no"),
        ("How can I help you?", "free"),
        ("Would you like Tuesday or Wednesday?", "free"),
        ("Can you tell me what happened?", "free"),
        ("How many people is it for?", "free"),
        ("What is your date of birth?", "free"),
        ("I have booked it for you.", None),
        ("", None),
    ],
)
def test_what_a_question_asks_for(question: str, expected: Expects | None) -> None:
    assert asks(question) == expected
    assert asks(question.upper()) == expected


@pytest.mark.parametrize(
    ("language", "digits", "yes_no", "free"),
    [
        ("de", "Wie ist Ihre Telefonnummer?", "Soll ich das für Sie buchen?", "Was kann ich für Sie tun?"),
        (
            "fr",
            "Quel est votre numéro de téléphone ?",
            "Est-ce que cela vous convient ?",
            "Comment puis-je vous aider ?",
        ),
        ("es", "¿Cuál es su número de teléfono?", "¿Quiere que lo reserve ahora?", "¿En qué puedo ayudarle?"),
        ("it", "Qual è il suo numero di telefono?", "Vuole che lo prenoti adesso?", "Come posso aiutarla?"),
        ("nl", "Wat is uw telefoonnummer?", "Zal ik dat voor u boeken?", "Hoe kan ik u helpen?"),
        ("pt", "Qual é o seu número de telefone?", "Quer que eu marque agora?", "Como posso ajudar?"),
    ],
)
def test_questions_in_other_languages(language: str, digits: str, yes_no: str, free: str) -> None:
    assert [asks(text, language) for text in (digits, yes_no, free)] == ["digits", "yes_no", "free"]
    assert asks(digits, "pl") is None


def test_how_many_digits_are_asked_for() -> None:
    assert digits_asked("And the last four digits of your card?") == 4
    assert digits_asked("Please enter your 6-digit code.") == 6
    assert digits_asked("What is your phone number?") is None
    assert digits_asked("Wie lauten die letzten vier Ziffern?", "de") == 4
    assert digits_asked("The last four digits?", "pl") is None
