//! `source = "webhook"`: signed requests of another service, such as GitHub or Stripe. Listens on nothing.

use std::time::Duration;

use super::mapping::Mapping;
use super::path_prefix::PathPrefix;
use super::reader::Table;
use super::secret_file::SecretFile;
use super::size::{KIB, MIB};
use super::template::Template;
use super::value;

/// The form of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookSignature {
    /// `X-Hub-Signature-256`: GitHub, Gitea, Forgejo.
    Github,
    /// `X-Gitlab-Token`: the secret itself.
    Gitlab,
    /// The header `Stripe-Signature`.
    Stripe,
    /// `webhook-signature`: Standard Webhooks.
    Standard,
}

impl WebhookSignature {
    const NAMES: [(&'static str, Self); 4] = [
        ("github", Self::Github),
        ("gitlab", Self::Gitlab),
        ("stripe", Self::Stripe),
        ("standard", Self::Standard),
    ];

    /// True if the time of the request is signed too.
    fn has_time(self) -> bool {
        matches!(self, Self::Stripe | Self::Standard)
    }
}

/// One `[[channel.source]]` with `source = "webhook"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSource {
    /// `path`: the path of the requests, at every listener.
    pub path: PathPrefix,
    /// `signature`: its form.
    pub signature: WebhookSignature,
    /// `secrets`: files with a secret each, any of which may have signed.
    pub secrets: Vec<SecretFile>,
    /// `tolerance`: the permitted difference between the signed time and ours. Default 5 min.
    pub tolerance: Duration,
    /// `body-size`: of a request at most. Default 1 MiB.
    pub body_size: usize,
    /// Templates of `channel`, `event` (by default the name that the service gives it), `key` and `data`.
    pub mapping: Mapping,
}

impl WebhookSource {
    /// The place of the event's name: a header of the service, or `type` in the body.
    pub const EVENT: &'static str = "event";
    /// The place of the delivery's id.
    pub const DELIVERY: &'static str = "delivery";

    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        let names = &[Self::EVENT, Self::DELIVERY];
        let path = table.required("path", r#""/hooks/github""#, exact_path);
        let signature = table.required("signature", r#""github""#, |text| {
            value::choice(text, &WebhookSignature::NAMES)
        });
        let secrets = table.list("secrets", Vec::new(), SecretFile::parse);
        let tolerance = table.time_limit("tolerance", Duration::from_secs(300));
        let body_size = table.buffer("body-size", 1 << 20, KIB..=16 * MIB);
        let mapping = Mapping::read(table, names, vec![Template::name(Self::EVENT)]);
        if !table.has("secrets") || table.is_sound_so_far() && secrets.is_empty() {
            table.problem(
                "secrets",
                r#"names no file; write the one with the secret of the service, such as ["/etc/noren/webhook"]"#,
            );
        }
        if tolerance > LONGEST_TOLERANCE {
            table.problem("tolerance", r#"is out of range; write at most "1h""#);
        }
        let signature = signature?;
        if table.has("tolerance") && !signature.has_time() {
            table.problem(
                "tolerance",
                "is for a form that signs the time, stripe or standard; remove it",
            );
        }
        Some(Self {
            path: path?,
            signature,
            secrets,
            tolerance,
            body_size,
            mapping,
        })
    }
}

/// Longest permitted age of a signature: for this time a request that was recorded can be sent again.
const LONGEST_TOLERANCE: Duration = Duration::from_secs(3600);

fn exact_path(text: &str) -> Result<PathPrefix, String> {
    let path = PathPrefix::parse(text)?;
    if text.contains('*') || path.decoded().ends_with('/') {
        return Err(format!(
            r#""{text}" is more than one path; write it without a "*" or "/" at its end"#
        ));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    fn said_of(channel: &str, rest: &str) -> String {
        let text = format!(
            "[[channel]]\nname = \"{channel}\"\n[[channel.source]]\nsource = \"webhook\"\n{rest}"
        );
        Config::parse(&text, "noren.toml").map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn a_webhook_without_a_secret_or_with_an_open_path_is_refused() {
        let whole = "path = \"/h\"\nsignature = \"github\"\nsecrets = [\"/s\"]\n";
        assert_eq!(said_of("a", whole), "");
        assert_eq!(
            said_of(
                "a.*",
                &format!("{whole}channel = \"a.{{event}}\"\nkey = \"{{delivery}}\"")
            ),
            ""
        );
        for (channel, rest, reason) in [
            (
                "a",
                "signature = \"github\"\nsecrets = [\"/s\"]",
                "path: is missing",
            ),
            (
                "a",
                "path = \"/h\"\nsecrets = [\"/s\"]",
                "signature: is missing",
            ),
            (
                "a",
                "path = \"/h\"\nsignature = \"github\"",
                "names no file",
            ),
            (
                "a",
                "path = \"/h\"\nsignature = \"github\"\nsecrets = []",
                "names no file",
            ),
            (
                "a",
                "path = \"/h*\"\nsignature = \"github\"\nsecrets = [\"/s\"]",
                "more than one path",
            ),
            (
                "a",
                "path = \"/\"\nsignature = \"github\"\nsecrets = [\"/s\"]",
                "more than one path",
            ),
            (
                "a",
                "path = \"/h\"\nsignature = \"sha1\"\nsecrets = [\"/s\"]",
                "not known here",
            ),
            ("a.*", whole, "the source must say which"),
            (
                "a",
                "path = \"/h\"\nsignature = \"github\"\nsecrets = [\"/s\"]\ntolerance = \"1m\"",
                "signs the time",
            ),
            (
                "a",
                "path = \"/h\"\nsignature = \"stripe\"\nsecrets = [\"/s\"]\ntolerance = \"2h\"",
                "out of range",
            ),
        ] {
            let said = said_of(channel, rest);
            assert!(said.contains(reason), "{rest}: {said}");
        }
        let twice = format!("{whole}[[channel.source]]\nsource = \"webhook\"\n{whole}");
        assert!(said_of("a", &twice).contains("two webhooks"));
    }

    #[test]
    fn a_webhook_takes_no_path_of_something_else() {
        for (path, owner) in [
            ("/events/github", "[hub]"),
            ("/websockify", "[bridge]"),
            ("/.well-known/mercure", "[mercure]"),
            ("/noren", "the admin page"),
        ] {
            let rest = format!(
                "path = \"{path}\"\nsignature = \"github\"\nsecrets = [\"/s\"]\n\
                 [mercure]\npublisher-keys = [\"/k\"]\n[admin]\npage = \"/noren\"\nusers = [\"a\"]\n"
            );
            let said = said_of("a", &rest);
            let reason = format!("which is a path of {owner}");
            assert!(said.contains(&reason), "{path}: {said}");
        }
        let beside = "path = \"/eventsource\"\nsignature = \"github\"\nsecrets = [\"/s\"]\n";
        assert_eq!(said_of("a", beside), "");
    }
}
