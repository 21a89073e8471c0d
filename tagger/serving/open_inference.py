"""The Open Inference Protocol (KServe v2), as Triton's and KServe's clients use it over HTTP.

See https://github.com/kserve/open-inference-protocol, and Triton's binary tensor data extension
(https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md), which
its client uses unless told otherwise. A model has one input, ``text``, a tensor of N texts, and two outputs
of the same shape, each with one JSON value per text: ``sentences``, the values of ``tagger tag --format
jsonl``, and ``entities``, the items of Hugging Face's token-classification pipeline. Each text is a document.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from tagger.errors import InputError
from tagger.runtime.entity_pipeline import choose_task, entity_of, spans_of
from tagger.runtime.json_lines import SCORE_DIGITS
from tagger.runtime.options import TagOptions
from tagger.serving.service import ServedModel, Service
from tagger.text.sentence import Sentence, sentence_values

BINARY = "binary_tensor_data"  # the extension's name
HEADER_LENGTH = "Inference-Header-Content-Length"
_LENGTH = struct.Struct("<I")  # precedes each element in binary data


class _Part(BaseModel):
    model_config = ConfigDict(strict=True)


class InputParameters(_Part):
    """Parameters of an input tensor, with the size of its binary data if it has any."""

    binary_data_size: int | None = None


class InputTensor(_Part):
    """The input tensor ``text``; its data are strings, flat or nested by one level, or binary."""

    name: Literal["text"]
    shape: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=2)]
    datatype: Literal["BYTES"]
    parameters: InputParameters | None = None
    data: list[str] | list[list[str]] | None = None


class OutputParameters(_Part):
    """Parameters of a requested output."""

    binary_data: bool | None = None


class RequestedOutput(_Part):
    """An output that the client requests."""

    name: Literal["sentences", "entities"]
    parameters: OutputParameters | None = None


class InferParameters(_Part):
    """Parameters of a request."""

    binary_data_output: bool = False


class InferRequest(_Part):
    """The JSON of a request."""

    id: str | None = None
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=1)]
    outputs: Annotated[list[RequestedOutput], Field(max_length=2)] | None = None
    parameters: InferParameters | None = None

    def is_binary(self, output: RequestedOutput) -> bool:
        """Return True if the client requests binary data for an output."""
        own = output.parameters.binary_data if output.parameters else None
        return own if own is not None else bool(self.parameters and self.parameters.binary_data_output)


def _sentences(sentences: Sequence[Sentence], model: ServedModel) -> list[Any]:
    tasks = [task.name for task in model.tagger.tasks]
    return [sentence_values(sentence, tasks, digits=SCORE_DIGITS) for sentence in sentences]


def _entities(sentences: Sequence[Sentence], model: ServedModel) -> list[Any]:
    task = choose_task(model.tagger, None)
    return [entity_of(span) for sentence in sentences for span in spans_of(sentence, task)]


INFER_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "inputs": [
                        {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["Ada met Otto."]}
                    ],
                    "outputs": [{"name": "entities"}],
                },
            }
        },
    }
}
"""The OpenAPI description of a request's JSON."""
OUTPUTS: dict[str, Callable[[Sequence[Sentence], ServedModel], list[Any]]] = {
    "sentences": _sentences,
    "entities": _entities,
}
"""The JSON values of a document's sentences, for each output."""


def open_inference_routes(service: Service) -> APIRouter:
    """Return the routes of the protocol: health, metadata and inference."""
    router = APIRouter()
    router.include_router(_server_routes(service))
    for prefix in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        router.include_router(_model_routes(service), prefix=prefix)
    return router


def _server_routes(service: Service) -> APIRouter:
    router = APIRouter()

    async def server(request: Request) -> dict[str, Any]:
        """Describe the server."""
        return {"name": "tagger", "version": request.app.version, "extensions": [BINARY]}

    async def live() -> dict[str, bool]:
        """Answer as long as the process runs."""
        return {"live": True}

    async def ready(response: Response) -> dict[str, bool]:
        """Answer with status 200 if requests are served, else 503."""
        response.status_code = 200 if service.is_ready else 503
        return {"ready": service.is_ready}

    router.add_api_route("/v2", server, methods=["GET"])
    router.add_api_route("/v2/health/live", live, methods=["GET"])
    router.add_api_route("/v2/health/ready", ready, methods=["GET"])
    return router


