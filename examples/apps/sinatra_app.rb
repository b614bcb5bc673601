#!/usr/bin/env ruby
# Notes with Sinatra behind Noren: whoever is logged in hears each note at once. Rails has the same with its controllers.
#
#     sinatra_app.rb PORT SOCKET        SOCKET is that of [[channel.source]] in noren.toml

require 'json'
require 'securerandom'
require 'sinatra/base'
require 'socket'

PORT = Integer(ARGV[0])
SOCKET = ARGV[1]
PAGE = File.read(File.join(__dir__, 'page.html'))

class Notes < Sinatra::Base
  # In the cookie itself, signed. `logout-ends = "user"` in [session] of Noren ends all of a user's, also a copied one.
  use Rack::Session::Cookie, key: 'notes.session', secret: SecureRandom.hex(64), same_site: :lax, secure: true
  # Noren has checked the host, and the origin of what is opened.
  set :host_authorization, permitted_hosts: []
  set :environment, :production

  helpers do
    # One line into the socket: the channel has it, and all who listen.
    def publish(event, data)
      UNIXSocket.open(SOCKET) { |noren| noren.puts(JSON.generate(event: event, data: data)) }
    end

    def name!
      session[:name] || halt(401)
    end
  end

  get('/') { PAGE }

  post '/login' do
    # A real app asks for a password here.
    session[:name] = params.fetch('name')
    redirect '/', 303
  end

  post '/logout' do
    session.clear
    redirect '/', 303
  end

  # Noren asks this with the visitor's cookies: before something is opened, and again while it is.
  get '/session' do
    headers 'Remote-User' => name!.encode('US-ASCII', undef: :replace, invalid: :replace)
    # A question is no visit: no cookie with a later end.
    request.session_options[:skip] = true
    204
  end

  post '/notes' do
    publish 'note', author: name!, text: params.fetch('text')
    204
  end
end

Rack::Handler.get('puma').run(Notes, Host: '127.0.0.1', Port: PORT, Threads: '4:4', Silent: true)
