"""Pages of a site as text that people read: from HTML, from MHTML as browsers save it, and from plain text.

The text is a small part of Markdown: `#` before headings, `-` or `1.` before items, `|` round cells, `>` before quotations,
four blanks before what was laid out by hand, and [text](address). Secrets of the member who saved a page are not in it.

Neither html.parser nor nh3 reads the pages: both need quadratic time for some broken pages of a few hundred kilobytes.
"""

from __future__ import annotations

import codecs
import email
import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urljoin, urlsplit

BLANK = "[secret]"
MOST_BYTES = 16 * 1024 * 1024
"""Of a saved page. One with all its pictures is a few megabytes."""
MOST_CHARACTERS = 500_000
"""Of the text; a book of 250 pages."""
TITLE_CHARACTERS = 255
SUFFIXES = frozenset({".html", ".htm", ".xhtml", ".mht", ".mhtml", ".txt", ".md"})
BOX = "guideBox"
"""The part of a page of MyAnonamouse that holds a guide (https://greasyfork.org/scripts/480153)."""
READER = 1
"""Counted up with each change of what a page becomes, so that files are read again."""

_CUT = "(It goes on; only so much is kept.)"
_DEEPEST = 8
_DEEPEST_TABLE = 40


class NotReadable(ValueError):
    """Why something holds no page that can be kept: a sentence for a person, without anything of its content."""


class LoginPage(NotReadable):
    """The page that asks who one is, in place of the one that was meant."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """is_boxed: whether the text is of the part of the page that holds a guide, and of nothing round it."""

    title: str
    text: str
    is_boxed: bool = False


def read_file(data: bytes, *, name: str) -> Page:
    """A saved page; what it is follows from the end of `name`, which is its title where it has none. Raises NotReadable."""
    if len(data) > MOST_BYTES:
        raise NotReadable(f"It is larger than {MOST_BYTES // 1024**2} MB, and no page is.")
    path = PurePosixPath(name)
    suffix = path.suffix.lower()
    if suffix in (".mht", ".mhtml"):
        return _read_mhtml(data, name=path.stem)
    text = decoded(data, is_html=suffix not in (".txt", ".md"))
    return read_text(text, name=path.stem) if suffix in (".txt", ".md") else read_html(text, name=path.stem)


def read_html(page: str, *, name: str, address: str = "") -> Page:
    """`address` is where the page is from, for the links in it. Raises NotReadable, of which LoginPage where it is that."""
    if saved := re.search(r"<!-- saved from url=\(\d{1,5}\)(https?://[^\s<>]{1,2000}) -->", page[:4000]):
        address = address or saved[1]
    is_login = re.search(r"<form\b[^<>]{0,2000}\btakelogin\.php", page, re.IGNORECASE) is not None
    for part in ("box", "main", "article", "body"):
        writer = _Writer(part, address)
        for event in _events(page):
            writer.take(event)
        text = clean_text(writer.text())
        if not text:
            continue
        if part != "box" and (is_login or _says_signed_out(text)):
            raise LoginPage("It is the page that asks you to sign in, and no guide.")
        title = _title(writer, name)
        return Page(title=title, text=text, is_boxed=part == "box")
    if is_login:
        raise LoginPage("It is the page that asks you to sign in, and no guide.")
    raise NotReadable("There is no text in it.")


def read_text(text: str, *, name: str) -> Page:
    """Raises NotReadable."""
    kept = clean_text(text)
    if not kept:
        raise NotReadable("There is no text in it.")
    heading = re.search(r"^#{1,6} +(.+)$", kept, re.MULTILINE)
    return Page(title=_one_line(heading[1] if heading else name), text=kept)


def _says_signed_out(text: str) -> bool:
    """A guide may speak of it too, at more length."""
    return len(text) < 1000 and re.search(r"\b(?:not|to be) (?:signed|logged) in\b", text, re.IGNORECASE) is not None


def _title(writer: _Writer, name: str) -> str:
    """Of the first heading, which is a trail "Guides -> Beginners -> …", the last part."""
    for said in (*writer.headings[:1], writer.page_title, name):
        parts = [part.strip() for part in re.split(r"\s(?:->|→|»)\s", clean_text(said).replace("\n", " "))]
        if last := next((part for part in reversed(parts) if part), ""):
            return _one_line(last)
    return "Untitled"


def _one_line(text: str) -> str:
    return " ".join(clean_text(text).split())[:TITLE_CHARACTERS].rstrip() or "Untitled"


# -- bytes to characters

_ENCODINGS = re.compile(
    r"utf-?8|utf-?16(?:-?[lb]e)?|us-ascii|iso-?8859-?\d{1,2}|latin-?1|(?:windows|cp)-?125\d|koi8-[ru]|shift_?jis|euc-(?:jp|kr)"
    r"|gb(?:2312|k|18030)|big5",
    re.IGNORECASE,
)
_DECLARED = re.compile(rb"charset\s{0,5}=\s{0,5}[\"']?([\w-]{1,40})", re.IGNORECASE)
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def decoded(data: bytes, *, is_html: bool, declared: str = "") -> str:
    """What cannot be read is replaced. Raises NotReadable where it is no text at all."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    if b"\0" in data[:65536]:
        raise NotReadable("It is no text, whatever its name says.")
    if is_html and not declared and (found := _DECLARED.search(data[:4096])):
        declared = found[1].decode("ascii", "replace")
    # In a page that was read without it, what says UTF-16 is wrong.
    names = ["utf-8", *([declared] if _ENCODINGS.fullmatch(declared) and "16" not in declared[3:6] else []), "cp1252"]
    for encoding in names:
        try:
            return data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            pass
    return data.decode("cp1252", "replace")


