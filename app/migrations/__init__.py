"""Schema revisions: expand-only, four digits, in one line. An applied one is never edited."""
