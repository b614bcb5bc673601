//! Serves files of a directory: for the paths of `[[files]]`, and for an app that names a file instead of sending
//! it (`X-Accel-Redirect`, `X-Sendfile`).
//!
//! `tower-http` implements HTTP (RFC 9110 §13 conditions, §14 ranges, precompressed variants). The restriction to
//! the directory is enforced here, by the kernel: nothing outside is opened, whatever links the directory
//! contains. Independent of apps and visitors.

use std::fs::Metadata;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, ETAG, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use tokio::task::spawn_blocking;
use tower_http::services::ServeDir;
use tower_http::services::fs::{Backend, File};

use crate::config;
use crate::http::{Body, Refusal, empty};
use crate::text::percent::encoded;

/// A directory to serve.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    beneath: Beneath,
    prefix: config::PathPrefix,
    cache_control: Option<HeaderValue>,
    precompressed: bool,
    /// True if names that begin with a dot are served.
    hidden: bool,
}

/// A requested file, by its path below the directory's prefix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    /// The decoded path, including the prefix.
    pub path: &'a str,
    /// The query, which a redirect keeps.
    pub query: Option<&'a str>,
}

impl Directory {
    /// Creates the directory of a `[[files]]` table.
    #[must_use]
    pub(crate) fn new(settings: &config::Files) -> Self {
        let cache_control = settings.cache_control.as_deref();
        Self {
            beneath: Beneath(settings.directory.clone()),
            prefix: settings.path.clone(),
            cache_control: cache_control.and_then(|value| value.parse().ok()),
            precompressed: settings.precompressed,
            hidden: false,
        }
    }

    /// Creates a directory of a program's modules: browsers ask whether a file has changed.
    #[must_use]
    pub(crate) fn library(prefix: config::PathPrefix, directory: PathBuf) -> Self {
        Self {
            beneath: Beneath(directory),
            prefix,
            cache_control: Some(HeaderValue::from_static("no-cache")),
            precompressed: false,
            hidden: false,
        }
    }

    /// Creates the directory of an `[[app.offload]]` table.
    #[must_use]
    pub(crate) fn offloaded(settings: &config::Offload) -> Self {
        Self {
            beneath: Beneath(settings.directory.clone()),
            prefix: settings.path.clone(),
            cache_control: None,
            precompressed: false,
            hidden: true,
        }
    }

    /// Serves the file of a path that begins with the prefix. `headers` are the visitor's, for ranges and
    /// conditions.
    ///
    /// # Errors
    /// 404, 405, and 500 for a file that cannot be read.
    pub(crate) async fn serve(
        &self,
        method: &Method,
        file: Named<'_>,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Refusal> {
        let prefix = self.prefix.decoded().trim_end_matches('/');
        let rest = file.path.strip_prefix(prefix).unwrap_or(file.path);
        let rest = if rest.starts_with('/') { rest } else { "/" };
        if !self.hidden && rest.split('/').any(is_hidden) {
            return Err(missing());
        }
        let mut target = spelled(rest);
        if let Some(query) = file.query {
            target.push('?');
            target.push_str(query);
        }
        let uri: Uri = target.parse().map_err(|_| missing())?;
        let mut request = Request::new(empty());
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers.clone();
        self.drop_stale_range(&mut request).await;
        let answer = self.service().try_call(request).await;
        let answer = answer.map_err(|error| failed(&self.beneath.0, rest, &error))?;
        match answer.status() {
            StatusCode::NOT_FOUND => Err(missing()),
            StatusCode::METHOD_NOT_ALLOWED => Err(Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "a file accepts GET and HEAD only",
            )
            .allow("GET, HEAD")),
            _ => Ok(self.finish(answer.map(|body| body.map_err(Into::into).boxed_unsync()))),
        }
    }

    /// Removes a range request for another version of the file (RFC 9110 §13.1.5), which `tower-http` does not
    /// check.
    async fn drop_stale_range(&self, request: &mut Request<Body>) {
        let Some(known) = request.headers_mut().remove(IF_RANGE) else {
            return;
        };
        let mut head = Request::new(empty());
        *head.method_mut() = Method::HEAD;
        *head.uri_mut() = request.uri().clone();
        if let Some(accept) = request.headers().get(ACCEPT_ENCODING) {
            head.headers_mut().insert(ACCEPT_ENCODING, accept.clone());
        }
        let now = self.service().try_call(head).await;
        let is_same = now.is_ok_and(|now| {
            [ETAG, LAST_MODIFIED]
                .iter()
                .any(|name| now.headers().get(name) == Some(&known))
        });
        if !is_same {
            request.headers_mut().remove(RANGE);
        }
    }

    fn service(&self) -> ServeDir<tower_http::services::fs::DefaultServeDirFallback, Beneath> {
        let service = ServeDir::with_backend("", self.beneath.clone())
            .redirect_path_prefix(self.prefix.as_str().trim_end_matches('/').to_owned())
            .ignore_multi_range_requests(true)
            // An app names files. A redirect would tell visitors where they are.
            .redirect_to_trailing_slash(!self.hidden)
            .append_index_html_on_directories(!self.hidden);
        if self.precompressed {
            service
                .precompressed_br()
                .precompressed_zstd()
                .precompressed_gzip()
        } else {
            service
        }
    }

    fn finish(&self, mut answer: Response<Body>) -> Response<Body> {
        if let Some(value) = &self.cache_control
            && (answer.status().is_success() || answer.status() == StatusCode::NOT_MODIFIED)
        {
            answer.headers_mut().insert(CACHE_CONTROL, value.clone());
        }
        answer
    }
}

