"""The unmodified `openai` package of PyPI against a running server: only base URL, key and model name are ours.

Usage: OPENAI_BASE_URL=... OPENAI_API_KEY=... python openai_python.py MODEL ROWS.jsonl
Prints one JSON object a line: {"job": id} when a job waits to be run by a worker, {"ok": name} for each part that passed.
Fails with the assertion that does not hold.
"""

import hashlib
import http.server
import json
import os
import queue
import sys
import threading
import time

import openai

model, rows = sys.argv[1:]
content = open(rows, "rb").read()
client = openai.OpenAI()


def say(**what):
    print(json.dumps(what), flush=True)


def raises(kind, call, **attributes):
    try:
        call()
    except openai.APIError as error:
        assert type(error) is kind, f"{type(error).__name__}, not {kind.__name__}: {error}"
        for name, value in attributes.items():
            assert getattr(error, name) == value, f"{name} is {getattr(error, name)!r}, not {value!r}"
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def files():
    file = client.files.create(file=open(rows, "rb"), purpose="fine-tune")
    assert (file.object, file.bytes, file.purpose, file.filename) == ("file", len(content), "fine-tune", os.path.basename(rows))
    assert client.files.wait_for_processing(file.id).status == "processed"
    assert client.files.content(file.id).read() == content
    life = client.files.create(file=("b.jsonl", content), purpose="fine-tune", expires_after={"anchor": "created_at", "seconds": 3600})
    assert life.expires_at == life.created_at + 3600
    ids = [f.id for f in client.files.list(limit=1)]
    assert len(set(ids)) == len(ids) and {file.id, life.id} <= set(ids)
    assert client.files.delete(life.id).deleted is True
    raises(openai.NotFoundError, lambda: client.files.retrieve(life.id), code="file_not_found")
    return file


def uploads():
    # The SDK's own helper cuts the file into parts and completes with them.
    done = client.uploads.upload_file_chunked(
        file=content,
        filename="big.jsonl",
        bytes=len(content),
        mime_type="application/jsonl",
        purpose="fine-tune",
        part_size=1000,
        md5=hashlib.md5(content).hexdigest(),
    )
    assert done.status == "completed" and done.file is not None and done.file.bytes == len(content)
    assert client.files.content(done.file.id).read() == content
    pending = client.uploads.create(bytes=5, filename="x.jsonl", mime_type="application/jsonl", purpose="fine-tune")
    assert client.uploads.cancel(pending.id).status == "cancelled"
    raises(openai.BadRequestError, lambda: client.uploads.complete(pending.id, part_ids=["part_none"]))


def receiver():
    """A server of a customer, told of events; answers its URL and what came."""
    messages = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            messages.put((self.rfile.read(int(self.headers["content-length"])).decode(), dict(self.headers)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/hook", messages


def webhooks(job, secret, messages):
    payload, headers = messages.get(timeout=60)
    event = client.webhooks.unwrap(payload, headers, secret=secret)
    assert (event.type, event.data.id) == ("fine_tuning.job.succeeded", job), event
    try:
        client.webhooks.unwrap(payload.replace("succeeded", "cancelled"), headers, secret=secret)
    except openai.InvalidWebhookSignatureError:
        return
    raise AssertionError("a changed message was believed")


def jobs(file):
    url, messages = receiver()
    endpoint = client.post("/webhook_endpoints", body={"url": url, "events": ["fine_tuning.job.succeeded"]}, cast_to=object)
    job = client.fine_tuning.jobs.create(
        model=model,
        training_file=file.id,
        suffix="python",
        seed=7,
        metadata={"sdk": "python"},
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 1, "batch_size": "auto"}}},
        extra_body={"row_sparse": {"rows": 4, "scorer": "l1"}},
    )
    assert job.status == "queued" and job.object == "fine_tuning.job" and job.hyperparameters.n_epochs == 1
    assert isinstance(job.hyperparameters.batch_size, int)
    assert job.model_extra["row_sparse"]["rows"] == 4
    for field in ("error", "finished_at", "fine_tuned_model", "trained_tokens", "validation_file"):
        assert getattr(job, field) is None, field
    say(job=job.id)
    # The loop of the documentation.
    while True:
        job = client.fine_tuning.jobs.retrieve(job.id)
        if job.status not in ("running", "queued"):
            break
        time.sleep(0.05)
    assert job.status == "succeeded" and job.fine_tuned_model and job.trained_tokens > 0 and job.finished_at >= job.created_at
    events = list(client.fine_tuning.jobs.list_events(job.id, limit=2))
    assert len({e.id for e in events}) == len(events) > 3
    assert [e.created_at for e in events] == sorted((e.created_at for e in events), reverse=True)
    checkpoints = list(client.fine_tuning.jobs.checkpoints.list(job.id, limit=1))
    assert [c.step_number for c in checkpoints] == [3, 2, 1] and checkpoints[0].metrics.step == 3
    webhooks(job.id, endpoint["secret"], messages)
    csv = client.files.content(job.result_files[0]).text
    assert csv.splitlines()[0].startswith("step,") and len(csv.splitlines()) == 4
    assert [j.id for j in client.fine_tuning.jobs.list(metadata={"sdk": "python"})] == [job.id]
    assert list(client.fine_tuning.jobs.list(metadata={"sdk": "java"})) == []
    assert client.models.retrieve(job.fine_tuned_model).id == job.fine_tuned_model
    assert {model, job.fine_tuned_model} <= {m.id for m in client.models.list()}
    assert client.models.delete(job.fine_tuned_model).deleted is True
    raises(openai.NotFoundError, lambda: client.models.retrieve(job.fine_tuned_model), code="model_not_found")
    made = [client.fine_tuning.jobs.create(model=model, training_file=file.id).id for _ in range(5)]
    assert [j.id for j in client.fine_tuning.jobs.list(limit=2)][:5] == made[::-1]
    return made


