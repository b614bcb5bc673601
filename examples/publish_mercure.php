#!/usr/bin/env php
<?php

// Publishes one update to a Mercure hub, as symfony/mercure does: publish_mercure.php https://HOST/.well-known/mercure TOPIC TEXT
//
// The secret of the app's key comes from the environment, MERCURE_JWT_SECRET. With MERCURE_PRIVATE set, only those get the
// update whose token permits its topic. It is sent again while the hub is away or has no room; the id makes that harmless.
// It needs no extension but openssl, which PHP's packages have.

declare(strict_types=1);

/** A token that permits to publish on these topics for a minute (HS256). */
function token(string $secret, array $topics): string
{
    $encode = fn (string $part): string => rtrim(strtr(base64_encode($part), '+/', '-_'), '=');
    $claims = ['mercure' => ['publish' => $topics], 'exp' => time() + 60];
    $text = $encode('{"alg":"HS256","typ":"JWT"}') . '.' . $encode(json_encode($claims, JSON_UNESCAPED_SLASHES));
    return $text . '.' . $encode(hash_hmac('sha256', $text, $secret, true));
}

/** Returns the id of the update, and throws when the hub refuses it. */
function publish(string $hub, string $secret, string $topic, string $data, bool $private, int $tries = 10): string
{
    $fields = ['topic' => $topic, 'data' => $data, 'id' => 'urn:example:' . bin2hex(random_bytes(16))];
    $form = http_build_query($private ? $fields + ['private' => 'on'] : $fields);
    while (true) {
        $context = stream_context_create(['http' => [
            'method' => 'POST',
            'header' => [
                'Authorization: Bearer ' . token($secret, [$topic]),
                'Content-Type: application/x-www-form-urlencoded',
            ],
            'content' => $form,
            'timeout' => 30,
            'ignore_errors' => true, // Otherwise the reason of a refusal would not be read.
        ]]);
        $http_response_header = [];
        $answer = @file_get_contents($hub, false, $context);
        $status = (int) (explode(' ', $http_response_header[0] ?? '')[1] ?? 0);
        if ($status === 200) {
            return $answer;
        }
        // No status: nothing is known of the update, and it may have been taken.
        if (!in_array($status, [0, 429, 503], true) || --$tries === 0) {
            throw new RuntimeException($status === 0 ? "cannot reach $hub" : "$status: $answer");
        }
        $retry = preg_grep('/^retry-after:/i', $http_response_header);
        sleep($retry ? (int) explode(':', reset($retry))[1] : 1);
    }
}

$secret = getenv('MERCURE_JWT_SECRET');
if ($argc !== 4 || $secret === false) {
    fwrite(STDERR, "usage: MERCURE_JWT_SECRET=… publish_mercure.php https://HOST/.well-known/mercure TOPIC TEXT\n");
    exit(2);
}
try {
    echo publish($argv[1], $secret, $argv[2], $argv[3], getenv('MERCURE_PRIVATE') !== false), "\n";
} catch (RuntimeException $fault) {
    fwrite(STDERR, $fault->getMessage() . "\n");
    exit(1);
}
