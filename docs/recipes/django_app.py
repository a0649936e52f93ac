"""Django in one file: python django_app.py runserver --noreload"""

import os
import sys

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from django.http import Http404, JsonResponse
from django.urls import path

import lambdalite

settings.configure(
    SECRET_KEY="of-the-recipe",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)

jobs = lambdalite.App(store=os.environ.get("JOBS_DB", "jobs.db"))


@jobs.function(memory=256, timeout=30)
def thumbnail(event, context):
    return {"made": event["picture"]}


def accept(request, name):
    if request.method != "POST":
        raise Http404
    # After the commit: a job must not run before what it is about can be seen.
    made = {}
    transaction.on_commit(lambda: made.update(job=thumbnail.send({"picture": name}).request_id))
    return JsonResponse(made, status=202)


def look(request, job):
    try:
        sent = jobs.sent(job)
    except lambdalite.UsageError:
        raise Http404 from None
    return JsonResponse({"status": sent.status, "attempts": sent.attempts})


urlpatterns = [path("pictures/<name>", accept), path("jobs/<job>", look)]
application = get_wsgi_application()

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
