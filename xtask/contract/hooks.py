"""An Idempotency-Key names one request: every valid one that is generated gets its own."""

import re
import uuid

import schemathesis

VALID = re.compile(r'^"?[!#-~]{1,255}"?$')


@schemathesis.hook
def before_call(context, case, kwargs):
    for name in list(case.headers or {}):
        if name.lower() == "idempotency-key" and VALID.match(str(case.headers[name])):
            case.headers[name] = str(uuid.uuid4())
