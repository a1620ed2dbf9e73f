"""Pages become text: what is read of them, what is left out, and that any page ends in time."""

from __future__ import annotations

import quopri
import re
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audiobooks.sources import cleaning, pages
from audiobooks.sources.cleaning import clean_text, safe_url
from audiobooks.sources.layout import laid_out
from audiobooks.sources.markup import NotReadable
from audiobooks.sources.pages import LoginPage, read_file, read_html

HOME = "https://www.myanonamouse.net/guides/?gid=72809"
KEY = "0123456789abcdef0123456789abcdef"
GUIDE = """<!DOCTYPE html><html><head><title>Guides | My Anonamouse</title><style>p { color: red }</style>
<script>var passkey = "SCRIPT";</script></head><body><header>Welcome alice, ratio 2.5</header><nav><a href="/">Home</a></nav>
<div id="userMenu">alice 99,999 points</div>
<div class="blockBody" id=guideBox><h1><a href="/guides/">Guides</a> -&gt; Beginners -&gt; Start here &amp; stay</h1>
<p>Seed <b>each</b>&nbsp;torrent for 72&nbsp;hours.<br>See <a href="?gid=38940#top">seeding well</a>.
<ul><li>One<li>Two<ul><li>Deep</li></ul></li></ul><ol><li><p>First</p><p>more of it</p></li><li>Second</li></ol>
<table><thead><tr><th>Class</th><th>Slots</th></tr></thead><tr><td>User<td>50 | fifty</tr><tr><td>VIP</td><td><p>150</p><p>or so</p></td></tr></table>
<blockquote>Be kind.<br>Always.</blockquote><pre>announce
  port	6881</pre><form><input name=q>Search</form><div>At the end</div></div>
<footer>Footer</footer></body></html>"""
TEXT = """# Guides -> Beginners -> Start here & stay

Seed each torrent for 72 hours.
See [seeding well](https://www.myanonamouse.net/guides/?gid=38940).

- One
- Two
  - Deep
1. First
  more of it
2. Second

| Class | Slots |
| --- | --- |
| User | 50 \\| fifty |
| VIP | 150 / or so |

> Be kind.
> Always.

    announce
      port  6881

At the end"""


def text_of(html: str) -> str:
    return read_html(html, name="page", address=HOME).text


def test_a_guide_is_read() -> None:
    page = read_html(GUIDE, name="page", address=HOME)
    assert page.text == TEXT
    assert (page.title, page.is_boxed) == ("Start here & stay", True)