def _read_mhtml(data: bytes, *, name: str) -> Page:
    """The part that holds a guide, since a page may show it in a frame; else the first. Raises NotReadable."""
    try:
        parts = [_html_of(part) for part in email.message_from_bytes(data).walk() if _is_html(part)]
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, IndexError):
        # The parser of the standard library fails in many ways on what is no mail.
        parts = []
    problem = NotReadable("It is no page as browsers save it in one file.")
    pages: list[Page] = []
    for text, address in parts[:50]:
        try:
            pages.append(read_html(text, name=name, address=address))
        except NotReadable as error:
            problem = error
    if not pages:
        raise problem
    return next((page for page in pages if page.is_boxed), pages[0])


def _is_html(part: Message) -> bool:
    return part.get_content_type() in ("text/html", "application/xhtml+xml")


def _html_of(part: Message) -> tuple[str, str]:
    payload = part.get_payload(decode=True)
    address = str(part.get("Content-Location", ""))
    body = payload if isinstance(payload, bytes) else b""
    return decoded(body, is_html=True, declared=part.get_content_charset() or ""), address


# -- HTML to events

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]*+)((?:[^<>\"']++|\"[^\"]*+\"|'[^']*+'){0,300}+)>")
_BROKEN_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]*+)([^>]*+)>")
_ATTRIBUTE = re.compile(
    r"""(?<![^\s"'/])(href|id|alt)\s{0,5}=\s{0,5}(?:"([^"]*+)"|'([^']*+)'|([^\s"'>]++))""", re.IGNORECASE
)
# Their content is characters, whatever stands in it.
_RAW = frozenset(
    {"script", "style", "textarea", "title", "noscript", "iframe", "noembed", "noframes", "template", "xmp"}
)

Event = tuple[Literal["start", "end", "text", "title"], str, str]
"""Kind; name, or text; attributes as they stand there."""


