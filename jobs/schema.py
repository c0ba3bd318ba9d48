"""Print the JSON schema of the settings, with which editors complete and check YAML files."""

import json
from collections.abc import Sequence

from afm_core.settings import Settings
from jobs._command import bare_parser, one_line_exits


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    bare_parser(__doc__, "python jobs/schema.py > conf/settings.schema.json").parse_args(argv)
    with one_line_exits():
        print(json.dumps(Settings.model_json_schema(), indent=2))


if __name__ == "__main__":
    main()