@pytest.mark.parametrize(
    ("html", "title"),
    [
        ("<title>Rules :: Site</title><p>x", "Rules :: Site"), ("<p>x", "page"), ("<h1></h1><h1>B</h1>x", "B"),
        ("<h1>A » B</h1>x", "B"), ("<h1>A -> </h1>x", "A ->"), (f"<h1>{'y' * 900}</h1>", "y" * 255), ("<title>  </title>x", "page"),
        (f"<h1>passkey={KEY}</h1>", "passkey=[secret]"), ("<title>a\nb</title>x", "a b"), ("<h1>\u202eevil</h1>x", "evil"),
    ],
)  # fmt: skip
def test_titles(html: str, title: str) -> None:
    assert read_html(html, name="page").title == title


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<body><nav>no</nav>yes<aside>no</aside></body>", "yes"),
        ("<main>yes</main>no", "yes"), ("<article>yes</article>no", "yes"), ("<main></main>rest", "rest"),
        ("<header>no</header><main><header>yes</header></main>", "yes"),
        ('<div id="guideBox"><div>a</div>b</div>c', "a\n\nb"), ("<div id='guideBox'>a", "a"),
        ('<div id="guideBox">a</div><div id="guideBox">b</div>', "a"), ('<div data-id="guideBox">a</div>b', "a\n\nb"),
        ('<p title="<script>">a</p>', "a"), ("<script>no</script >yes", "yes"), ("<SCRIPT>no</SCRIPT>yes", "yes"),
        ("a<script>no", "a"), ("a<script src='x>no</script>b", "a"), ("a<!-- no --><!-- no > no -->b", "ab"), ("a<!-- no", "a"),
        ("a<!doctype x>b", "ab"), ("a < b > c <3", "a < b > c <3"), ("x &lt;script&gt; y", "x <script> y"),
        ("<textarea><p>no</textarea>yes", "yes"), ("<iframe>no</iframe>yes", "yes"), ("<template>no</template>yes", "yes"),
        ("<noscript>no</noscript>yes", "yes"), ("<svg><text>no</text></svg>yes", "yes"), ("<form>no</form>yes", "yes"),
        ("<main><form>no</main>", "never"), ("<table><td><nav>no</td><td>yes</td></table>", "yes"), ("</nav></table></ul></li>yes", "yes"),
        ("<select><option>no</select>yes", "yes"), ("<img alt='A map' src=x>yes", "[picture: A map] yes"), ("<img alt=':)'>yes", "yes"),
        ("<table><tr><td>left<td><table><tr><td>in<td>ner</table></table>", "left\n\n| in | ner |"),
        ("<table><tr><td><h2>Head</h2><p>one</p><td>two</table>", "## Head\n\none\n\ntwo"),
        ("<table><tr><td>alone</table>", "alone"), ("<td>no table", "no table"),
        ("<li>no list", "- no list"), ("<h2>a<br>b</h2>", "## a b"), ("<dl><dt>T<dd>D</dl>", "T\n\nD"),
        ("<a href='javascript:alert(1)'>x</a>", "x"), ("<a href='mailto:a@b.c'>x</a>", "x"), ("<a href='#y'>x</a>", "x"),
        ("<a href='//e.org/p'>x</a>", "[x](https://e.org/p)"), ("<a href='https://e.org/p'>https://e.org/p</a>", "https://e.org/p"),
        ("<a href='https://e.org/a(b)'>x</a>", "[x](https://e.org/a%28b%29)"), ("<a href='https://e.org'>[x]</a>", "[x] (https://e.org)"),
        ("<a href='https://[bad'>x</a>", "x"), ("<a href='https://e.org'><p>x</p></a>", "x"),
        ("<a href='https://e.org'>one<a href='https://e.com'>two", "[one](https://e.org)[two](https://e.com)"),
        ("a\x00b\x07c\ud800d\u202ee", "abcde"), ("&#0;&#x110000;&#xd800;x", "\ufffd\ufffd\ufffdx"), ("a&nbsp;&nbsp;b", "a b"),
        ("<p>a</p>\n\n<p> </p><p>b", "a\n\nb"),
        ("<nav><table><tr><td>no</td><td>no</td></tr></table><div>no</div>no</nav>yes", "yes"),
        ("<form><table><td>no</td></table><form>no</form>yes", "yes"), ("<div><form>no</div>yes", "yes"),
        ("<aside><article>no</article>no<aside>no</aside>no</aside>yes", "yes"), ("<td><form>no<td>no</td></form>yes", "yes"),
    ],
)  # fmt: skip
def test_odd_pages(html: str, text: str) -> None:
    if text == "never":
        with pytest.raises(NotReadable):
            text_of(html)
    else:
        assert text_of(html) == text


@pytest.mark.parametrize(
    "html",
    [
        '<form method=post action="/takelogin.php">E-mail <input type=password></form><p>Welcome</p>',
        "<FORM ACTION='https://x.net/takelogin.php'>", "<h1>Error, you are not signed in<br />Other error</h1>", "You are not logged in.",
    ],
)  # fmt: skip
def test_a_login_page_is_no_guide(html: str) -> None:
    with pytest.raises(LoginPage):
        text_of(html)


