#!/usr/bin/env bash
# packages.sh node|python
# Prints the directory that holds the files of a set of Debian 12 packages:
# unpacked, never installed, once for each set of versions, kept in the cache.
set -euo pipefail

cache=${HUESHIFT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hueshift}

case ${1:-} in
  # programs, then the libraries that they need and a minimal Debian may lack
  node) packages=(containerd runc containernetworking-plugins nftables docker.io docker-registry
    postgresql-15 postgresql-client-15 iproute2 openssl
    libbpf1 libbsd0 libcap2 libcom-err2 libdevmapper1.02.1 libedit2 libelf1 libgmp10 libgssapi-krb5-2 libicu72
    libjansson4 libk5crypto3 libkeyutils1 libkrb5-3 libkrb5support0 libldap-2.5-0 libmd0 libmnl0
    libnftables1 libnftnl11 libpq5 libreadline8 libsasl2-2 libseccomp2 libssl3 libstdc++6 libxml2 libxtables12) ;;
  python) packages=(python3.11-minimal libpython3.11-minimal libpython3.11-stdlib media-types
    libc6 libgcc-s1 libbz2-1.0 libcrypt1 libdb5.3 libexpat1 libffi8 liblzma5
    libncursesw6 libreadline8 libsqlite3-0 libssl3 libtinfo6 libuuid1 zlib1g) ;;
  *) echo "usage: packages.sh node|python" >&2; exit 1 ;;
esac

apt() { apt-get -qq -o APT::Sandbox::User=root "$@"; }
addresses() { apt download --print-uris "${packages[@]}"; } # with version and checksum of each
update() { echo "packages.sh: reading Debian's package lists" >&2; apt update >&2 || true; }

wanted=$(addresses 2>/dev/null) || { update; wanted=$(addresses); }
place() { echo "$cache/deb-$(sha256sum <<<"$wanted" | cut -c1-12)"; }
out=$(place)
if [ ! -d "$out" ]; then
  mkdir -p "$cache"
  exec 9>"$cache/.deb.lock"
  flock 9
fi
if [ ! -d "$out" ]; then
  find "$cache" -maxdepth 1 -name '.deb-*' -exec rm -rf {} + # of a killed run
  work=$(mktemp -d -p "$cache" .deb-XXXXXX)
  cd "$work"
  apt download "${packages[@]}" >&2 || { # lists of long ago name versions that are gone
    update
    wanted=$(addresses)
    out=$(place)
    apt download "${packages[@]}" >&2
  }
  for deb in *.deb; do dpkg -x "$deb" root; done
  rm -rf -- *.deb root/usr/share/{doc,lintian,locale,man}
  chmod 755 .
  [ -d "$out" ] || mv "$work" "$out"
fi
echo "$out/root"
