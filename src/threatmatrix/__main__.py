"""``python -m threatmatrix``: the same program as the ``threatmatrix`` command."""

from __future__ import annotations

from threatmatrix.cli import main

if __name__ == "__main__":
    main()
