"""How the services of the small cloud are configured and started; it starts nothing itself."""

import os
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).parent
BIN = pathlib.Path(sys.executable).parent

# As they stand in the catalog that is made once; a test replaces them by its own.
PORTS = {"identity": 15000, "compute": 15774, "image": 15292, "volumev3": 15776, "network": 15696}

KEYSTONE_CONF = """[DEFAULT]
log_file = {home}/keystone.log
[database]
connection = sqlite:///{home}/keystone.db
[fernet_tokens]
key_repository = {home}/fernet
[credential]
key_repository = {home}/credential
"""

# No compute node, no scheduler: what they do to a server the tests do, with Nova's own objects and notifier.
NOVA_CONF = """[DEFAULT]
log_file = {home}/nova.log
state_path = {home}
transport_url = rabbit://guest:guest@127.0.0.1:{rabbit}/
[database]
connection = sqlite:///{home}/nova.db
[api_database]
connection = sqlite:///{home}/api.db
[api]
auth_strategy = keystone
[keystone_authtoken]
auth_type = password
auth_url = http://127.0.0.1:{identity}/v3
www_authenticate_uri = http://127.0.0.1:{identity}/v3
username = nova
password = secret
project_name = service
user_domain_id = default
project_domain_id = default
[notifications]
notify_on_state_change = vm_and_task_state
notification_format = unversioned
[oslo_messaging_notifications]
driver = messagingv2
[oslo_policy]
enforce_scope = true
"""


def environment(home, **more):
    """What the services find their configuration by."""
    return {
        **os.environ,
        "OS_KEYSTONE_CONFIG_DIR": str(home),
        "OS_NOVA_CONFIG_DIR": str(home),
        # Its pipeline is Nova's own, as it is installed.
        "OS_NOVA_CONFIG_FILES": f"{BIN.parent}/etc/nova/api-paste.ini;{home}/nova.conf",
        "DJANGO_SETTINGS_MODULE": "openstack_dashboard.settings",
        "PYTHONWARNINGS": "ignore",
        **more,
    }


def gunicorn(module, port, threads=4, python=sys.executable):
    """A command that serves `application` of this module."""
    return [
        python, "-B", "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "1",
        "--threads", str(threads), "--chdir", str(HERE), "--timeout", "120", "--log-level", "warning",
        "--no-control-socket", f"{module}:application",
    ]


APACHE_CONF = """ServerRoot {home}
PidFile {home}/apache.pid
ErrorLog {home}/apache.log
Listen 127.0.0.1:{port}
ServerName localhost
User {user}
Group {group}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule alias_module {modules}/mod_alias.so
LoadModule mime_module {modules}/mod_mime.so
TypesConfig /etc/mime.types
LoadModule wsgi_module {modules}/mod_wsgi.so
WSGISocketPrefix {home}/wsgi
WSGIDaemonProcess horizon processes=1 threads=8 python-home={environment}
WSGIProcessGroup horizon
WSGIApplicationGroup %{{GLOBAL}}
WSGIScriptAlias / {application}
Alias /static {static}
<Directory />
    Require all granted
</Directory>
"""


def mod_wsgi(home, port, environment, application, static):
    """A command that serves the dashboard as the guide describes Apache: by mod_wsgi, with its static files."""
    user, group = ("www-data", "www-data") if os.getuid() == 0 else (f"#{os.getuid()}", f"#{os.getgid()}")
    conf = home / "apache.conf"
    conf.write_text(APACHE_CONF.format(
        home=home, port=port, user=user, group=group, modules="/usr/lib/apache2/modules", environment=environment,
        application=application, static=static))
    command = ["/usr/sbin/apache2", "-f", conf, "-D", "FOREGROUND"]
    if os.getuid() != 0:
        return command
    # Its workers give up root, and the cache with the sessions is theirs.
    cache = home / "cache"
    cache.mkdir(exist_ok=True)
    shutil.chown(cache, user)
    home.chmod(0o755)
    # The project may stand in a directory of root's, which only root's capabilities let them read.
    return ["setpriv", "--securebits", "+no_setuid_fixup", *command]
