"""Settings that follow from the images, the number of masks and the device, each by a pure function with its reason.

``semiseg train FOLDER`` takes the preset ``folder``, puts what is derived over it, and the words that are given over
that. A preset, a file and a resumed run say their settings themselves: nothing is derived for them.
"""

from semiseg.derived.choice import Choice, Row
from semiseg.derived.facts import Facts
from semiseg.derived.folder import Settled, as_trained, derives, settle
from semiseg.derived.read import read_facts
from semiseg.derived.settings import KEYS, derive
from semiseg.derived.table import save, show, stored

__all__ = [
    "KEYS", "Choice", "Facts", "Row", "Settled", "as_trained", "derive", "derives", "read_facts", "save", "settle",
    "show", "stored",
]  # fmt: skip
