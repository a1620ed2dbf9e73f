"""HTML to text, by the tree that Lexbor makes of it as browsers do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal
from urllib.parse import urljoin

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode

from .cleaning import safe_url
from .layout import DEEPEST_LIST

MOST_MARKUP = 4 * 1024 * 1024
"""Characters of a page without the pictures that are written into it."""
MOST_TAGS = 30_000
"""Of a page, with ends and comments. A topic of a forum with a hundred answers has a third of it."""
BOX = "guideBox"
"""The part of a page of MyAnonamouse that holds a guide (https://greasyfork.org/scripts/480153)."""


class NotReadable(ValueError):
    """Why something holds no page that can be kept: a sentence for a person, without anything of its content."""


_PICTURE = re.compile(r"data:[\w.+-]{1,50}/[\w.+-]{1,50};[^\s\"'<>()]{100,}+")
_TAG = re.compile(r"<[a-zA-Z/!?]")
_LOOK = re.compile(
    r"<(/?)(?:b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)(?=[\s/>])[^>]*+(?:>|\Z)", re.IGNORECASE
)
"""Of elements that tell how text looks: a parser opens them anew in each paragraph that follows, with their attributes."""
_MANY_ATTRIBUTES = re.compile(
    r"<[a-zA-Z][^\s/>]*+(?:[\s/]*+[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:\"[^\"]*+\"|'[^']*+'|[^\s>\"'][^\s>]*+)?+)?+){100}"
)

_DROPPED = frozenset({
    "nav", "footer", "aside", "form", "select", "button", "object", "svg", "math", "audio", "video", "canvas", "map", "script",
    "style", "textarea", "title", "noscript", "iframe", "noembed", "noframes", "template", "xmp",
})  # fmt: skip
_BLOCKS = frozenset({
    "p", "div", "section", "article", "main", "header", "blockquote", "pre", "ul", "ol", "li", "dl", "dt", "dd", "figure",
    "figcaption", "address", "center", "fieldset", "legend", "details", "summary", "hr", "h1", "h2", "h3", "h4", "h5", "h6",
    "table", "caption", "tr", "td", "th", "tbody", "thead", "tfoot",
})  # fmt: skip
_HEADINGS = {f"h{level}": level for level in range(1, 7)}


def without_pictures(page: str) -> str:
    """Raises NotReadable."""
    page = _PICTURE.sub("", page)
    if len(page) > MOST_MARKUP:
        raise NotReadable(
            f"There is more than {MOST_MARKUP // 1024**2} MB of it without its pictures, and of no page is."
        )
    return page


def parsed(page: str) -> LexborHTMLParser:
    """Raises NotReadable.

    Lexbor goes through all that is open for each tag, and through all attributes for each: bounded, that takes
    at most a few seconds.
    """
    page = without_pictures(page)
    if any(islice(_TAG.finditer(page), MOST_TAGS, None)):
        raise NotReadable(f"It has more than {MOST_TAGS} tags, and no page has.")
    page = _LOOK.sub(r"<\1span>", page.encode(errors="ignore").decode())
    page = _MANY_ATTRIBUTES.sub(r"\g<0>>", page)
    # Else <noscript> would be read, and <selectedcontent> filled with copies.
    return LexborHTMLParser(page, scripting=True, options=LexborDocumentOptions.WO_EVENTS)


def parts(tree: LexborHTMLParser) -> Iterator[LexborNode]:
    """Those that may hold what the page is about, the likeliest first."""
    if (box := tree.css_first(f"#{BOX}")) is not None:
        yield box
    if tree.body is not None:
        for name in ("main", "article"):
            yield from islice((node for node, _ in _walk(tree.body) if node.tag == name), 1)
        yield tree.body


def _walk(part: LexborNode) -> Iterator[tuple[LexborNode, Literal["start", "end", "only"]]]:
    """Within a part, in order; of what is dropped, and of text, a node alone. No call within a call: pages may be nested deeper."""
    dropped = _DROPPED | {"header"} if part.tag == "body" else _DROPPED
    opened: list[LexborNode] = []
    node = part.first_child
    while node is not None or opened:
        if node is None:
            node = opened.pop()
            yield node, "end"
        elif node.is_text_node or node.tag in dropped:
            yield node, "only"
        else:
            yield node, "start"
            opened.append(node)
            node = node.first_child
            continue
        node = node.next


def written(part: LexborNode, address: str) -> Writer:
    writer = Writer(address)
    for node, kind in _walk(part):
        if kind == "start":
            writer.start(node.tag or "", node)
        elif kind == "end":
            writer.end(node.tag or "")
        elif node.is_text_node:
            writer.write(node.text_content or "")
        else:
            writer.flush()
    writer.flush()
    return writer


Block = tuple[Literal["text", "heading", "item", "row"], str]


@dataclass
class _Sink:
    """What is written into: the page, or a cell. lists: of each open list the number of the next item, 0 of one without."""

    blocks: list[Block] = field(default_factory=list)
    inline: list[str] = field(default_factory=list)
    lists: list[int] = field(default_factory=list)
    marker: str = ""
    quotes: int = 0
    is_pre: bool = False
    heading: int = 0
    link: tuple[int, str] | None = None


Row = list[tuple[bool, list[Block]]]
"""Of each cell whether it is one of a heading, and what is in it."""


class Writer:
    """Writes text while it is led through a tree, in which each start has its end."""

    def __init__(self, address: str) -> None:
        self.headings: list[str] = []
        self._address = address
        self._sinks = [_Sink()]
        """The page, and of each table that is open the cell."""
        self._rows: list[Row] = []
        """Of each table that is open."""

    @property
    def text(self) -> str:
        return _joined(self._sinks[0].blocks)

    def write(self, text: str) -> None:
        sink = self._sinks[-1]
        sink.inline.append(text.replace("\r\n", "\n") if sink.is_pre else re.sub(r"\s+", " ", text))

    def start(self, name: str, node: LexborNode) -> None:
        sink = self._sinks[-1]
        if name == "br":
            sink.inline.append("\n")
        elif name == "a":
            # A heading is a title, and its trail leads where nobody wants to go.
            url = "" if sink.heading else self._url(node.attributes.get("href") or "")
            sink.link = (len(sink.inline), url) if url else None
        elif name == "img":
            alt = " ".join((node.attributes.get("alt") or "")[:200].split())
            if any(letter.isalpha() for letter in alt):
                sink.inline.append(f" [picture: {alt}] ")
        elif name in _BLOCKS:
            self.flush()
            self._start_block(name)

    def _start_block(self, name: str) -> None:
        sink = self._sinks[-1]
        if name in _HEADINGS:
            sink.heading = _HEADINGS[name]
        elif name in ("ul", "ol"):
            sink.lists.append(int(name == "ol"))
            sink.marker = ""
        elif name == "li":
            number = sink.lists[-1] if sink.lists else 0
            sink.marker = f"{number}. " if number else "- "
            if number:
                sink.lists[-1] += 1
        elif name == "blockquote":
            sink.quotes += 1
        elif name == "pre":
            sink.is_pre = True
        elif name == "table":
            self._rows.append([])
        elif name in ("td", "th") and self._rows:
            self._sinks.append(_Sink())

    def end(self, name: str) -> None:
        if name == "a":
            self._end_link()
        if name not in _BLOCKS:
            return
        self.flush()
        sink = self._sinks[-1]
        if name in _HEADINGS:
            sink.heading = 0
        elif name in ("ul", "ol"):
            sink.lists.pop()
            sink.marker = ""
        elif name == "li":
            sink.marker = ""
        elif name == "blockquote":
            sink.quotes -= 1
        elif name == "pre":
            sink.is_pre = False
        elif name == "table":
            self._rows.pop()
        elif name in ("td", "th") and self._rows:
            self._rows[-1].append((name == "th", self._sinks.pop().blocks))
        elif name == "tr" and self._rows:
            sink.blocks += _row(self._rows[-1])
            self._rows[-1] = []

    def _end_link(self) -> None:
        sink = self._sinks[-1]
        if sink.link is None:
            return
        start, url = sink.link
        sink.link = None
        said = " ".join("".join(sink.inline[start:]).split())
        if not said or said == url:
            sink.inline[start:] = [url]
        elif "[" in said or "]" in said:
            sink.inline[start:] = [f"{said} ({url}) "]
        else:
            sink.inline[start:] = [f"[{said}]({url})"]

    def _url(self, given: str) -> str:
        given = given.strip()
        if not given or given.startswith("#"):
            return ""
        try:
            return safe_url(urljoin(self._address, given))
        except ValueError:
            return ""

    def flush(self) -> None:
        """What was written so far is a block of its own."""
        sink = self._sinks[-1]
        sink.link = None
        text = "".join(sink.inline)
        sink.inline = []
        lines = text.expandtabs(4).split("\n") if sink.is_pre else [" ".join(line.split()) for line in text.split("\n")]
        while lines and not lines[-1].strip():
            lines.pop()
        while lines and not lines[0].strip():
            lines.pop(0)
        if not lines:
            return
        if sink.heading:
            said = " ".join(" ".join(lines).split())
            if sink.heading == 1:
                self.headings.append(said)
            sink.blocks.append(("heading", f"{'#' * sink.heading} {said}"))
            # One without an end holds the rest of the page.
            sink.heading = 0
            return
        if sink.is_pre:
            lines = [f"    {line}" if line.strip() else "" for line in lines]
        if sink.quotes:
            lines = ["> " + line for line in lines]
        if sink.lists or sink.marker:
            indent = "  " * (min(max(len(sink.lists), 1), DEEPEST_LIST) - 1)
            rest = indent + "  "
            lines = [f"{indent}{sink.marker or '  '}{lines[0]}", *(rest + line if line else "" for line in lines[1:])]
            sink.marker = ""
            sink.blocks.append(("item", "\n".join(lines)))
        else:
            sink.blocks.append(("text", "\n".join(lines)))


def _row(row: Row) -> list[Block]:
    """Tables lay out whole pages on old sites, so that a row is one only where its cells are short."""
    full = [blocks for _, blocks in row if blocks]
    is_short = sum(map(len, full)) <= 800 and sum(len(text) for blocks in full for _, text in blocks) <= 800
    if len(full) < 2 or not is_short or any(kind in ("heading", "row") for blocks in full for kind, _ in blocks):
        return [block for blocks in full for block in blocks]
    cells = [_in_one_line(blocks) for _, blocks in row]
    written: list[Block] = [("row", f"| {' | '.join(cells)} |")]
    if all(is_heading for is_heading, _ in row):
        written.append(("row", "|" + " --- |" * len(cells)))
    return written


def _in_one_line(blocks: list[Block]) -> str:
    lines = [line.strip() for _, text in blocks for line in text.split("\n") if line.strip()]
    return " / ".join(re.sub(r"^- ", "", line) for line in lines).replace("|", "\\|")


def _joined(blocks: list[Block]) -> str:
    """Items and rows stand close together, all else apart."""
    written: list[str] = []
    before = ""
    for kind, text in blocks:
        if written:
            written.append("\n" if kind == before and kind in ("item", "row") else "\n\n")
        written.append(text)
        before = kind
    return "".join(written)
