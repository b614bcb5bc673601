//! The directives of nginx and of well-known modules: each is carried over, needs no counterpart, or is reported.
//!
//! A directive that is not in this table may restrict access, as `auth_ldap` does, so the location that contains it is
//! closed. Must not know locations.

/// The meaning of a directive, as far as its name determines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A block whose directives are read; by itself it has no effect.
    Structure,
    /// A directive that Noren needs no counterpart for, because it does the same by itself or has no such concept.
    Needless,
    /// A directive that is converted where it takes effect; if it took effect nowhere, it is reported.
    Carried,
    /// A directive that decides about access, and is considered with each location.
    Decides,
    /// A directive without a counterpart; the value is the reason to report.
    Left(&'static str),
    /// An unknown directive, which closes the location that contains it.
    Unknown,
}

use super::needless::NEEDLESS;
use Meaning::{Carried, Decides, Left, Needless, Structure, Unknown};

const STREAM: &str = "Noren speaks HTTP; what is passed on without HTTP needs another program";
const BUFFERS: &str =
    "bodies are kept as [spool] says; request-spool and response-spool of an [[app]] turn that off";
const CACHE: &str = "nothing is cached here; the app's own Cache-Control reaches browsers";
const COMPRESSION: &str = "see `compress` of an [[app]] and `precompressed` of [[files]]";
const UPSTREAM_TLS: &str = "TLS 1.2 and 1.3 are spoken to the app, with the authority, the name and the certificate \
                            of [app.tls]";
const LIMITS: &str = "no app and no directory here uses it; what one address may ask is limited by request-rate and \
                      requests-per-address of an [[app]] or [[files]], and for all of Noren in [limits]";
const FILES: &str = "[[files]] serve a directory as it is: path, directory, hosts";
const BODY: &str = "bodies of answers are not changed; let the app do it";
const GATEWAY: &str = "Noren speaks HTTP to apps; let an HTTP server stand before this one";
const RETRIES: &str = "requests wait for an app that is away (restart-wait); see retry-elsewhere for those that an \
                       address among several may have seen";
const LOGS: &str = "see [log]: one line a request, as fields, as JSON or in Apache's form";
const PROTOCOL: &str = "limits of connections and of HTTP/2 are in [limits]";
const REQUEST_VARIABLES: &str =
    "there are no variables here that depend on the request; what uses them is told or closed";

/// The meaning of a name.
pub(super) fn meaning(name: &str) -> Meaning {
    let by_name = exactly(name);
    if by_name == Unknown {
        by_beginning(name)
    } else {
        by_name
    }
}

