"""What the command lines of all jobs have in common."""

import argparse
import errno
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from afm_core.errors import AfmError, InterruptedBySignal, MachineError, NothingToDoError
from afm_core.redaction import without_secrets
from afm_core.settings import Settings, load_settings, settings_reference
from afm_core.storage.paths import require_client, to_path
from jobs._interrupts import EXIT_CODE, MESSAGE, interrupts
from pipelines.console import printable
from pipelines.submission import require_lasting_paths

_OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)
"""Errors of calls that are never a defect of this software."""

EXIT_CODES = """
exit codes:
  0    done
  1    a defect of this software; please report the traceback
  2    the settings, the machine or the input are at fault; each line says what to do. Retrying does not help
  3    nothing to do: every requested night is already published and up to date
  75   another run holds the lock, a rank was lost, or the bundle was replaced during the run; retry later
  130  interrupted
  143  stopped by SIGTERM; a training writes a checkpoint first
"""


def bare_parser(description: str | None, example: str) -> argparse.ArgumentParser:
    """A parser whose help ends with an example and the exit codes."""
    return argparse.ArgumentParser(
        description=description,
        epilog=f"example:\n  {example}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def parser(description: str | None, example: str, sections: Sequence[str]) -> argparse.ArgumentParser:
    """A parser with the options of every job that reads settings; its help explains the settings of `sections`."""
    command = bare_parser(description, example)
    command.epilog = f"{command.epilog}\nsettings that this job reads:\n\n{settings_reference(sections)}"
    command.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="YAML settings, such as conf/demo.yaml"
    )
    command.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override one setting, such as train.batch_size=4096; may be repeated",
    )
    command.add_argument("--dry-run", action="store_true", help="print what the job would do, and stop")
    return command


def path_or_url(text: str) -> Path:
    """An argument type for a local path or a URL."""
    try:
        path = to_path(text)
        require_client(path)
        return path
    except ValueError as error:
        raise argparse.ArgumentTypeError(without_secrets(str(error))) from error


def whole_number_from(least: int) -> Callable[[str], int]:
    """An argument type for whole numbers that are at least `least`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"found {text!r}, allowed are whole numbers from {least}")
        return int(text)

    return parse


def run(
    command: argparse.ArgumentParser,
    job: Callable[[Settings, argparse.Namespace], None],
    argv: Sequence[str] | None = None,
) -> None:
    """Parse `argv` (by default the command line), load the settings and run `job`."""
    arguments = command.parse_args(argv)
    with one_line_exits():
        settings = load_settings(arguments.config, arguments.overrides)
        require_lasting_paths(settings)
        job(settings, arguments)


@contextmanager
def one_line_exits() -> Iterator[None]:
    """Print every error that a user can fix, one line per problem, and exit with its code.

    After Ctrl-C whatever fails, such as a call of Spark that was cut short, is the interruption.
    """
    with interrupts() as interrupted:
        try:
            yield
        except (InterruptedBySignal, NothingToDoError) as error:
            print(str(error), file=sys.stderr)
            sys.exit(error.exit_code)
        except BaseException as error:
            if interrupted.any or isinstance(error, KeyboardInterrupt):
                print(MESSAGE, file=sys.stderr)
                sys.exit(EXIT_CODE)
            if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
                error = MachineError(
                    f"{error.filename or 'a file that the job writes'}: {error.strerror}; make sure that the job has "
                    "space and permission to write there, and run it again"
                )
            if not isinstance(error, AfmError):
                raise
            for line in str(error).split("\n"):
                print(f"error: {printable(line)}", file=sys.stderr)
            sys.exit(error.exit_code)