def _events(page: str) -> Iterator[Event]:
    """Linear in the length of the page, whatever it is."""
    at, end = 0, len(page)
    last_tag = page.rfind(">")
    while at < end:
        start = page.find("<", at)
        if start < 0 or start > last_tag:
            # Without its end, a comment is the rest.
            yield "text", html.unescape(page[at:].partition("<!--")[0]), ""
            return
        if start > at:
            yield "text", html.unescape(page[at:start]), ""
        if page.startswith(("<!", "<?"), start):
            close = page.find("-->", start + 4) + 3 if page.startswith("<!--", start) else page.find(">", start) + 1
            at = close if close >= start + 2 else end
            continue
        tag = _TAG.match(page, start) or _BROKEN_TAG.match(page, start)
        if tag is None:
            yield "text", "<", ""
            at = start + 1
            continue
        at = tag.end()
        name = tag[2].lower()
        if name in _RAW and not tag[1]:
            last = re.compile(rf"</{name}\b", re.IGNORECASE).search(page, at)
            inside = page[at : last.start() if last else end]
            at = end if last is None else max(page.find(">", last.start()) + 1, last.end())
            if name == "title":
                yield "title", html.unescape(inside), ""
        else:
            yield "end" if tag[1] else "start", name, tag[3]


def _attribute(attributes: str, wanted: str) -> str:
    for found in _ATTRIBUTE.finditer(attributes):
        if found[1].lower() == wanted:
            return html.unescape(found[2] or found[3] or found[4] or "").strip()
    return ""


# -- events to text

_DROPPED = frozenset({
    "nav", "footer", "aside", "form", "select", "button", "object", "svg", "math", "audio", "video", "canvas", "map",
})  # fmt: skip
_BLOCKS = frozenset({
    "p", "div", "section", "article", "main", "header", "blockquote", "pre", "ul", "ol", "li", "dl", "dt", "dd", "figure",
    "figcaption", "address", "center", "fieldset", "legend", "details", "summary", "hr", "body", "html", "head", "h1", "h2",
    "h3", "h4", "h5", "h6", "table", "caption", "tr", "td", "th", "tbody", "thead", "tfoot",
})  # fmt: skip
_HOLDERS = frozenset({"body", "main", "article", "section", "div", "td", "table"})
_HEADINGS = {f"h{level}": level for level in range(1, 7)}

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


@dataclass
class _Table:
    outer: _Sink
    row: list[tuple[bool, list[Block]]] = field(default_factory=list)
    cell: _Sink | None = None
    is_heading: bool = False


