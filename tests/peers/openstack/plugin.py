"""Installs the plugin of contrib/horizon into the Horizon of the environment that this runs in, by its README."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
BIN = pathlib.Path(sys.executable).parent


def call(*words, **more):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def main():
    with tempfile.TemporaryDirectory() as scratch:
        # setuptools writes beside what it builds.
        copy = shutil.copytree(ROOT / "contrib" / "horizon", pathlib.Path(scratch) / "horizon")
        call(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index",
             "--no-build-isolation", "--force-reinstall", copy)
    site = pathlib.Path(call(sys.executable, "-c", "import horizon; print(horizon.__path__[0])")).parent
    local = site / "openstack_dashboard" / "local"
    shutil.copy(call(sys.executable, "-m", "noren_horizon"), local / "enabled")
    shutil.copy(HERE / "local_settings.py", local)
    static = BIN.parent / "static"
    everywhere = {**os.environ, "DJANGO_SETTINGS_MODULE": "openstack_dashboard.settings", "TEST_STATIC": str(static),
                  "TEST_CACHE": str(static / "cache"), "PYTHONWARNINGS": "ignore"}
    call(sys.executable, "-m", "django", "collectstatic", "--noinput", "--verbosity", "0", env=everywhere, cwd=site)


main()
