"""`python -m toprung.search` is `toprung`."""

from __future__ import annotations

from toprung.search.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
