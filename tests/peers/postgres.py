"""An app that writes into the outbox, and goes on whatever happens to the server.

    postgres.py HOST PORT

Commands:

    insert FIRST COUNT       begin to insert that many numbered rows, a transaction each, with their numbers as ids; a
                             commit without an answer is repeated with the same id, as an app would
    inserted                 how many are committed for certain
    notify FIRST COUNT       the same numbers by NOTIFY in one transaction, on the channel "Jobs"
"""

import sys
import threading
import time

import lifeline
import psycopg2

HOST, PORT = sys.argv[1:3]
COMMITTED = 0


def connect():
    return psycopg2.connect(host=HOST, port=PORT, user="postgres", dbname="app", connect_timeout=5)


def insert(argument):
    first, count = (int(word) for word in argument.split(" "))
    threading.Thread(target=flood, args=(first, count), daemon=True).start()


def flood(first, count):
    global COMMITTED
    connection = None
    for number in range(first, first + count):
        while True:
            try:
                connection = connection or connect()
                with connection, connection.cursor() as cursor:
                    cursor.execute(
                        "INSERT INTO noren_outbox (message_id, channel, data) VALUES (%s, 'a', %s)",
                        (f"own-{number}", f'{{"n": {number}}}'),
                    )
                break
            except psycopg2.Error:
                if connection and not connection.closed:
                    connection.close()
                connection = None
                time.sleep(0.05)
        COMMITTED += 1


def notify(argument):
    first, count = (int(word) for word in argument.split(" "))
    connection = connect()
    with connection, connection.cursor() as cursor:
        for number in range(first, first + count):
            cursor.execute("SELECT pg_notify('Jobs', %s)", (f'{{"n": {number}, "room": "a"}}',))
    connection.close()


lifeline.hold(PORT, {"insert": insert, "inserted": lambda _: COMMITTED, "notify": notify})
