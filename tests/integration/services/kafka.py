"""Apache Kafka: one broker that is its own controller (KRaft), in a Java process."""

import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from tests.integration.services import require_service
from tests.integration.services.maven import class_path

_ARTIFACT = "org.apache.kafka:kafka_2.13:4.1.1"
_START_S = 60
# Who may read through `sasl_server`.
USER, PASSWORD = "reader", "of-many-alerts"
_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{broker},LOGIN://127.0.0.1:{login},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,LOGIN:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.login.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_{user}="{password}";
listener.name.login.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
log.dirs={folder}/data
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.retention.ms=-1
log.cleaner.dedupe.buffer.size=2097152
log.segment.bytes=67108864
auto.create.topics.enable=true
num.partitions=1
"""
# The first compiler alone: it starts in two thirds of the time.
_JAVA = ("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")


def free_port() -> int:
    """Find a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class RunningKafka:
    """A broker, and what tests do with one; `sasl_server` asks for a user name, and `server` does not.

    Parameters
    ----------
    folder : pathlib.Path
        An empty folder for its files.
    """

    def __init__(self, folder: Path) -> None:
        port, login_port = free_port(), free_port()
        self.server = f"127.0.0.1:{port}"
        self.sasl_server = f"127.0.0.1:{login_port}"
        self._folder = folder
        self._java = (*_JAVA, f"-Djava.io.tmpdir={folder}", "-cp", class_path(_ARTIFACT))
        self._properties = folder / "server.properties"
        module = "org.apache.kafka.common.security"
        properties = _PROPERTIES.format(
            broker=port,
            login=login_port,
            controller=free_port(),
            folder=folder,
            module=module,
            user=USER,
            password=PASSWORD,
        )
        self._properties.write_text(properties, encoding="ascii")
        cluster = ("format", "-t", "AAAAAAAAQAGAAAAAAAAAAQ", "-c", str(self._properties))
        scram = ("--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]")
        self._run("kafka.tools.StorageTool", *cluster, *scram).wait(_START_S)
        self._process: subprocess.Popen[bytes] | None = None

    def _run(self, *program: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [*self._java, *program],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def start(self) -> None:
        """Start the broker, on the same port every time, and wait until it answers."""
        self._process = self._run("kafka.Kafka", str(self._properties))
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self._admin().list_topics(timeout=1)
                return
            except KafkaException:
                time.sleep(0.1)
        require_service("Kafka did not start")

    def stop(self) -> None:
        """Shut the broker down in good order."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Kill the broker."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.server, "log_level": 0})

    def create_topic(self, prefix: str = "alerts", partitions: int = 1, **config: str) -> str:
        """Make an empty topic of a new name; its options are given with `_` for `.`."""
        name = f"{prefix}-{uuid.uuid4().hex[:12]}"
        self.add_topic(name, partitions, **config)
        return name

    def add_topic(self, name: str, partitions: int = 1, **config: str) -> None:
        """Make an empty topic."""
        options = {option.replace("_", "."): value for option, value in config.items()}
        admin = self._admin()  # the answers come only as long as it lives
        for made in admin.create_topics([NewTopic(name, partitions, 1, config=options)]).values():
            made.result(20)

    def option(self, topic: str, name: str) -> str:
        """Look an option of a topic up."""
        admin = self._admin()
        (found,) = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]).values()
        return str(found.result(20)[name].value)

    def produce(self, topic: str, packets: Iterable[bytes | None], partitions: int = 1) -> None:
        """Put messages into a topic, in turn into its partitions; returns once they are there."""
        # Idempotent: in this order, also where a broker that has just started refuses the first of them.
        own = {"enable.idempotence": True, "message.max.bytes": 10_000_000}
        producer = Producer({"bootstrap.servers": self.server, "log_level": 0, **own})
        failures: list[object] = []
        for number, packet in enumerate(packets):
            while True:
                try:
                    producer.produce(
                        topic,
                        packet,
                        partition=number % partitions,
                        on_delivery=lambda error, _: failures.append(error) if error else None,
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
        assert producer.flush(30) == 0
        assert failures == []

    def committed(self, group: str, topic: str, partitions: int = 1) -> int:
        """Add up the offsets that a group has committed."""
        consumer = self._consumer(group)
        deadline = time.monotonic() + 10
        try:
            while True:
                asked = [TopicPartition(topic, number) for number in range(partitions)]
                try:
                    return sum(max(found.offset, 0) for found in consumer.committed(asked, timeout=10))
                except KafkaException:  # a broker that has just started does not know of groups yet
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
        finally:
            consumer.close()

    def read(self, topic: str, partitions: int = 1, *, committed: bool = True) -> list[Message]:
        """Read all that is in a topic now; what is not committed as well, if asked."""
        isolation = "read_committed" if committed else "read_uncommitted"
        consumer = self._consumer("reader", {"enable.partition.eof": True, "isolation.level": isolation})
        try:
            consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
            found: list[Message] = []
            ended = 0
            deadline = time.monotonic() + 20
            while ended < partitions:
                assert time.monotonic() < deadline, f"{len(found)} messages came, and no end"
                for message in consumer.consume(1000, 0.2):
                    error = message.error()
                    if error is None:
                        found.append(message)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        ended += 1
            return found
        finally:
            consumer.close()

    def topics(self) -> set[str]:
        """Name the topics that there are."""
        return set(self._admin().list_topics(timeout=10).topics)

    def _consumer(self, group: str, more: Mapping[str, object] | None = None) -> Consumer:
        return Consumer({"bootstrap.servers": self.server, "group.id": group, "log_level": 0, **(more or {})})


@contextmanager
def running_kafka() -> Iterator[RunningKafka]:
    """Run an empty broker until the block ends."""
    with tempfile.TemporaryDirectory(prefix="kafka-", ignore_cleanup_errors=True) as folder:
        kafka = RunningKafka(Path(folder))
        try:
            kafka.start()
            yield kafka
        finally:
            kafka.kill()
