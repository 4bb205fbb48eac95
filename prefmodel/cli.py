"""The command `prefmodel`: finds the sub-commands of all folders and tells errors in one line."""

from __future__ import annotations

import errno
import re
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, metadata, requires
from typing import Any

import click

from prefmodel.errors import PrefModelError

GROUP = "prefmodel.commands"
INTERRUPTED = 130  # what shells report for a command that Ctrl-C ended


class OneLineError(click.ClickException):
    """An error for the user: `error: ...` on stderr, exit status 1."""

    def show(self, file: Any = None) -> None:
        click.echo(f"error: {' '.join(self.message.split())}".encode("utf-8", "replace"), file=file, err=True)


class CommandGroup(click.Group):
    """Sub-commands from the entry points of `GROUP`. Only the one that is called is imported; `--help` imports all."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({point.name for point in entry_points(group=GROUP)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for point in entry_points(group=GROUP, name=cmd_name):
            try:
                command: click.Command = point.load()
            except (ImportError, AttributeError) as error:
                raise OneLineError(f"{cmd_name}: {_explained(error, point)}") from None
            return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = []
        for name in self.list_commands(ctx):
            try:
                command = self.get_command(ctx, name)
                rows.append((name, command.get_short_help_str(limit=90) if command else ""))
            except OneLineError as error:
                rows.append((name, error.message.removeprefix(f"{name}: ")))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PrefModelError as error:
            raise OneLineError(str(error)) from None
        except ImportError as error:
            if not extra_with(error.name or ""):
                raise  # a mistake of ours, of which the traceback tells more
            raise OneLineError(_explained(error, command=ctx.invoked_subcommand)) from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # click ends quietly when the reader of stdout is gone
            raise OneLineError(str(error)) from None
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


def extra_with(module: str, distribution: str = "prefmodel") -> str | None:
    """Return the extra that brings a module: of those that do, the one with the fewest requirements.

    >>> extra_with("torch.nn"), extra_with("numpy")
    ('train', None)
    """
    project = re.sub(r"[-_.]+", "-", module.partition(".")[0]).lower()
    try:
        lines = requires(distribution) or []
    except PackageNotFoundError:
        return None
    found = [re.match(r"""([\w.-]+).*\bextra == ['"]([\w-]+)['"]""", line) for line in lines]
    pairs = [(match[1].lower().replace("_", "-"), match[2]) for match in found if match]
    having = [extra for name, extra in pairs if name == project]
    return min(having, key=lambda extra: sum(e == extra for _, e in pairs), default=None)


def _explained(error: Exception, point: EntryPoint | None = None, command: str | None = None) -> str:
    """Say what an import error lacks and which extra brings it: that of the command's name where there is one."""
    if isinstance(error, PrefModelError) or not isinstance(error, ImportError):
        return str(error)
    distribution = point.dist.name if point and point.dist else "prefmodel"
    named = metadata(distribution).get_all("Provides-Extra") or []
    extra = command if command in named else extra_with(error.name or "", distribution)
    advice = f"; needs the extra {extra!r}: pip install '{distribution}[{extra}]'" if extra else ""
    return f"{error}{advice}"


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="prefmodel", prog_name="prefmodel")
def main() -> None:
    """Tell how good an answer is, and why. Scores are logits: higher is better, comparable within a question."""


if __name__ == "__main__":
    main()
