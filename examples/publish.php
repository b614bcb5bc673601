#!/usr/bin/env php
<?php

// Publishes one message: publish.php https://HOST/events/CHANNEL TEXT
//
// The token comes from the environment, NOREN_TOKEN. The message is sent again while the server is away or has no room; the
// id makes that harmless. It needs no extension but openssl, which PHP's packages have.

declare(strict_types=1);

/** Returns when the message was taken, and throws when the server refuses it. */
function publish(string $url, string $token, string $text, int $tries = 10): void
{
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => [
            "Authorization: Bearer $token",
            'Content-Type: text/plain; charset=utf-8',
            'Idempotency-Key: "' . bin2hex(random_bytes(16)) . '"',
        ],
        'content' => $text,
        'timeout' => 30,
        'ignore_errors' => true, // Otherwise the reason of a refusal would not be read.
    ]]);
    while (true) {
        $http_response_header = [];
        $answer = @file_get_contents($url, false, $context);
        $status = (int) (explode(' ', $http_response_header[0] ?? '')[1] ?? 0);
        if ($status === 202) {
            return;
        }
        // No status: nothing is known of the message, and it may have been taken.
        if (!in_array($status, [0, 429, 503], true) || --$tries === 0) {
            throw new RuntimeException($status === 0 ? "cannot reach $url" : "$status: $answer");
        }
        $retry = preg_grep('/^retry-after:/i', $http_response_header);
        sleep($retry ? (int) explode(':', reset($retry))[1] : 1);
    }
}

$token = getenv('NOREN_TOKEN');
if ($argc !== 3 || $token === false) {
    fwrite(STDERR, "usage: NOREN_TOKEN=… publish.php https://HOST/events/CHANNEL TEXT\n");
    exit(2);
}
try {
    publish($argv[1], $token, $argv[2]);
} catch (RuntimeException $fault) {
    fwrite(STDERR, $fault->getMessage() . "\n");
    exit(1);
}
