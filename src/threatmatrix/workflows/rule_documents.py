"""The documents of a rule file beside the keys that their rules have once compiled."""

from __future__ import annotations

from threatmatrix.detect.sigma.documents import Document, read_documents
from threatmatrix.detect.sigma.selftest import key_of
from threatmatrix.model.errors import RuleError
from threatmatrix.model.matrix import RuleSource

__all__ = ["rule_documents"]


def rule_documents(source: RuleSource) -> list[tuple[str, Document]]:
    """(key, document) of each rule and correlation; nothing of a file that cannot be read: the compiler says so."""
    try:
        documents, _ = read_documents(source)
    except RuleError:
        return []
    return [(key_of(document), document) for document in documents if not {"filter", "action"} & document.raw.keys()]
