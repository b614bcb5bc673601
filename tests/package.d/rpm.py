#!/usr/bin/env python3
"""Makes the RPM out of the Debian package, so that both have the same files: there is one list, in Cargo.toml.

    tests/package.d/rpm.py FILE.deb DIRECTORY [RELEASE]

Debian's rpmbuild packs what dpkg-deb unpacks. What is different is below: two places that Fedora, CentOS and openSUSE
call otherwise, and the scripts, which do as these do it: a service is enabled where the host's presets say so and
started by the administrator, users and what was kept stay after the removal, a changed file of /etc is left beside.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

# Debian's name of a place, and theirs; None is a file of Debian's own.
PLACES = {
    "usr/share/zsh/vendor-completions": "usr/share/zsh/site-functions",
    "usr/share/doc/noren/copyright": None,
}

SPEC = """\
Name: noren
Version: {version}
Release: {release}
Summary: {summary}
License: Apache-2.0
# The unit, its user and its directories are systemd's to make.
Requires: systemd
Requires(post): systemd
Requires(preun): systemd
Requires(postun): systemd

# The files are packed as they are: no program runs over them, and the examples need no interpreter to be installed.
%global debug_package %{{nil}}
%global __os_install_post %{{nil}}
%global __requires_exclude_from ^/usr/share/doc/
%global __provides_exclude_from ^/usr/share/doc/
%global _build_id_links none
%global _buildhost noren
%global use_source_date_epoch_as_buildtime 1
%global clamp_mtime_to_source_date_epoch 1

%description
{description}

%install
cp -a {tree}/. %{{buildroot}}/

%post
systemd-sysusers noren.conf || :
systemd-tmpfiles --create noren.conf || :
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
fi
if [ "$1" -eq 1 ]; then
    systemctl --no-reload preset noren.socket noren.service || :
elif systemctl --quiet is-active noren.service; then
    # The new program takes the sockets over from the old one, which keeps its consoles.
    systemctl kill --kill-who=main --signal=SIGUSR2 noren.service || :
fi

%preun
if [ "$1" -eq 0 ]; then
    if [ -d /run/systemd/system ]; then
        systemctl --no-reload disable --now noren.service noren.socket || :
    else
        systemctl --no-reload disable noren.service noren.socket || :
    fi
fi

%postun
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
fi
if [ "$1" -eq 0 ]; then
    rm -rf /run/noren
fi

%files
%defattr(-,root,root,-)
{files}
"""


def output(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


def unpack(deb, tree):
    """Unpacks the Debian package, and puts each file where it belongs here."""
    subprocess.run(["dpkg-deb", "--extract", deb, tree], check=True)
    for debian, place in PLACES.items():
        if place is None:
            (tree / debian).unlink()
        else:
            (tree / place).parent.mkdir(parents=True, exist_ok=True)
            (tree / debian).rename(tree / place)


def files(tree):
    """The lines of %files: every file, and the directories that a machine may have from nobody else."""
    lines = []
    for path in sorted(tree.rglob("*")):
        name = f"/{path.relative_to(tree)}"
        own = name.startswith(
            ("/etc/noren", "/usr/share/doc/noren", "/usr/share/noren", "/usr/share/fish", "/usr/share/zsh")
        )
        if path.is_dir():
            lines += [f'%dir "{name}"'] if own else []
        elif name.startswith("/etc/"):
            lines.append(f'%config(noreplace) "{name}"')
        elif name.endswith("/LICENSE"):
            lines.append(f'%license "{name}"')
        elif name.startswith(("/usr/share/doc/", "/usr/share/man/")):
            lines.append(f'%doc "{name}"')
        else:
            lines.append(f'"{name}"')
    return lines


def main():
    deb, directory = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    release = sys.argv[3] if len(sys.argv) > 3 else "1"
    field = lambda name: output("dpkg-deb", "--field", deb, name)  # noqa: E731
    summary, _, description = field("Description").partition("\n")
    # Debian's version ends with its own release.
    version = field("Version").rpartition("-")[0] or field("Version")
    with tempfile.TemporaryDirectory() as scratch:
        tree = pathlib.Path(scratch, "tree")
        unpack(deb, tree)
        spec = pathlib.Path(scratch, "noren.spec")
        spec.write_text(
            SPEC.format(
                version=version,
                release=release,
                summary=summary.rstrip("."),
                description="\n".join(line.strip() for line in description.splitlines()),
                tree=tree,
                files="\n".join(files(tree)),
            ),
            encoding="utf-8",
        )
        environment = os.environ | {"SOURCE_DATE_EPOCH": output("git", "log", "-1", "--format=%ct")}
        made = subprocess.run(
            ["rpmbuild", "-bb", "--quiet", f"--define=_topdir {scratch}", f"--define=_rpmdir {directory}",
             "--define=_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
             f"--define=_binary_payload w{os.environ.get('COMPRESSION', '1')}.zstdio", str(spec)],
            env=environment, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if made.returncode != 0:
            sys.exit(f"{sys.argv[0]}: rpmbuild failed\n{made.stdout}")


if __name__ == "__main__":
    main()
