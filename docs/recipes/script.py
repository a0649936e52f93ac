"""A plain script with jobs that survive it."""

import os
import sys

import lambdalite

jobs = lambdalite.App(store=os.environ.get("JOBS_DB", "jobs.db"))


@jobs.function(memory=256, timeout=30)
def greet(event, context):
    return f"hello {event['name']}"


if __name__ == "__main__":
    with jobs:  # what an earlier run has left runs now
        sent = [greet.send({"name": name}) for name in sys.argv[1:]]
        for one in sent:
            print(one.result(timeout=60))
