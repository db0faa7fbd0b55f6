#!/usr/bin/env bash
# After `sudo make …`: gives what root made in the checkout back to the person who called sudo.
set -euo pipefail
[[ -n ${SUDO_UID:-} && $SUDO_UID != 0 ]] || exit 0
chown -R --no-dereference --from=0 "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" .