class _Writer:
    """Takes the events of a page and writes the text of one part of it."""

    def __init__(self, part: str, address: str) -> None:
        self.page_title = ""
        self.headings: list[str] = []
        self._part, self._address = part, address
        self._top = _Sink()
        self._tables: list[_Table] = []
        self._inside = 0
        """How deep in elements of the part's name; 0 outside of it."""
        self._was_inside = False
        self._dropped = ""
        self._opened: Counter[str] = Counter()
        """Tags within what is left out that are still open, less than none where one was closed that stood round it."""
        self._unopened_tables = 0

    def text(self) -> str:
        while self._tables:
            self._end_table()
        self._flush()
        return _joined(self._top.blocks)

    def take(self, event: Event) -> None:
        kind, name, attributes = event
        if kind == "title":
            self.page_title = self.page_title or name
        elif kind == "text":
            if self._is_read:
                self._write(name)
        elif kind == "start":
            if not self._drops(name, is_end=False) and self._is_part(name, attributes, is_end=False):
                self._start(name, attributes)
        elif not self._drops(name, is_end=True) and self._is_part(name, attributes, is_end=True):
            self._end(name)

    @property
    def _is_read(self) -> bool:
        return not self._dropped and (self._part == "body" or self._inside > 0)

    def _drops(self, name: str, *, is_end: bool) -> bool:
        """Whether the tag belongs to what is left out, which ends at the latest with what it stands in: its own end may be missing."""
        if not self._dropped:
            if is_end or not (name in _DROPPED or (name == "header" and self._part == "body")):
                return False
            if self._is_read:
                self._flush()
            self._dropped = name
            self._opened = Counter({name: 1})
            return True
        if name == self._dropped == "form" and not is_end:
            # One within another is none.
            return True
        self._opened[name] += -1 if is_end else 1
        if name == self._dropped and self._opened[name] < 1:
            self._dropped = ""
            return True
        if is_end and name in _HOLDERS and self._opened[name] < 0:
            self._dropped = ""
            return False
        return True

    def _is_part(self, name: str, attributes: str, *, is_end: bool) -> bool:
        """Whether the tag is within the part, of which only the first is read."""
        if self._part == "body":
            return True
        own = "div" if self._part == "box" else self._part
        if self._inside:
            if name == own:
                self._inside += -1 if is_end else 1
            if not self._inside:
                self._flush()
            return self._inside > 0
        is_box = self._part != "box" or _attribute(attributes, "id") == BOX
        if not is_end and name == own and is_box and not self._was_inside:
            self._inside, self._was_inside = 1, True
        return False

    @property
    def _sink(self) -> _Sink:
        if self._tables:
            return self._tables[-1].cell or self._tables[-1].outer
        return self._top

    def _write(self, text: str) -> None:
        sink = self._sink
        sink.inline.append(text.replace("\r\n", "\n") if sink.is_pre else re.sub(r"\s+", " ", text))

    def _start(self, name: str, attributes: str) -> None:
        if name == "br":
            self._sink.inline.append("\n")
        elif name == "a":
            self._end_link()
            # A heading is a title, and its trail leads where nobody wants to go.
            url = "" if self._sink.heading else self._url(_attribute(attributes, "href"))
            self._sink.link = (len(self._sink.inline), url) if url else None
        elif name == "img":
            alt = _attribute(attributes, "alt")
            if any(letter.isalpha() for letter in alt):
                self._sink.inline.append(f" [picture: {' '.join(alt[:200].split())}] ")
        elif name in _BLOCKS:
            self._start_block(name)

    def _start_block(self, name: str) -> None:
        self._flush()
        sink = self._sink
        if level := _HEADINGS.get(name):
            sink.heading = level
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
            if len(self._tables) < _DEEPEST_TABLE:
                self._tables.append(_Table(outer=sink))
            else:
                self._unopened_tables += 1
        elif name == "tr":
            self._end_row()
        elif name in ("td", "th") and self._tables:
            self._end_cell()
            self._tables[-1].cell = _Sink()
            self._tables[-1].is_heading = name == "th"

    def _end(self, name: str) -> None:
        if name == "a":
            self._end_link()
        if name not in _BLOCKS:
            return
        self._flush()
        sink = self._sink
        if name in ("ul", "ol"):
            sink.lists[-1:] = []
            sink.marker = ""
        elif name == "li":
            sink.marker = ""
        elif name == "blockquote":
            sink.quotes = max(sink.quotes - 1, 0)
        elif name == "pre":
            sink.is_pre = False
        elif name in ("td", "th"):
            self._end_cell()
        elif name == "tr":
            self._end_row()
        elif name == "table":
            if self._unopened_tables:
                self._unopened_tables -= 1
            else:
                self._end_table()

    def _end_link(self) -> None:
        sink = self._sink
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
        if not given or given.startswith("#"):
            return ""
        try:
            return safe_url(urljoin(self._address, given))
        except ValueError:
            return ""

    def _flush(self) -> None:
        """What was written so far is a block of its own."""
        sink = self._sink
        sink.link = None
        heading, sink.heading = sink.heading, 0
        if not sink.inline:
            return
        text = "".join(sink.inline)
        sink.inline = []
        lines = text.expandtabs(4).split("\n") if sink.is_pre else [" ".join(line.split()) for line in text.split("\n")]
        while lines and not lines[-1].strip():
            lines.pop()
        while lines and not lines[0].strip():
            lines.pop(0)
        if not lines:
            return
        if heading:
            said = " ".join(" ".join(lines).split())
            if heading == 1:
                self.headings.append(said)
            sink.blocks.append(("heading", f"{'#' * heading} {said}"))
            return
        if sink.is_pre:
            lines = [f"    {line}" if line.strip() else "" for line in lines]
        if sink.quotes:
            lines = ["> " + line for line in lines]
        if sink.lists or sink.marker:
            indent = "  " * (min(max(len(sink.lists), 1), _DEEPEST) - 1)
            rest = indent + "  "
            lines = [f"{indent}{sink.marker or '  '}{lines[0]}", *(rest + line if line else "" for line in lines[1:])]
            sink.marker = ""
            sink.blocks.append(("item", "\n".join(lines)))
        else:
            sink.blocks.append(("text", "\n".join(lines)))

    # Tables lay out whole pages on old sites, so that a row is one only where its cells are short.

    def _end_cell(self) -> None:
        if self._tables and (table := self._tables[-1]).cell is not None:
            self._flush()
            table.row.append((table.is_heading, table.cell.blocks))
            table.cell = None

    def _end_row(self) -> None:
        if not self._tables:
            return
        self._end_cell()
        table = self._tables[-1]
        row, table.row = table.row, []
        full = [blocks for _, blocks in row if blocks]
        length = sum(len(text) for blocks in full for _, text in blocks)
        is_plain = all(kind in ("text", "item") for blocks in full for kind, _ in blocks)
        if len(full) > 1 and length <= 800 and is_plain:
            cells = [_in_one_line(blocks) for _, blocks in row]
            table.outer.blocks.append(("row", f"| {' | '.join(cells)} |"))
            if all(is_heading for is_heading, _ in row):
                table.outer.blocks.append(("row", "|" + " --- |" * len(cells)))
        else:
            for blocks in full:
                table.outer.blocks += blocks

    def _end_table(self) -> None:
        if self._tables:
            self._end_row()
            self._tables.pop()


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


