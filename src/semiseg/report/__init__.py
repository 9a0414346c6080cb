"""One self-contained HTML page about a run, or about several side by side."""

from semiseg.report.write import write_report

__all__ = ["write_report"]
