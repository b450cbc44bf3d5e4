"""A server with the fine-tuning APIs of OpenAI, Together and Fireworks, that trains on what it is given, and fails.

What it trains answers with the answer of the training example that shares the most words with the request: a real
model, as small as can be. A fault is taken by the next request of its operation: a status, `drop` (the connection
breaks before anything is done) or `lost` (it is done, and the answer is lost).
"""

import asyncio
import email
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

Fault = int | Literal["drop", "lost"]
ACCOUNT = "/fw/v1/accounts/acme"


@dataclass
class StoredFile:
    name: str
    content: bytes
    ready: bool = True


@dataclass
class StoredJob:
    body: dict[str, Any]
    training_file: str
    looks: int = 0
    state: str = "running"


@dataclass
class FineTuningServer:
    """What it holds. A job ends after `looks` looks at it, as `end` says; `bad_file` rejects files."""

    url: str = ""
    looks: int = 2
    end: Literal["succeeded", "failed", "never"] = "succeeded"
    bad_file: bool = False
    list_is_late: bool = False
    serve_after: int = 0
    together_price: float | None = 0.25
    faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))
    files: dict[str, StoredFile] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    jobs: dict[str, StoredJob] = field(default_factory=dict)
    deployed: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)
    asked: list[dict[str, Any]] = field(default_factory=list)
    reached: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    """Set once a request of an operation has arrived."""
    trained: dict[str, bytes] = field(default_factory=dict)

    def job_state(self, job: StoredJob) -> str:
        """Return how a job stands, and count the look at it."""
        job.looks += 1
        if job.state == "running" and self.end != "never" and job.looks > self.looks:
            job.state = self.end
        return job.state

    async def complete(self, request: dict[str, Any]) -> tuple[str, float]:
        """Return the trained model's answer with its log-probability."""
        return self.answer(request), -0.05

    def answer(self, request: dict[str, Any]) -> str:
        """Answer as the model that was trained on the file of the job."""
        job = next(iter(self.jobs.values()))
        words = set(request["messages"][-1]["content"].split())
        lines = self.trained[job.training_file].splitlines()
        examples = [json.loads(line)["messages"] for line in lines]
        best = max(examples, key=lambda messages: len(words & set(messages[-2]["content"].split())))
        return str(best[-1]["content"])


Handler = Callable[[FineTuningServer, web.Request], Awaitable[dict[str, Any] | list[Any]]]


