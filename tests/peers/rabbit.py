"""Whatever publishes into a RabbitMQ broker: an OpenStack service, Nasqueron, or a flood.

    rabbit.py PORT

Commands, of which each opens a connection of its own unless it says otherwise:

    exchange NAME TYPE DURABLE      declare an exchange (DURABLE is yes or no)
    delete EXCHANGE                 delete an exchange, and all bindings with it
    unbind QUEUE EXCHANGE KEY       remove a binding
    delete-queue QUEUE              delete a queue
    send EXCHANGE KEY BODY          one message, persistent, without any other property
    twice EXCHANGE KEY BODY         the same message two times
    flood EXCHANGE KEY COUNT SIZE   that many numbered messages of that many bytes; answers when the broker has them
    named EXCHANGE KEY FIRST COUNT  that many numbered messages with their numbers as their ids
    nested EXCHANGE KEY DEPTH       one message whose header has that many arrays inside each other
    length QUEUE                    how many messages wait in a queue
    dead-letters NAME               declare a fanout exchange and a queue, both of this name
    stale STREAM JSON               delete a stream, make it again with these arguments, and write a record of the old one
                                    into it, as a node does that has not noticed
    samples EXCHANGE DIRECTORY      Nova's samples of its versioned notifications, put together; answers their number
    notify EXCHANGE EVENT JSON      oslo.messaging's own notifier, driver messagingv2; project and payload are in JSON
"""

import json
import pathlib
import sys

import lifeline

PORT = sys.argv[1]


def connection():
    import amqp

    opened = amqp.Connection(f"127.0.0.1:{PORT}", userid="guest", password="guest")
    opened.connect()
    return opened


def exchange(argument):
    name, kind, durable = argument.split(" ")
    with connection() as opened:
        opened.channel().exchange_declare(name, kind, durable=durable == "yes", auto_delete=False)


def delete(argument):
    with connection() as opened:
        opened.channel().exchange_delete(argument)


def unbind(argument):
    queue, name, key = argument.split(" ")
    with connection() as opened:
        opened.channel().queue_unbind(queue, name, key)


def delete_queue(argument):
    with connection() as opened:
        opened.channel().queue_delete(argument)


def send(argument, times=1):
    import amqp

    name, key, body = argument.split(" ", 2)
    with connection() as opened:
        channel = opened.channel()
        channel.confirm_select()
        for _ in range(times):
            channel.basic_publish(amqp.Message(body, delivery_mode=2), exchange=name, routing_key=key)


def flood(argument):
    import amqp

    name, key, count, size = argument.split(" ")
    padding = "x" * int(size)
    with connection() as opened:
        channel = opened.channel()
        for number in range(int(count)):
            body = f'{{"n": {number}, "text": "{padding}"}}'
            channel.basic_publish(amqp.Message(body, delivery_mode=2), exchange=name, routing_key=key)
        # The broker answers in order: what was published before this is there.
        channel.exchange_declare(name, "topic", passive=True)


def named(argument):
    import amqp

    name, key, first, count = argument.split(" ")
    with connection() as opened:
        channel = opened.channel()
        for number in range(int(first), int(first) + int(count)):
            message = amqp.Message(f'{{"n": {number}}}', delivery_mode=2, message_id=f"own-{number}")
            channel.basic_publish(message, exchange=name, routing_key=key)
        channel.exchange_declare(name, "topic", passive=True)


def nested(argument):
    """The library writes an array by recursion, so a text of the same length goes through it, and is replaced."""
    import amqp
    import amqp.transport

    name, key, depth = argument.split(" ")
    inside = b"".join(b"A" + (5 * left).to_bytes(4, "big") for left in reversed(range(int(depth))))
    length = len(inside).to_bytes(4, "big")
    text = "x" * len(inside)

    class Transport(amqp.transport.TCPTransport):
        def write(self, data):
            super().write(bytes(data).replace(b"S" + length + text.encode(), b"A" + length + inside))

    amqp.connection.Transport = lambda host, **settings: Transport(host, **{k: v for k, v in settings.items() if k != "ssl"})
    with connection() as opened:
        channel = opened.channel()
        channel.confirm_select()
        message = amqp.Message('{"n": 0}', delivery_mode=2, application_headers={"a": text})
        channel.basic_publish(message, exchange=name, routing_key=key)


