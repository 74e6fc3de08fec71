"""What schemathesis cannot know of itself: which things there are, and how a transcript looks.

Deliberately absent: streams. It reads them by itself, as far as the settings in `contract` say.
"""

import gzip
import json
import os
import uuid
import zlib

import schemathesis
from hypothesis import strategies as st

# By the collection before `{id}` in a path.
THINGS = json.loads(os.environ["SPECWRIGHT_CONTRACT_THINGS"])


def packed(body):
    # The same bytes for the same transcript.
    return gzip.compress(body, mtime=0)


# Some are no gzip at all: those are refused.
schemathesis.openapi.media_type(
    "application/gzip", st.one_of(st.binary(max_size=4096).map(packed), st.binary(max_size=64))
)


@schemathesis.deserializer("text/event-stream")
def stream(_context, response):
    # One text, as the document says: what its frames hold is JSON of other schemas.
    return response.text


@schemathesis.hook
def before_call(context, case, kwargs):
    """Two of three requests are about something that is there: a made-up id never is.

    Which ones, and about what, the request alone says, so that it comes out the same when repeated.
    """
    collection, behind, _ = case.path.partition("/{id}")
    things = THINGS.get(collection.rsplit("/", 1)[-1])
    if not behind or not things:
        return
    try:
        uuid.UUID(case.path_parameters["id"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return  # Wrong on purpose.
    parts = (case.method, case.path, case.path_parameters, case.query, case.body)
    number = zlib.crc32(repr([str(part) for part in parts]).encode())
    if number % 3 > 0:
        case.path_parameters["id"] = things[number // 3 % len(things)]