def test_a_guide_may_speak_of_signing_in() -> None:
    assert "not logged in" in text_of('<div id="guideBox">If you are not logged in, log in.</div>')
    assert "not logged in" in text_of(f"<p>{'A long guide. ' * 100}If you are not logged in, log in.</p>")


@pytest.mark.parametrize("html", ["", " ", "<p></p>", "<script>x</script>", "<!--", "<img src=x>", "\x00", "<br>" * 9])
def test_no_text_is_no_page(html: str) -> None:
    with pytest.raises(NotReadable):
        text_of(html)


# -- secrets


@pytest.mark.parametrize(
    "html",
    [
        f"https://t.myanonamouse.net/tracker.php/{KEY}/announce", f"udp://t.example.org:80/{KEY}", "http://t.example.org/SHORT/announce",
        "https://www.myanonamouse.net/tor/download.php/SHORTdl", "https://x.net/rss.php?user=SHORT&passkey=SHORT",
        "https://x.net/rss?torrent_pass=SHORT", "https://x.net/?a=1&token=SHORT", "https://SHORT:SHORT@x.net/", "https://SHORT@x.net/",
        "https://x.net/p#SHORT", f"https://x.net/{KEY}", "https://x.net/x/aB3dE6gH9jK2mN5pQ8rS1tU4", "https://x.net/?q=aB3dE6gH9jK2mN5pQ8rS1tU4",
        "magnet:?xt=urn:btih:SHORT&tr=http://x/SHORT",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "form", ["{}", "<a href='{}'>link</a>", "<a href='{}'>{}</a>", "see ({}). Then", "<pre>{}</pre>"]
)
def test_secret_addresses_are_not_kept(html: str, form: str) -> None:
    text = text_of(f"before {form.replace('{}', html.replace('&', '&amp;'))} after")
    assert "SHORT" not in text and KEY not in text and "aB3d" not in text
    assert text.startswith("before") and text.endswith("after")


@pytest.mark.parametrize(
    "said",
    [
        f"Your passkey: {KEY}", f"passkey={KEY}", "passkey=secret77", "Passkey : SECRET77X", 'mam_id="SECRET77%3D"', "mam_id=SECRETX",
        f"key {KEY}", KEY.upper(), f"x{KEY}y", "authkey=SECRET77", "api key: SECRET77", "token=SECRET7", "RSS key: SECRET77",
        "cookie mam_id: SECRET77abc", "A" * 10 + "b1c2d3e4f5g6h7" * 3, "password=SECRET7",
    ],
)  # fmt: skip
def test_secret_words_are_not_kept(said: str) -> None:
    for text in (text_of(f"<p>{said}</p>"), clean_text(said), read_file(said.encode(), name="x.txt").text):
        assert "[secret]" in text
        assert "SECRET" not in text.upper().replace("[SECRET]", "") and KEY not in text.lower() and "b1c2" not in text


@pytest.mark.parametrize(
    "said",
    [
        "Password: at least eight", "The cookie: what it is", "A token: it is spent.", "https://www.myanonamouse.net/guides/?gid=72809",
        "https://www.myanonamouse.net/t/273200", "Port=6881", "The-Way-of-Kings-2010-Unabridged-Book-01-of-10", "C:\\Users\\name",
        "secret: nobody knows", "https://forum.example.org/viewtopic.php?f=6&t=1234",
    ],
)  # fmt: skip
def test_plain_words_are_kept(said: str) -> None:
    assert clean_text(said) == said


def test_unsafe_addresses() -> None:
    for bad in ("", "x", "ftp://x", "javascript:x", "https://", "https://[", "https://x:99999/", "file:///etc/passwd"):
        assert safe_url(bad) == ""
    assert safe_url("https://[::1]:80/a b") == "https://[::1]:80/a%20b"


# -- files


def mhtml(*parts: tuple[str, bytes], boundary: str = "----x") -> bytes:
    head = f'From: <Saved by Blink>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; type="text/html"; boundary="{boundary}"\r\n'
    body = b"".join(f"\r\n--{boundary}\r\n{headers}\r\n\r\n".encode() + data for headers, data in parts)
    return head.encode() + b"\r\n" + body + f"\r\n--{boundary}--\r\n".encode()


def test_mhtml() -> None:
    frame = ("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
        "Content-Location: https://www.myanonamouse.net/guides/?gid=1", quopri.encodestring(GUIDE.encode()))  # fmt: skip
    outer = ("Content-Type: text/html\r\nContent-Location: https://x.net/", b"<p>Outer caf\xe9</p>")
    picture = ("Content-Type: image/png\r\nContent-Transfer-Encoding: base64", b"AAAA")
    page = read_file(mhtml(outer, frame, picture), name="a/Saved.mhtml")
    assert (page.title, page.text) == ("Start here & stay", TEXT)
    page = read_file(mhtml(outer, picture), name="a/Saved.MHT")
    assert (page.title, page.text) == ("Saved", "Outer café")


@pytest.mark.parametrize(
    "data",
    [
        b"", b"no mail", b"Content-Type: multipart/related; boundary=x\n\n--x\n--x--", b"Content-Type: text/plain\n\nx",
        b'Content-Type: text/html; charset="\xff"\n\n', mhtml(("Content-Type: text/html", b"<p></p>")),
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3000)),
    ],
)  # fmt: skip
def test_what_is_no_mhtml(data: bytes) -> None:
    with pytest.raises(NotReadable):
        read_file(data, name="x.mht")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Äpfel".encode(), "Äpfel"), ("Äpfel".encode("latin-1"), "Äpfel"), ("Äpfel".encode("utf-8-sig"), "Äpfel"),
        (b"\xff\xfe" + "Äpfel".encode("utf-16-le"), "Äpfel"), (b"\xfe\xff" + "Äpfel".encode("utf-16-be"), "Äpfel"),
        (b'<meta charset="koi8-r">' + "Книга".encode("koi8-r"), "Книга"),
        (b'<meta charset="utf-16">x', "x"), (b'<meta charset="punycode">x\xe9', "xé"), (b"<meta charset=\"rot13\">x\xe9", "xé"),
        (b"\xff\xfe\x00\xd8x", None), (b"x\x81\x8dy", "xy"),
    ],
)  # fmt: skip
def test_encodings(data: bytes, text: str | None) -> None:
    page = read_file(data, name="x.html")
    assert text is None or re.sub("\ufffd", "", page.text) == text


