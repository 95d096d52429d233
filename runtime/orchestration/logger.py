"""Logging of the orchestration layers: Python's, as text or as one JSON object a line."""

from __future__ import annotations

import logging
import sys
from typing import Any

from .errors import OrchestrationError

_NAME = __name__.split(".")[0]
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING,
           "warn": logging.WARNING, "error": logging.ERROR}  # fmt: skip
_FORMATS = ("text", "json")


class Logger:
    """Settings for the log of everything that swarmc does.

    >>> Logger.configure(level="info", console=True, format="json")  # doctest: +SKIP
    """

    _handler: logging.Handler | None = None

    @classmethod
    def configure(
        cls, *, level: str = "info", console: bool = True, format: str = "text"
    ) -> None:
        """Say how much is logged and how; what was configured before is replaced.

        Args:
            level: ``debug``, ``info``, ``warning`` or ``error``.
            console: whether it goes to standard error; else only to handlers of one's own.
            format: ``text``, or ``json``: an object a line with ``event``, ``level``,
                ``logger``, ``timestamp`` and what was bound.

        Raises:
            OrchestrationError: there is no such level or format.
        """
        if level not in _LEVELS:
            raise OrchestrationError(f"there is no log level {level!r}: there are"
                                     f" {', '.join(_LEVELS)}")  # fmt: skip
        if format not in _FORMATS:
            raise OrchestrationError(f"there is no log format {format!r}: there are"
                                     f" {', '.join(_FORMATS)}")  # fmt: skip
        cls.reset()
        root = logging.getLogger(_NAME)
        root.setLevel(_LEVELS[level])
        if console:
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(_formatter(format))
            root.addHandler(handler)
            root.propagate = False
            cls._handler = handler

    @classmethod
    def reset(cls) -> None:
        """Take back what was configured."""
        root = logging.getLogger(_NAME)
        if cls._handler is not None:
            root.removeHandler(cls._handler)
            cls._handler = None
        root.setLevel(logging.NOTSET)
        root.propagate = True

    @staticmethod
    def get(name: str = _NAME, **bound: Any) -> Any:
        """A logger of structlog whose lines go the same way, with values bound to each.

        >>> Logger.get(run="run-1").info("deployed", symbols=3)
        """
        import structlog

        wrapped = structlog.wrap_logger(
            logging.getLogger(name if name.startswith(_NAME) else f"{_NAME}.{name}"),
            processors=[
                structlog.stdlib.filter_by_level,
                structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
            context_class=dict,
        )
        return wrapped.bind(**bound)


def _formatter(format: str) -> logging.Formatter:
    import structlog

    renderers: list[Any]
    if format == "json":
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        console = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # the other one shows values
        )
        renderers = [console]
    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *renderers,
        ],
        foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
    )
