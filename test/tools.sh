#!/bin/sh
# Sees to the programs that the tests call: installs them on Debian as root, elsewhere says what is missing.
set -eu

missing() {
	while read -r program package; do
		command -v "$program" >/dev/null || echo "$package"
	done <<-END
		nfcapd nfdump
		nfacctd pmacct
		tshark tshark
		softflowd softflowd
		tcpreplay tcpreplay
		tcpdump tcpdump
		ethtool ethtool
		ip iproute2
		nft nftables
		ping iputils-ping
		nsenter util-linux
		clang-19 clang-19
		llvm-strip-19 llvm-19
		qemu-system-x86_64 qemu-system-x86
	END
}

packages=$(missing | sort -u | tr '\n' ' ')
[ -n "$packages" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "installing what the tests need: $packages"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	# shellcheck disable=SC2086 # a list of names
	apt-get install -qq -y --no-install-recommends $packages >/dev/null
else
	echo "tests that need these packages will be skipped: $packages"
fi
