"""Noren's two questions, and what a page has to know. Nothing here asks Keystone or stores anything.

    /api/noren/session/            200 with what the page needs for its channels, or 401
    /api/noren/channel/NAME        200 if this visitor may listen to the channel, 403 if not, 401 without a login

The first answer also names the channels of the session in the header Noren-Channels, so that Noren need not ask for each
(channels-header in its [session]); a Noren without that key asks the second.

A channel is called SERVICE.PROJECT; that of what belongs to no project, SERVICE.cloud.
"""

from urllib.parse import quote

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.views import generic
from openstack_dashboard.api.rest import urls

from .middleware import leave_alone

CHANNELS = {
    "instances": "nova.{project}",
    "volumes": "openstack.{project}",
    "images": "openstack.{project}",
    "networks": "neutron.{project}",
}
DEFAULTS = {
    # Where Noren's hub is: `path` of [hub].
    "events": "/events",
    # The channel of each table; only these tables are watched.
    "channels": CHANNELS,
    # What the page tries, in this order. ["sockjs"] alone takes the library at `sockjs`.
    "transports": ["websocket", "sse", "poll"],
    "sockjs": None,
}


def page_settings(user):
    own = {**DEFAULTS, **getattr(settings, "NOREN", {})}
    own["channels"] = {
        table: name.format(project=user.project_id) for table, name in own["channels"].items() if name
    }
    return own


def projects(user):
    """Only the project that the visitor works in now; what belongs to none is for administrators."""
    return [name for name in (user.project_id, "cloud" if user.is_superuser else None) if name]


def may_listen(user, channel):
    return channel.partition(".")[2] in projects(user)


class Question(generic.View):
    """Says 401 to who is not logged in, and otherwise who it is: for the log of Noren, and for logins in signed cookies."""

    def dispatch(self, request, *args, **kwargs):
        leave_alone(request.session)
        user = request.user
        if not user.is_authenticated:
            return HttpResponse(status=401)
        response = super().dispatch(request, *args, **kwargs)
        # A name repeats in other domains.
        response["Remote-User"] = quote(f"{user.username}@{user.user_domain_name or user.user_domain_id}", safe="@ ")
        response["Cache-Control"] = "no-store"
        return response


@urls.register
class Session(Question):
    url_regex = r"noren/session/$"

    def get(self, request):
        response = JsonResponse(page_settings(request.user))
        response["Noren-Channels"] = ", ".join(f"*.{project}" for project in projects(request.user))
        return response


@urls.register
class Channel(Question):
    url_regex = r"noren/channel/(?P<channel>[A-Za-z0-9_.-]+)$"

    def get(self, request, channel):
        return HttpResponse(status=200 if may_listen(request.user, channel) else 403)
