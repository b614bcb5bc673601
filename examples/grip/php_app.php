<?php

// An app of plain PHP behind Noren, by the requests that GRIP documents: GET /stream and /poll wait for the channel "room",
// /chat is a WebSocket, POST /say?text=hello publishes to all of them. With the package fanout/grip it is less code.
//
// GRIP_URL='http://127.0.0.1:5561?iss=app&key=base64:KEY' PHP_CLI_SERVER_WORKERS=4 php -S 127.0.0.1:8010 php_app.php

declare(strict_types=1);

const EVENTS = 'application/websocket-events';

function encode(string $part): string
{
    return rtrim(strtr(base64_encode($part), '+/', '-_'), '=');
}

/** The address for publishers, the issuer and the key of GRIP_URL. */
function grip(): array
{
    [$address, $query] = explode('?', getenv('GRIP_URL'), 2);
    parse_str(str_replace('+', '%2B', $query), $fields);
    return [rtrim($address, '/'), $fields['iss'], base64_decode(substr($fields['key'], strlen('base64:')))];
}

/** A token (HS256) with these claims. */
function token(array $claims, string $key): string
{
    $text = encode('{"alg":"HS256","typ":"JWT"}') . '.' . encode(json_encode($claims));
    return $text . '.' . encode(hash_hmac('sha256', $text, $key, true));
}

/** True if the request has come through the front door, which has signed it. */
function proxied(string $key): bool
{
    $parts = explode('.', $_SERVER['HTTP_GRIP_SIG'] ?? '');
    if (count($parts) !== 3) {
        return false;
    }
    $signature = encode(hash_hmac('sha256', "$parts[0].$parts[1]", $key, true));
    $claims = json_decode(base64_decode(strtr($parts[1], '-_', '+/')), true);
    return hash_equals($signature, $parts[2]) && ($claims['exp'] ?? 0) > time();
}

/** Publishes a text to all that wait for the channel, and returns the status. */
function publish(string $channel, string $text): int
{
    [$address, $issuer, $key] = grip();
    $item = [
        'channel' => $channel,
        'http-stream' => ['content' => "$text\n"],
        'http-response' => ['body' => "$text\n"],
        'ws-message' => ['content' => $text],
    ];
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => [
            'Authorization: Bearer ' . token(['iss' => $issuer, 'exp' => time() + 60], $key),
            'Content-Type: application/json',
        ],
        'content' => json_encode(['items' => [$item]]),
        'timeout' => 30,
        'ignore_errors' => true,
    ]]);
    $http_response_header = [];
    @file_get_contents("$address/publish/", false, $context);
    return (int) (explode(' ', $http_response_header[0] ?? '')[1] ?? 0);
}

/** One event of a WebSocket. */
function event(string $type, ?string $content = null): string
{
    return $content === null ? "$type\r\n" : sprintf("%s %x\r\n%s\r\n", $type, strlen($content), $content);
}

/** The answer to the events of a WebSocket that the body of a request has. */
function chat(string $body): string
{
    $answer = '';
    while ($body !== '') {
        [$line, $body] = explode("\r\n", $body, 2);
        [$type, $length] = explode(' ', "$line ");
        $content = '';
        if ($length !== '') {
            $content = substr($body, 0, (int) hexdec($length));
            $body = substr($body, (int) hexdec($length) + 2);
        }
        if ($type === 'OPEN') {
            $subscribe = json_encode(['type' => 'subscribe', 'channel' => 'room']);
            $answer .= event('OPEN') . event('TEXT', "c:$subscribe");
        } elseif ($type === 'TEXT') {
            $answer .= event('TEXT', "m:you said $content");
        } elseif ($type === 'CLOSE') {
            $answer .= event('CLOSE', $content);
        }
    }
    return $answer;
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
header('Content-Type: text/plain');
if ($path === '/say' && $_SERVER['REQUEST_METHOD'] === 'POST') {
    $status = publish('room', $_GET['text'] ?? '');
    http_response_code($status === 200 ? 200 : 502);
    echo $status === 200 ? "said\n" : "the front door answered $status\n";
} elseif (!in_array($path, ['/stream', '/poll', '/chat'], true)) {
    http_response_code(404);
    echo "there is /stream, /poll, /chat and /say\n";
} elseif (!proxied(grip()[2])) {
    http_response_code(501);
    echo "come through the front door\n";
} elseif ($path === '/chat' && ($_SERVER['CONTENT_TYPE'] ?? '') === EVENTS) {
    header('Content-Type: ' . EVENTS);
    header('Sec-WebSocket-Extensions: grip');
    echo chat(file_get_contents('php://input'));
} elseif ($path === '/chat') {
    http_response_code(400);
    echo "this is a WebSocket\n";
} else {
    header('Grip-Hold: ' . ($path === '/stream' ? 'stream' : 'response'));
    header('Grip-Channel: room');
    header($path === '/stream' ? 'Grip-Keep-Alive: \n; format=cstring; timeout=20' : 'Grip-Timeout: 20');
    echo $path === '/stream' ? "welcome\n" : "nothing new\n";
}
