"""A real VNC server on loopback that asks for certificates or a password, as hosts of virtual machines do.

    vnc_host.py qemu METHOD DIRECTORY        QEMU without a guest; METHOD is x509-none, x509-vnc, vnc or none
    vnc_host.py tigervnc METHOD DIRECTORY    TigerVNC's Xvnc, with an xterm whose lines go to DIRECTORY/typed

DIRECTORY has ca.pem, host.pem and host.key. The password is `secret`. With `+clients` behind the method QEMU wants a
certificate of ca.pem from its clients.
"""

import os
import shutil
import socket
import subprocess
import sys
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


def qemu(method, directory, port):
    method, _, clients = method.partition("+")
    display = f"127.0.0.1:{port - 5900}"
    command = ["qemu-system-x86_64", "-display", "none", "-nodefaults", "-vga", "std", "-S", "-m", "16"]
    if method.startswith("x509-"):
        there = os.path.join(directory, "qemu")
        os.makedirs(there, exist_ok=True)
        for name, source in [("ca-cert", "ca.pem"), ("server-cert", "host.pem"), ("server-key", "host.key")]:
            shutil.copy(os.path.join(directory, source), os.path.join(there, f"{name}.pem"))
        verify = "on" if clients else "off"
        command += ["-object", f"tls-creds-x509,id=tls,dir={there},endpoint=server,verify-peer={verify}"]
        display += ",tls-creds=tls"
    if method in ("x509-vnc", "vnc"):
        command += ["-object", "secret,id=password,data=secret"]
        display += ",password-secret=password"
    start(*command, "-vnc", display)


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
    {"qemu": qemu, "tigervnc": tigervnc}[kind](method, directory, port)
    wait_for("VNC server", lambda: listens(port))
    lifeline.hold(f"localhost:{port}", at_end=stop)


try:
    main()
finally:
    stop()
