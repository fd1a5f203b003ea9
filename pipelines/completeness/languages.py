"""What each language's judge knows: its fillers, the words that cannot end a turn, its digits, its courtesies."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Numbered(IntEnum):
    """Kinds of numbers that are read out, with the fewest digits that may be a whole one."""

    PHONE = 7
    CARD = 13
    LONG = 6  # accounts, orders
    SHORT = 4  # codes


@dataclass(frozen=True, slots=True)
class Language:
    """Words are lower case; a filler or a courtesy may be several words."""

    fillers: frozenset[str]
    trailing: frozenset[str]
    verbs: frozenset[str]
    """Auxiliaries and the like: they hold the turn, unless one of ``openers`` stands before ("weil ich krank bin")."""
    openers: frozenset[str]
    digits: dict[str, str]
    """A spoken number to the digits it adds: "seven" to "7", "twenty" to "20"."""
    repeats: dict[str, int]
    """"double": the next digit counts as two."""
    courtesies: frozenset[str]
    answers: frozenset[str]
    """Yes and no, in a word."""
    numbered: dict[str, Numbered]
    """What a number that is read out is called, in one word or two: "phone", "my number"."""
    links: frozenset[str]
    """May stand between that name and its digits: "is"."""
    joiners: frozenset[str]
    """May stand between two digits: "dash"."""
    as_in: frozenset[str]
    """Joins a letter and its word: "B for Bravo"."""
    short: frozenset[str]
    """Words of one letter, which need not be spelling."""
    spelling: frozenset[str]
    """"Spelled": what follows is letters, even the first one."""
    national: tuple[int, ...]
    """Lengths of telephone numbers that begin with 0. A number that nobody named is taken for one, too."""
    plain: tuple[int, ...]
    """Lengths of those that do not."""


def _phrases(text: str) -> frozenset[str]:
    return frozenset(phrase.strip() for phrase in text.split(",") if phrase.strip())


def _digits(text: str) -> dict[str, str]:
    """``text`` lists "word=digits"."""
    return dict(pair.split("=", 1) for pair in text.split())


def _numbered(phone: str, card: str, long: str, short: str) -> dict[str, Numbered]:
    kinds = ((Numbered.SHORT, short), (Numbered.LONG, long), (Numbered.CARD, card), (Numbered.PHONE, phone))
    return {phrase: kind for kind, listed in kinds for phrase in _phrases(listed)}


ENGLISH = Language(
    fillers=_phrases(
        "um, uh, uhm, er, erm, hmm, hm, mm, ah, let me see, let's see, let me think, let me check, let me look, hang "
        "on, hold on, just a second, just a moment, just a minute, one second, one moment, one sec, just a sec, bear "
        "with me, give me a second, give me a moment, give me a sec, you know, i mean, sort of, kind of, what's it "
        "called, how do you say, no wait, oh wait, sorry wait, wait a second, wait a minute"
    ),
    trailing=frozenset(),  # the clause tells
    verbs=frozenset(),
    openers=frozenset(),
    digits=_digits(
        "zero=0 oh=0 o=0 nought=0 nil=0 one=1 two=2 three=3 four=4 five=5 six=6 seven=7 eight=8 nine=9 niner=9 ten=10 "
        "eleven=11 twelve=12 thirteen=13 fourteen=14 fifteen=15 sixteen=16 seventeen=17 eighteen=18 nineteen=19 "
        "twenty=20 thirty=30 forty=40 fifty=50 sixty=60 seventy=70 eighty=80 ninety=90 hundred=00 thousand=000"
    ),
    repeats={"double": 2, "triple": 3, "treble": 3},
    courtesies=_phrases(
        "hello, hi, hey, hi there, hello there, good morning, good afternoon, good evening, good night, good day, "
        "bye, bye bye, goodbye, good bye, see you, see you then, see you soon, see you later, take care, thanks, "
        "thank you, thank you very much, thank you so much, thanks a lot, thanks so much, many thanks, cheers, "
        "please, great, perfect, excellent, wonderful, lovely, brilliant, fantastic, super, alright, all right, ok, "
        "okay, sure, fine, of course, go ahead, not really, you too, never mind, no problem, no worries, no problem "
        "at all, not at all, exactly, correct, right, absolutely, definitely, certainly, that's right, that's "
        "correct, that's all, that's it, that's fine, that's great, that is all, sounds good, will do, got it, i see, "
        "i know, i understand, i agree, i think so, i guess so, i hope so, you're welcome, pardon, excuse me, have a "
        "nice day, have a good day, my pleasure, indeed, very well, very good"
    ),
    answers=_phrases("yes, yeah, yep, yup, no, nope, nah, sure, correct, ok, okay, right, maybe, fine, alright, true"),
    numbered=_numbered(
        phone="my number, the number, her number, his number, phone number, mobile number, phone, mobile, landline, "
        "reach me, call me, ring me, text me, contact me",
        card="card, card number, credit card, debit card",
        long="account, account number, order number, customer number, reference, reference number, policy number, "
        "tracking number, case number, ticket number, iban",
        short="code, pin, digits, zip, cvv, security code, pin number",
    ),
    links=_phrases(
        "is, are, was, it's, its, number, no, as, with, ends, ending, in, on, the, last, uk, us, reads, follows, it, "
        "that, that's, would, be"
    ),
    joiners=_phrases("dash, hyphen, space, and, then, plus, slash, um, uh, er, erm, ah, area, code, point, extension"),
    as_in=_phrases("for, as, in, like"),
    short=_phrases("a, i"),
    spelling=_phrases("spelled, spelt, spell"),
    national=(10, 11),
    plain=(7, 10),
)

GERMAN = Language(
    fillers=_phrases(
        "äh, ähm, öh, öhm, hm, hmm, also, moment, einen moment, moment mal, sekunde, eine sekunde, warten sie, warte,"
        "wie sagt man, sozusagen, quasi, mal sehen, mal schauen, lass mich überlegen, ich meine, na ja, naja"
    ),
    trailing=_phrases(
        "der, die, das, den, dem, des, ein, eine, einen, einem, einer, eines, kein, keine, keinen, mein, meine, "
        "meinen, meinem, meiner, ihr, ihre, ihren, ihrem, unser, unsere, unseren, sein, seine, dein, deine, und, "
        "oder, aber, weil, dass, ob, wenn, sondern, denn, obwohl, damit, bevor, nachdem, während, falls, ich, wir, "
        "er, man, in, im, von, vom, zum, zur, bei, beim, für, gegen, ohne, über, unter, zwischen, wegen, durch, bis, "
        "seit, nach, sehr, ganz, als, wie, was, wo, wer, wann, warum, welche, welcher, welches, dieser, diese, "
        "dieses, jede, jeden, jeder, am, ans, aufs, pro, etwa, ungefähr"
    ),
    verbs=_phrases(
        "ist, sind, war, bin, habe, hat, haben, hatte, wird, werde, werden, würde, möchte, will, kann, könnte, "
        "können, könnten, muss, soll, darf, hätte, brauche, heiße, heißt"
    ),
    openers=_phrases(
        "weil, dass, ob, wenn, obwohl, damit, bevor, nachdem, während, falls, als, wo, was, wer, wie, wann, warum, "
        "wieso, welche, welcher, welches, wieviel"
    ),
    digits=_digits(
        "null=0 eins=1 ein=1 zwei=2 zwo=2 drei=3 vier=4 fünf=5 sechs=6 sieben=7 acht=8 neun=9 zehn=10 elf=11 zwölf=12 "
        "dreizehn=13 vierzehn=14 fünfzehn=15 sechzehn=16 siebzehn=17 achtzehn=18 neunzehn=19 zwanzig=20 dreißig=30 "
        "vierzig=40 fünfzig=50 sechzig=60 siebzig=70 achtzig=80 neunzig=90"
    ),
    repeats={"doppel": 2, "zweimal": 2, "dreimal": 3},
    courtesies=_phrases(
        "hallo, guten tag, guten morgen, guten abend, grüß gott, moin, servus, danke, danke schön, dankeschön,"
        "vielen dank, danke sehr, bitte, bitte schön, gern, gerne, tschüss, tschüs, ciao, auf wiederhören,"
        "auf wiedersehen, wiederhören, schönen tag, schönen tag noch, okay, ok, gut, super, prima, perfekt, klar,"
        "genau, richtig, stimmt, alles klar, natürlich, selbstverständlich, in ordnung, das stimmt, das ist richtig,"
        "kein problem, eigentlich nicht, leider nicht"
    ),
    answers=_phrases("ja, nein, nee, ne, doch, jawohl, jo, klar, genau, richtig, gerne, okay, ok, vielleicht"),
    numbered=_numbered(
        phone="telefonnummer, handynummer, handy, rufnummer, meine nummer, die nummer, vorwahl, mobilnummer",
        card="kartennummer, karte",
        long="kundennummer, kontonummer, bestellnummer, iban, rechnungsnummer, vertragsnummer",
        short="postleitzahl, pin, code",
    ),
    links=_phrases("ist, lautet, die, endet, auf, mit, wäre, nummer"),
    joiners=_phrases("und, dann, strich, bindestrich, leerzeichen, plus, schrägstrich, äh, ähm, durchwahl"),
    as_in=_phrases("wie"),
    short=_phrases(""),
    spelling=_phrases("buchstabiert, buchstabiere"),
    national=(7, 8, 9, 10, 11, 12, 13),
    plain=(6, 7, 8, 10),
)

FRENCH = Language(
    fillers=_phrases(
        "euh, heu, hum, ben, bah, bon, alors, enfin, attendez, un instant, une seconde, un moment, une minute, voyons,"
        "comment dire, je veux dire, tu vois, vous savez, disons, eh bien"
    ),
    trailing=_phrases(
        "le, la, l', les, un, une, des, du, de, d', au, aux, à, mon, ma, mes, ton, ta, tes, son, sa, ses, notre, nos, "
        "votre, vos, leur, leurs, ce, cet, cette, ces, et, ou, mais, donc, car, que, qu', qui, parce, puisque, comme, "
        "lorsque, si, je, j', tu, il, on, ils, dans, en, sur, sous, avec, pour, par, sans, chez, entre, vers, depuis, "
        "pendant, contre, ne, n', me, m', te, se, s', très, quel, quelle, quels, quelles, environ, chaque"
    ),
    verbs=_phrases(
        "est, suis, es, sont, sommes, êtes, était, ai, a, as, avons, avez, ont, avait, peux, peut, pouvez, pourrais, "
        "pourriez, voudrais, veux, veut, dois, faut"
    ),
    openers=_phrases("où, quand, comment, pourquoi, combien, quel, quelle, quels, quelles, qui, que, quoi, si"),
    digits=_digits(
        "zéro=0 un=1 une=1 deux=2 trois=3 quatre=4 cinq=5 six=6 sept=7 huit=8 neuf=9 dix=10 onze=11 douze=12 treize=13 "
        "quatorze=14 quinze=15 seize=16 vingt=20 vingts=20 trente=30 quarante=40 cinquante=50 soixante=60 septante=70 "
        "huitante=80 octante=80 nonante=90"
    ),
    repeats={"double": 2, "triple": 3},
    courtesies=_phrases(
        "bonjour, bonsoir, allô, allo, salut, merci, merci beaucoup, merci bien, s'il vous plaît, s'il te plaît,"
        "au revoir, à bientôt, bonne journée, bonne soirée, d'accord, très bien, parfait, super, bien sûr, exactement,"
        "tout à fait, c'est ça, c'est bon, c'est tout, voilà, de rien, pas de problème, pas vraiment, ça marche"
    ),
    answers=_phrases("oui, non, ouais, si, d'accord, exactement, ok, okay, voilà"),
    numbered=_numbered(
        phone="numéro, téléphone, portable, mobile",
        card="carte",
        long="compte, référence, commande, dossier, iban",
        short="code, code postal",
    ),
    links=_phrases("est, c'est, le, se, termine, par, numéro, de"),
    joiners=_phrases("et, puis, tiret, espace, plus, euh, heu, barre"),
    as_in=_phrases("comme"),
    short=_phrases("à, a, y, l, d"),
    spelling=_phrases("épelle, s'épelle, s'écrit"),
    national=(10,),
    plain=(9,),
)

SPANISH = Language(
    fillers=_phrases(
        "eh, em, este, pues, bueno, a ver, espere, espera, un momento, un segundo, un minuto, cómo se dice, o sea,"
        "es decir, digamos, mmm, déjeme ver, déjame ver, sabe"
    ),
    trailing=_phrases(
        "el, la, los, las, un, una, unos, unas, lo, al, del, de, a, en, con, por, para, sin, sobre, entre, hasta, "
        "desde, hacia, contra, según, mi, mis, tu, tus, su, sus, nuestro, nuestra, este, esta, ese, esa, y, e, o, u, "
        "pero, sino, porque, que, si, cuando, como, aunque, mientras, donde, me, te, se, le, les, nos, muy, tan, "
        "cada, qué, quién, cuál, cuándo, dónde, cómo, cuánto, cuánta, aproximadamente"
    ),
    verbs=_phrases(
        "es, son, está, están, estoy, era, soy, ha, he, han, hemos, había, quiero, quisiera, querría, necesito, "
        "puedo, puede, podría, tengo, tiene, debo, voy, va"
    ),
    openers=_phrases("qué, quién, cuál, cuándo, dónde, cómo, cuánto, cuánta, cuántos, si, que, donde, cuando, como"),
    digits=_digits(
        "cero=0 uno=1 un=1 una=1 dos=2 tres=3 cuatro=4 cinco=5 seis=6 siete=7 ocho=8 nueve=9 diez=10 once=11 doce=12 "
        "trece=13 catorce=14 quince=15 dieciséis=16 diecisiete=17 dieciocho=18 diecinueve=19 veinte=20 veintiuno=21 "
        "veintidós=22 veintitrés=23 veinticuatro=24 veinticinco=25 veintiséis=26 veintisiete=27 veintiocho=28 "
        "veintinueve=29 treinta=30 cuarenta=40 cincuenta=50 sesenta=60 setenta=70 ochenta=80 noventa=90"
    ),
    repeats={"doble": 2, "triple": 3},
    courtesies=_phrases(
        "hola, buenos días, buenas tardes, buenas noches, buenas, gracias, muchas gracias, por favor, adiós,"
        "hasta luego, hasta pronto, de acuerdo, vale, perfecto, muy bien, está bien, claro, claro que sí, por supuesto,"
        "exacto, exactamente, correcto, eso es, eso es todo, nada más, de nada, no pasa nada, no mucho, aló, diga"
    ),
    answers=_phrases("sí, si, no, vale, claro, correcto, exacto, ok, okay, quizás"),
    numbered=_numbered(
        phone="número, teléfono, móvil, celular",
        card="tarjeta",
        long="cuenta, referencia, pedido, dni, iban",
        short="código, código postal",
    ),
    links=_phrases("es, el, la, termina, en, número, de"),
    joiners=_phrases("y, luego, guion, guión, espacio, más, eh, barra"),
    as_in=_phrases("de"),
    short=_phrases("a, e, o, y, u"),
    spelling=_phrases("deletreo, escribe"),
    national=(9, 10),
    plain=(9, 10),
)

ITALIAN = Language(
    fillers=_phrases(
        "ehm, eh, uhm, allora, cioè, dunque, aspetti, aspetta, un attimo, un momento, un secondo, vediamo, come si "
        "dice, diciamo, insomma, beh, mah"
    ),
    trailing=_phrases(
        "il, lo, la, l', i, gli, le, un, uno, una, un', di, a, da, in, con, su, per, tra, fra, del, dello, della, "
        "dell', dei, degli, delle, al, allo, alla, all', ai, agli, alle, dal, dalla, dall', nel, nella, nell', sul, "
        "sulla, mio, mia, miei, mie, tuo, tua, suo, sua, nostro, nostra, questo, questa, quel, quella, e, ed, o, ma, "
        "però, perché, che, se, quando, come, mentre, anche, io, mi, ti, si, ci, vi, ne, non, ogni, dove, chi, quale, "
        "quanto, quanti, circa"
    ),
    verbs=_phrases("è, sono, era, ho, ha, hanno, abbiamo, aveva, vorrei, voglio, devo, posso, può, potrei, potrebbe"),
    openers=_phrases("cosa, quale, quali, chi, quando, dove, come, perché, quanto, quanta, se, che"),
    digits=_digits(
        "zero=0 uno=1 un=1 una=1 due=2 tre=3 quattro=4 cinque=5 sei=6 sette=7 otto=8 nove=9 dieci=10 undici=11 "
        "dodici=12 tredici=13 quattordici=14 quindici=15 sedici=16 diciassette=17 diciotto=18 diciannove=19 venti=20 "
        "trenta=30 quaranta=40 cinquanta=50 sessanta=60 settanta=70 ottanta=80 novanta=90"
    ),
    repeats={"doppio": 2, "triplo": 3},
    courtesies=_phrases(
        "pronto, ciao, buongiorno, buonasera, salve, grazie, grazie mille, mille grazie, per favore, per piacere, "
        "prego, arrivederci, buona giornata, a presto, va bene, d'accordo, perfetto, certo, certamente, esatto, "
        "esattamente, giusto, benissimo, nient'altro, è tutto, ottimo, non fa niente, di niente"
    ),
    answers=_phrases("sì, si, no, certo, esatto, giusto, ok, okay, forse"),
    numbered=_numbered(
        phone="numero, telefono, cellulare",
        card="carta",
        long="conto, riferimento, ordine, iban",
        short="codice, cap",
    ),
    links=_phrases("è, il, finisce, con, di, numero"),
    joiners=_phrases("e, poi, trattino, spazio, più, ehm, eh, barra"),
    as_in=_phrases("di, come"),
    short=_phrases("a, e, è, i, o"),
    spelling=_phrases("scrive"),
    national=(9, 10, 11),
    plain=(9, 10),
)

DUTCH = Language(
    fillers=_phrases(
        "eh, uh, uhm, ehm, nou, even kijken, eens kijken, momentje, een moment, een momentje, wacht, wacht even, zeg "
        "maar, ik bedoel, hoe heet het, hoe zeg je dat, even denken, dus"
    ),
    trailing=_phrases(
        "de, het, een, mijn, jouw, haar, ons, onze, hun, uw, deze, dit, elke, elk, geen, en, of, maar, want, omdat, "
        "dat, als, wanneer, terwijl, hoewel, voordat, nadat, sinds, ik, wij, we, hij, zij, ze, van, in, op, voor, "
        "met, bij, naar, over, door, tot, zonder, tegen, tussen, onder, om, te, per, vanaf, heel, erg, zeer, wat, "
        "waar, wie, waarom, hoe, welke, welk, ongeveer"
    ),
    verbs=_phrases(
        "is, ben, bent, was, waren, heb, heeft, hebben, had, wordt, word, worden, wil, wilde, zou, kan, kunt, kunnen, "
        "moet, mag, zal, zullen, heet, zijn"
    ),
    openers=_phrases(
        "omdat, dat, als, of, wanneer, terwijl, hoewel, voordat, nadat, sinds, wat, waar, wie, hoe, welke, welk, "
        "waarom, hoeveel, zodat"
    ),
    digits=_digits(
        "nul=0 een=1 één=1 twee=2 drie=3 vier=4 vijf=5 zes=6 zeven=7 acht=8 negen=9 tien=10 elf=11 twaalf=12 "
        "dertien=13 veertien=14 vijftien=15 zestien=16 zeventien=17 achttien=18 negentien=19 twintig=20 dertig=30 "
        "veertig=40 vijftig=50 zestig=60 zeventig=70 tachtig=80 negentig=90"
    ),
    repeats={"dubbel": 2, "driedubbel": 3},
    courtesies=_phrases(
        "hallo, hoi, goedemorgen, goedemiddag, goedenavond, goedendag, dag, doei, tot ziens, bedankt, dank u, dank je,"
        "dank u wel, dank je wel, hartelijk dank, alstublieft, alsjeblieft, graag, oké, prima, goed, perfect, klopt,"
        "dat klopt, precies, inderdaad, natuurlijk, zeker, geen probleem, fijne dag, tot dan, dat was het, niet echt"
    ),
    answers=_phrases("ja, nee, jawel, klopt, zeker, graag, oké, ok, okay, misschien"),
    numbered=_numbered(
        phone="telefoonnummer, mobiel, mijn nummer, het nummer",
        card="kaartnummer",
        long="klantnummer, rekeningnummer, ordernummer, bestelnummer, iban",
        short="postcode, pincode, code",
    ),
    links=_phrases("is, het, eindigt, op, nummer"),
    joiners=_phrases("en, dan, streepje, spatie, plus, eh, uh, uhm"),
    as_in=_phrases("van"),
    short=_phrases("u"),
    spelling=_phrases("spelt, gespeld"),
    national=(10,),
    plain=(9,),
)

PORTUGUESE = Language(
    fillers=_phrases(
        "hum, hã, ã, então, bom, bem, espera, espere, um momento, um segundo, um minuto, deixa eu ver, deixe-me ver,"
        "como se diz, quer dizer, tipo, ou seja, digamos, pois"
    ),
    trailing=_phrases(
        "o, a, os, as, um, uma, uns, umas, ao, à, aos, às, do, da, dos, das, de, no, na, nos, nas, em, com, por, "
        "pelo, pela, para, pra, sem, sobre, entre, até, desde, contra, meu, minha, meus, minhas, teu, tua, seu, sua, "
        "seus, suas, nosso, nossa, este, esta, esse, essa, aquele, aquela, e, ou, mas, porque, que, se, quando, como, "
        "embora, enquanto, onde, me, te, lhe, muito, tão, cada, qual, quem, quanto, quantos"
    ),
    verbs=_phrases(
        "é, são, está, estão, estou, era, sou, tem, tenho, há, foi, quero, queria, gostaria, preciso, posso, pode, "
        "poderia, devo, vou, vai"
    ),
    openers=_phrases("qual, quais, quem, quando, onde, como, porque, quanto, quanta, quantos, que, se"),
    digits=_digits(
        "zero=0 um=1 uma=1 dois=2 duas=2 três=3 quatro=4 cinco=5 seis=6 meia=6 sete=7 oito=8 nove=9 dez=10 onze=11 "
        "doze=12 treze=13 catorze=14 quatorze=14 quinze=15 dezesseis=16 dezasseis=16 dezessete=17 dezassete=17 "
        "dezoito=18 dezenove=19 dezanove=19 vinte=20 trinta=30 quarenta=40 cinquenta=50 sessenta=60 setenta=70 "
        "oitenta=80 noventa=90"
    ),
    repeats={"duplo": 2, "triplo": 3},
    courtesies=_phrases(
        "olá, oi, alô, bom dia, boa tarde, boa noite, obrigado, obrigada, muito obrigado, muito obrigada, por favor,"
        "se faz favor, adeus, tchau, até logo, até breve, tudo bem, está bem, tá bom, certo, claro, exato, exatamente,"
        "perfeito, correto, isso, isso mesmo, é isso, só isso, de nada, sem problema, com certeza, não muito"
    ),
    answers=_phrases("sim, não, claro, certo, isso, exato, ok, okay, talvez, pode ser"),
    numbered=_numbered(
        phone="número, telefone, telemóvel, celular",
        card="cartão",
        long="conta, referência, pedido, cpf, nif",
        short="código, código postal, cep",
    ),
    links=_phrases("é, o, termina, em, número, de"),
    joiners=_phrases("e, depois, traço, hífen, espaço, mais, barra, hum"),
    as_in=_phrases("de"),
    short=_phrases("a, à, e, é, o"),
    spelling=_phrases("soletro, escreve"),
    national=(10, 11, 12),
    plain=(9, 10, 11),
)

LANGUAGES: dict[str, Language] = {
    "en": ENGLISH,
    "de": GERMAN,
    "fr": FRENCH,
    "es": SPANISH,
    "it": ITALIAN,
    "nl": DUTCH,
    "pt": PORTUGUESE,
}
