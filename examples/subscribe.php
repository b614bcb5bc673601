#!/usr/bin/env php
<?php

// Prints the messages of a channel as "event data": subscribe.php https://HOST/events/CHANNEL [FROM]
//
// FROM is the id of the last message seen, or "earliest"; without it, what comes from now on. It ends when the server says
// no (a status of 4xx but 429), and comes back in every other case. This is for programs that run for long; a page that
// PHP makes has noren.js, which listens in the browser.

declare(strict_types=1);

/**
 * All events of a channel after the one with this id, over as many connections as it takes.
 *
 * @return Generator<array{id: string, name: string, data: string}>
 */
function events(string $url, string $last = ''): Generator
{
    $retry = 2000;
    while (true) {
        $context = stream_context_create(['http' => [
            'header' => ['Accept: text/event-stream', "Last-Event-ID: $last"],
            'timeout' => 45, // An idle stream has a comment every 15 seconds.
            'ignore_errors' => true,
        ]]);
        $http_response_header = [];
        $stream = @fopen($url, 'r', false, $context);
        $status = (int) (explode(' ', $http_response_header[0] ?? '')[1] ?? 0);
        if ($status >= 400 && $status < 500 && $status !== 429) {
            throw new RuntimeException("$status: " . stream_get_contents($stream));
        }
        if ($status === 200) {
            [$name, $data] = ['message', []];
            while (($line = fgets($stream)) !== false) {
                [$field, $value] = explode(':', rtrim($line, "\r\n"), 2) + ['', ''];
                $value = str_starts_with($value, ' ') ? substr($value, 1) : $value;
                switch ($field) {
                    case 'id':
                        $last = $value;
                        break;
                    case 'event':
                        $name = $value;
                        break;
                    case 'data':
                        $data[] = $value;
                        break;
                    case 'retry':
                        $retry = (int) $value;
                        break;
                    case '':
                        if ($value === '' && $data !== []) {
                            yield ['id' => $last, 'name' => $name, 'data' => implode("\n", $data)];
                        }
                        if ($value === '') {
                            [$name, $data] = ['message', []];
                        }
                        break;
                }
            }
        }
        // Not all clients at once, if the server was away.
        usleep(random_int(intdiv($retry, 2), $retry) * 1000);
    }
}

if ($argc < 2 || $argc > 3) {
    fwrite(STDERR, "usage: subscribe.php https://HOST/events/CHANNEL [FROM]\n");
    exit(2);
}
try {
    foreach (events($argv[1], $argv[2] ?? '') as $event) {
        if ($event['name'] === 'reset') {
            fwrite(STDERR, "(messages are missing here)\n");
        } else {
            echo "{$event['name']} {$event['data']}\n";
        }
    }
} catch (RuntimeException $fault) {
    fwrite(STDERR, $fault->getMessage() . "\n");
    exit(1);
}
