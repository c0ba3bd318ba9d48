"""Keeping credentials out of everything that is printed or written."""

import os
import re

_HIDDEN = "***"
# Between `://` and `@`; neither the container of `abfss://container@account` nor the port of `host:8020/a@b`.
_USER_INFO = re.compile(
    r"(?P<scheme>[A-Za-z][\w+.-]*)://(?P<info>[^/\s:@]+:(?!\d+(?:/|\s|$))[^\s@]*(?:@[^\s@/]*)*@|[^/\s:@]+@)"
)
_WITH_CONTAINER = ("abfs", "abfss", "wasb", "wasbs")
_SIGNATURE = re.compile(
    r"(?P<name>[?&](?:sig|[\w-]*signature|[\w-]*token|[\w-]*credential|[\w-]*secret[\w-]*|password|awsaccesskeyid)=)"
    r"[^&\s'\"]+",
    re.IGNORECASE,
)
_SECRET_VARIABLE = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|ACCESS_KEY|ACCOUNT_KEY|STORAGE_KEY|API_KEY|SAS")
_NAMES_A_FILE = re.compile(r"(_FILE|_PATH|_DIR|_URI|_URL|^GOOGLE_APPLICATION_CREDENTIALS)$")
_SHORTEST_SECRET = 8  # characters; shorter values, such as `true`, are words of any message


def holds_credentials(text: str) -> bool:
    """Whether a text holds a URL with a password, a key or a signature in it."""
    return _without_url_credentials(text) != text


def without_secrets(text: str) -> str:
    """`text` with the credentials of URLs, and the values of secret environment variables, replaced by asterisks."""
    secrets = (value for name, value in os.environ.items() if _is_secret(name, value))
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return _without_url_credentials(text)


def _is_secret(name: str, value: str) -> bool:
    name = name.upper()
    is_named_so = _SECRET_VARIABLE.search(name) is not None and _NAMES_A_FILE.search(name) is None
    return is_named_so and len(value) >= _SHORTEST_SECRET


def _without_url_credentials(text: str) -> str:
    return _SIGNATURE.sub(rf"\g<name>{_HIDDEN}", _USER_INFO.sub(_hide_user_info, text))


def _hide_user_info(match: re.Match[str]) -> str:
    scheme, info = match["scheme"], match["info"]
    if scheme.lower() in _WITH_CONTAINER and ":" not in info:
        return match[0]
    return f"{scheme}://{_HIDDEN}@"
