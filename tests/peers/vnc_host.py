"""A real VNC server on loopback that asks for certificates or a password, as hosts of virtual machines do.

    vnc_host.py qemu METHOD DIRECTORY        QEMU without a guest; METHOD is x509-none, x509-vnc, vnc or none
    vnc_host.py libvirt METHOD DIRECTORY     the same by libvirt, with vnc_tls = 1; METHOD is x509-none or x509-vnc
    vnc_host.py tigervnc METHOD DIRECTORY    TigerVNC's Xvnc, with an xterm whose lines go to DIRECTORY/typed

DIRECTORY has ca.pem, host.pem and host.key. The password is `secret`. With `+clients` behind the method QEMU wants a
certificate of ca.pem from its clients. libvirt obeys `renew`: the console's certificate is the one that is there now.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import lifeline

# `secret` as vncpasswd(1) writes it: hidden with a key that is public.
VNC_PASSWORD = bytes.fromhex("2e2dbf576eb06c9e")
children = []


def start(*command, **more):
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, **more)
    children.append(child)
    return child


def stop():
    for child in reversed(children):
        child.terminate()
    for child in children:
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()


def wait_for(what, look):
    limit = time.monotonic() + 60
    while not look():
        if time.monotonic() > limit or any(child.poll() is not None for child in children):
            sys.exit(f"no {what}")
        time.sleep(0.05)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def certificates(directory, there):
    """The files as QEMU wants them to be called."""
    os.makedirs(there, exist_ok=True)
    for name, source in [("ca-cert", "ca.pem"), ("server-cert", "host.pem"), ("server-key", "host.key")]:
        shutil.copy(os.path.join(directory, source), os.path.join(there, f"{name}.pem"))


def qemu(method, directory, port):
    method, _, clients = method.partition("+")
    display = f"127.0.0.1:{port - 5900}"
    command = ["qemu-system-x86_64", "-display", "none", "-nodefaults", "-vga", "std", "-S", "-m", "16"]
    if method.startswith("x509-"):
        there = os.path.join(directory, "qemu")
        certificates(directory, there)
        verify = "on" if clients else "off"
        command += ["-object", f"tls-creds-x509,id=tls,dir={there},endpoint=server,verify-peer={verify}"]
        display += ",tls-creds=tls"
    if method in ("x509-vnc", "vnc"):
        command += ["-object", "secret,id=password,data=secret"]
        display += ",password-secret=password"
    start(*command, "-vnc", display)


DOMAIN = """<domain type='qemu'><name>vm</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<graphics type='vnc' port='{port}' autoport='no' listen='127.0.0.1'/><video><model type='vga'/></video></devices></domain>
"""
SETTINGS = """vnc_tls = 1
vnc_tls_x509_cert_dir = "{pki}"
vnc_tls_x509_verify = {verify}
{password}
security_driver = "none"
"""
RENEWAL = '{"execute": "display-reload", "arguments": {"type": "vnc", "tls-certs": true}}'


class Libvirt:
    """libvirt's daemon in session mode, which root cannot have: it is nobody's then."""

    def __init__(self, method, directory, port):
        method, _, clients = method.partition("+")
        self.source, self.home = directory, tempfile.mkdtemp(prefix="noren-libvirt-")
        self.pki = os.path.join(self.home, "pki")
        os.makedirs(os.path.join(self.home, "libvirt"))
        password = 'vnc_password = "secret"' if method == "x509-vnc" else ""
        settings = SETTINGS.format(pki=self.pki, verify=int(bool(clients)), password=password)
        self.write("libvirt/qemu.conf", settings)
        self.write("vm.xml", DOMAIN.format(port=port))
        self.as_whom = []
        if os.getuid() == 0:
            self.as_whom = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        self.environment = {**os.environ, "HOME": self.home, "XDG_RUNTIME_DIR": self.home, "XDG_CONFIG_HOME": self.home,
                            "XDG_CACHE_HOME": self.home}
        self.certify()
        # Its noise about what a container does not have is no fault of the test.
        start(*self.as_whom, "/usr/sbin/libvirtd", env=self.environment, stderr=subprocess.DEVNULL)
        wait_for("libvirtd", lambda: self.virsh("version").returncode == 0)
        made = self.virsh("create", os.path.join(self.home, "vm.xml"))
        if made.returncode:
            sys.exit(made.stderr)

    def write(self, name, text):
        with open(os.path.join(self.home, name), "w") as file:
            file.write(text)

    def certify(self):
        certificates(self.source, self.pki)
        if self.as_whom:
            for root, _, files in os.walk(self.home):
                for path in [root, *(os.path.join(root, name) for name in files)]:
                    os.chown(path, 65534, 65534)

    def virsh(self, *words):
        return subprocess.run([*self.as_whom, "virsh", "-c", "qemu:///session", *words], env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def renew(self, _):
        self.certify()
        done = self.virsh("qemu-monitor-command", "vm", RENEWAL)
        if done.returncode or "error" in done.stdout:
            raise RuntimeError(done.stdout + done.stderr)

    def end(self):
        self.virsh("destroy", "vm")
        shutil.rmtree(self.home, ignore_errors=True)


def tigervnc(method, directory, port):
    names = {"x509-none": "X509None", "x509-vnc": "X509Vnc", "vnc": "VncAuth", "none": "None", "ra2": "RA2",
             "tls-none": "TLSNone", "tls-vnc": "TLSVnc"}
    password, typed = os.path.join(directory, "vnc-password"), os.path.join(directory, "typed")
    with open(password, "wb") as file:
        file.write(VNC_PASSWORD)
    server = start(
        "Xtigervnc", "-displayfd", "1", "-geometry", "640x480", "-depth", "24", "-interface", "127.0.0.1", "-rfbport",
        str(port), "-AlwaysShared", "-br", "-SecurityTypes", names[method], "-PasswordFile", password,
        "-X509Cert", os.path.join(directory, "host.pem"), "-X509Key", os.path.join(directory, "host.key"),
        stdout=subprocess.PIPE,
    )
    display = ":" + server.stdout.readline().decode().strip()
    environment = {**os.environ, "DISPLAY": display}
    open(typed, "w").close()
    start("xterm", "-geometry", "100x30+0+0", "-e", "sh", "-c", 'cat > "$0"', typed, env=environment)
    wait_for("xterm", lambda: subprocess.run(
        ["xdotool", "search", "--onlyvisible", "--class", "xterm"], env=environment,
        stdout=subprocess.DEVNULL).returncode == 0)


def main():
    kind, method, directory = sys.argv[1:]
    port = lifeline.free_port()
    made = {"qemu": qemu, "tigervnc": tigervnc, "libvirt": Libvirt}[kind](method, directory, port)
    if kind != "libvirt":
        wait_for("VNC server", lambda: listens(port))
        return lifeline.hold(f"localhost:{port}", at_end=stop)

    def end():
        made.end()
        stop()

    try:
        wait_for("VNC server", lambda: listens(port))
        lifeline.hold(f"localhost:{port}", {"renew": made.renew}, at_end=end)
    finally:
        made.end()


try:
    main()
finally:
    stop()