def expanded(value, directory):
    """A sample, or a part of one: it names a file that it is based on, and has what is different there."""
    if isinstance(value, list):
        return [expanded(each, directory) for each in value]
    if not isinstance(value, dict):
        return value
    own = {name: expanded(each, directory) for name, each in value.items() if name != "$ref"}
    if "$ref" not in value:
        return own
    path = directory / value["$ref"].removesuffix("#")
    return merged(expanded(json.loads(path.read_text()), path.parent), own)


def merged(base, changes):
    if not (isinstance(base, dict) and isinstance(changes, dict)):
        return changes
    return {**base, **{name: merged(base.get(name), each) for name, each in changes.items()}}


def samples(argument):
    import amqp

    name, directory = argument.split(" ", 1)
    files = sorted(pathlib.Path(directory).glob("*.json"))
    with connection() as opened:
        channel = opened.channel()
        channel.confirm_select()
        for file in files:
            sample = expanded(json.loads(file.read_text()), file.parent)
            key = f"versioned_notifications.{sample['priority'].lower()}"
            channel.basic_publish(amqp.Message(json.dumps(sample), delivery_mode=2), exchange=name, routing_key=key)
    return len(files)


def length(argument):
    with connection() as opened:
        return opened.channel().queue_declare(argument, passive=True).message_count


def dead_letters(argument):
    with connection() as opened:
        channel = opened.channel()
        channel.exchange_declare(argument, "fanout", durable=True, auto_delete=False)
        channel.queue_declare(argument, durable=True, auto_delete=False)
        channel.queue_bind(argument, argument)


def stale(argument):
    import amqp

    name, arguments = argument.split(" ", 1)
    with connection() as opened:
        channel = opened.channel()
        channel.basic_qos(0, 100, False)
        records = []
        channel.basic_consume(name, "stale", callback=records.append, arguments={"x-stream-offset": "first"})
        # The greetings of nodes name no epoch.
        while not any("epoch" in record.headers for record in records):
            opened.drain_events(timeout=10)
        record = next(record for record in records if "epoch" in record.headers)
        channel.basic_cancel("stale")
        channel.queue_delete(name)
        channel.queue_declare(name, durable=True, auto_delete=False, arguments=json.loads(arguments))
        channel.confirm_select()
        headers = {key: value for key, value in record.headers.items() if key != "x-stream-offset"}
        copy = amqp.Message(record.body, delivery_mode=2, application_headers=headers)
        channel.basic_publish(copy, exchange="", routing_key=name)


def notify(argument):
    import logging

    logging.disable(logging.CRITICAL)
    import oslo_messaging
    from oslo_config import cfg
    from oslo_context.context import RequestContext

    name, event, text = argument.split(" ", 2)
    said = json.loads(text)
    conf = cfg.ConfigOpts()
    conf([])
    # Before the transport: it keeps the exchange it was made with.
    oslo_messaging.set_transport_defaults(name)
    transport = oslo_messaging.get_notification_transport(conf, url=f"rabbit://guest:guest@127.0.0.1:{PORT}/")
    notifier = oslo_messaging.Notifier(
        transport, publisher_id="compute.node1", driver="messagingv2", topics=["notifications"]
    )
    context = RequestContext(project_id=said["project"], auth_token="secret-token", roles=["admin"])
    notifier.info(context, event, said["payload"])
    transport.cleanup()


if __name__ == "__main__":
    lifeline.hold(
        f"127.0.0.1:{PORT}",
        {
            "exchange": exchange,
            "delete": delete,
            "unbind": unbind,
            "delete-queue": delete_queue,
            "send": send,
            "twice": lambda argument: send(argument, 2),
            "flood": flood,
            "named": named,
            "length": length,
            "dead-letters": dead_letters,
            "stale": stale,
            "nested": nested,
            "samples": samples,
            "notify": notify,
        },
    )
