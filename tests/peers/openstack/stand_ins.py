"""Cinder, Glance and Neutron as far as the dashboard's tables ask them: lists and single things, of the project of the
token, which Keystone is asked about. What they tell they tell with oslo.messaging's own notifier, in the form of their
documentation. Nova and Keystone are the real ones."""

import http.server
import json
import re
import threading
import urllib.error
import urllib.request
import uuid

NOW = "2026-01-01T00:00:00.000000"


class StandIns:
    """All three services, each on a port of its own."""

    def __init__(self, keystone, rabbit):
        self.keystone, self.rabbit = keystone, rabbit
        self.projects, self.things, self.unknown = {}, {"volume": {}, "image": {}, "network": {}}, []
        self.ports = {}
        for service, versions in VERSIONS.items():
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(self, versions))
            self.ports[service] = server.server_port
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def project(self, token):
        """The project of a token, as Keystone says it; None for one that Keystone does not know."""
        if token not in self.projects:
            ask = urllib.request.Request(f"{self.keystone}/v3/auth/tokens", headers={
                "X-Auth-Token": token, "X-Subject-Token": token})
            try:
                with urllib.request.urlopen(ask, timeout=20) as answer:
                    self.projects[token] = json.load(answer)["token"].get("project", {}).get("id")
            except urllib.error.HTTPError:
                return None
        return self.projects[token]

    def create(self, kind, project, name):
        key = str(uuid.uuid4())
        self.things[kind][key] = {**FORMS[kind], "id": key, "name": name, **owner(kind, project)}
        self.tell(kind, self.things[kind][key], "create")
        return key

    def change(self, kind, key, status):
        self.things[kind][key]["status"] = status
        self.tell(kind, self.things[kind][key], "update")

    def delete(self, kind, key):
        self.tell(kind, self.things[kind].pop(key), "delete")

    def tell(self, kind, thing, action):
        exchange, event, payload = NOTIFICATIONS[kind](thing, action)
        notify(self.rabbit, exchange, event, payload)

    def owned(self, kind, project):
        return [each for each in self.things[kind].values() if each[PROJECT[kind]] == project]


PROJECT = {"volume": "os-vol-tenant-attr:tenant_id", "image": "owner", "network": "project_id"}
FORMS = {
    "volume": {"status": "available", "size": 1, "description": "", "volume_type": "__DEFAULT__", "attachments": [],
               "availability_zone": "nova", "bootable": "false", "encrypted": False, "metadata": {}, "links": [],
               "created_at": NOW, "updated_at": NOW, "snapshot_id": None, "source_volid": None, "multiattach": False,
               "replication_status": None, "consistencygroup_id": None, "user_id": "somebody"},
    "image": {"status": "active", "visibility": "private", "protected": False, "size": 1024, "disk_format": "raw",
              "container_format": "bare", "min_disk": 0, "min_ram": 0, "tags": [], "created_at": "2026-01-01T00:00:00Z",
              "updated_at": "2026-01-01T00:00:00Z", "checksum": None, "virtual_size": None, "os_hidden": False},
    "network": {"status": "ACTIVE", "admin_state_up": True, "shared": False, "router:external": False, "subnets": [],
                "mtu": 1500, "availability_zones": [], "description": "", "tags": []},
}
NOTIFICATIONS = {
    "volume": lambda thing, action: ("openstack", f"volume.{action}.end", {
        "volume_id": thing["id"], "tenant_id": thing[PROJECT["volume"]], "display_name": thing["name"],
        "status": thing["status"]}),
    "image": lambda thing, action: ("openstack", f"image.{action}", {
        "id": thing["id"], "owner": thing["owner"], "name": thing["name"], "status": thing["status"]}),
    "network": lambda thing, action: ("neutron", f"network.{action}.end", (
        {"network_id": thing["id"], "network": thing} if action == "delete" else {"network": thing})),
}


def owner(kind, project):
    return {PROJECT[kind]: project, **({"tenant_id": project} if kind == "network" else {})}


