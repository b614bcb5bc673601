"""The machine that tests/boot boots: a copy of a root directory of debootstrap, with systemd as its first process.

Run as a program, it is that first process: `machine.py LOWER PACKAGE...`. It knows nothing of what is tried in it.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
SUITE = "bookworm"
PACKAGES = (
    "systemd,systemd-sysv,dbus,ca-certificates,curl,iproute2,openssl,procps,nginx-light,python3-minimal,"
    "libpython3-stdlib,adduser,init-system-helpers,php-cli,libnss3-tools,rpm"
)
# A step waits this long for what it asked for, on a machine that does other things as well.
PATIENCE = 60


class Failed(Exception):
    """A promise that did not hold."""


def run(command, **more):
    return subprocess.run(command, check=True, text=True, **more)


def made_root():
    """Returns the directory that debootstrap made, now or before."""
    cache = pathlib.Path(os.environ.get("NOREN_TEST_ROOTS", PROJECT / "tests/.cache/roots"))
    root = cache / f"{SUITE}-boot"
    stamp = root / ".packages"
    if stamp.exists() and stamp.read_text() == PACKAGES:
        return root
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    print(f"making {root.name} with debootstrap", flush=True)
    log = cache / "debootstrap.log"
    with open(log, "w", encoding="utf-8") as out:
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root)],
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if made.returncode != 0:
        tail = "".join(log.read_text().splitlines(keepends=True)[-5:])
        sys.exit(f"tests/boot: debootstrap failed; {log} ends with:\n{tail}")
    stamp.write_text(PACKAGES)
    return root


def mount(kind, source, target, options=None):
    os.makedirs(target, exist_ok=True)
    command = ["mount", "-t", kind]
    if options:
        command += ["-o", options]
    run(command + [source, str(target)])


def inside_namespaces(lower, *packages):
    """Runs as the first process of the namespaces: lays a copy of the root and becomes its systemd."""
    base = "/mnt"
    mount("tmpfs", "tmpfs", base)
    for name in ("upper", "work", "root"):
        os.mkdir(f"{base}/{name}")
    root = f"{base}/root"
    mount("overlay", "overlay", root, f"lowerdir={lower},upperdir={base}/upper,workdir={base}/work")
    mount("proc", "proc", f"{root}/proc")
    mount("sysfs", "sysfs", f"{root}/sys", "ro")
    mount("cgroup2", "none", f"{root}/sys/fs/cgroup")
    for name in ("run", "tmp", "dev"):
        mount("tmpfs", "tmpfs", f"{root}/{name}", "mode=1777" if name == "tmp" else "mode=755")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        run(["cp", "-a", f"/dev/{name}", f"{root}/dev/{name}"])
    for name in ("pts", "shm"):
        os.mkdir(f"{root}/dev/{name}")
    mount("devpts", "devpts", f"{root}/dev/pts", "newinstance,ptmxmode=0666")
    os.symlink("pts/ptmx", f"{root}/dev/ptmx")
    mount("tmpfs", "tmpfs", f"{root}/dev/shm", "mode=1777")
    run(["ip", "link", "set", "lo", "up"])
    # What an administrator has: the package and a clone.
    clone = f"{root}/root/noren"
    os.makedirs(clone)
    for name in ("certs", "config", "systemd", "examples", "src/guide", "README.md"):
        os.makedirs(os.path.dirname(f"{clone}/{name}"), exist_ok=True)
        run(["cp", "-r", str(PROJECT / name), f"{clone}/{name}"])
    os.makedirs(f"{clone}/target/package")
    for package in packages:
        shutil.copy(package, f"{clone}/target/package/")
    pathlib.Path(root, "etc/hostname").write_text("door\n", encoding="utf-8")
    pathlib.Path(root, "etc/hosts").write_text("127.0.0.1 localhost door\n::1 localhost door\n", encoding="utf-8")
    # A rule of containers that no administrator has: it would keep packages from starting anything.
    pathlib.Path(root, "usr/sbin/policy-rc.d").unlink(missing_ok=True)
    # Moved and not only changed into: units get mount namespaces of their own, which start at the true root.
    os.chdir(root)
    run(["pivot_root", ".", "."])
    run(["umount", "--lazy", "/"])
    os.chdir("/")
    os.execve(
        "/lib/systemd/systemd",
        ["/lib/systemd/systemd", "--log-target=journal"],
        {"container": "namespaces", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )


class Machine:
    """The booted system."""

    def __init__(self, lower, packages):
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log", delete=False)
        self.unshare = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--fork", "--kill-child"]
            + ["--propagation", "private", sys.executable, __file__, str(lower), *map(str, packages)],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )
        self.first = None

    def boot(self):
        """Waits until systemd says that the system runs; False if it cannot be started here at all."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.unshare.poll() is not None:
                return False
            children = pathlib.Path(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children").read_text().split()
            if children:
                self.first = children[0]
                name = pathlib.Path(f"/proc/{self.first}/comm").read_text().strip()
                if name == "systemd":
                    state = self.command("systemctl is-system-running", check=False, errors=subprocess.DEVNULL)
                    if state in ("running", "degraded"):
                        return True
            time.sleep(0.2)
        return False

    def _enter(self, line):
        return [
            "nsenter", "--target", self.first, "--all", "--root", "--wdns=/root/noren",
            "env", "-i", "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
            "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_PAGER=", "sh", "-c", line,
        ]  # fmt: skip

    def command(self, line, check=True, errors=None):
        """Runs one line of a shell in it and returns what it printed."""
        done = subprocess.run(
            self._enter(line),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors is None else errors,
            text=True,
            timeout=300,
            check=False,
        )
        if check and done.returncode != 0:
            raise Failed(f"`{line}` ended with {done.returncode}:\n{done.stdout.rstrip()}")
        return done.stdout.strip()

    def fails(self, line):
        """Runs a line that must fail, and returns what it printed."""
        done = subprocess.run(
            self._enter(line),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            raise Failed(f"`{line}` did not fail:\n{done.stdout.rstrip()}")
        return done.stdout.strip()

    def background(self, line):
        return subprocess.Popen(self._enter(line), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def write(self, path, text, mode=0o644):
        target = pathlib.Path(f"/proc/{self.first}/root{path}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        target.chmod(mode)

    def until(self, line, word, what):
        """Repeats a line until it prints the word."""
        end = time.monotonic() + PATIENCE
        while True:
            said = self.command(line, check=False)
            if word in said:
                return said
            if time.monotonic() > end:
                raise Failed(f"{what}: `{line}` said to the end:\n{said}")
            time.sleep(0.3)

    def shell(self):
        subprocess.run(self._enter("exec bash -i"), check=False)

    def stop(self):
        if self.first:
            os.kill(int(self.first), signal.SIGRTMIN + 14)  # systemd: power off at once
            try:
                self.unshare.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.unshare.kill()
        self.unshare.wait()
        os.unlink(self.log.name)


if __name__ == "__main__":
    inside_namespaces(*sys.argv[1:])
