#!/usr/bin/env bash
# Finding: a batch that was handled stays in memory until a time-out that its handler used would have passed.
#
# Versions: faststream 0.7.8, aiokafka 0.14.0, Apache Kafka 4.3.0, Python 3.11, Java 17.
# Behaviour: FastStream puts the message into a context variable while the handler runs. A timer copies the context when
# it is set, and asyncio forgets a cancelled one at its time only, or once more than a hundred of them are half of all.
# So a handler that awaits something under a time-out, as clients of brokers and stores do, keeps its batch after it has
# returned: of the last batches as many as have timers among that hundred, which aiokafka's own timers share; here the
# last five of thirty, of any size (services/understudies/runtime/bus/kafka_bus.py).
# Output seen: "5 batches of 30 kept with a time-out in the handler, 1 without".
# The script fails if that changes. Needs Java 17, and the folder `libs` of Apache Kafka 4.3.0 in KAFKA_LIBS.
set -euo pipefail

work=$(mktemp -d)
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet aiokafka==0.14.0 'faststream[kafka]==0.7.8'
cat > "$work/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:29295
listeners=PLAINTEXT://127.0.0.1:29294,CONTROLLER://127.0.0.1:29295
controller.listener.names=CONTROLLER
log.dirs=$work/data
PROPERTIES
java -cp "$KAFKA_LIBS/*" kafka.tools.StorageTool format --cluster-id b2dOzKqRRlCk8yJmGQyYfw \
  --config "$work/server.properties" >/dev/null 2>&1
(cd "$work" && exec java -Xmx256m -cp "$KAFKA_LIBS/*" kafka.Kafka "$work/server.properties") >/dev/null 2>&1 &
broker=$!
trap 'kill "$broker"; wait "$broker" || true; rm -rf "$work"' EXIT
until (exec 3<>/dev/tcp/127.0.0.1/29294) 2>/dev/null; do kill -0 "$broker"; sleep 0.2; done

cat > "$work/ask.py" <<'PYTHON'
import asyncio
import gc
import sys

from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faststream.kafka import KafkaBroker, TopicPartition

BROKER = "127.0.0.1:29294"
BATCHES = 30


async def count_kept(topic, seconds):
    handled = asyncio.Event()
    broker = KafkaBroker(BROKER, apply_types=False, logger=None)

    @broker.subscriber(partitions=[TopicPartition(topic, 0)], batch=True, auto_offset_reset="earliest")
    async def handle(bodies):
        async with asyncio.timeout(seconds):
            await asyncio.sleep(0)
        handled.set()

    await broker.start()
    producer = AIOKafkaProducer(bootstrap_servers=BROKER)
    await producer.start()
    for number in range(BATCHES):
        handled.clear()
        await producer.send_and_wait(topic, b"%d" % number, partition=0)
        await handled.wait()
    await producer.stop()
    gc.collect()
    kept = sum(isinstance(one, ConsumerRecord) and one.topic == topic for one in gc.get_objects())
    await broker.stop()
    return kept


async def main():
    admin = AIOKafkaAdminClient(bootstrap_servers=BROKER)
    await admin.start()
    await admin.create_topics([NewTopic("with", 1, 1), NewTopic("without", 1, 1)])
    await admin.close()
    kept, without = await count_kept("with", 600), await count_kept("without", None)
    print(f"{kept} batches of {BATCHES} kept with a time-out in the handler, {without} without")
    sys.exit(0 if kept >= 3 and without <= 1 else 1)


asyncio.run(main())
PYTHON
"$work/venv/bin/python" "$work/ask.py" 2>/dev/null
