<?php

// Notes with Symfony's components behind Noren: whoever is logged in hears each note at once. One script, for `php -S` or
// PHP-FPM; a whole Symfony has the same in its controllers.
//
//     NOREN_SOCKET=SOCKET PHP_CLI_SERVER_WORKERS=4 php -S 127.0.0.1:PORT symfony_app.php
//
// SOCKET is that of [[channel.source]] in noren.toml.

declare(strict_types=1);

use Symfony\Component\HttpFoundation\RedirectResponse;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\HttpFoundation\Session\Session;
use Symfony\Component\HttpFoundation\Session\Storage\NativeSessionStorage;

// Debian's; with composer it is vendor/autoload.php.
require getenv('NOREN_AUTOLOAD') ?: 'Symfony/Component/HttpFoundation/autoload.php';

/** One line into the socket: the channel has it, and all who listen. */
function publish(string $event, array $data): void
{
    $noren = stream_socket_client('unix://' . getenv('NOREN_SOCKET'), $code, $reason, 5);
    if ($noren === false) {
        throw new RuntimeException("the socket of Noren: $reason");
    }
    fwrite($noren, json_encode(['event' => $event, 'data' => $data], JSON_THROW_ON_ERROR) . "\n");
    fclose($noren);
}

// The addresses and the scheme that Noren tells.
Request::setTrustedProxies(['127.0.0.1'], Request::HEADER_X_FORWARDED_FOR | Request::HEADER_X_FORWARDED_PROTO);
$request = Request::createFromGlobals();
// A question is no visit: the session is read, and not stored with a later end.
$is_question = $request->headers->has('Noren-Question');
$session = new Session(new NativeSessionStorage([
    'cookie_secure' => true, 'cookie_httponly' => true, 'cookie_samesite' => 'lax', 'read_and_close' => $is_question,
]));
$name = $session->get('name');

$response = match ($request->getMethod() . ' ' . $request->getPathInfo()) {
    'GET /' => new Response(file_get_contents(__DIR__ . '/page.html')),
    'POST /login' => (function () use ($request, $session) {
        // A real app asks for a password here.
        $session->migrate(true);
        $session->set('name', (string) $request->request->get('name'));
        return new RedirectResponse('/', 303);
    })(),
    'POST /logout' => (function () use ($session) {
        $session->invalidate();
        return new RedirectResponse('/', 303);
    })(),
    // Noren asks this with the visitor's cookies: before something is opened, and again while it is.
    'GET /session' => $name === null
        ? new Response(status: 401)
        : new Response(status: 204, headers: ['Remote-User' => preg_replace('/[^ -~]/', '?', $name)]),
    'POST /notes' => (function () use ($request, $name) {
        if ($name === null) {
            return new Response(status: 401);
        }
        publish('note', ['author' => $name, 'text' => (string) $request->request->get('text')]);
        return new Response(status: 204);
    })(),
    default => new Response(status: 404),
};
$response->prepare($request);
$response->send();
