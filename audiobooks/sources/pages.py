"""Pages of a site as text that people read: from HTML, from MHTML as browsers save it, and from plain text.

The text is a small part of Markdown: `#` before headings, `-` or `1.` before items, `|` round cells, `>` before quotations,
four blanks before what was laid out by hand, and [text](address). Secrets of the member who saved a page are not in it.
"""

from __future__ import annotations

import codecs
import email
import re
from dataclasses import dataclass
from email.message import Message
from pathlib import PurePosixPath

from selectolax.lexbor import LexborHTMLParser

from .cleaning import clean_text
from .markup import BOX, MOST_TAGS, NotReadable, parsed, parts, without_pictures, written

MOST_BYTES = 16 * 1024 * 1024
"""Of a saved page. One with all its pictures is a few megabytes."""
TITLE_CHARACTERS = 255
SUFFIXES = frozenset({".html", ".htm", ".xhtml", ".mht", ".mhtml", ".txt", ".md"})
READER = 2
"""Counted up with each change of what a page becomes, so that files are read again."""


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
    tree = parsed(page)
    for part in parts(tree):
        writer = written(part, address)
        if text := clean_text(writer.text):
            is_boxed = part.id == BOX
            if not is_boxed and (is_login or _says_signed_out(text)):
                break
            return Page(title=_title(writer.headings[:1], tree, name), text=text, is_boxed=is_boxed)
    else:
        if not is_login:
            raise NotReadable("There is no text in it.")
    raise LoginPage("It is the page that asks you to sign in, and no guide.")


def read_text(text: str, *, name: str) -> Page:
    """Raises NotReadable."""
    if not (kept := clean_text(without_pictures(text))):
        raise NotReadable("There is no text in it.")
    heading = re.search(r"^#{1,6} +(.+)$", kept, re.MULTILINE)
    return Page(title=_one_line(heading[1] if heading else name), text=kept)


def _says_signed_out(text: str) -> bool:
    """A guide may speak of it too, at more length."""
    return len(text) < 1000 and re.search(r"\b(?:not|to be) (?:signed|logged) in\b", text, re.IGNORECASE) is not None


def _title(headings: list[str], tree: LexborHTMLParser, name: str) -> str:
    """Of the first heading, which is a trail "Guides -> Beginners -> …", the last part."""
    title = tree.css_first("title")
    for said in (*headings, title.text() if title else "", name):
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
        found = [_html_of(part) for part in email.message_from_bytes(data).walk() if _is_html(part)]
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, IndexError):
        # The parser of the standard library fails in many ways on what is no mail.
        found = []
    problem = NotReadable("It is no page as browsers save it in one file.")
    pages: list[Page] = []
    tags = 0
    for number, (text, address) in enumerate(found[:50]):
        tags += text.count("<")
        if number and tags > MOST_TAGS:
            break
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