# -- what is not kept

_NOT_KEPT = re.compile("[^\n\t -\x7e\xa0-\u2029\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufff8\ufffc-\U0010ffff]")
"""Control characters, half characters, and marks that turn the direction of what follows."""
_URL = re.compile(r"(?:https?|udp|wss?|magnet)(?:://|:\?)[^\s<>\"'`|()\[\]{}]+", re.IGNORECASE)
_SECRET_PARAMETERS = re.compile(
    r"pass_?key|torrent_?pass|(?:rss|auth|api)_?key|mam_id|token|key|secret|sid|session(?:_?id)?|pass(?:word|wd)?|pwd|pid"
    r"|hash|auth|uid|user(?:name)?|dl|tr",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"(?i)(?<![a-z])(pass[_ -]?key|torrent_pass|(?:rss|auth|api)[_ -]?key|mam_id|session[_ -]?id|secret|token|password|passwd|pwd)"
    r"([\"']?\s{0,3}[=:]\s{0,3}[\"']?)([^\s\"'<>&,;()\[\]{}]{6,})"
)
_LONG = re.compile(r"[A-Za-z0-9+/=_%~-]{32,}")
_OPAQUE = re.compile(r"[A-Za-z0-9+=]{20,}")


def clean_text(text: str) -> str:
    """Without secrets and what no page shows; blanks and empty lines in order; no longer than is kept. What is clean stays as it is."""
    text = _NOT_KEPT.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).expandtabs(4)
    text = unicodedata.normalize("NFC", text)
    text = _URL.sub(lambda found: _url_in_text(found[0]), text)
    text = _NAMED.sub(_without_value, text)
    text = _LONG.sub(lambda found: BLANK if _is_secret(found[0]) else found[0], text)
    lines: list[str] = []
    length, is_cut = 0, False
    for line in (each.rstrip() for each in text.split("\n")):
        if not line and (not lines or not lines[-1]):
            continue
        if length + len(line) + 1 > MOST_CHARACTERS:
            is_cut = True
            line = line[: max(MOST_CHARACTERS - length - 1, 0)].rstrip()
        lines.append(line)
        length += len(line) + 1
        if is_cut:
            break
    while lines and not lines[-1]:
        lines.pop()
    if is_cut:
        lines += ["", _CUT]
    return "\n".join(lines)