fn exactly(name: &str) -> Meaning {
    match name {
        "http" | "server" | "location" | "upstream" => Structure,
        "listen"
        | "server_name"
        | "ssl"
        | "ssl_certificate"
        | "ssl_certificate_key"
        | "ssl_client_certificate"
        | "ssl_protocols"
        | "set_real_ip_from"
        | "real_ip_header"
        | "real_ip_recursive"
        | "proxy_pass"
        | "proxy_read_timeout"
        | "proxy_connect_timeout"
        | "client_max_body_size"
        | "add_header"
        | "proxy_set_header"
        | "root"
        | "alias"
        | "try_files"
        | "set" => Carried,
        "access_by_lua"
        | "allow"
        | "auth_delay"
        | "auth_http"
        | "auth_jwt"
        | "deny"
        | "satisfy"
        | "auth_basic"
        | "auth_basic_user_file"
        | "auth_request"
        | "internal"
        | "limit_except"
        | "return"
        | "rewrite"
        | "if"
        | "ssl_verify_client"
        | "ssl_crl"
        | "ssl_ocsp"
        | "ssl_reject_handshake"
        | "proxy_method"
        | "proxy_set_body"
        | "proxy_pass_request_body"
        | "proxy_pass_request_headers" => Decides,
        "include" => {
            Left("the file could not be read; import it by itself, or on the machine it is for")
        }
        "map"
        | "geo"
        | "split_clients"
        | "map_hash_bucket_size"
        | "map_hash_max_size"
        | "valid_referers"
        | "referer_hash_bucket_size"
        | "referer_hash_max_size"
        | "secure_link"
        | "secure_link_md5"
        | "secure_link_secret"
        | "userid"
        | "js_set"
        | "js_var"
        | "perl_set"
        | "auth_request_set"
        | "ssl_client_escaped_cert" => Left(REQUEST_VARIABLES),
        "stream" | "mail" | "rtmp" => Left(STREAM),
        "limit_req" | "limit_req_zone" | "limit_req_dry_run" | "limit_conn" | "limit_conn_zone"
        | "limit_zone" | "limit_conn_dry_run" => Left(LIMITS),
        "limit_rate" | "limit_rate_after" => Left("answers are not slowed down"),
        "ssl_ciphers" | "ssl_conf_command" | "ssl_ecdh_curve" => {
            Left("the cipher suites are chosen by the TLS library, and all are good ones")
        }
        "error_page" | "recursive_error_pages" | "proxy_intercept_errors" => {
            Left("error pages of the app pass as they are; Noren's own are not changed")
        }
        "expires" | "etag" | "if_modified_since" => {
            Left("what browsers may keep is said by the app, or by cache-control of [[files]]")
        }
        "proxy_redirect" => Left(
            "paths in a Location are the app's: it is told the public address (X-Forwarded-Host, \
             X-Forwarded-Proto), and server-root adds a prefix",
        ),
        "proxy_hide_header"
        | "proxy_pass_header"
        | "proxy_pass_trailers"
        | "add_trailer"
        | "proxy_ignore_headers" => Left(
            "every header of the app's answers passes but those that name files of the machine; see remove in \
                 response-headers of an [[app]]",
        ),
        "proxy_bind" => {
            Left("the system chooses the address that connections to the app come from")
        }
        "zone" | "hash" | "ip_hash" | "least_conn" | "least_time" | "random" | "sticky"
        | "queue" | "state" | "ntlm" | "check" | "fair" => Left(
            "of several addresses the one with the fewest busy workers is asked; see urls, affinity, health-path",
        ),
        "fastcgi_pass" | "uwsgi_pass" | "scgi_pass" | "grpc_pass" | "memcached_pass"
        | "redis_pass" | "passenger_enabled" | "empty_gif" | "stub_status" | "flv" | "mp4"
        | "content_by_lua" | "js_content" | "perl" | "random_index" => Left(GATEWAY),
        "autoindex" | "dav_methods" | "dav_access" | "disable_symlinks" => Left(FILES),
        "log_format" => Left(LOGS),
        "ssl_password_file" => {
            Left("the key must not be encrypted: openssl pkey -in KEY -out PLAIN")
        }
        "post_action" | "mirror" | "mirror_request_body" | "slice" | "image_filter" => {
            Left("a request has one answer here, as the app gives it")
        }
        "more_set_headers" | "more_clear_headers" => Left(
            "write set and remove in response-headers of an [[app]] or [[files]], or in [headers]",
        ),
        "proxy_cookie_path" | "proxy_cookie_domain" | "proxy_cookie_flags" => Left(
            "cookies of the app pass as they are; let the app set their path, domain and flags",
        ),
        name if NEEDLESS.contains(&name) => Needless,
        _ => Unknown,
    }
}

