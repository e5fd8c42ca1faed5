"""Resource utilization: it can be seen, and slow work leaves room for the rest."""

from pytest_deploycheck.checks.resources.files import (
    check_enough_file_descriptors,
    check_full_disk_is_survived,
    check_logs_cannot_fill_the_disk,
)
from pytest_deploycheck.checks.resources.load import (
    check_machine_is_used_not_exhausted,
    check_overload_is_refused_early,
    check_slow_work_does_not_block_health,
)
from pytest_deploycheck.checks.resources.metrics import (
    check_utilization_can_be_seen,
)
