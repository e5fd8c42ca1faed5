"""What the API says of a pod."""

from __future__ import annotations

from pytest_deploycheck.stacks.kubernetes.manifests import Object, at


def statuses(pod: Object) -> list[Object]:
    """Return what kubelet says of each container."""
    return [
        *at(pod, "status.initContainerStatuses", ()),
        *at(pod, "status.containerStatuses", ()),
    ]


def is_running(pod: Object) -> bool:
    """Tell whether a container of it runs."""
    return any(at(status, "state.running") for status in statuses(pod))


def is_ready(pod: Object) -> bool:
    """Tell whether it gets requests."""
    return any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in at(pod, "status.conditions", ())
    )


def why_unscheduled(pod: Object | None) -> list[str]:
    """Return why no machine takes a pod; nothing if one does."""
    conditions = at(pod, "status.conditions", ())
    return [str(item.get("message")) for item in conditions if item.get("reason") == "Unschedulable"]


def described(pod: Object) -> str:
    """Return the state of a pod, as a message needs it."""
    words = ["ready" if is_ready(pod) else "not ready"]
    if at(pod, "metadata.deletionTimestamp"):
        words.append("about to go")
    words += why_unscheduled(pod)
    for status in statuses(pod):
        name, count = status["name"], status.get("restartCount", 0)
        waiting = at(status, "state.waiting")
        end = at(status, "state.terminated") or at(status, "lastState.terminated")
        if waiting:
            words.append(f"{name}: {waiting.get('reason')} {waiting.get('message', '')}".strip())
        if end and (end.get("exitCode") or count):
            words.append(
                f"{name}: {end.get('reason')}, last exit status {end.get('exitCode')}, restarts {count}"
            )
    return f"{at(pod, 'metadata.name')} {', '.join(words)}"