@pytest.mark.parametrize("name", ["x.html", "x.txt", "x.md", "x.mht"])
def test_a_binary_file_is_refused(name: str) -> None:
    with pytest.raises(NotReadable):
        read_file(b"\x89PNG\r\n\x1a\n\x00\x00" + bytes(range(256)), name=name)


def test_a_large_file_is_refused_and_a_long_text_cut() -> None:
    with pytest.raises(NotReadable, match="larger than 16 MB"):
        read_file(b"x" * (pages.MOST_BYTES + 1), name="x.txt")
    text = read_file(b"word " * 200_000, name="x.txt").text
    assert cleaning.MOST_CHARACTERS - 10 < len(text) < cleaning.MOST_CHARACTERS + 100
    assert text.endswith("(It goes on; only so much is kept.)")
    assert clean_text(text) == text


def test_plain_text() -> None:
    page = read_file(b"intro\r\n\r\n\r\n\r\n## The Rules\r\n- be kind  \r\n", name="Rules of 2026.md")
    assert (page.title, page.text) == ("The Rules", "intro\n\n## The Rules\n- be kind")
    assert read_file(b"be kind", name="a.b/Rules of 2026.txt").title == "Rules of 2026"


def test_where_a_saved_page_is_from() -> None:
    saved = f"<!-- saved from url=(0046){HOME} -->\n<a href='/t/1'>x</a>"
    assert read_html(saved, name="x").text == "[x](https://www.myanonamouse.net/t/1)"


