"""A page as a browser reads it: whether tags nest, its ids, links and text."""

from html.parser import HTMLParser

_VOID = {"meta", "link", "br", "input"}


class HtmlPage(HTMLParser):
    """Checks that tags nest; keeps ids, references to ids, links and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self.text += " "
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " "

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    @property
    def words(self) -> str:
        """The text with single spaces."""
        return " ".join(self.text.split())

    def values(self, attribute: str) -> list[str]:
        """The values of an attribute, of all tags."""
        return [attributes[attribute] for _, attributes in self.tags if attribute in attributes]
