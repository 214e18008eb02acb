"""What workers show of their progress, kept for a test."""

from __future__ import annotations


class Lanes:
    """Keeps the titles and lines that workers show."""

    def __init__(self):
        self.lines, self.shown = [], []

    def lane(self):
        return self

    def show(self, title, count=0, total=None, note=""):
        self.shown.append(title)

    def clear(self):
        pass

    def log(self, text):
        self.lines.append(text)