def _operation(
    server: FineTuningServer, name: str, handler: Handler
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        server.calls.append(name)
        server.reached[name].set()
        server.keys.add(request.headers.get("authorization"))
        fault = server.faults[name].pop(0) if server.faults[name] else None
        if fault == "drop":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(fault, int):
            headers = {"retry-after": "0"} if fault in (429, 503) else {}
            told = {"error": {"message": f"fault {fault}", "type": "error"}}
            return web.json_response(told, status=fault, headers=headers)
        try:
            body = await handler(server, request)
        except KeyError as error:
            return web.json_response({"error": {"message": f"there is no {error}"}}, status=404)
        except ValueError as error:
            return web.json_response({"error": {"message": str(error)}}, status=400)
        except FileExistsError as error:
            return web.json_response({"message": str(error)}, status=409)
        if fault == "lost":
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(body)

    return handle


async def _form(request: web.Request) -> tuple[dict[str, str], str, bytes]:
    # Read whole: aiohttp's own reader of forms warns, by where the pieces of the body happen to end.
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
    whole = email.message_from_bytes(head + await request.read())
    fields, name, content = {}, "", b""
    for part in whole.walk():
        field, value = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if field is None:
            continue
        assert isinstance(value, bytes)
        if field == "file":
            name, content = part.get_filename() or "", value
        else:
            fields[str(field)] = value.decode()
    return fields, name, content


def _check(content: bytes) -> None:
    for line in content.splitlines():
        messages = json.loads(line)["messages"]
        if messages[-1]["role"] != "assistant":
            raise ValueError("the last message must be from the assistant")


# OpenAI


async def _upload(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    fields, name, content = await _form(request)
    if fields["purpose"] != "fine-tune":
        raise ValueError("purpose")
    _check(content)
    id_ = f"file-{len(server.files) + 1}"
    server.files[id_] = StoredFile(name, content)
    server.trained[id_] = content
    return _file(server, id_)


def _file(server: FineTuningServer, id_: str) -> dict[str, Any]:
    file = server.files[id_]
    bad = {"status": "error", "status_details": "line 3 is not a chat"} if server.bad_file else {"status": "processed"}
    return {
        "id": id_,
        "object": "file",
        "filename": file.name,
        "bytes": len(file.content),
        "purpose": "fine-tune",
        **bad,
    }


async def _files(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    return {"object": "list", "data": [_file(server, id_) for id_ in server.files]}


async def _get_file(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    return _file(server, request.match_info["id"])


async def _delete_file(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    del server.files[request.match_info["id"]]
    server.deleted.append(request.match_info["id"])
    return {"id": request.match_info["id"], "deleted": True}


async def _create(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    body = await request.json()
    server.files[body["training_file"]]
    if not 1 <= len(body["suffix"]) <= 64:
        raise ValueError("suffix: at most 64 characters")
    assert body["method"]["supervised"]["hyperparameters"]["n_epochs"] >= 1
    id_ = f"ftjob-{len(server.jobs) + 1}"
    server.jobs[id_] = StoredJob(body, body["training_file"])
    return _job(id_, server.jobs[id_], "validating_files")


def _job(id_: str, job: StoredJob, state: str) -> dict[str, Any]:
    done = state == "succeeded"
    return {
        "id": id_,
        "object": "fine_tuning.job",
        "created_at": 1_790_000_000,
        "model": job.body["model"],
        "training_file": job.training_file,
        "status": state,
        "fine_tuned_model": f"ft:{job.body['model']}:acme:{job.body['suffix']}:1" if done else None,
        "trained_tokens": 40_000 if done else None,
        "error": {"code": "bad", "message": "the loss is not a number", "param": None} if state == "failed" else None,
        "hyperparameters": {"n_epochs": 3},
        "organization_id": "org",
        "result_files": [],
        "seed": 1,
    }


async def _jobs(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    if server.list_is_late:
        server.list_is_late = False
        return {"object": "list", "data": [], "has_more": False}
    # Pages of one job, to be gone through.
    ids = list(server.jobs)[::-1]
    after = request.query.get("after")
    rest = ids[ids.index(after) + 1 :] if after else ids
    page = [_job(id_, server.jobs[id_], server.jobs[id_].state) for id_ in rest[:1]]
    return {"object": "list", "data": page, "has_more": len(rest) > 1}


async def _get_job(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    job = server.jobs[request.match_info["id"]]
    return _job(request.match_info["id"], job, server.job_state(job))


async def _events(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    events = [{"id": f"e{n}", "created_at": n, "level": "info", "message": f"Step {n}"} for n in (2, 1)]
    return {"object": "list", "data": events, "has_more": False}


async def _cancel(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    job = server.jobs[request.match_info["id"]]
    job.state = "cancelled"
    return _job(request.match_info["id"], job, "cancelled")


# Together


async def _together_upload(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    fields, name, content = await _form(request)
    if fields != {"purpose": "fine-tune", "file_name": name, "file_type": "jsonl"}:
        raise ValueError(f"fields {fields}")
    _check(content)
    id_ = f"file-{len(server.files) + 1}"
    server.files[id_] = StoredFile(name, content, ready=False)
    server.trained[id_] = content
    return _together_file(server, id_)


def _together_file(server: FineTuningServer, id_: str) -> dict[str, Any]:
    file = server.files[id_]
    status = "INVALID_FORMAT" if server.bad_file else "COMPLETED" if file.ready else "RUNNING"
    report = {"valid": False, "error": "line 3 is not a chat", "error_type": "INVALID_FORMAT"}
    told = {"processing_status": status, **({"validation_report": report} if server.bad_file else {})}
    return {"id": id_, "object": "file", "filename": file.name, "bytes": len(file.content), "FileType": "jsonl", **told}


async def _together_files(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    return {"data": [_together_file(server, id_) for id_ in server.files]}


async def _together_get_file(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    found = _together_file(server, request.match_info["id"])
    server.files[request.match_info["id"]].ready = True
    return found


async def _together_price(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    body = await request.json()
    server.files[body["training_file"]]
    if server.together_price is None:
        return {"estimation_available": False, "unavailable_reason": "train_file_not_validated"}
    price = {"estimated_total_price": server.together_price, "allowed_to_proceed": server.together_price < 100}
    return {"estimation_available": True, **price}


async def _together_create(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    body = await request.json()
    server.files[body["training_file"]]
    assert body["training_method"] == {"method": "sft", "train_on_inputs": False}
    id_ = f"ft-{len(server.jobs) + 1}"
    server.jobs[id_] = StoredJob(body, body["training_file"])
    return _together_job(id_, server.jobs[id_], "pending")


def _together_job(id_: str, job: StoredJob, state: str) -> dict[str, Any]:
    status = {"succeeded": "completed", "failed": "error"}.get(state, state)
    return {
        "id": id_,
        "status": status,
        "model": job.body["model"],
        "training_file": job.training_file,
        "model_output_name": f"acme/{job.body['model']}-{job.body['suffix']}",
        "total_price": 230_000_000 if status == "completed" else 0,
        "token_count": 40_000,
    }


async def _together_jobs(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    return {"data": [_together_job(id_, job, job.state) for id_, job in server.jobs.items()]}


async def _together_get_job(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    job = server.jobs[request.match_info["id"]]
    return _together_job(request.match_info["id"], job, server.job_state(job))


async def _together_events(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    event = {"object": "fine-tune-event", "created_at": "2026-01-05T00:00:00Z", "message": "Training", "type": "x"}
    return {"data": [event]}


# Fireworks


async def _dataset(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    file = server.files[request.match_info["id"]]
    if server.bad_file:
        return {"state": "UPLOADING", "status": {"code": "INVALID_ARGUMENT", "message": "line 3 is not a chat"}}
    return {"state": "READY" if file.content else "UPLOADING", "status": {"code": "OK"}}


async def _create_dataset(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    body = await request.json()
    if re.fullmatch(r"[a-z0-9-]{1,63}", body["datasetId"]) is None:
        raise ValueError("datasetId")
    server.files[body["datasetId"]] = StoredFile(body["datasetId"], b"")
    return {"name": f"accounts/acme/datasets/{body['datasetId']}"}


async def _upload_dataset(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    _, _, content = await _form(request)
    _check(content)
    id_ = request.match_info["id"]
    server.files[id_].content = server.trained[id_] = content
    return {}


async def _create_sft(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    body = await request.json()
    id_ = request.query["supervisedFineTuningJobId"]
    if id_ in server.jobs:
        raise FileExistsError("the job exists")
    account, _, dataset = body["dataset"].rpartition("/datasets/")
    assert account == "accounts/acme"
    server.files[dataset]
    server.jobs[id_] = StoredJob(body, dataset)
    return _sft(id_, server.jobs[id_], "running")


def _sft(id_: str, job: StoredJob, state: str) -> dict[str, Any]:
    states = {"running": "RUNNING", "succeeded": "COMPLETED", "failed": "FAILED", "cancelled": "CANCELLED"}
    told = {"code": "OK"} if state != "failed" else {"code": "INTERNAL", "message": "the loss is not a number"}
    return {
        "name": f"accounts/acme/supervisedFineTuningJobs/{id_}",
        "state": f"JOB_STATE_{states[state]}",
        "status": told,
        "outputModel": job.body["outputModel"],
        "estimatedCost": {"currencyCode": "USD", "units": "0", "nanos": 230_000_000},
        "jobProgress": {"percent": 40},
    }


async def _get_sft(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    job = server.jobs[request.match_info["id"]]
    return _sft(request.match_info["id"], job, server.job_state(job))


async def _cancel_sft(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    server.jobs[request.match_info["id"]].state = "cancelled"
    return {}


async def _deployed(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    return {"deployedModels": server.deployed}


async def _deploy(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    server.deployed.append(await request.json())
    return {"name": "accounts/acme/deployedModels/one"}


# What all of them serve


async def _chat(server: FineTuningServer, request: web.Request) -> dict[str, Any]:
    body = await request.json()
    server.asked.append(body)
    if server.serve_after > 0:
        server.serve_after -= 1
        raise KeyError(f"model {body['model']}")
    answer, log_probability = await server.complete(body)
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": answer},
        "logprobs": {"content": [{"token": "t", "logprob": log_probability}]},
        "finish_reason": "stop",
    }
    return {"id": "c", "choices": [choice], "usage": {"prompt_tokens": 20, "completion_tokens": 1}}


_ROUTES: list[tuple[str, str, str, Handler]] = [
    ("POST", "/v1/files", "upload", _upload),
    ("GET", "/v1/files", "files", _files),
    ("GET", "/v1/files/{id}", "file", _get_file),
    ("DELETE", "/v1/files/{id}", "delete", _delete_file),
    ("POST", "/v1/fine_tuning/jobs", "create", _create),
    ("GET", "/v1/fine_tuning/jobs", "jobs", _jobs),
    ("GET", "/v1/fine_tuning/jobs/{id}", "job", _get_job),
    ("GET", "/v1/fine_tuning/jobs/{id}/events", "events", _events),
    ("POST", "/v1/fine_tuning/jobs/{id}/cancel", "cancel", _cancel),
    ("POST", "/v1/chat/completions", "chat", _chat),
    ("POST", "/together/v1/files/upload", "upload", _together_upload),
    ("GET", "/together/v1/files", "files", _together_files),
    ("GET", "/together/v1/files/{id}", "file", _together_get_file),
    ("DELETE", "/together/v1/files/{id}", "delete", _delete_file),
    ("POST", "/together/v1/fine-tunes/estimate-price", "price", _together_price),
    ("POST", "/together/v1/fine-tunes", "create", _together_create),
    ("GET", "/together/v1/fine-tunes", "jobs", _together_jobs),
    ("GET", "/together/v1/fine-tunes/{id}", "job", _together_get_job),
    ("GET", "/together/v1/fine-tunes/{id}/events", "events", _together_events),
    ("POST", "/together/v1/fine-tunes/{id}/cancel", "cancel", _cancel),
    ("GET", f"{ACCOUNT}/datasets/{{id}}", "file", _dataset),
    ("DELETE", f"{ACCOUNT}/datasets/{{id}}", "delete", _delete_file),
    ("POST", f"{ACCOUNT}/datasets", "dataset", _create_dataset),
    ("POST", f"{ACCOUNT}/datasets/{{id}}:upload", "upload", _upload_dataset),
    ("POST", f"{ACCOUNT}/supervisedFineTuningJobs", "create", _create_sft),
    ("GET", f"{ACCOUNT}/supervisedFineTuningJobs/{{id}}", "job", _get_sft),
    ("POST", f"{ACCOUNT}/supervisedFineTuningJobs/{{id}}:cancel", "cancel", _cancel_sft),
    ("GET", f"{ACCOUNT}/deployedModels", "deployed", _deployed),
    ("POST", f"{ACCOUNT}/deployedModels", "deploy", _deploy),
]


@asynccontextmanager
async def fine_tuning_server(**options: Any) -> AsyncIterator[FineTuningServer]:
    """Serve all three APIs on a free loopback port: `/v1`, `/together/v1` and `/fw/v1/accounts/acme`."""
    server = FineTuningServer(**options)
    async with serve(server):
        yield server


@asynccontextmanager
async def serve(server: FineTuningServer) -> AsyncIterator[None]:
    """Serve the APIs by a server that is there, such as one that trains other models."""
    app = web.Application(client_max_size=64_000_000)
    for method, path, name, handler in _ROUTES:
        app.router.add_route(method, path, _operation(server, name, handler))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield
    finally:
        await runner.cleanup()