def notify(rabbit, exchange, event, payload):
    import oslo_messaging
    from oslo_config import cfg
    from oslo_context.context import RequestContext

    conf = cfg.ConfigOpts()
    conf([])
    # Before the transport: it keeps the exchange it was made with.
    oslo_messaging.set_transport_defaults(exchange)
    transport = oslo_messaging.get_notification_transport(conf, url=f"rabbit://guest:guest@127.0.0.1:{rabbit}/")
    notifier = oslo_messaging.Notifier(transport, publisher_id="host1", driver="messagingv2", topics=["notifications"])
    notifier.info(RequestContext(project_id="0" * 32, auth_token="secret-token"), event, payload)
    transport.cleanup()


def handler(cloud, versions):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_):
            pass

        def answer(self, status, value):
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            path = self.path.partition("?")[0].rstrip("/")
            base = f"http://{self.headers['Host']}"
            if path in ("", "/v2", "/v2.0", "/v3") or re.fullmatch("/v3/[0-9a-f]{32}", path):
                return self.answer(200, {"versions": [said(base, **each) for each in versions]})
            project = cloud.project(self.headers.get("X-Auth-Token", ""))
            if project is None:
                return self.answer(401, {})
            status, value = self.find(re.sub("^/v3/[0-9a-f]{32}", "/v3", path), project)
            return self.answer(status, value)

        def find(self, path, project):
            for kind, plural, one in (("volume", "/v3/volumes", "volume"), ("image", "/v2/images", None),
                                      ("network", "/v2.0/networks", "network")):
                owned = cloud.owned(kind, project)
                if path in (plural, f"{plural}/detail"):
                    # Networks that are shared are asked for apart from those of the project, and the page behind
                    # the last one by its marker.
                    if any(each in self.path for each in ("shared=True", "external=True", "marker=")):
                        owned = []
                    return 200, {plural.rpartition("/")[2]: owned}
                key = path.removeprefix(f"{plural}/")
                if key != path and "/" not in key:
                    found = next((each for each in owned if each["id"] == key), None)
                    return (200, {one: found} if one else found) if found else (404, {})
            for beginning, value in EMPTY.items():
                if path.startswith(beginning):
                    return 200, value
            cloud.unknown.append(path)
            return 404, {}

    return Handler


EMPTY = {
    "/v3/snapshots": {"snapshots": []}, "/v3/limits": {"limits": {"absolute": {
        "maxTotalVolumes": 10, "totalVolumesUsed": 0, "maxTotalVolumeGigabytes": 1000, "totalGigabytesUsed": 0,
        "maxTotalSnapshots": 10, "totalSnapshotsUsed": 0}, "rate": []}},
    "/v3/extensions": {"extensions": []}, "/v3/groups": {"groups": []}, "/v3/types": {"volume_types": []},
    "/v3/os-volume-transfer": {"transfers": []}, "/v3/volume-transfers": {"transfers": []},
    "/v3/qos-specs": {"qos_specs": []},
    "/v3/os-availability-zone": {"availabilityZoneInfo": []}, "/v3/os-services": {"services": []},
    "/v2/metadefs": {"namespaces": []}, "/v2/schemas": {"name": "image", "properties": {}},
    "/v2.0/extensions": {"extensions": []}, "/v2.0/subnets": {"subnets": []}, "/v2.0/ports": {"ports": []},
    "/v2.0/quotas": {"quota": {"network": 100, "subnet": 100, "port": 100, "router": 10, "floatingip": 50,
                               "security_group": 10, "security_group_rule": 100}},
    "/v2.0/floatingips": {"floatingips": []}, "/v2.0/routers": {"routers": []},
    "/v2.0/security-groups": {"security_groups": []}, "/v2.0/security-group-rules": {"security_group_rules": []},
}


VERSIONS = {
    "volumev3": [{"id": "v3.0", "path": "/v3", "min_version": "3.0", "version": "3.70", "updated": NOW}],
    "image": [{"id": "v2.9", "path": "/v2"}],
    "network": [{"id": "v2.0", "path": "/v2.0"}],
}


def said(base, path, **more):
    return {"status": "CURRENT", "links": [{"rel": "self", "href": f"{base}{path}/"}], **more}
