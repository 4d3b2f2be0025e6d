"""TensorOne's calls on any host: what its SDK and its documents' requests become here. Needs nothing but Python.

Answers of `get_metrics` are read by attribute in Python's spelling: `answer.summary.total_executions`.
"""

import json
import re
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT_S = 60


class ApiError(Exception):
    """A refusal, with its status and what the server said."""

    def __init__(self, status, body):
        super().__init__("%d: %s" % (status, body))
        self.status = status
        self.body = body


class Answer:
    """An object of an answer; lists and objects inside are wrapped when they are asked for."""

    def __init__(self, members):
        self._members = members

    def __getattr__(self, name):
        key = re.sub("_([a-z0-9])", lambda match: match.group(1).upper(), name)
        if key not in self._members:
            # An SDK knows all fields; what the answer has not is nothing.
            return None
        return wrap(self._members[key])

    def __getitem__(self, key):
        return wrap(self._members[key])


def wrap(value):
    if isinstance(value, dict):
        return Answer(value)
    if isinstance(value, list):
        return [wrap(element) for element in value]
    return value


class Client:
    """Talks to one host with one token."""

    def __init__(self, host, token):
        self.host = host.rstrip("/")
        self.token = token
        # No proxy of the environment stands between a test and its server.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path, params=None):
        """The answer to a GET as JSON; a list is one parameter for each element, as `requests` sends it."""
        query = urllib.parse.urlencode(params or {}, doseq=True)
        request = urllib.request.Request("%s%s%s" % (self.host, path, "?" + query if query else ""))
        request.add_header("Authorization", "Bearer " + self.token)
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise ApiError(error.code, error.read().decode()) from None

    def get_metrics(self, endpoint_id, **params):
        """`client.endpoints.get_metrics` of the SDK."""
        return wrap(self.get("/v2/endpoints/%s/metrics" % urllib.parse.quote(endpoint_id, safe=""), params))

    def get_performance(self, params):
        """`GET /v2/monitoring/performance`."""
        return self.get("/v2/monitoring/performance", params)

    def get_optimization(self, params):
        """`GET /v2/monitoring/performance/optimization`."""
        return self.get("/v2/monitoring/performance/optimization", params)
