//! Explains TLS errors of a server to which Noren has connected, for the operator: the fault of its certificate, or its
//! objection to Noren, and the key to change. Must not know the configuration except the names of those keys.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

/// Explains the failure of a handshake. `name` is the expected name, and `trusted` describes the trusted certificates.
pub(super) fn explain(error: &io::Error, name: &str, trusted: &str) -> String {
    let Some(cause) = error.get_ref().and_then(|error| error.downcast_ref()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                "it closed the connection; does it speak TLS, and does it want a client certificate \
                 (tls.certificate and tls.key)?".to_owned()
            }
            _ => error.to_string(),
        };
    };
    match cause {
        rustls::Error::InvalidCertificate(invalid) => explain_certificate(invalid, name, trusted),
        rustls::Error::InvalidMessage(_) => {
            "it does not speak TLS; leave out TLS, or name the port that has it".to_owned()
        }
        rustls::Error::AlertReceived(alert) => explain_description(*alert),
        other => other.to_string(),
    }
}

fn explain_certificate(invalid: &CertificateError, name: &str, trusted: &str) -> String {
    match invalid {
        CertificateError::UnknownIssuer => format!(
            "its certificate is not signed by an authority in {trusted}; name the file with the right one as tls.ca"
        ),
        CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            let names: Vec<_> = presented.iter().map(|name| readable(name)).collect();
            format!(
                "its certificate is not for the name {name}, but for {}; write one of its names as tls.name",
                names.join(", ")
            )
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "its certificate is not for the name {name}; write one of its names as tls.name"
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired; renew it there".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; is the clock of one of the two wrong?".to_owned()
        }
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            format!(
                "its certificate calls itself an authority (CA:TRUE), and is not the very one in {trusted}; \
                 put that one into a file of its own and name it as tls.ca"
            )
        }
        other => format!("its certificate is not right: {other}"),
    }
}

/// Extracts the name: `DnsName("a.example")` becomes `a.example`.
fn readable(name: &str) -> String {
    let quoted = name.split('"').nth(1);
    quoted.unwrap_or(name).escape_debug().to_string()
}

/// Explains a server's alert on an open connection. With TLS 1.3 the handshake of a client is complete before the
/// server checks its certificate, so the refusal arrives in place of the response (RFC 8446 §4.4.2.4).
#[must_use]
pub(crate) fn explain_alert(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        let found = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::AlertReceived(alert)) = found {
            return Some(explain_description(*alert));
        }
        next = error.source();
    }
    None
}

fn explain_description(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "it wants a client certificate (tls.certificate and tls.key)".to_owned()
        }
        AlertDescription::HandshakeFailure => {
            "it refuses the handshake; does it want a client certificate \
            (tls.certificate and tls.key), or something older than TLS 1.2?"
                .to_owned()
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied => format!(
            "it does not accept the client certificate in tls.certificate ({alert:?}); is that signed by its authority?"
        ),
        AlertDescription::UnrecognisedName => {
            "it has no site of this name; write the right one as tls.name".to_owned()
        }
        AlertDescription::NoApplicationProtocol => {
            "it does not offer HTTP/1.1 (ALPN http/1.1); switch that on there".to_owned()
        }
        AlertDescription::ProtocolVersion => {
            "it speaks no version of TLS from 1.2 on; switch one on there".to_owned()
        }
        other => format!("it ended the connection with the alert {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(cause: rustls::Error) -> String {
        let error = io::Error::new(io::ErrorKind::InvalidData, cause);
        explain(&error, "app.example", "/etc/ca.pem")
    }

    #[test]
    fn every_error_of_a_server_names_the_key_to_change() {
        use AlertDescription as Alert;
        use rustls::Error::{AlertReceived, InvalidCertificate};
        for (cause, part) in [
            (
                InvalidCertificate(CertificateError::UnknownIssuer),
                "/etc/ca.pem; name the file with the right one as tls.ca",
            ),
            (
                InvalidCertificate(CertificateError::NotValidForName),
                "app.example; write one of its names as tls.name",
            ),
            (
                InvalidCertificate(CertificateError::Expired),
                "expired; renew it there",
            ),
            (InvalidCertificate(CertificateError::NotValidYet), "clock"),
            (
                AlertReceived(Alert::CertificateRequired),
                "tls.certificate and tls.key",
            ),
            (
                AlertReceived(Alert::UnknownCA),
                "does not accept the client certificate",
            ),
            (AlertReceived(Alert::NoApplicationProtocol), "HTTP/1.1"),
            (AlertReceived(Alert::DecodeError), "DecodeError"),
        ] {
            let text = said(cause);
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(readable(r#"DnsName("a.example")"#), "a.example");
    }

    #[test]
    fn an_alert_is_found_inside_of_other_errors() {
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        let error = io::Error::new(io::ErrorKind::InvalidData, alert);
        assert!(explain_alert(&error).is_some());
        assert_eq!(
            explain_alert(&io::Error::from(io::ErrorKind::BrokenPipe)),
            None
        );
    }
}
