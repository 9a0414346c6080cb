"""Settings that were given and that the chosen method never reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semiseg.config.keys import value_of
from semiseg.config.method import method_sections
from semiseg.config.nested import leaves
from semiseg.config.read import Config, fields
from semiseg.config.section import Section
from semiseg.config.shorthand import short_keys
from semiseg.presets import preset_names, read_plain
from semiseg.runtime.plugins import method_class


def unread_remark(config: Config, source: str | Path, words: Sequence[str]) -> str | None:
    """One line that names the given settings without effect; None where there is none.

    Either the chosen method never reads them, or not beside the value of another setting (``Section.READ_WITH``). Given
    is what stands in ``words``, and what a file says otherwise than the defaults, its profile and the preset of
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
            unread = is_unread(config, key) and not _is_shared(config, key)
            if not unread and switched_off_by(config, key) is None:
                continue
            if any(value_of(config, k) != value_of(usual, k) for k in short_keys().get(key, [key])):
                given[key] = None
    reasons: dict[str, list[str]] = {}
    for key in given:
        reason = f"method.name={config.method.name}" if is_unread(config, key) else switched_off_by(config, key)
        if reason is not None:
            reasons.setdefault(reason, []).append(key)
    parts = [
        f"{', '.join(found)} {'has' if len(found) == 1 else 'have'} no effect with {reason}"
        for reason, found in reasons.items()
    ]
    return "; ".join(parts) or None


def is_unread(config: Config, key: str) -> bool:
    """Whether a key, complete or short, is of other methods alone or one that the chosen method never reads."""
    own = f"method.{config.method.name}."
    methods = tuple(f"method.{name}." for name in method_sections())
    complete = short_keys().get(key, [key])
    if all(k.startswith(methods) and not k.startswith(own) for k in complete):
        return True
    return key in method_class(config.method.name).unread(config)


def switched_off_by(config: Config, key: str) -> str | None:
    """``section.key=value`` of the setting beside which a key, complete or short, does nothing; None where it acts."""
    own = f"method.{config.method.name}."
    complete = next((k for k in short_keys().get(key, [key]) if k.startswith(own)), key)
    parts = complete.split(".")
    for i in range(len(parts)):
        section = value_of(config, ".".join(parts[:i])) if i else config
        if not isinstance(section, Section):
            return None
        switch, values = section.READ_WITH.get(parts[i], ("", ()))
        if switch and getattr(section, switch) not in values:
            name = ".".join([*parts[:i], switch])
            value = getattr(section, switch)
            shown = str(value).lower() if isinstance(value, bool) else value
            return f"{name if complete == key else name.replace(own, 'method.', 1)}={shown}"
    return None


def _is_shared(config: Config, key: str) -> bool:
    """Whether another method's key says what the chosen method's says too: a short key, which sets both, wrote it."""
    _, name, path = [*key.split(".", 2), "", ""][:3]
    own = f"method.{config.method.name}.{path}"
    return name in method_sections() and own in fields() and value_of(config, own) == value_of(config, key)


def _usual(config: Config) -> Config:
    """What a run wrote into its ``config.yaml`` where nothing was set by hand."""
    words = [f"method.name={config.method.name}", f"method.profile={config.method.profile}"]
    return Config.load(config.name, words) if config.name in preset_names() else Config.parse({}, words)
