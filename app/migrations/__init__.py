"""Schema revisions: four digits, in one line, each with its phase. An applied one is never edited."""
