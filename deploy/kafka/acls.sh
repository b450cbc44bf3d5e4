#!/usr/bin/env bash
# Allow each service to write the topics that it owns, and all of them to read: one run, repeated at will.
#
#   KAFKA_ACLS="/opt/kafka/bin/kafka-acls.sh" deploy/kafka/acls.sh --bootstrap-server kafka:9092 --command-config admin.properties
#
# The broker needs an authorizer (authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer) and must not allow
# what no rule names (allow.everyone.if.no.acl.found=false, the default). The names of the users are the services' own,
# unless PRINCIPAL_ROUTER and so on say otherwise; agents that record by the SDK are PRINCIPAL_AGENT, people who run
# `understudies topics`, `steer`, `import` and `dlq` are PRINCIPAL_OPERATOR. GROUPS_PREFIX is UNDERSTUDIES_BUS_GROUP_PREFIX.
# PARTITIONED=1 lets evaluator and budget move events that a producer put into another partition than its task's, which
# those with --partitioned do; without it they wait for that right at the first such event.
set -euo pipefail

read -ra acls <<<"${KAFKA_ACLS:-kafka-acls.sh}"
router=${PRINCIPAL_ROUTER:-router} observer=${PRINCIPAL_OBSERVER:-observer} evaluator=${PRINCIPAL_EVALUATOR:-evaluator}
trainer=${PRINCIPAL_TRAINER:-trainer} budget=${PRINCIPAL_BUDGET:-budget} notices=${PRINCIPAL_NOTICES:-notices}
agent=${PRINCIPAL_AGENT:-agent} operator=${PRINCIPAL_OPERATOR:-operator}
services=("$router" "$observer" "$evaluator" "$trainer" "$budget" "$notices")
topics=(invocations verdicts promotions drift)

allow() { # OPERATION "WHO..." RESOURCE...
  local operation=$1 who principals=()
  for who in $2; do principals+=(--allow-principal "User:$who"); done
  shift 2
  "${acls[@]}" "${connection[@]}" --add "${principals[@]}" --operation "$operation" "$@" >/dev/null
}

on() { # TOPIC... as arguments, in `named`
  named=()
  local topic
  for topic in "$@"; do named+=(--topic "$topic"); done
}

connection=("$@")
((${#connection[@]})) || { sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2; }

on invocations
# The trainer, as it has the teacher write examples where rules give that a budget.
allow Write "$router $observer $trainer $agent $operator" "${named[@]}"
moved=""
if [[ -n ${PARTITIONED:-} ]]; then
  moved=" $evaluator $budget"
  allow Write "$evaluator $budget" "${named[@]}"
  on verdicts
  allow Write "$budget" "${named[@]}"
fi
on verdicts drift
# The operator, as `understudies dlq replay` publishes again what could not be decoded.
allow Write "$evaluator $operator" "${named[@]}"
# What is served is decided here: no router, evaluator or agent may write it.
on promotions
allow Write "$budget $observer $trainer $operator" "${named[@]}"
on dead-letters
allow Write "${services[*]}" "${named[@]}"
on "${topics[@]}"
allow Read "${services[*]} $operator" "${named[@]}"
on dead-letters
allow Read "$operator" "${named[@]}"
allow Read "${services[*]}" --group "${GROUPS_PREFIX:-understudies}" --resource-pattern-type prefixed
on "${topics[@]}" dead-letters
allow Describe "$agent" "${named[@]}"
allow Create "$operator" "${named[@]}"
echo "allowed: invocations by $router, $observer, $trainer, $agent, $operator$moved; verdicts and drift by $evaluator, $operator;" \
  "promotions by $budget, $observer, $trainer, $operator"
