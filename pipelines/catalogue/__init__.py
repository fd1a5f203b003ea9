"""The models and voices that agents can name: one catalogue, of data, and of what vendors list when they are asked."""

from pipelines.catalogue.entries import ANY_LANGUAGE, HANDLERS, Gender, Model, Voice, handler_of
from pipelines.catalogue.models import MODELS
from pipelines.catalogue.voices import VOICES

__all__ = ["ANY_LANGUAGE", "HANDLERS", "MODELS", "VOICES", "Gender", "Model", "Voice", "handler_of"]
