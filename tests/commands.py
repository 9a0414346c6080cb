"""The command line, called within the process of a test."""

from typer.testing import CliRunner

from semiseg.cli import app


def call(*words: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``semiseg WORDS``; what is no exit but a fault is raised."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr
