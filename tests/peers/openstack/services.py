"""How the services of the small cloud are configured and started; it starts nothing itself."""

import os
import pathlib
import subprocess
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
        # All of them are on this machine, whatever proxy it has.
        "no_proxy": "127.0.0.1,localhost",
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
DefaultRuntimeDir {home}
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
WSGIDaemonProcess horizon processes=1 threads=8 python-home={environment} lang=C.UTF-8 locale=C.UTF-8
WSGIProcessGroup horizon
WSGIApplicationGroup %{{GLOBAL}}
WSGIScriptAlias / {application}
Alias /static {static}
<Directory />
    Require all granted
</Directory>
"""
# Apache that is started as root gives up root, and then may not reach what is root's alone: the project, or the
# directory for temporary files, may be below such a directory. These go before the command, the first that works.
WAYS = {
    "as it is": [],
    "with the capabilities of root": ["setpriv", "--securebits", "+no_setuid_fixup"],
    "as root under another name": ["unshare", "--user", "--map-user=33", "--map-group=33"],
}
# Becomes what Apache's workers are, and does what they do: read these, and make a file in the first.
PROBE = """import os, pwd, sys
if os.getuid() == 0:
    user = pwd.getpwnam("www-data")
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
for path in sys.argv[1:]:
    os.listdir(path)
os.rmdir(os.mkdir(path := sys.argv[1] + "/probe") or path)
"""


def mod_wsgi(home, port, environment, application, static):
    """A command that serves the dashboard as the guide describes Apache: by mod_wsgi, with its static files."""
    root = os.getuid() == 0
    user, group = ("www-data", "www-data") if root else (f"#{os.getuid()}", f"#{os.getgid()}")
    conf = home / "apache.conf"
    conf.write_text(APACHE_CONF.format(
        home=home, port=port, user=user, group=group, modules="/usr/lib/apache2/modules", environment=environment,
        application=application, static=static))
    # The workers write what the dashboard caches, whoever they are.
    cache = home / "cache"
    cache.mkdir(exist_ok=True)
    cache.chmod(0o777)
    home.chmod(0o755)
    command = ["/usr/sbin/apache2", "-f", conf, "-D", "FOREGROUND"]
    return [*way([cache, application.parent, static]), *command] if root else command


def way(paths):
    """The beginning of a command whose workers reach these directories."""
    failed = []
    for name, begin in WAYS.items():
        done = subprocess.run(
            [*begin, sys.executable, "-c", PROBE, *paths], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return begin
        failed.append(f"{name}: {done.stderr.strip()[-300:]}")
    sys.exit("Apache's workers would not reach what they have to; " + "; ".join(failed))
