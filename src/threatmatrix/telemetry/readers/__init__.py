"""One reader per source, by name. To add one without touching this package: docs/sources/adding.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import cast

from threatmatrix.model.errors import InputError, UnknownNameError
from threatmatrix.telemetry.readers.base import NOTHING_ASKED, Options, Reader, Where

__all__ = [
    "AUTO",
    "NOTHING_ASKED",
    "SOURCES",
    "Options",
    "Reader",
    "Where",
    "check_source",
    "detect_reader",
    "get_reader",
]

AUTO = "auto"

# Name → module and class, in the order in which auto-detection asks them: what is easiest to tell comes first.
_BUILT_IN: Mapping[str, tuple[str, str]] = {
    "gateway": ("gateway", "GatewayReader"),
    "cloudtrail": ("cloudtrail", "CloudTrailReader"),
    "bedrock": ("bedrock", "BedrockReader"),
    "sagemaker": ("sagemaker", "SageMakerReader"),
    "azureml": ("azureml", "AzureMLReader"),
    "kserve": ("kserve", "KServeReader"),
    "vertex": ("vertex", "VertexReader"),
    "otel": ("otel", "OTelReader"),
    "ocsf": ("ocsf", "OcsfReader"),
    "litellm": ("litellm", "LiteLLMReader"),
    "envoy": ("envoy", "EnvoyReader"),
    "nginx": ("nginx", "NginxReader"),
    "oip": ("oip", "OipReader"),
    "mlflow": ("mlflow", "MLflowReader"),
    "linux-auth": ("linux_auth", "LinuxAuthReader"),
    "mapping": ("mapping", "MappingReader"),
}


class _Sources(Mapping[str, Reader]):
    """The readers by name; each is imported when it is first asked for, other packages' after our own."""

    def __init__(self) -> None:
        self._loaded: dict[str, Reader] = {}

    def __getitem__(self, name: str) -> Reader:
        if name in self._loaded:
            return self._loaded[name]
        if name in _BUILT_IN:
            module, cls = _BUILT_IN[name]
            reader = cast(Reader, getattr(import_module(f"{__name__}.{module}"), cls)())
            self._loaded[name] = reader
            return reader
        from threatmatrix.telemetry.readers.plugins import load_plugin

        return load_plugin(name)

    def __contains__(self, name: object) -> bool:
        return name in _BUILT_IN or name in self._plugins()

    def __iter__(self) -> Iterator[str]:
        yield from _BUILT_IN
        yield from self._plugins()

    def __len__(self) -> int:
        return len(_BUILT_IN) + len(self._plugins())

    @staticmethod
    def _plugins() -> Sequence[str]:
        from threatmatrix.telemetry.readers.plugins import plugin_names

        return [name for name in plugin_names() if name not in _BUILT_IN]


SOURCES: Mapping[str, Reader] = _Sources()
"""Name → reader, in the order in which auto-detection asks them."""


def check_source(source: str) -> None:
    """Raises :class:`UnknownNameError` unless ``source`` is a reader's name or ``auto``."""
    if source != AUTO and source not in SOURCES:
        raise UnknownNameError("source", source, (AUTO, *SOURCES))


def get_reader(source: str, options: Options = NOTHING_ASKED) -> Reader:
    """The reader of that name, told what was asked for.

    Raises UnknownNameError; UsageError where a plugin cannot be loaded, or ``mapping`` has no mapping file.
    """
    if source not in SOURCES:
        raise UnknownNameError("source", source, tuple(SOURCES))
    return SOURCES[source].with_options(options)


def detect_reader(file: object, first_lines: Sequence[str], options: Options = NOTHING_ASKED) -> Reader:
    """The first reader that recognises these lines; ``mapping`` where a mapping file was given.

    Raises :class:`InputError` where none does, and UsageError where a plugin cannot be loaded: none of our own readers
    knew the file, and the plugin might have.
    """
    if options.mapping is not None:
        return get_reader("mapping", options)
    for name, reader in SOURCES.items():
        if reader.recognises(first_lines):
            return get_reader(name, options)
    raise InputError(
        file,
        "no reader recognises its first lines",
        hint=f"Name the format with --source ({', '.join(SOURCES)}); docs/telemetry.md shows what each expects",
    )
