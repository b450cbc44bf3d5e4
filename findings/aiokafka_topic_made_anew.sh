#!/usr/bin/env bash
# Finding: a consumer does not notice that its topic was deleted and made anew, and misses the first records of the new one.
#
# Versions: aiokafka 0.14.0, Apache Kafka 4.3.0, Python 3.11, Java 17.
# Behaviour: five records are read; the topic is deleted, made again, and gets ten records before the next poll. The
# consumer goes on at its old offset, 5, without an error, and reads the last five of the ten. Its metadata have no topic
# id, which a request of version 10 and later tells (services/understudies/runtime/bus/topic_ids.py).
# Output seen: "read 5, then 5 of 10".
# The script fails if that changes. Needs Java 17, and the folder `libs` of Apache Kafka 4.3.0 in KAFKA_LIBS.
set -euo pipefail

work=$(mktemp -d)
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet aiokafka==0.14.0
cat > "$work/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:29293
listeners=PLAINTEXT://127.0.0.1:29292,CONTROLLER://127.0.0.1:29293
controller.listener.names=CONTROLLER
log.dirs=$work/data
auto.create.topics.enable=false
PROPERTIES
java -cp "$KAFKA_LIBS/*" kafka.tools.StorageTool format --cluster-id b2dOzKqRRlCk8yJmGQyYfw \
  --config "$work/server.properties" >/dev/null 2>&1
(cd "$work" && exec java -Xmx256m -cp "$KAFKA_LIBS/*" kafka.Kafka "$work/server.properties") >/dev/null 2>&1 &
broker=$!
trap 'kill "$broker"; wait "$broker" || true; rm -rf "$work"' EXIT
until (exec 3<>/dev/tcp/127.0.0.1/29292) 2>/dev/null; do kill -0 "$broker"; sleep 0.2; done

cat > "$work/ask.py" <<'PYTHON'
import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

BROKER = "127.0.0.1:29292"
WHERE = TopicPartition("calls", 0)


async def make(admin):
    while True:
        answer = await admin.create_topics([NewTopic("calls", 1, 1)])
        if not answer.topic_errors[0][1]:
            return
        await asyncio.sleep(0.2)


async def send(count):
    producer = AIOKafkaProducer(bootstrap_servers=BROKER)
    await producer.start()
    for number in range(count):
        await producer.send_and_wait("calls", b"%d" % number, partition=0)
    await producer.stop()


async def read(consumer):
    found = []
    while batch := await consumer.getmany(timeout_ms=5000):
        found += [record.value for record in batch.get(WHERE, [])]
    return found


async def main():
    admin = AIOKafkaAdminClient(bootstrap_servers=BROKER)
    await admin.start()
    await make(admin)
    await send(5)
    consumer = AIOKafkaConsumer(bootstrap_servers=BROKER, group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([WHERE])
    before = await read(consumer)
    consumer.pause(WHERE)
    await admin.delete_topics(["calls"])
    await make(admin)
    await send(10)
    consumer.resume(WHERE)
    after = await read(consumer)
    print(f"read {len(before)}, then {len(after)} of 10")
    await consumer.stop()
    await admin.close()
    sys.exit(0 if (len(before), after) == (5, [b"5", b"6", b"7", b"8", b"9"]) else 1)


asyncio.run(main())
PYTHON
"$work/venv/bin/python" "$work/ask.py" 2>/dev/null
