"""``tagger serve``: an HTTP server, and a page that shows what the next words change."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from tagger import __version__
from tagger.cli.console import require_extra
from tagger.cli.output import print_message
from tagger.cli.tag import PrecisionOption
from tagger.errors import InputError
from tagger.included import DEFAULT

TOKEN = "TAGGER_TOKEN"

EXAMPLES = f"""Examples:

tagger serve

tagger serve -m runs/news -m en --port 8080

{TOKEN}=secret tagger serve --host 0.0.0.0 --max-waiting 500

curl -d '{{"text": "Jordan scored twice for Chicago."}}' localhost:8000/tag"""


HostOption = Annotated[str, typer.Option(help="Address to listen on. The default is this machine only.")]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for a free one.")]


def serve_command(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help=f"Model folder or name; repeatable, the first is the default. {DEFAULT} by default.",
            show_default=False,
        ),
    ] = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    compare: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Forward-trained model for the page to show below the others."),
    ] = None,
    precision: PrecisionOption = "f32",
    max_batch: Annotated[int, typer.Option(min=1, help="Most requests that are tagged together.")] = 64,
    max_waiting: Annotated[
        int, typer.Option(min=1, help="Most requests that are admitted and not yet answered; others get 503.")
    ] = 256,
    max_waiting_bytes: Annotated[
        int,
        typer.Option(min=1, help="While admitted bodies have this size in total, other requests get 503."),
    ] = 1 << 18,
    max_streams: Annotated[
        int, typer.Option(min=0, help="Most streamed texts and WebSocket connections at a time.")
    ] = 8,
    max_bytes: Annotated[int, typer.Option(min=1, help="Most bytes of a body that is not streamed.")] = 1
    << 20,
    seconds: Annotated[
        float, typer.Option(min=0.001, help="Most seconds from the body of a request to its answer.")
    ] = 30.0,
    drain_seconds: Annotated[
        float, typer.Option(min=0.0, help="Most seconds to answer what is admitted when SIGTERM comes.")
    ] = 10.0,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Origin of a page that may send requests, such as https://example.org; repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve models over HTTP.

    If the variable TAGGER_TOKEN is set, requests need it as a bearer token.
    SIGTERM and Ctrl-C answer what is admitted before the server ends.
    """
    require_extra(
        "serve", "fastapi", "uvicorn", "httptools", "websockets", "prometheus_client", extra="serve"
    )
    # Slow imports.
    from tagger.serving.gate import Limits
    from tagger.serving.http_app import make_gate
    from tagger.serving.server import Server
    from tagger.serving.service import ServedModel

    limits = Limits(
        waiting=max_waiting,
        waiting_bytes=max_waiting_bytes,
        streams=max_streams,
        body_bytes=max_bytes,
        seconds=seconds,
    )
    models = [ServedModel.load(name, precision=precision) for name in model or [DEFAULT]]
    gate = make_gate(
        models,
        version=__version__,
        limits=limits,
        max_batch=max_batch,
        token=read_token(),
        origins=allow_origin or (),
        compare=ServedModel.load(compare, precision=precision) if compare else None,
    )
    Server(
        gate,
        host=host,
        port=port,
        drain_seconds=drain_seconds,
        on_start=lambda url: print_message(f"serving {', '.join(one.name for one in models)} on {url}"),
    ).serve_until_signal()


def read_token() -> str | None:
    """Return the bearer token that requests must have, from the environment.

    Raises:
        InputError: It is empty or not printable ASCII.
    """
    token = os.environ.get(TOKEN)
    if token is not None and not (token.isascii() and token.isprintable() and token.strip()):
        raise InputError(
            "must be printable ASCII and not empty. Set another token, or unset it.",
            code="option.value",
            where=TOKEN,
        )
    return token