def _model_routes(service: Service) -> APIRouter:
    router = APIRouter()

    async def metadata(name: str, version: str | None = None) -> dict[str, Any]:
        """Describe a model."""
        model = _find(service, name, version)
        tensor = {"datatype": "BYTES", "shape": [-1]}
        return {
            "name": name,
            "versions": [model.version],
            "platform": "tagger",
            "inputs": [{"name": "text", **tensor}],
            "outputs": [{"name": output, **tensor} for output in OUTPUTS],
        }

    async def ready(response: Response, name: str, version: str | None = None) -> dict[str, Any]:
        """Answer with status 200 if a model serves requests, else 503."""
        _find(service, name, version)
        response.status_code = 200 if service.is_ready else 503
        return {"name": name, "ready": service.is_ready}

    async def infer(request: Request, name: str, version: str | None = None) -> Response:
        """Tag the texts of the input tensor, each as a document."""
        model = _find(service, name, version)
        call, texts = read_request(await request.body(), request.headers.get(HEADER_LENGTH))

        def write(documents: Sequence[Sequence[Sentence]]) -> tuple[bytes, int | None]:
            return write_response(call, model, documents)

        options = TagOptions(has_scores=choose_task(model.tagger, None).scheme is None)
        content, header_length = await service.tag_and_finish(model, texts, options, write)
        if header_length is None:
            return Response(content, media_type="application/json")
        headers = {HEADER_LENGTH: str(header_length)}
        return Response(content, headers=headers, media_type="application/octet-stream")

    router.add_api_route("", metadata, methods=["GET"])
    router.add_api_route("/ready", ready, methods=["GET"])
    router.add_api_route("/infer", infer, methods=["POST"], response_class=Response, openapi_extra=INFER_BODY)
    return router


def _find(service: Service, name: str, version: str | None) -> ServedModel:
    model = service.find(name)
    if version not in (None, model.version):
        raise InputError(
            f"the model {name!r} has no version {version!r}. Its version is {model.version}.",
            code="bundle.missing",
            where="version",
        )
    return model


def read_request(body: bytes, header_length: str | None) -> tuple[InferRequest, list[str]]:
    """Read a request and its N texts.

    Args:
        body: The body: JSON, and binary data after it.
        header_length: Length of the JSON in bytes, if binary data follow.

    Raises:
        ValidationError: The JSON is invalid.
        InputError: The binary data are invalid, or the texts do not match the shape.
    """
    length = len(body)
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdecimal() and len(header_length) <= 12):
            raise _invalid(f"{HEADER_LENGTH} must be a number of bytes (got {header_length!r:.60})")
        length = int(header_length)
    if length > len(body):
        raise _invalid(f"{HEADER_LENGTH} must be at most the size of the body (got {length})")
    request = InferRequest.model_validate_json(body[:length])
    tensor, binary = request.inputs[0], body[length:]
    size = tensor.parameters.binary_data_size if tensor.parameters else None
    if size is None and not binary:
        texts = list(_flat(tensor.data or ()))
    elif size == len(binary) and tensor.data is None:
        texts = list(_elements(binary))
    else:
        raise _invalid(
            f"the input must have JSON data, or binary data of the declared size (got {len(binary)} bytes, "
            f"declared {size})"
        )
    if len(texts) != math.prod(tensor.shape):
        raise _invalid(f"the shape {tensor.shape} must match the number of texts (got {len(texts)})")
    return request, texts


def write_response(
    request: InferRequest, model: ServedModel, documents: Sequence[Sequence[Sentence]]
) -> tuple[bytes, int | None]:
    """Write the requested outputs.

    Args:
        request: The request.
        model: The model.
        documents: The tagged sentences of the N texts.

    Returns:
        The body, and the length of its JSON if binary data follow, else None.
    """
    described, blobs = [], []
    for output in request.outputs or [RequestedOutput(name="sentences"), RequestedOutput(name="entities")]:
        convert = OUTPUTS[output.name]
        data = [json.dumps(convert(sentences, model), ensure_ascii=False) for sentences in documents]
        tensor: dict[str, Any] = {"name": output.name, "datatype": "BYTES", "shape": request.inputs[0].shape}
        if request.is_binary(output):
            encoded = [text.encode() for text in data]
            blob = b"".join(_LENGTH.pack(len(element)) + element for element in encoded)
            tensor["parameters"] = {"binary_data_size": len(blob)}
            blobs.append(blob)
        else:
            tensor["data"] = data
        described.append(tensor)
    values: dict[str, Any] = {"model_name": model.name, "model_version": model.version, "outputs": described}
    if request.id is not None:
        values["id"] = request.id
    header = json.dumps(values, ensure_ascii=False).encode()
    return b"".join([header, *blobs]), len(header) if blobs else None


def _flat(data: Iterable[str | list[str]]) -> Iterator[str]:
    for item in data:
        if isinstance(item, str):
            yield item
        else:
            yield from item


def _elements(binary: bytes) -> Iterator[str]:
    """Yield the texts of binary data, each preceded by its number of bytes (little-endian)."""
    position = 0
    while position < len(binary):
        if position + _LENGTH.size > len(binary):
            raise _invalid("the binary data must not end inside the length of a text")
        (length,) = _LENGTH.unpack_from(binary, position)
        position += _LENGTH.size
        if position + length > len(binary):
            raise _invalid("the binary data must not end inside a text")
        try:
            yield binary[position : position + length].decode()
        except UnicodeDecodeError as error:
            raise InputError(
                f"a text is not UTF-8 ({error.reason}). Encode texts in UTF-8.",
                code="corpus.encoding",
                where="text",
            ) from None
        position += length


def _invalid(message: str) -> InputError:
    return InputError(
        f"{message}. Send tensors as the Open Inference Protocol describes them.",
        code="argument.value",
        where="inputs",
    )
