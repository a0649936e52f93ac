"""FastAPI (and Starlette, whose lifespan it is): uvicorn fastapi_app:web"""

import functools
import os
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI, HTTPException

import lambdalite

jobs = lambdalite.App(store=os.environ.get("JOBS_DB", "jobs.db"))


@jobs.function(memory=256, timeout=30)
def thumbnail(event, context):
    return {"made": event["picture"]}


@asynccontextmanager
async def lifespan(web):
    jobs.start()
    yield
    await anyio.to_thread.run_sync(functools.partial(jobs.close, grace=10))


web = FastAPI(lifespan=lifespan)


@web.post("/pictures/{name}", status_code=202)
async def accept(name: str):
    sent = await thumbnail.asend({"picture": name})  # returns when the event is safe
    return {"job": sent.request_id}


@web.get("/jobs/{job}")
def look(job: str):
    try:
        sent = jobs.sent(job)
    except lambdalite.UsageError:
        raise HTTPException(404) from None
    return {"status": sent.status, "attempts": sent.attempts}
