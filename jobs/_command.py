"""What every job's command line has in common."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from afm_core.errors import AfmError, InterruptedBySignal, NothingToDoError
from afm_core.settings import Settings, load_settings, settings_reference

EXIT_CODES = """
exit codes:
  0    done
  2    the settings, the machine or the input are at fault; one line each says what to do. Retrying does not help
  1    a defect of this software; please report the traceback
  3    nothing to do: all nights that were asked for are scored already
  75   another run is at it, a rank was lost, or the bundle was exchanged under way; try again later
  130  interrupted
  143  asked to stop (SIGTERM); a training wrote a checkpoint first
"""


def bare_parser(description: str | None, example: str) -> argparse.ArgumentParser:
    """A parser whose help ends with an example and the exit codes."""
    return argparse.ArgumentParser(
        description=description,
        epilog=f"example:\n  {example}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def parser(description: str | None, example: str, sections: Sequence[str]) -> argparse.ArgumentParser:
    """A parser with the options of every job that reads settings; its help explains those of `sections`."""
    made = bare_parser(description, example)
    made.epilog = f"{made.epilog}\nsettings that this job reads:\n{settings_reference(sections)}"
    made.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="YAML settings, such as conf/demo.yaml"
    )
    made.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override one setting, such as train.batch_size=4096; may be repeated",
    )
    made.add_argument("--dry-run", action="store_true", help="say what would be done, and stop")
    return made


def run(
    made: argparse.ArgumentParser,
    job: Callable[[Settings, argparse.Namespace], None],
    argv: Sequence[str] | None = None,
) -> None:
    """Parse `argv` (by default the command line), load the settings and run `job`."""
    arguments = made.parse_args(argv)
    with one_line_exits():
        job(load_settings(arguments.config, arguments.overrides), arguments)


@contextmanager
def one_line_exits() -> Iterator[None]:
    """Turn every error that a user can mend into one line each and exit code 2."""
    try:
        yield
    except (InterruptedBySignal, NothingToDoError) as error:
        print(str(error), file=sys.stderr)
        sys.exit(error.exit_code)
    except AfmError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted; the previous output is untouched", file=sys.stderr)
        sys.exit(130)
