"""A small Hugging Face hub for tests: repositories in memory, and the requests of huggingface_hub."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import huggingface_hub
import pytest
from huggingface_hub import constants, file_download
from servers import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

TOKEN = "hf_local"
LFS_SUFFIXES = (".safetensors", ".onnx")


@dataclass
class Repository:
    """A repository: the files of each commit, and the commits of branches and tags."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    is_private: bool = False

    def commit(self, files: Mapping[str, bytes]) -> str:
        """Add a commit with these files to the main branch."""
        sha = hashlib.sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.references["main"] = sha
        return sha


class LocalHub:
    """The hub.

    Attributes:
        address: Its address, while it is served.
        repositories: The repositories by name.
        log: Method and path of each request.
        status: Answer all requests with this status; 0 for normal answers.
        failing: Answer requests with status 503 if their path contains this.
        broken: Number of bytes after which the transfer of a file ends, by its name.
        kinds: Type of an entry in lists by its name; by default ``file``.
        sizes: Size of a file in lists by its name; by default the true one.
        cards: Metadata of the cards that were validated.
    """

    def __init__(self) -> None:
        self.address = ""
        self.repositories: dict[str, Repository] = {}
        self.log: list[tuple[str, str]] = []
        self.status = 0
        self.failing = ""
        self.broken: dict[str, int] = {}
        self.kinds: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.cards: list[dict[str, Any]] = []
        self._stored: dict[str, bytes] = {}  # LFS files by SHA-256

    @contextmanager
    def serve(self) -> Iterator["LocalHub"]:
        """Serve the hub on a free port."""
        api, name = "/api/models/{user}/{name}", "/{user}/{name}"
        routes = [
            Route("/api/repos/create", self._checked(self._create), methods=["POST"]),
            Route("/api/validate-yaml", self._checked(self._validate), methods=["POST"]),
            Route(api, self._checked(self._info)),
            Route(api + "/revision/{revision:path}", self._checked(self._info)),
            Route(api + "/tree/{revision}", self._checked(self._tree)),
            Route(api + "/paths-info/{revision}", self._checked(self._paths), methods=["POST"]),
            Route(api + "/preupload/{revision}", self._checked(self._preupload), methods=["POST"]),
            Route(api + "/commit/{revision}", self._checked(self._commit), methods=["POST"]),
            Route(name + ".git/info/lfs/objects/batch", self._checked(self._batch), methods=["POST"]),
            Route("/lfs/{oid}", self._checked(self._store), methods=["PUT"]),
            Route(name + "/resolve/{revision}/{path:path}", self._checked(self._resolve)),
        ]
        with serve(Starlette(routes=routes)) as self.address:
            yield self

    def _checked(self, answer: Any) -> Any:
        async def checked(request: Request) -> Response:
            self.log.append((request.method, request.url.path))
            if self.status:
                return Response(status_code=self.status)
            if self.failing and self.failing in request.url.path:
                return Response(status_code=503)
            given = request.headers.get("Authorization")
            is_known = given == f"Bearer {TOKEN}"
            if given and not is_known:
                return _error(401, "", "Invalid credentials in Authorization header")
            parts = request.path_params
            name = f"{parts.get('user')}/{parts.get('name')}"
            repository = self.repositories.get(name)
            if "user" in parts and (not repository or (repository.is_private and not is_known)):
                return _error(404 if is_known else 401, "RepoNotFound", "Repository not found")
            if request.method == "POST" and not is_known and "paths-info" not in request.url.path:
                return _error(403 if given else 401, "", "Forbidden")
            if repository and (revision := parts.get("revision")):
                sha = repository.references.get(revision, revision)
                if sha not in repository.commits:
                    return _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            else:
                sha = repository.references["main"] if repository else ""
            return await answer(request, repository, sha)

        return checked

    async def _create(self, request: Request, _repository: None, _sha: str) -> Response:
        values = await request.json()
        name = f"{values['organization']}/{values['name']}"
        if name in self.repositories:
            return JSONResponse({"url": f"{self.address}/{name}", "error": "You already created it"}, 409)
        is_private = values.get("visibility") == "private" or values.get("private") is True
        repository = self.repositories[name] = Repository(is_private=is_private)
        repository.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        return JSONResponse({"url": f"{self.address}/{name}"})

    async def _validate(self, request: Request, _repository: None, _sha: str) -> Response:
        """Check the metadata with huggingface_hub's own classes, as strictly as they can."""
        try:
            metadata = huggingface_hub.ModelCard((await request.json())["content"]).data.to_dict()
            assert metadata["license"] in ("mit", "cc-by-sa-4.0"), '"license" must be a known licence'
        except Exception as error:
            return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, 400)
        self.cards.append(metadata)
        return JSONResponse({"errors": [], "warnings": []})

    async def _info(self, request: Request, repository: Repository, sha: str) -> Response:
        name = f"{request.path_params['user']}/{request.path_params['name']}"
        siblings = [{"rfilename": path} for path in repository.commits[sha]]
        return JSONResponse({"_id": "1", "id": name, "modelId": name, "sha": sha, "siblings": siblings})

    def _entry(self, path: str, content: bytes) -> dict[str, Any]:
        entry = {
            "type": self.kinds.get(path, "file"),
            "path": path,
            "size": self.sizes.get(path, len(content)),
            "oid": _git_hash(content),
        }
        if path.endswith(LFS_SUFFIXES):
            entry["lfs"] = {
                "oid": hashlib.sha256(content).hexdigest(),
                "size": entry["size"],
                "pointerSize": 130,
            }
        return entry

    async def _tree(self, _request: Request, repository: Repository, sha: str) -> Response:
        return JSONResponse([self._entry(*one) for one in repository.commits[sha].items()])

    async def _paths(self, request: Request, repository: Repository, sha: str) -> Response:
        asked = parse_qs((await request.body()).decode())["paths"]
        return JSONResponse([self._entry(*one) for one in repository.commits[sha].items() if one[0] in asked])

    async def _resolve(self, request: Request, repository: Repository, sha: str) -> Response:
        path = request.path_params["path"]
        content = repository.commits[sha].get(path)
        if content is None:
            return _error(404, "EntryNotFound", "Entry not found")
        is_lfs = path.endswith(LFS_SUFFIXES)
        etag = hashlib.sha256(content).hexdigest() if is_lfs else _git_hash(content)
        headers = {"X-Repo-Commit": sha, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        if request.method == "HEAD":
            return Response(headers=headers | {"Content-Length": str(len(content))})
        begin, status = 0, 200
        if wanted := request.headers.get("Range"):
            begin, status = int(wanted.removeprefix("bytes=").partition("-")[0]), 206
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        headers["Content-Length"] = str(len(content) - begin)
        limit = self.broken.get(path)

        async def body() -> AsyncIterator[bytes]:
            yield content[begin:limit]  # the server closes the connection if this is too short

        return StreamingResponse(body(), status, headers)

    async def _preupload(self, request: Request, _repository: Repository, _sha: str) -> Response:
        files = (await request.json())["files"]
        return JSONResponse(
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["path"].endswith(LFS_SUFFIXES) else "regular",
                        "shouldIgnore": False,
                    }
                    for file in files
                ]
            }
        )

    async def _batch(self, request: Request, _repository: Repository, _sha: str) -> Response:
        objects = (await request.json())["objects"]
        return JSONResponse(
            {
                "transfer": "basic",
                "objects": [
                    one | {"actions": {"upload": {"href": f"{self.address}/lfs/{one['oid']}"}}}
                    for one in objects
                ],
            }
        )

    async def _store(self, request: Request, _repository: None, _sha: str) -> Response:
        content = await request.body()
        oid = request.path_params["oid"]
        if hashlib.sha256(content).hexdigest() != oid:
            return Response(status_code=422)
        self._stored[oid] = content
        return Response()

    async def _commit(self, request: Request, repository: Repository, sha: str) -> Response:
        files = dict(repository.commits[sha])
        for line in (await request.body()).splitlines():
            key, value = (json.loads(line)[name] for name in ("key", "value"))
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self._stored[value["oid"]]
        new = repository.commit(files)
        name = "{user}/{name}".format_map(request.path_params)
        url = f"{self.address}/{name}/commit/{new}"
        return JSONResponse({"success": True, "commitOid": new, "commitUrl": url})


def use_hub(address: str, cache: object, monkeypatch: pytest.MonkeyPatch, token: str | None = TOKEN) -> None:
    """Let huggingface_hub use a hub, a cache and a token, as its environment variables do at import."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    for module in (constants, file_download):  # versions before 1.0 import the template
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", f"{cache}.token")  # not that of the user
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    else:
        monkeypatch.delenv("HF_TOKEN", raising=False)


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _error(status: int, code: str, message: str) -> Response:
    return Response(status_code=status, headers={"X-Error-Code": code, "X-Error-Message": message})