/// True for a hidden name. `.git` and `.htaccess` are rarely meant to be public; `.well-known` (RFC 8615) always
/// is.
fn is_hidden(segment: &str) -> bool {
    segment.starts_with('.') && segment != ".well-known"
}

/// Percent-encodes a decoded path.
fn spelled(path: &str) -> String {
    path.split('/').map(encoded).collect::<Vec<_>>().join("/")
}

fn missing() -> Refusal {
    Refusal::not_found("there is no such file")
}

fn failed(directory: &Path, rest: &str, error: &io::Error) -> Refusal {
    let cause = format!("{}{rest}: {error}", directory.display());
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => missing(),
        // Whoever looks for the reason of a 404 finds it in the log.
        io::ErrorKind::PermissionDenied => missing().because(&cause),
        _ => Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "this file cannot be read",
        )
        .because(&cause),
    }
}

/// Opens files below a directory, and nothing else.
#[derive(Clone, Debug)]
struct Beneath(PathBuf);

impl Beneath {
    /// Opens a file. The directory is opened each time, so that a replaced directory takes effect.
    fn open(&self, path: &Path) -> io::Result<(std::fs::File, Metadata)> {
        let directory: OwnedFd = open(
            &self.0,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        // Without NONBLOCK a named pipe would hold the thread until somebody writes to it.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let only = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let opened = openat2(directory, path, flags, Mode::empty(), only);
        let opened = opened.map_err(|error| match error {
            // It leads out of the directory, or nowhere.
            rustix::io::Errno::XDEV | rustix::io::Errno::LOOP => io::Error::new(
                io::ErrorKind::PermissionDenied,
                "it leads out of the directory",
            ),
            other => other.into(),
        })?;
        let file = std::fs::File::from(opened);
        let metadata = file.metadata()?;
        if metadata.is_file() || metadata.is_dir() {
            Ok((file, metadata))
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

type Opening<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl Backend for Beneath {
    type File = Opened;
    type Metadata = Metadata;
    type OpenFuture = Opening<Opened>;
    type MetadataFuture = Opening<Metadata>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        let this = self.clone();
        Box::pin(async move {
            let opened = spawn_blocking(move || Self::open(&this, &path)).await;
            let (file, metadata) = opened.map_err(io::Error::other)??;
            if metadata.is_dir() {
                return Err(io::ErrorKind::NotFound.into());
            }
            let file = tokio::fs::File::from_std(file);
            Ok(Opened { file, metadata })
        })
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        let this = self.clone();
        Box::pin(async move {
            let opened = spawn_blocking(move || Self::open(&this, &path)).await;
            opened
                .map_err(io::Error::other)?
                .map(|(_, metadata)| metadata)
        })
    }
}

/// A file that may be served.
struct Opened {
    file: tokio::fs::File,
    metadata: Metadata,
}

impl File for Opened {
    type Metadata = Metadata;
    type MetadataFuture<'a> = std::future::Ready<io::Result<Metadata>>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        std::future::ready(Ok(self.metadata.clone()))
    }
}

impl AsyncRead for Opened {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().file).poll_read(cx, buf)
    }
}

impl AsyncSeek for Opened {
    fn start_seek(self: Pin<&mut Self>, position: io::SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.get_mut().file).start_seek(position)
    }

    fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.get_mut().file).poll_complete(cx)
    }
}