def states(ids):
    assert client.fine_tuning.jobs.pause(ids[0]).status == "paused"
    assert client.fine_tuning.jobs.resume(ids[0]).status == "queued"
    assert client.fine_tuning.jobs.cancel(ids[0]).status == "cancelled"
    raises(openai.BadRequestError, lambda: client.fine_tuning.jobs.cancel(ids[0]), code="job_already_finished")
    raises(openai.BadRequestError, lambda: client.fine_tuning.jobs.pause(ids[0]), code="job_already_finished")


def refused(file):
    """What OpenAI has and this service does not is refused by its name, at once."""
    create = lambda **more: client.fine_tuning.jobs.create(model=model, training_file=file.id, **more)
    dpo = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.1}}}
    grader = {"type": "string_check", "name": "same", "input": "a", "reference": "a", "operation": "eq"}
    reinforcement = {"type": "reinforcement", "reinforcement": {"grader": grader}}
    for method in (dpo, reinforcement):
        raises(openai.BadRequestError, lambda: create(method=method), code="unsupported_method", param="method.type")
    wandb = [{"type": "wandb", "wandb": {"project": "p", "tags": ["t"]}}]
    raises(openai.BadRequestError, lambda: create(integrations=wandb), code="invalid_value", param="integrations[0].type")
    old = client.fine_tuning.jobs.create(model=model, training_file=file.id, hyperparameters={"n_epochs": 2, "learning_rate_multiplier": 0.5})
    assert (old.hyperparameters.n_epochs, old.method.supervised.hyperparameters.learning_rate_multiplier) == (2, 0.5)
    both = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}}
    raises(openai.BadRequestError, lambda: create(hyperparameters={"n_epochs": 2}, method=both), param="hyperparameters.n_epochs")
    permissions = client.fine_tuning.checkpoints.permissions
    raises(openai.NotFoundError, lambda: permissions.create("ft:x", project_ids=["proj_x"]), code="unknown_url")
    raises(openai.NotFoundError, lambda: client.fine_tuning.alpha.graders.validate(grader=grader), code="unknown_url")
    raises(openai.BadRequestError, lambda: client.files.create(file=("b.jsonl", content), purpose="batch"), param="purpose")


def errors(file):
    stranger = openai.OpenAI(api_key="not-a-key")
    raises(openai.AuthenticationError, lambda: stranger.models.list(), status_code=401)
    raises(openai.NotFoundError, lambda: client.fine_tuning.jobs.retrieve("ftjob-none"), code="job_not_found")
    gone = raises(
        openai.NotFoundError,
        lambda: client.fine_tuning.jobs.create(model="gpt-99", training_file=file.id),
        code="model_not_found",
        param="model",
        type="invalid_request_error",
    )
    assert gone.request_id.startswith("req_")
    raises(openai.BadRequestError, lambda: client.fine_tuning.jobs.list(after="ftjob-none"), param="after")
    raises(
        openai.BadRequestError,
        lambda: client.files.create(file=("bad.jsonl", b'{"messages": []}\n'), purpose="fine-tune"),
        code="invalid_training_file",
    )
    raises(openai.ConflictError, lambda: client.files.delete(file.id), code="file_in_use")
    once = {"Idempotency-Key": "python-once"}
    create = lambda **more: client.fine_tuning.jobs.create(model=model, training_file=file.id, extra_headers=once, **more)
    assert create().id == create().id
    raises(openai.UnprocessableEntityError, lambda: create(seed=1), code="idempotency_key_reused")
    raw = client.fine_tuning.jobs.with_raw_response.list(limit=1)
    assert raw.headers["x-request-id"].startswith("req_")


file = files()
say(ok="files")
uploads()
say(ok="uploads")
made = jobs(file)
say(ok="jobs")
states(made)
say(ok="states")
refused(file)
say(ok="refused")
errors(file)
say(ok="errors")
