"""A local page: drop an image and see what a trained network predicts. Needs the extra ``app``."""

from semiseg.app.page import build
from semiseg.app.server import serve

__all__ = ["build", "serve"]
