"""Security - HTTPS: who can read along, who the app talks to, and who can get round the proxy."""

from pytest_deploycheck.checks.https.certificates import (
    check_certificates_renew_themselves,
    check_renewed_certificate_is_served,
)
from pytest_deploycheck.checks.https.identity import (
    check_app_knows_it_is_behind_https,
    check_app_sees_the_real_client,
    check_client_cannot_forge_who_it_is,
    check_docs_work_under_a_path_prefix,
    check_foreign_host_is_refused,
    check_nothing_goes_round_the_proxy,
)
from pytest_deploycheck.checks.https.passage import (
    check_oversize_body_stops_at_the_proxy,
    check_proxy_survives_the_app,
    check_slow_client_holds_nobody_up,
    check_websockets_pass,
)
from pytest_deploycheck.checks.https.transport import (
    check_browsers_are_told_to_stay_on_https,
    check_certificate_is_right_and_old_tls_is_refused,
    check_http2_is_offered,
    check_plain_http_is_sent_to_https,
)
