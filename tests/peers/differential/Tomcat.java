import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Collections;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.Collectors;
import javax.servlet.http.Cookie;
import javax.servlet.http.HttpServlet;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import org.apache.catalina.Context;

/** The pages of README.md as servlets of Tomcat, mapped as a web.xml maps them. */
public class Tomcat {
    private static final Set<String> LOGGED_OUT = ConcurrentHashMap.newKeySet();

    /** One page. */
    static class Page extends HttpServlet {
        private final String page;

        Page(String page) {
            this.page = page;
        }

        @Override
        protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
            String session = null;
            Cookie[] cookies = request.getCookies();
            for (Cookie cookie : cookies == null ? new Cookie[0] : cookies) {
                if (session == null && cookie.getName().equals("wok")) {
                    session = cookie.getValue();
                }
            }
            String authorization = request.getHeader("Authorization");
            String user = basic(authorization);
            if (page.equals("logout") && session != null) {
                LOGGED_OUT.add(session);
            }
            boolean known = session != null && session.startsWith("good") && !LOGGED_OUT.contains(session)
                || user != null && user.substring(user.indexOf(':') + 1).startsWith("good")
                || authorization != null && authorization.toLowerCase().startsWith("bearer good");
            response.setStatus(page.equals("login") || page.equals("basic") || page.equals("session") && !known ? 401 : 200);
            String path = request.getServletPath() + (request.getPathInfo() == null ? "" : request.getPathInfo());
            String headers = Collections.list(request.getHeaderNames()).stream()
                .map(name -> text(name) + ":" + text(String.join(", ", Collections.list(request.getHeaders(name)))))
                .collect(Collectors.joining(",", "{", "}"));
            String body = "{\"page\":" + text(page) + ",\"path\":" + text(path) + ",\"method\":" + text(request.getMethod())
                + ",\"target\":" + text(request.getRequestURI()) + ",\"channel\":" + text(request.getParameter("channel"))
                + ",\"told\":" + text(request.getHeader("Noren-Channel")) + ",\"session\":" + text(session)
                + ",\"authorization\":" + text(authorization) + ",\"user\":" + text(user) + ",\"headers\":" + headers + "}";
            byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
            response.setContentType("application/json");
            response.setContentLength(bytes.length);
            response.getOutputStream().write(bytes);
        }
    }

    private static String basic(String authorization) {
        String[] parts = authorization == null ? new String[0] : authorization.trim().split("\\s+", 2);
        if (parts.length < 2 || !parts[0].equalsIgnoreCase("basic")) {
            return null;
        }
        try {
            return new String(Base64.getMimeDecoder().decode(parts[1]), StandardCharsets.UTF_8);
        } catch (IllegalArgumentException notBase64) {
            return null;
        }
    }

    private static String text(String value) {
        if (value == null) {
            return "null";
        }
        StringBuilder json = new StringBuilder("\"");
        for (char letter : value.toCharArray()) {
            if (letter < ' ' || letter == '"' || letter == '\\') {
                json.append(String.format("\\u%04x", (int) letter));
            } else {
                json.append(letter);
            }
        }
        return json.append('"').toString();
    }

    public static void main(String[] arguments) throws Exception {
        Logger.getLogger("org.apache").setLevel(Level.OFF);
        org.apache.catalina.startup.Tomcat tomcat = new org.apache.catalina.startup.Tomcat();
        tomcat.setBaseDir(arguments[0]);
        tomcat.setPort(0);
        tomcat.setHostname("127.0.0.1");
        tomcat.getConnector().setProperty("address", "127.0.0.1");
        tomcat.getConnector().setProperty("keepAliveTimeout", "20000");
        Context context = tomcat.addContext("", new File(arguments[0]).getAbsolutePath());
        String[][] pages = {
            {"/admin", "GUARDED"}, {"/wok/admin", "GUARDED"}, {"/login", "login"}, {"/wok/login", "login"}, {"/basic", "basic"},
            {"/session", "session"}, {"/logout", "logout"}, {"/receive", "receive"},
        };
        for (String[] page : pages) {
            org.apache.catalina.startup.Tomcat.addServlet(context, page[0], new Page(page[1]));
            context.addServletMappingDecoded(page[0] + "/*", page[0]);
        }
        org.apache.catalina.startup.Tomcat.addServlet(context, "other", new Page("other"));
        context.addServletMappingDecoded("/", "other");
        tomcat.start();
        System.out.println("ready 127.0.0.1:" + tomcat.getConnector().getLocalPort());
        while (System.in.read() >= 0) {
            // Until its standard input ends.
        }
        Runtime.getRuntime().halt(0);
    }
}
