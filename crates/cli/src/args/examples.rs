//! Examples that each command's help ends with.

pub(super) const ALL: &str = "\
Examples:
  severance demo                                  see it work; needs nothing but this binary
  severance sandbox --seed-example                an embedded Kafka and AWS to play with
  severance check --config severance.toml         is the configuration right and enough?
  severance run --config severance.toml           the worker
  severance publish compromise --access-key-id AKIA... --severity high \\
      --reporter soc --reason 'on a paste site' --wait";

pub(super) const RUN: &str = "\
Examples:
  severance run --config severance.toml
  SEVERANCE__LOG__FORMAT=json severance run --config /etc/severance/severance.toml";

pub(super) const DEMO: &str = "\
Examples:
  severance demo
  severance demo --identities 500 --seed 7
  severance demo --json | jq .time_to_revoke_seconds

It exits with 0 only where every credential worked immediately before its notice and none works at
the end, by the demo's own tries and not by what the worker says.";

pub(super) const SANDBOX: &str = "\
Examples:
  severance sandbox --seed-example
  severance sandbox --kafka-port 19092 --aws-port 14566 --spread-delay 3s --env-file sandbox.env
  severance sandbox --seed-example --config-file severance.toml
  severance sandbox --replica-delay 10s --published-rates     slow replicas, and AWS's own rates

Secrets are rotated by functions that the sandbox runs itself. The last part of the function's ARN
says what becomes of the rotation: succeeding, slow, failing or stale-pending; a number after a dash
is a delay in milliseconds:
  aws secretsmanager create-secret --name acme/api --secret-string hunter2
  aws secretsmanager rotate-secret --secret-id acme/api \\
      --rotation-lambda-arn arn:aws:lambda:us-east-1:111111111111:function:slow-5000

Faults, delays and seeds are set while it runs, over HTTP under /_sandbox/ (docs/SANDBOX.md).";

pub(super) const SCHEMA: &str = "\
Examples:
  severance schema
  severance schema compromise-notice > compromise-notice.schema.json";

pub(super) const CHECK: &str = "\
Examples:
  severance check --config severance.toml
  severance check --json | jq '.[] | select(.ok | not)'";

pub(super) const CASES: &str = "\
Examples:
  severance cases
  severance cases --state held
  severance cases release c-0123456789abcdef";

pub(super) const CASE: &str = "\
Examples:
  severance case c-0123456789abcdef
  severance case c-0123456789abcdef --json | jq .tasks";

pub(super) const TASKS: &str = "\
Examples:
  severance tasks --state blocked
  severance tasks retry                           every blocked task, now
  severance tasks retry t-0123456789abcdef";

pub(super) const CONTRACT_END: &str = "\
Examples:
  severance publish contract-end --zone acme --contract payments-2026 --revision 1 \\
      --reason 'contract ended' --wait
  severance publish contract-end --zone acme --contract payments-2026 --revision 2 \\
      --change extended --effective-at 2027-01-31T00:00:00Z --reason 'one more quarter'";

pub(super) const COMPROMISE: &str = "\
Examples:
  severance publish compromise --access-key-id AKIAIOSFODNN7EXAMPLE --severity critical \\
      --reporter soc --reason 'found in a public repository' --wait
  severance publish compromise --user acme-deploy --role acme-ci --account 111111111111 \\
      --severity high --reporter soc --reason 'laptop stolen'";

pub(super) const PUBLISH: &str = "\
Examples:
  severance publish compromise --user acme-deploy --severity high --reporter soc \\
      --reason 'laptop stolen' --wait
  severance publish contract-end --zone acme --contract payments-2026 --revision 1 \\
      --reason 'contract ended'
  severance publish rotation --secret acme/payments/api --cause requested --grace 4h

Each checks the event before it publishes it. `severance publish EVENT --help` has more.";

pub(super) const RELEASE: &str = "\
Examples:
  severance cases --state held                    what is held, and for how many credentials
  severance case c-0123456789abcdef               which they are
  severance cases release c-0123456789abcdef";

pub(super) const RETRY: &str = "\
Examples:
  severance tasks retry                           every blocked task, now
  severance tasks retry t-0123456789abcdef        only this one
  severance tasks retry --json";
