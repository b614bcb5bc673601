# A Rack app on one of the servers of Ruby: rack.rb puma | webrick
#
# It unescapes the segments of a path and drops empty ones, as the routers of Rails and Sinatra do, and reads the rest
# with Rack's own classes.

require "json"
require "rack"
require "set"
require "uri"

PAGES = { "admin" => "GUARDED", "login" => "login", "basic" => "basic", "session" => "session",
          "logout" => "logout", "receive" => "receive" }.freeze
$logged_out = Set.new

APP = lambda do |env|
  request = Rack::Request.new(env)
  segments = env["PATH_INFO"].split("/").map { |segment| URI.decode_www_form_component(segment.gsub("+", "%2B")) rescue segment }
  segments = segments.join("/").split("/").reject(&:empty?)
  segments.shift if segments[0] == "wok" && %w[admin login].include?(segments[1])
  page = PAGES.fetch(segments[0] || "", "other")
  session = request.cookies["wok"]
  authorization = env["HTTP_AUTHORIZATION"]
  auth = Rack::Auth::Basic::Request.new(env)
  user = (auth.provided? && auth.basic? && auth.params && auth.credentials.join(":")) rescue nil
  $logged_out << session if page == "logout" && session
  known = (session.to_s.start_with?("good") && !$logged_out.include?(session)) ||
          user.to_s.split(":", 2)[1].to_s.start_with?("good") || authorization.to_s.match?(/\Abearer good/i)
  status = %w[login basic].include?(page) || (page == "session" && !known) ? 401 : 200
  channel = request.GET["channel"] rescue nil
  seen = {
    page: page, path: env["PATH_INFO"], method: env["REQUEST_METHOD"], target: env["REQUEST_URI"],
    channel: channel, told: env["HTTP_NOREN_CHANNEL"], session: session, authorization: authorization, user: user || nil,
    headers: env.select { |name, _| name.start_with?("HTTP_", "REMOTE_USER", "CONTENT_") }
  }
  body = JSON.generate(seen.transform_values { |value| value.is_a?(String) ? value.b.inspect[1..-2] : value })
  [status, { "Content-Type" => "application/json", "Content-Length" => body.bytesize.to_s }, [body]]
end

def live(port)
  $stdout.puts "ready 127.0.0.1:#{port}"
  $stdout.flush
  Thread.new { $stdin.read; exit!(0) }
end

case ARGV[0]
when "puma"
  require "puma"
  require "puma/server"
  server = Puma::Server.new(APP, Puma::Events.null, min_threads: 1, max_threads: 10)
  port = server.add_tcp_listener("127.0.0.1", 0).addr[1]
  live(port)
  server.run.join
when "webrick"
  require "webrick"
  server = WEBrick::HTTPServer.new(BindAddress: "127.0.0.1", Port: 0, AccessLog: [], Logger: WEBrick::Log.new(nil, 0))
  server.mount("/", Rack::Handler::WEBrick, APP)
  live(server.listeners[0].addr[1])
  server.start
end