# -- any page

TAGS = ["p", "div", "ul", "ol", "li", "table", "tr", "td", "th", "pre", "blockquote", "h1", "h3", "a", "form", "nav", "main", "b",
    "script", "style", "title", "header", "article", "textarea", "svg", "br"]  # fmt: skip
pieces = st.one_of(
    st.sampled_from(TAGS).map(lambda tag: f"<{tag}>"),
    st.sampled_from(TAGS).map(lambda tag: f"</{tag}>"),
    st.sampled_from(['<div id="guideBox">', "<a href='/x?passkey=abc123def'>", "<!--", "-->", "<", ">", '"', "'", "<a href='", "&lt;",
        "&#x", "]]>", "| a | b |", "- x", "1. y", "    z", "> q", "# h", "\n", "\n\n", " ", f"passkey={KEY}", f"https://x.net/{KEY}/announce",
        "[t](https://x.net/p)", "Ünï", "\u0301", "\t", "passkey=", "[secret]", "https://", "mam_id: a1b2c3d4e5"]),
    st.text(max_size=12),
)  # fmt: skip
markup = st.lists(pieces, max_size=40).map("".join)


@settings(max_examples=400, deadline=None)
@given(markup)
@example("<table><td><ul><table></ul></table>")
def test_any_page_is_read_or_refused(page: str) -> None:
    try:
        found = read_html(page, name="name", address=HOME)
    except NotReadable:
        return
    assert found.text and found.title and len(found.title) <= 255 and "\n" not in found.title
    assert KEY not in found.text and "abc123def" not in found.text
    assert clean_text(found.text) == found.text
    found.text.encode()
    list(laid_out(found.text))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(pieces, st.text(max_size=30)), max_size=20).map("".join))
def test_what_is_clean_stays_as_it_is(text: str) -> None:
    once = clean_text(text)
    assert clean_text(once) == once
    assert KEY not in once


@settings(max_examples=200, deadline=None)
@given(markup, st.sampled_from(["script", "style", "template", "noscript"]), markup)
def test_no_script_is_text(before: str, tag: str, after: str) -> None:
    # Whatever stands round it; but within a comment or a quotation it would be none.
    before, after = (re.sub(r"[<\"'>]|&#?x?", " ", each) for each in (before, after))
    page = f"<div>{before}<{tag} type='x'>NEVERSHOWN <p>x</p></{tag}>{after}</div>END"
    assert "NEVERSHOWN" not in text_of(page) and text_of(page).endswith("END")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["x.html", "x.mht", "x.txt", "x.md"]))
def test_any_file_is_read_or_refused(data: bytes, name: str) -> None:
    for each in (data, b"Content-Type: multipart/related; boundary=x\n\n--x\nContent-Type: text/html\n" + data):
        try:
            read_file(each, name=name).text.encode()
        except NotReadable:
            pass


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_every_line_of_a_text_is_laid_out(text: str) -> None:
    parts = list(laid_out(text))
    shown = "".join(
        part.text
        + "".join(marker + said for _, marker, said in part.items)
        + "".join(cell for row in part.rows for cell in row)
        for part in parts
    )
    letters = {letter for letter in text if letter.isalnum()}
    assert letters <= set(shown)


