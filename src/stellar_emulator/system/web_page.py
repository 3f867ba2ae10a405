"""Web pages that a server sent in place of a file: a login, a notice that there is none such."""

BEGINNINGS = (b"<!doctype html", b"<html")


def is_web_page(first: bytes) -> bool:
    """Whether a file that begins with some bytes is HTML."""
    return first.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(BEGINNINGS)


def web_page_fault(name: str) -> str:
    """What to tell of such a file."""
    return f"{name} is a web page (HTML), which a server sends in place of a file that it doesn't give: fetch it again"
