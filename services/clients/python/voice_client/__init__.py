"""Clients of the speech servers whose streams survive broken connections.

``asr.connect`` opens a stream from speech to text, ``tts.speak`` and ``tts.connect`` one from text to speech. When a connection breaks,
or the server behind it dies, they connect again by themselves: every word is delivered once, and no sample is missing or comes twice.
"""

from . import asr, tts
from .errors import GaveUp, Impossible, Over, ProtocolError, Refused, VoiceError
from .retry import Patience

__all__ = ["asr", "tts", "Patience", "VoiceError", "Impossible", "Refused", "GaveUp", "ProtocolError", "Over"]
