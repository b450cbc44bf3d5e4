#!/usr/bin/env bash
# Finding: after a record that the broker refuses, aiokafka's idempotent producer delivers nothing more to that partition.
#
# Versions: aiokafka 0.14.0, Apache Kafka 4.3.0, Python 3.11, Java 17.
# Behaviour, with `enable_idempotence=True`:
# 1. A record above the topic's `max.message.bytes`, but within `max_request_size`, fails with MessageSizeTooLargeError, as it
#    should. Its sequence number is spent all the same: every later record of the partition fails with
#    OutOfOrderSequenceNumber, for as long as the producer lives. A new producer delivers again.
# 2. A record whose timestamp is two hours ahead (the broker allows one) fails with its whole batch, InvalidTimestampError
#    for all of it, with any producer. With an idempotent one, 1 follows. Timestamp -1 (none) is taken.
# Output seen: "small ok, large MessageSizeTooLargeError, small OutOfOrderSequenceNumber, small OutOfOrderSequenceNumber",
# "new producer: ok", "two hours ahead: InvalidTimestampError of 3 in 3", "without timestamps: ok".
# The script fails if that changes. Needs Java 17, and the folder `libs` of Apache Kafka 4.3.0 in KAFKA_LIBS.
set -euo pipefail

work=$(mktemp -d)
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet aiokafka==0.14.0
cat > "$work/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:29193
listeners=PLAINTEXT://127.0.0.1:29192,CONTROLLER://127.0.0.1:29193
controller.listener.names=CONTROLLER
log.dirs=$work/data
PROPERTIES
java -cp "$KAFKA_LIBS/*" kafka.tools.StorageTool format --cluster-id b2dOzKqRRlCk8yJmGQyYfw \
  --config "$work/server.properties" >/dev/null 2>&1
(cd "$work" && exec java -Xmx256m -cp "$KAFKA_LIBS/*" kafka.Kafka "$work/server.properties") >/dev/null 2>&1 &
broker=$!
trap 'kill "$broker"; wait "$broker" || true; rm -rf "$work"' EXIT
until (exec 3<>/dev/tcp/127.0.0.1/29192) 2>/dev/null; do kill -0 "$broker"; sleep 0.2; done

cat > "$work/ask.py" <<'PYTHON'
import asyncio
import sys
import time

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

BROKER = "127.0.0.1:29192"


async def connect():
    producer = AIOKafkaProducer(bootstrap_servers=BROKER, enable_idempotence=True, max_request_size=10_000_000)
    await producer.start()
    return producer


async def outcome(sent):
    try:
        await sent
    except KafkaError as error:
        return type(error).__name__
    return "ok"


async def main():
    admin = AIOKafkaAdminClient(bootstrap_servers=BROKER)
    await admin.start()
    await admin.create_topics([NewTopic("calls", 1, 1, topic_configs={"max.message.bytes": "100000"})])
    await admin.close()
    first, second, third = [await connect() for _ in range(3)]
    values = (b"small", b"x" * 200_000, b"small", b"small")
    refused = [await outcome(first.send_and_wait("calls", value, partition=0)) for value in values]
    print("small {}, large {}, small {}, small {}".format(*refused))
    anew = await outcome(second.send_and_wait("calls", b"small", partition=0))
    print("new producer:", anew)
    now = int(time.time() * 1000)
    times = (now, now + 2 * 3_600_000, now)
    sent = [await second.send("calls", b"small", partition=0, timestamp_ms=at) for at in times]
    ahead = [await outcome(one) for one in sent]
    print("two hours ahead:", ahead[0], "of", ahead.count(ahead[0]), "in", len(ahead))
    without = await outcome(third.send_and_wait("calls", b"small", partition=0, timestamp_ms=-1))
    print("without timestamps:", without)
    for producer in (first, second, third):
        await producer.stop()
    lost = "OutOfOrderSequenceNumber"
    same = refused == ["ok", "MessageSizeTooLargeError", lost, lost] and (anew, without) == ("ok", "ok")
    sys.exit(0 if same and ahead == ["InvalidTimestampError"] * 3 else 1)


asyncio.run(main())
PYTHON
"$work/venv/bin/python" "$work/ask.py" 2>/dev/null