def safe_url(url: str) -> str:
    """An address of the web as it may be kept; empty where it is none, or where it opens something as its owner."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        return ""
    path = parts.path.lower()
    pieces = parts.path.split("/")
    if "announce" in path or re.search(r"download\.php/.", path) or any(_is_secret(unquote(each)) for each in pieces):
        return ""
    try:
        asked = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=50)
    except ValueError:
        asked = [("key", "")]
    # Whose key it is stands beside it.
    is_secret = any(
        _SECRET_PARAMETERS.fullmatch(name) or _is_secret(value) or _is_secret(name) for name, value in asked
    )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    netloc = host if port is None else f"{host}:{port}"
    kept = f"{parts.path}?{parts.query}" if parts.query and not is_secret else parts.path
    kept = re.sub(r"[\s<>\"'`|()\[\]{}\\]", lambda found: quote(found[0]), kept)
    return f"{parts.scheme.lower()}://{netloc}{kept}"[:2000]


def _url_in_text(url: str) -> str:
    # What ends a sentence is not part of it.
    said = url.rstrip(".,;:!?*_")
    return (safe_url(said) or BLANK) + url[len(said) :]


def _without_value(found: re.Match[str]) -> str:
    name, between, value = found.groups()
    is_told = "=" in between or (len(value) >= 8 and any(letter.isdigit() for letter in value))
    return f"{name}{between}{BLANK}" if is_told and not value.startswith(BLANK) else found[0]


def _is_secret(text: str) -> bool:
    """Whether it looks like a key: long, and of nothing but digits of base 16, or of letters and digits without sense."""
    if re.search(r"[0-9a-fA-F]{32,}", text):
        return True
    return any(
        sum(letter.isdigit() for letter in each) >= 4 and re.search("[a-z]", each) and re.search("[A-Z]", each)
        for each in _OPAQUE.findall(text)
    )


# -- the text to what a page is laid out of


@dataclass(frozen=True, kw_only=True)
class Part:
    """kind: heading (level), text, quotation, as written, list (of (level, marker, text)), table (rows of cells)."""

    kind: Literal["heading", "text", "quotation", "written", "list", "table"]
    level: int = 0
    text: str = ""
    items: tuple[tuple[int, str, str], ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    has_head: bool = False


_ITEM = re.compile(r"( {0,20})(-|\d{1,4}\.) +(\S.*)")
_HEADING = re.compile(r"(#{1,6}) +(\S.*)")


def laid_out(text: str) -> Iterator[Part]:
    """The parts of a text in the form that this module writes; any text is in that form."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        start = at
        if not line.strip():
            at += 1
        elif found := _HEADING.fullmatch(line):
            yield Part(kind="heading", level=len(found[1]), text=found[2])
            at += 1
        elif _is_row(line):
            while at < len(lines) and _is_row(lines[at]):
                at += 1
            yield _table(lines[start:at])
        elif _ITEM.fullmatch(line):
            items: list[tuple[int, str, str]] = []
            while at < len(lines) and lines[at].strip():
                if item := _ITEM.fullmatch(lines[at]):
                    items.append((min(len(item[1]) // 2, _DEEPEST - 1), item[2], item[3]))
                elif lines[at].startswith(" "):
                    level, marker, said = items[-1]
                    items[-1] = level, marker, f"{said}\n{lines[at].strip()}"
                else:
                    break
                at += 1
            yield Part(kind="list", items=tuple(items))
        else:
            kind = _kind_of(line)
            while at < len(lines) and _kind_of(lines[at]) == kind:
                at += 1
            cut = {"written": 4, "quotation": 2}.get(kind, 0)
            said = "\n".join(each[cut:] for each in lines[start:at])
            yield Part(kind=kind, text=said)  # type: ignore[arg-type]


def _is_row(line: str) -> bool:
    return len(line) > 2 and line.startswith("|") and line.endswith("|")


def _kind_of(line: str) -> str:
    if not line.strip() or _is_row(line) or _HEADING.fullmatch(line) or _ITEM.fullmatch(line):
        return ""
    return "written" if line.startswith("    ") else "quotation" if line.startswith("> ") else "text"


def _table(lines: list[str]) -> Part:
    rows = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line[1:-1])] for line in lines]
    is_line = [all(cell == "---" for cell in row) for row in rows]
    width = max(len(row) for row in rows)
    told = [(*row, *[""] * (width - len(row))) for row, line in zip(rows, is_line, strict=True) if not line]
    return Part(kind="table", rows=tuple(told), has_head=len(rows) > 1 and is_line[1] and not is_line[0])
