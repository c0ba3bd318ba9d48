"""Reading the pages that jobs write."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """The tables of a page by caption, and what it would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.loads: list[str] = []
        self._rows: list[list[str]] = []
        self._text, self._in = "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.loads += [f"{tag} {name}" for name, value in attrs if name.startswith("on") or name in ("src", "action")]
        self.loads += [f"{tag}"] * (tag in ("script", "link", "iframe", "object", "img"))
        links = [str(value) for name, value in named.items() if "href" in name]
        self.loads += [link for link in links if not link.startswith(("#", "data:image/png;base64,"))]
        if tag == "table":
            self._rows = []
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th", "caption"):
            self._text, self._in = "", tag

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            self.tables[self._text] = self._rows
        elif tag in ("td", "th"):
            self._rows[-1].append(self._text)
