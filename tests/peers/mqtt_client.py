"""MQTT over WebSocket with Eclipse Paho: two clients, one of which publishes what the other one gets.

    mqtt_client.py HOST PORT PATH CA

The messages are of many sizes, so that frames and packets do not begin together.
"""

import queue
import ssl
import sys

import paho.mqtt.client as mqtt

SIZES = [0, 1, 100, 125, 126, 65_535, 65_536, 300_000]


def client(name, host, port, path, ca):
    made = mqtt.Client(client_id=name, transport="websockets")
    made.ws_set_options(path=path)
    made.tls_set(ca_certs=ca, tls_version=ssl.PROTOCOL_TLS_CLIENT)
    connected = queue.Queue()
    made.on_connect = lambda _client, _data, _flags, code: connected.put(code)
    made.connect(host, int(port), keepalive=30)
    made.loop_start()
    code = connected.get(timeout=30)
    assert code == 0, code
    return made


def main():
    host, port, path, ca = sys.argv[1:]
    got, ready = queue.Queue(), queue.Queue()
    listener = client("listener", host, port, path, ca)
    listener.on_message = lambda _client, _data, message: got.put(message.payload)
    listener.on_subscribe = lambda *_: ready.put(True)
    listener.subscribe("kitchen/#", qos=1)
    ready.get(timeout=30)
    publisher = client("publisher", host, port, path, ca)
    for size in SIZES:
        payload = bytes(number % 251 for number in range(size))
        publisher.publish("kitchen/wok", payload, qos=1).wait_for_publish(30)
        assert got.get(timeout=30) == payload, size
    for one in (publisher, listener):
        one.disconnect()
        one.loop_stop()
    print("mqtt: ok")


main()
