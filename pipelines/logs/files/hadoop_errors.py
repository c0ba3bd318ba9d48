"""What an error of a Hadoop connector means, in one line."""

import re

from afm_core.storage.urls import Url

_CAUSE = re.compile(r"^(?:: |Caused by: )?(?P<name>[\w.$]+(?:Exception|Error))(?:: (?P<message>.*))?$", re.MULTILINE)
_DENIED = re.compile(r"AccessDenied|AccessControl|NoAuth|NoAwsCredentials")
_UNREACHABLE = re.compile(r"Connect\w*Exception|UnknownHost|Timeout|NoRouteToHost|SocketException|EOFException")
_NO_CONNECTOR = re.compile(r"UnsupportedFileSystem|ClassNotFound|NoClassDefFound")
_TAIL = re.compile(r"\s*\((?:Service: |SDK Attempt Count: ).*")  # request ids and counts of tries
_CONNECTORS = {
    "s3": "org.apache.hadoop:hadoop-aws:{version}",
    "abfss": "org.apache.hadoop:hadoop-azure:{version}",
    "gs": "com.google.cloud.bigdataoss:gcs-connector of Hadoop 3",
}
_BELOW_A_FILE = "(is not a directory)"  # HDFS calls this a denied access
_LONGEST = 300  # characters of a message


def is_absence(text: str) -> bool:
    """Whether an error says that there is no such file or folder."""
    name, message = next(iter(_causes(text)), ("", ""))
    return name.endswith(".FileNotFoundException") or (message or "").endswith(_BELOW_A_FILE)


def explain(url: Url, text: str, hadoop_version: str) -> str:
    """One line for an error of Hadoop's file system, given as its text, with or without a stack trace."""
    causes = _causes(text)
    names = " ".join(name for name, _ in causes)
    reasons = [shown for _, message in causes if (shown := _TAIL.sub("", message or "").rstrip(". "))]
    reason = reasons[-1][:_LONGEST] if reasons else text.strip().partition("\n")[0][:_LONGEST] or "no reason given"
    if _NO_CONNECTOR.search(names):
        connector = _CONNECTORS.get(url.scheme, "the connector of its platform").format(version=hadoop_version)
        return f"{url}: Spark has no connector for it; start Spark with --packages {connector}, or with its jars"
    if _DENIED.search(names):
        return (
            f"{url}: access denied: {reason}; correct the credentials in the environment or in Hadoop's configuration"
        )
    if "UnknownStore" in names:
        return f"{url}: there is no such bucket or container; correct its name"
    if _UNREACHABLE.search(names):
        return f"{url}: cannot be reached: {reason}; correct its address or Hadoop's configuration, or try again later"
    return f"{url}: cannot be listed or read: {reason}; correct it or Hadoop's configuration"


def _causes(text: str) -> list[tuple[str, str | None]]:
    """Class and message of an error and its causes, the outermost first."""
    return [(match["name"], match["message"]) for match in _CAUSE.finditer(text)]
