"""Secrets are blanked out before a text reaches a log, a Task, a page or an exception."""

import logging
import re

from .conf import scheduling_settings

BLANK = "[secret]"
# A shorter value would blank out ordinary words.
_SHORTEST_SECRET = 6

_PATTERNS = (
    (re.compile(r"(?<=://)([^/\s:@]+):([^/\s@]+)(?=@)"), rf"\1:{BLANK}"),
    (re.compile(r"(?i)\b(authorization\s*[:=]\s*(?:bearer|basic)?)\s*[^\s,;]+"), rf"\1 {BLANK}"),
    (
        re.compile(
            r"(?i)\b((?:[a-z_]*(?:password|passwd|secret|token|api_?key|mam_id|passkey))[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;)}]+"
        ),
        rf"\1{BLANK}",
    ),
)


def redact(text: str) -> str:
    """`text` without the configured secrets and without what stands behind names like `api_key=`."""
    for secret in scheduling_settings().SECRETS:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, BLANK)
    for pattern, blanked in _PATTERNS:
        text = pattern.sub(blanked, text)
    return text


class RedactingFilter(logging.Filter):
    """For log handlers: the finished message and the traceback pass through `redact`."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), None
        if record.exc_info:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return True
