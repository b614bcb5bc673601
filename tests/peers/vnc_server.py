"""A real VNC server on a UNIX socket that shows a known picture, with a terminal to type into.

    vnc_server.py /path/of/socket PICTURE.png TYPED

Xtigervnc without a password (the door is what protects it). The picture is drawn
here, kept as PICTURE.png for the comparison, and fills the screen; an xterm without decorations lies at the lower right, and what is typed there
goes to the file TYPED line by line. Keys follow the pointer, as no window manager runs.
"""

import os
import subprocess
import sys
import time

import lifeline

# Coloured areas with sharp edges, a round one with soft edges, and a run of colours.
DRAWING = [
    "-size", "640x480", "xc:#204060",
    "-fill", "#c03030", "-draw", "rectangle 20,20 200,130",
    "-fill", "#30a040", "-draw", "rectangle 220,20 420,130",
    "-fill", "#f0d020", "-draw", "ellipse 530,75 90,55 0,360",
    "(", "-size", "600x100", "gradient:#ffffff-#d04090", ")", "-geometry", "+20+160", "-composite",
]
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


def main():
    path, picture, typed = sys.argv[1:4]
    server = start(
        "Xtigervnc", "-displayfd", "1", "-geometry", "640x480", "-depth", "24", "-SecurityTypes", "None",
        "-rfbunixpath", path, "-rfbport", "-1", "-AlwaysShared", "-br", stdout=subprocess.PIPE,
    )
    display = ":" + server.stdout.readline().decode().strip()
    environment = {**os.environ, "DISPLAY": display}
    subprocess.run(["/usr/bin/convert", *DRAWING, picture], check=True, timeout=60)
    # `display` ends with 1 even when it did this well; the picture is compared in the browser anyway.
    subprocess.run(["/usr/bin/display", "-window", "root", picture], env=environment, timeout=60)
    open(typed, "w").close()
    start(
        "xterm", "-geometry", "40x8+300+300", "-e", "sh", "-c", 'cat > "$0"', typed, env=environment,
    )
    limit = time.monotonic() + 60
    while subprocess.run(["xdotool", "search", "--onlyvisible", "--class", "xterm"], env=environment,
                         stdout=subprocess.DEVNULL).returncode != 0:
        if time.monotonic() > limit:
            sys.exit("xterm did not show within 60 s")
        time.sleep(0.1)
    lifeline.hold(path, at_end=stop)


try:
    main()
finally:
    stop()
