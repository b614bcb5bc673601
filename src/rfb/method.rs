//! Security methods by their numbers (RFC 6143 §7.1.2, and VeNCrypt's own), and the choice among them. Does not know
//! secrets.

use crate::config::RfbSecurity;

/// The type of VeNCrypt.
pub(super) const VENCRYPT: u32 = 19;

/// The number of a method: of a type or, with a certificate, of a subtype of VeNCrypt.
pub(super) fn number(method: RfbSecurity) -> u32 {
    match method {
        RfbSecurity::None => 1,
        RfbSecurity::Vnc => 2,
        RfbSecurity::X509None => 260,
        RfbSecurity::X509Vnc => 261,
        RfbSecurity::X509Plain => 262,
    }
}

/// The name of a type or subtype, for the operator of the host.
pub(super) fn name(number: u32) -> String {
    let name = match number {
        1 => "None",
        2 => "VncAuth",
        5 => "RA2",
        6 => "RA2ne",
        13 => "RA2r",
        16 => "Tight",
        17 => "Ultra",
        18 => "TLS",
        19 => "VeNCrypt",
        20 => "SASL",
        22 => "XVP",
        30 => "Apple",
        113 => "MSLogonII",
        129 | 130 | 133 => "RA2-256",
        256 => "Plain",
        257 => "TLSNone",
        258 => "TLSVnc",
        259 => "TLSPlain",
        260 => "X509None",
        261 => "X509Vnc",
        262 => "X509Plain",
        263 | 264 => "SASL in TLS",
        265..=267 => "Ident",
        other => return other.to_string(),
    };
    name.to_owned()
}

/// `None, VncAuth`.
pub(super) fn names(offered: &[u32]) -> String {
    let names: Vec<_> = offered.iter().map(|number| name(*number)).collect();
    names.join(", ")
}
