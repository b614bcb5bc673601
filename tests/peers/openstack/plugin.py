"""Installs the plugin of contrib/horizon into the Horizon of the environment that this runs in, by its README.

The three documents that say how are read: contrib/horizon/README.md, whose commands are run as they are written but for
the places of this environment, and README.md and src/guide/running.md, which have the first of them as well.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
BIN = pathlib.Path(sys.executable).parent
# Where a distribution's package has the dashboard.
DISTRIBUTION = "/usr/share/openstack-dashboard/openstack_dashboard"


def call(*words, **more):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def documented(document):
    """The commands of the block that begins with pip, without comments."""
    text = (ROOT / document).read_text(encoding="utf-8")
    block = re.search(r"^```sh\n(pip install .*?)^```$", text, flags=re.MULTILINE | re.DOTALL).group(1)
    return [re.sub(r"\s+#.*", "", line) for line in block.splitlines()]


def main():
    site = pathlib.Path(call(sys.executable, "-c", "import horizon; print(horizon.__path__[0])")).parent
    local = site / "openstack_dashboard" / "local"
    shutil.copy(HERE / "local_settings.py", local)
    static = BIN.parent / "static"
    everywhere = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "DJANGO_SETTINGS_MODULE": "openstack_dashboard.settings",
                  "TEST_STATIC": str(static), "TEST_CACHE": str(BIN.parent / "cache"), "PYTHONWARNINGS": "ignore",
                  "PIP_QUIET": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_FORCE_REINSTALL": "1"}
    install, copy, collect, compress = documented("contrib/horizon/README.md")
    for other in ("README.md", "src/guide/running.md"):
        if documented(other) != [install, copy]:
            sys.exit(f"{other} installs the plugin in another way than contrib/horizon/README.md")
    # Another region is no other project.
    views = set(re.findall(r"'\^(switch\w*)/", (site / "openstack_auth" / "urls.py").read_text()))
    views.remove("switch_services_region")
    switch = re.search(r"^switch = (.*)$", (ROOT / "config" / "horizon.toml").read_text(), flags=re.MULTILINE).group(1)
    if missing := [name for name in views if f'"/auth/{name}"' not in switch]:
        sys.exit(f"config/horizon.toml does not know that a visitor has another project after {missing}")
    with tempfile.TemporaryDirectory() as scratch:
        # setuptools writes beside what it builds; and nothing is fetched.
        shutil.copytree(ROOT / "contrib" / "horizon", pathlib.Path(scratch) / "contrib" / "horizon")
        install = install.replace("pip install", "pip install --no-index --no-build-isolation")
        call("sh", "-ec", f"{install}\n{copy.replace(DISTRIBUTION, str(site / 'openstack_dashboard'))}", env=everywhere, cwd=scratch)
    # PyPI has no manage.py, which is the same with the settings in the environment.
    for step in (collect, compress):
        call("sh", "-ec", f"{step.replace('manage.py', '-m django')} --verbosity 0", env=everywhere, cwd=site)


main()
