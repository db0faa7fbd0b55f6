"""Labels an alert gets and loses on its way from the rules to dispatch.

Alerts over cAdvisor's families carry Compose's labels in cAdvisor's form, and the container's id and image, which
change with every deployment; an incident must not.
"""

from __future__ import annotations

import functools
from typing import Final

from alerting.labels import Labels

_COMPOSE: Final = (
    ("project", "container_label_com_docker_compose_project"),
    ("service", "container_label_com_docker_compose_service"),
)
_PASSING: Final = ("id", "image")
_REMEMBERED: Final = 4096  # alerts that fire come with the same labels at every evaluation


@functools.lru_cache(maxsize=_REMEMBERED)
def complete(labels: Labels, host: str) -> Labels:
    """Return the labels an alert is dispatched with.

    ``project`` and ``service`` are completed from Compose's labels, ``id``, ``image`` and ``container_label_*`` are
    dropped, ``host`` is added unless the alert has one.
    """
    added = {ours: labels[theirs] for ours, theirs in _COMPOSE if ours not in labels and theirs in labels}
    if "host" not in labels:
        added["host"] = host
    unwanted = [n for n in labels if n in _PASSING or n.startswith("container_label_")]
    return labels.drop(unwanted).with_(added)
