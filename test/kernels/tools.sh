#!/bin/sh
# Sees to the emulator: installs it on Debian as root, elsewhere says that it is missing.
set -eu

command -v qemu-system-x86_64 >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "installing qemu-system-x86"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -qq -y --no-install-recommends qemu-system-x86 >/dev/null
else
	echo "other kernels need the package qemu-system-x86"
fi
