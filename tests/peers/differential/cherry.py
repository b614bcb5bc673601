"""CherryPy, as Wok uses it: its own dispatcher, its own reading of parameters and cookies."""

import cherrypy
import contract


def read(page, **query):
    request = cherrypy.request
    cookie = request.cookie.get("wok")
    authorization = request.headers.get("Authorization")
    channel = query.get("channel")
    status, body = contract.answer(page, {
        "path": request.path_info,
        "method": request.method,
        "target": request.wsgi_environ.get("REQUEST_URI"),
        "channel": channel[-1] if isinstance(channel, list) else channel,
        "told": request.headers.get("Noren-Channel"),
        "session": cookie.value if cookie else None,
        "authorization": authorization,
        "user": contract.basic(authorization),
        "headers": contract.headers_of(request.wsgi_environ),
    })
    cherrypy.response.status = status
    cherrypy.response.headers["Content-Type"] = "application/json"
    return body


def page(name):
    def handler(self, *rest, **query):
        return read(name, **query)

    return cherrypy.expose(handler)


class Wok:
    admin, login, default = page("GUARDED"), page("login"), page("other")


class App:
    admin, login, basic, session = page("GUARDED"), page("login"), page("basic"), page("session")
    logout, receive, default = page("logout"), page("receive"), page("other")
    wok = Wok()


cherrypy.config.update({"global": {
    "engine.autoreload.on": False,
    "checker.on": False,
    "log.screen": False,
    "server.socket_host": "127.0.0.1",
    "server.socket_port": 0,
    "server.thread_pool": 10,
}})
cherrypy.tree.mount(App(), "/", {"/": {"tools.proxy.on": False, "tools.trailing_slash.on": False}})
cherrypy.engine.start()
contract.lifeline.hold_in_background("%s:%d" % cherrypy.server.bound_addr)
cherrypy.engine.block()
