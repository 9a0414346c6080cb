"""Settings that were given and that the chosen method never reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semiseg.config.keys import value_of
from semiseg.config.method import method_sections
from semiseg.config.nested import leaves
from semiseg.config.read import Config, fields
from semiseg.config.shorthand import short_keys
from semiseg.presets import preset_names, read_plain
from semiseg.runtime.plugins import method_class


def unread_remark(config: Config, source: str | Path, words: Sequence[str]) -> str | None:
    """One line that names the given settings without effect; None where there is none.

    Given is what stands in ``words``, and what a file says otherwise than the defaults, its profile and the preset of
    its name: a file that a run wrote says everything. What a preset says, or what a file extends, was not given.

    Args:
        config: the complete configuration.
        source: preset, file or folder that it was read from.
        words: ``section.key=value``, as given.
    """
    given = {word.partition("=")[0]: None for word in words}
    if Path(source).suffix in (".yaml", ".yml"):
        usual = _usual(config)
        for key in leaves(read_plain(Path(source))):
            if not is_unread(config, key) or _is_shared(config, key):
                continue
            if any(value_of(config, k) != value_of(usual, k) for k in short_keys().get(key, [key])):
                given[key] = None
    found = [key for key in given if is_unread(config, key)]
    if not found:
        return None
    verb = "has" if len(found) == 1 else "have"
    return f"{', '.join(found)} {verb} no effect with method.name={config.method.name}"


def is_unread(config: Config, key: str) -> bool:
    """Whether a key, complete or short, is of other methods alone or one that the chosen method never reads."""
    own = f"method.{config.method.name}."
    methods = tuple(f"method.{name}." for name in method_sections())
    complete = short_keys().get(key, [key])
    if all(k.startswith(methods) and not k.startswith(own) for k in complete):
        return True
    return key in method_class(config.method.name).unread(config)


def _is_shared(config: Config, key: str) -> bool:
    """Whether another method's key says what the chosen method's says too: a short key, which sets both, wrote it."""
    _, name, path = [*key.split(".", 2), "", ""][:3]
    own = f"method.{config.method.name}.{path}"
    return name in method_sections() and own in fields() and value_of(config, own) == value_of(config, key)


def _usual(config: Config) -> Config:
    """What a run wrote into its ``config.yaml`` where nothing was set by hand."""
    words = [f"method.name={config.method.name}", f"method.profile={config.method.profile}"]
    return Config.load(config.name, words) if config.name in preset_names() else Config.parse({}, words)
