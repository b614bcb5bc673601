"""Publishes updates to a Mercure hub with the unmodified library mercure-publisher.

mercure_program.py HUB SECRET TOPIC: a public and a private update of the topic. Prints their ids, and the status of one
that the token does not permit.
"""

import sys

from mercure_publisher import MercureConfig, MercurePublisher
from mercure_publisher.exceptions import MercurePublishError


def main(hub, secret, topic):
    config = MercureConfig(hub_url=hub, publisher_jwt_key=secret, publish_topics=[topic])
    with MercurePublisher(config) as publisher:
        print(publisher.publish(topic, {"open": "wide"}, private=True))
        print(publisher.publish([topic, topic], {"open": "to all"}, id="urn:example:1", type="news", retry=500))
        try:
            publisher.publish("https://example.com/another", "x")
        except MercurePublishError as error:
            print(error.status_code)


main(*sys.argv[1:])
