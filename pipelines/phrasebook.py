"""What the service itself has to say, where an agent's definition says nothing: in the agent's language."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrases:
    went_wrong: str
    """A model or a tool failed."""
    not_understood: str
    """There was speech, and no transcript of it."""
    one_moment: str
    """The answer takes long."""
    still_here: str
    """It takes longer still."""
    cannot_hear: str
    """There is no recogniser: the call ends."""
    cannot_go_on: str
    """There is no model: the call ends."""
    interrupted: str
    """Somebody else goes on with the call, and does not know what is to be answered."""
    connecting: str
    """The caller is put through to a telephone."""
    recorded: str
    """Before a call is recorded."""
    caller_gone: str
    """To whoever was asked whether he takes a call: there is no caller any more."""


_PHRASES = {
    "en": Phrases(
        "I'm sorry, something went wrong on my side. Could you say that again?",
        "I'm sorry, I did not catch that. Could you say it again?",
        "One moment, please.",
        "I'm still here, just a moment more.",
        "I'm sorry, I cannot hear you for a technical reason. Please call again later. Goodbye.",
        "I'm sorry, I cannot go on for a technical reason. Please call again later. Goodbye.",
        "I'm sorry for the interruption. How can I help you?",
        "I'm putting you through. One moment, please.",
        "This call is recorded.",
        "The caller has just hung up. Thank you, goodbye.",
    ),
    "de": Phrases(
        "Entschuldigung, bei mir ist etwas schiefgegangen. Können Sie das noch einmal sagen?",
        "Entschuldigung, das habe ich nicht verstanden. Können Sie es noch einmal sagen?",
        "Einen Moment, bitte.",
        "Ich bin noch da, einen kleinen Moment noch.",
        "Entschuldigung, ich kann Sie aus technischen Gründen nicht hören. Bitte rufen Sie später an. Auf Wiederhören.",
        "Entschuldigung, ich kann aus technischen Gründen nicht weiter. Bitte rufen Sie später an. Auf Wiederhören.",
        "Entschuldigen Sie die Unterbrechung. Wie kann ich Ihnen helfen?",
        "Ich verbinde Sie. Einen Moment, bitte.",
        "Dieses Gespräch wird aufgezeichnet.",
        "Der Anrufer hat gerade aufgelegt. Danke, auf Wiederhören.",
    ),
    "fr": Phrases(
        "Excusez-moi, un problème est survenu de mon côté. Pouvez-vous répéter ?",
        "Excusez-moi, je n'ai pas compris. Pouvez-vous répéter ?",
        "Un instant, s'il vous plaît.",
        "Je suis toujours là, encore un petit instant.",
        "Excusez-moi, je ne vous entends pas pour une raison technique. Merci de rappeler plus tard. Au revoir.",
        "Excusez-moi, je ne peux pas continuer pour une raison technique. Merci de rappeler plus tard. Au revoir.",
        "Excusez-moi pour l'interruption. Comment puis-je vous aider ?",
        "Je vous mets en relation. Un instant, s'il vous plaît.",
        "Cet appel est enregistré.",
        "La personne vient de raccrocher. Merci, au revoir.",
    ),
    "es": Phrases(
        "Perdone, algo ha fallado por mi parte. ¿Puede repetirlo?",
        "Perdone, no le he entendido. ¿Puede repetirlo?",
        "Un momento, por favor.",
        "Sigo aquí, un momento más.",
        "Perdone, no le oigo por un problema técnico. Llame más tarde, por favor. Adiós.",
        "Perdone, no puedo continuar por un problema técnico. Llame más tarde, por favor. Adiós.",
        "Perdone la interrupción. ¿En qué puedo ayudarle?",
        "Le paso la llamada. Un momento, por favor.",
        "Esta llamada se graba.",
        "La persona que llamaba acaba de colgar. Gracias, adiós.",
    ),
    "it": Phrases(
        "Mi scusi, qualcosa è andato storto da parte mia. Può ripetere?",
        "Mi scusi, non ho capito. Può ripetere?",
        "Un momento, per favore.",
        "Sono ancora qui, ancora un momento.",
        "Mi scusi, per un problema tecnico non la sento. Richiami più tardi, per favore. Arrivederci.",
        "Mi scusi, per un problema tecnico non posso continuare. Richiami più tardi, per favore. Arrivederci.",
        "Mi scusi per l'interruzione. Come posso aiutarla?",
        "La metto in comunicazione. Un momento, per favore.",
        "Questa chiamata viene registrata.",
        "Chi chiamava ha appena riattaccato. Grazie, arrivederci.",
    ),
    "nl": Phrases(
        "Sorry, er ging bij mij iets mis. Kunt u dat herhalen?",
        "Sorry, dat heb ik niet verstaan. Kunt u het herhalen?",
        "Een ogenblik, alstublieft.",
        "Ik ben er nog, nog een klein ogenblik.",
        "Sorry, ik kan u door een technische storing niet horen. Belt u later terug, alstublieft. Tot ziens.",
        "Sorry, ik kan door een technische storing niet verder. Belt u later terug, alstublieft. Tot ziens.",
        "Excuses voor de onderbreking. Waarmee kan ik u helpen?",
        "Ik verbind u door. Een ogenblik, alstublieft.",
        "Dit gesprek wordt opgenomen.",
        "De beller heeft net opgehangen. Dank u, tot ziens.",
    ),
    "pt": Phrases(
        "Desculpe, algo correu mal do meu lado. Pode repetir?",
        "Desculpe, não percebi. Pode repetir?",
        "Um momento, por favor.",
        "Ainda aqui estou, só mais um momento.",
        "Desculpe, não o consigo ouvir por uma razão técnica. Ligue mais tarde, por favor. Adeus.",
        "Desculpe, não posso continuar por uma razão técnica. Ligue mais tarde, por favor. Adeus.",
        "Desculpe a interrupção. Em que posso ajudar?",
        "Vou transferir a sua chamada. Um momento, por favor.",
        "Esta chamada é gravada.",
        "A pessoa que ligava acabou de desligar. Obrigado, adeus.",
    ),
}


def phrases(language: str) -> Phrases:
    """For a language tag such as ``en-GB``; English where there are none."""
    return _PHRASES.get(language.lower().split("-")[0], _PHRASES["en"])
