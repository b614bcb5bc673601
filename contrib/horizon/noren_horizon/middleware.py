"""What a page or Noren asks by itself is no visit: it does not extend the login.

Horizon sets the end of a session anew with each request (SESSION_REFRESH). With a page open there would always be one:
Noren's question whether the session is still there, and the page's own look at a row that has changed.
"""

# The first is Noren's, and no client of Noren can send it. The second is that of the script live_tables.js; who sends
# it with other requests logs out sooner, and that is all.
HEADERS = ("Noren-Question", "X-Live-Tables")


def leave_alone(session):
    """Nothing of this request is stored in the session. One that ends meanwhile is still removed: another call."""
    session.save = lambda *args, **kwargs: None
    # No cookie with a later end either.
    session.modified = False


class QuestionsAreNoVisits:
    """Leaves the session as it is where one of the headers is. To be placed right behind SessionMiddleware."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        own = any(name in request.headers for name in HEADERS)
        if own:
            leave_alone(request.session)
        response = self.get_response(request)
        if own:
            # What came after has changed it again.
            leave_alone(request.session)
        return response
