//! `url` and `urls` of an app: its addresses, of which there is at least one. Connects to nothing.

use std::fmt;

use super::app_url::AppUrl;
use super::reader::Table;
use super::siblings::CanonicalAddress;

/// Limit on addresses of one app. Each request looks at all of them.
const MOST: usize = 64;

/// The addresses of an app, in the order of the file; each of them once, and at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppUrls {
    urls: Vec<AppUrl>,
    /// The canonical form of each.
    canonical: Vec<CanonicalAddress>,
}

impl AppUrls {
    /// The only address of an app.
    #[must_use]
    pub fn one(url: AppUrl) -> Self {
        Self::new(vec![url])
    }

    fn new(urls: Vec<AppUrl>) -> Self {
        let canonical = urls.iter().map(|url| url.endpoint.canonical()).collect();
        Self { urls, canonical }
    }

    /// Their canonical forms: two names of one address are equal there.
    #[must_use]
    pub fn canonical(&self) -> &[CanonicalAddress] {
        &self.canonical
    }

    /// Reads `url` or `urls`, of which a table has exactly one. After a problem it is `default`.
    pub(super) fn read(table: &mut Table<'_>, default: Self) -> Self {
        let url = if table.has("urls") {
            table.text("url", None, |text| AppUrl::parse(text).map(Some))
        } else {
            table.required("url", r#""http://127.0.0.1:8010""#, AppUrl::parse)
        };
        let urls = table.list("urls", Vec::new(), AppUrl::parse);
        if !table.has("urls") {
            return url.map_or(default, Self::one);
        }
        if table.has("url") {
            let text = r#"says the same as urls; put all addresses into urls = ["…", "…"], and take url out"#;
            table.problem("url", text);
        }
        if !table.is_sound_so_far() {
            return default;
        }
        match problem(&urls) {
            Some(text) => {
                table.problem("urls", text);
                default
            }
            None => Self::new(urls),
        }
    }

    /// The addresses.
    pub fn iter(&self) -> std::slice::Iter<'_, AppUrl> {
        self.urls.iter()
    }

    /// The number of addresses.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.urls.len()
    }

    /// True if there is more than one.
    #[must_use]
    pub fn are_several(&self) -> bool {
        self.urls.len() > 1
    }

    /// True if TLS is spoken at one of them.
    #[must_use]
    pub fn has_https(&self) -> bool {
        self.iter().any(|url| url.is_https)
    }
}

impl<'a> IntoIterator for &'a AppUrls {
    type Item = &'a AppUrl;
    type IntoIter = std::slice::Iter<'a, AppUrl>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The fault of a list whose members are each valid.
fn problem(urls: &[AppUrl]) -> Option<String> {
    if urls.is_empty() {
        return Some(
            "is empty, and an app without an address answers nothing; write urls = [\"http://127.0.0.1:8010\"]"
                .to_owned(),
        );
    }
    if urls.len() > MOST {
        return Some(format!("has {} addresses; {MOST} is the most", urls.len()));
    }
    let is_twice = |(at, url): &(usize, &AppUrl)| {
        urls.iter()
            .skip(at + 1)
            .any(|other| other.endpoint == url.endpoint)
    };
    if let Some((_, url)) = urls.iter().enumerate().find(is_twice) {
        return Some(format!(
            "has \"{url}\" twice; a second time means nothing, so take it out (for more requests at once, raise \
             workers)"
        ));
    }
    let plain = urls
        .iter()
        .find(|url| !url.is_https && !url.endpoint.is_unix());
    let secure = urls.iter().find(|url| url.is_https);
    plain.zip(secure).map(|(plain, secure)| {
        format!(
            "mixes \"{plain}\" without TLS and \"{secure}\" with it; a visitor could not know which, so write all \
             with \"https://\" or none"
        )
    })
}

impl fmt::Display for AppUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, url) in self.iter().enumerate() {
            let before = if number > 0 { ", " } else { "" };
            write!(f, "{before}{url}")?;
        }
        Ok(())
    }
}
