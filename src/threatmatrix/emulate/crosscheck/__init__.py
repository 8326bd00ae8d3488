"""The same attack by somebody else's hand: ART or foolbox on the same samples, against any target.

A second implementation that agrees is the best evidence that ours is right, and one that does better shows what is
missing. Needs the extra ``[crosscheck]``; nothing else in the package imports these libraries.
"""

from __future__ import annotations

from threatmatrix.emulate.crosscheck.run import LIBRARIES, cross_check, cross_checks

__all__ = ["LIBRARIES", "cross_check", "cross_checks"]
