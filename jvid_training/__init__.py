"""Data, trainers and reports for jvid's experts."""
