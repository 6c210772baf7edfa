import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest

VOID = {"img", "meta", "br", "hr", "link", "input"}


@dataclass
class Read:
    """What an HTML page holds.

    Attributes:
        elements: name and attributes of each, in order.
        text: of the page, without its style.
        faults: tags that do not fit one another.
    """

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: str = ""
    faults: list[str] = field(default_factory=list)

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for found, attributes in self.elements if found == name]


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page, self.open = Read(), []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        if len(set(names)) < len(names):
            self.page.faults.append(f"{tag} says something twice")
        self.page.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.page.faults.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.page.text += data


@pytest.fixture(scope="session")
def read():
    """Reads HTML: (text) -> Read; every element that was opened must have been closed."""

    def run(text: str) -> Read:
        reader = Reader()
        reader.feed(text)
        reader.close()
        reader.page.faults += [f"<{name}> is never closed" for name in reader.open]
        reader.page.text = re.sub(r"\s+", " ", reader.page.text)
        return reader.page

    return run
