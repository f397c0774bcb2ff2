"""Answers that several routes give."""

from __future__ import annotations

from handlers.http.route import Content, Success
from handlers.http.run_views import RunView

ETAG = {"ETag": "Of what the answer says, for `If-None-Match`; the clock alone does not change it."}
KNOWN = Success("The copy that `If-None-Match` names says the same.", headers=ETAG)
IF_NONE_MATCH = {"If-None-Match": "ETag of the copy that you have."}
RUN_BODY = Content((RunView,))
RUN = Success("The run.", (Content((RunView,)),), ETAG)
ASKED = Success("It is on the record, and will be done.", (RUN_BODY,))
BUSY = (503,)