def test_a_guide_is_laid_out() -> None:
    parts = list(laid_out(TEXT))
    assert [part.kind for part in parts] == ["heading", "text", "list", "table", "quotation", "written", "text"]
    assert parts[2].items == (
        (0, "-", "One"),
        (0, "-", "Two"),
        (1, "-", "Deep"),
        (0, "1.", "First\nmore of it"),
        (0, "2.", "Second"),
    )
    assert parts[3].has_head and parts[3].rows == (("Class", "Slots"), ("User", "50 | fifty"), ("VIP", "150 / or so"))
    assert parts[4].text == "Be kind.\nAlways." and parts[5].text == "announce\n  port  6881"


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 60_000, "<a '<a ' " * 40_000, "<a \"<a ' " * 40_000, "<" * 300_000, "<!--" * 100_000, "<script>" * 40_000,
        "<table><tr><td>x" * 9_900, "<title>x" * 40_000, "<a href=x>y" * 30_000, "&" * 300_000, "<ul><li>x" * 14_900,
        "<br>" * 100_000, "passkey: " * 30_000, "abcdef0123456789" * 20_000, "https://" * 40_000, "https://x.y/?" + "&a=b" * 60_000,
        "- x\n" * 50_000, "| a " * 50_000, "\\|" * 50_000, "a = " * 50_000, "<a =\"" + "x = " * 50_000, "<form>" * 50_000, "<nav></p>" * 14_900,
        # As many tags as are read.
        "<div>" * 29_000, "<h1><div>" * 14_500, "<table><tr><td>x<td>" * 7_000, "<font>" * 29_000, "<svg>" + "<g>" * 14_500 + "</x>" * 14_500,
        "".join(f"<font color={number}>" for number in range(29_000)), "<!---->x" * 29_000, "<ol><li>x" * 14_500,
        "<p>" + "".join(f"<b {number}>" for number in range(14_500)) + "</p>" + "<p>x</p>" * 9_000,
        # As many characters as are read, and more.
        "<" * 2_000_000, "<p " + " ".join(f"x{number}" for number in range(400_000)), "<p" + "".join(f"/x{number}='>'" for number in range(300_000)),
        "<a " * 29_000 + 'x="' + "y" * 4_000_000, "<font>" * 400_000, "<p title='" + "x" * 4_000_000, "<table><tr><td><table>x<!---->" * 100_000,
    ],
)  # fmt: skip
@pytest.mark.slow
def test_a_hostile_page_costs_its_length(page: str) -> None:
    def cost(text: str) -> float:
        started = time.process_time()
        try:
            list(laid_out(read_html(text, name="x").text))
        except NotReadable:
            pass
        return time.process_time() - started

    cost(page[: len(page) // 4])
    assert cost(page) < 5


@pytest.mark.parametrize("tag", ["div", "b", "font color=1", "ul", "table><tr><td", "blockquote", "span"])
def test_what_lies_deep_is_read(tag: str) -> None:
    assert text_of(f"<{tag}>" * 9_000 + "<p>deep</p>").split()[-1] == "deep"


def test_the_pictures_in_a_page_are_not_counted() -> None:
    pictures = f"<img src='data:image/png;base64,{'iVBO/w0K' * 100_000}'>" * 9
    assert text_of(f"<p>before</p>{pictures}<p>after</p>") == "before\n\nafter"
    for text in ("word " * 900_000, "<p>word " * 900_000):
        for name in ("x.html", "x.txt"):
            with pytest.raises(NotReadable, match="4 MB"):
                read_file(text.encode(), name=name)
    with pytest.raises(NotReadable, match="more than 30000 tags"):
        text_of("<br>" * 30_000 + "x<br>")


def test_how_text_looks_is_not_read() -> None:
    assert text_of("<p>a<B class='x>y'>b</b><big>c</big> <base><body><i\n>d</i></p>") == "ay'>bc d"
    many = "".join(f" x{number}='>'" for number in range(40))
    assert text_of(f"<p{many}>yes</p>") == "yes"


def test_refusals_say_nothing_of_the_content() -> None:
    problems: list[Any] = []
    for data, name in ((f"<form action=takelogin.php>{KEY}".encode(), "x.html"), (f"\0{KEY}".encode(), "x.txt")):
        with pytest.raises(NotReadable) as refused:
            read_file(data, name=name)
        problems.append(str(refused.value))
    assert KEY not in str(problems)
