"""Flask under several workers on one store: gunicorn --workers 2 flask_app:web"""

import os

from flask import Flask, abort

import lambdalite

# Made before gunicorn forks, or after: each worker opens the store for itself. Whoever has room runs an event, once.
jobs = lambdalite.App(store=os.environ.get("JOBS_DB", "jobs.db"))


@jobs.function(memory=256, timeout=30)
def thumbnail(event, context):
    return {"made": event["picture"]}


web = Flask(__name__)


@web.post("/pictures/<name>")
def accept(name):
    sent = thumbnail.send({"picture": name})  # the first one starts this worker's dispatcher
    return {"job": sent.request_id}, 202


@web.get("/jobs/<job>")
def look(job):
    try:
        sent = jobs.sent(job)
    except lambdalite.UsageError:
        abort(404)
    return {"status": sent.status, "attempts": sent.attempts}