fn by_beginning(name: &str) -> Meaning {
    let known = [
        ("proxy_cache", Left(CACHE)),
        ("proxy_no_cache", Left(CACHE)),
        ("proxy_force_ranges", Left(CACHE)),
        ("proxy_store", Left(CACHE)),
        ("proxy_ssl_", Left(UPSTREAM_TLS)),
        ("proxy_next_upstream", Left(RETRIES)),
        (
            "proxy_ignore_client_abort",
            Left("see ignore-client-abort of an [[app]]"),
        ),
        ("proxy_buffer", Left(BUFFERS)),
        ("proxy_request_buffering", Left(BUFFERS)),
        ("proxy_busy_buffers", Left(BUFFERS)),
        ("proxy_max_temp_file", Left(BUFFERS)),
        ("proxy_temp_", Left(BUFFERS)),
        ("proxy_limit_rate", Left("answers are not slowed down")),
        ("proxy_send_lowat", Needless),
        ("client_body_", Left(BUFFERS)),
        ("client_header_", Left(PROTOCOL)),
        ("fastcgi_", Left(GATEWAY)),
        ("uwsgi_", Left(GATEWAY)),
        ("scgi_", Left(GATEWAY)),
        ("grpc_", Left(GATEWAY)),
        ("memcached_", Left(GATEWAY)),
        ("passenger_", Left(GATEWAY)),
        ("gzip", Left(COMPRESSION)),
        ("gunzip", Left(COMPRESSION)),
        ("brotli", Left(COMPRESSION)),
        ("zstd", Left(COMPRESSION)),
        ("open_file_cache", Needless),
        ("open_log_file_cache", Needless),
        ("worker_", Needless),
        ("http2_", Left(PROTOCOL)),
        ("http3_", Left(PROTOCOL)),
        ("quic_", Left(PROTOCOL)),
        ("sub_filter", Left(BODY)),
        ("addition_", Left(BODY)),
        ("add_before_body", Left(BODY)),
        ("add_after_body", Left(BODY)),
        ("ssi", Left(BODY)),
        ("xslt_", Left(BODY)),
        ("xml_entities", Left(BODY)),
        ("image_filter_", Left(BODY)),
        ("autoindex_", Left(FILES)),
        ("fancyindex", Left(FILES)),
        ("mp4_", Left(FILES)),
        ("hls", Left(FILES)),
        ("geoip", Left(REQUEST_VARIABLES)),
        ("userid_", Left(REQUEST_VARIABLES)),
        ("perl_", Left(REQUEST_VARIABLES)),
        ("js_import", Left(REQUEST_VARIABLES)),
        ("js_path", Left(REQUEST_VARIABLES)),
        ("lua_", Needless),
        ("init_by_lua", Needless),
        ("init_worker_by_lua", Needless),
        ("log_by_lua", Needless),
        (
            "vhost_traffic_status",
            Left("see `noren status` and the metrics of [admin]"),
        ),
        ("vod_", Left(BODY)),
    ];
    let mut known = known.iter();
    known
        .find(|(beginning, _)| name.starts_with(beginning))
        .map_or(Unknown, |(_, meaning)| *meaning)
}

/// True if an included file is one of those of nginx and certbot that restrict no access. Any other file may.
pub(super) fn is_harmless_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    matches!(
        name,
        "mime.types"
            | "options-ssl-nginx.conf"
            | "proxy_params"
            | "fastcgi_params"
            | "fastcgi.conf"
            | "uwsgi_params"
            | "scgi_params"
    )
}

/// True if the included files contain whole servers, as in the main file of nginx.
pub(super) fn is_place_of_servers(path: &str) -> bool {
    ["conf.d/*", "sites-enabled/*", "modules-enabled/*"]
        .iter()
        .any(|place| path.contains(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_known_is_unknown_and_guards_are_never_needless() {
        for name in [
            "auth_ldap",
            "access_by_lua_block",
            "modsecurity",
            "more_set_input_headers",
        ] {
            assert_eq!(meaning(name), Unknown, "{name}");
        }
        for name in [
            "allow",
            "deny",
            "auth_basic",
            "internal",
            "limit_except",
            "return",
        ] {
            assert_eq!(meaning(name), Decides, "{name}");
        }
        assert!(matches!(meaning("proxy_cache_valid"), Left(_)));
        assert!(matches!(meaning("map"), Left(_)));
    }
}
